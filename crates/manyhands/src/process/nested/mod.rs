//! Tasks that submit to the pool whose worker they run in, and wait for what they have submitted.
//!
//! Beside its link each worker has a socket to its parent, on which its tasks speak when they have
//! something to say; no byte goes there otherwise. What is submitted so is a task of the pool like any
//! other. Its future is one like any other too, in the worker: a thread there, which starts with the
//! first submit, hears of the outcome and ends it, so that one can wait for it, poll it, await it or give
//! it callbacks in any thread.
//!
//! A task that waits for such a future runs it itself, in place, if no worker has begun it yet: never any
//! other that is pending. Otherwise the parent hears that it waits, takes back what lies ahead of this
//! worker, and may have another run in its stead, so that what is waited for gets its turn.
//!
//! A future among the arguments of a task is one in the worker too, which ends as that in the parent does.
//!
//! | for | see |
//! |---|---|
//! | what is said | `protocol.rs` |
//! | the worker's end | `upward.rs`, `sub.rs`, `this_worker.rs`; its waits: `waiting.rs` |
//! | futures that go along with tasks | `passed.rs` in the parent, `arrived.rs` in the worker |
//! | the executor that tasks have | `executor.rs` |
//! | the parent's end | `channel.rs`, and `nested.rs` of the pool |
//! | who runs in whose stead | `waits.rs` of the supervisor |

mod arrived;
mod channel;
mod executor;
mod passed;
mod protocol;
mod sub;
mod this_worker;
mod upward;
mod waiting;

use std::num::NonZeroU32;

pub use arrived::{Unopened, forget, is_passed, passes, unopened};
pub use executor::{CurrentExecutor, current_executor};
pub use passed::{Outlet, PassedFuture};
pub use sub::{Answered, Call, Ends, PassedOn, Withdrawn};
pub use upward::{RunInPlace, Upward};
pub(crate) use waiting::wait_in_graph;
pub use waiting::{For, LOOK, Waits, lasts, may_last, told_of_deadlock, waits};

pub(super) use arrived::forget_unwanted;
pub(super) use channel::{Channel, Ear, SubTask, Whose};
pub(super) use passed::{Ended, Mailbox, Passed, Passes};
pub(super) use protocol::{Down, Given, Id, Reply, Up, Why};
pub(super) use this_worker::{begin_request, has_spoken, install, running};

use super::by_number::Awaited;

/// In a worker, the number that stands for its parent's pool: none of its own has it.
pub const PARENTS: NonZeroU32 = NonZeroU32::new(u32::MAX - 1).unwrap();

/// Whether this process is a worker.
pub(crate) fn is_worker() -> bool {
    Upward::current().is_some()
}

/// As long as the task is waited for: runs it here, if it is one of the parent's pool and nobody has
/// begun it.
pub fn run_in_place(task: &dyn Awaited) {
    if let Some(upward) = Upward::current() {
        upward.run_in_place(task);
    }
}

/// Has the parent cancel its task at this address, if nobody has begun it or if it may be `running`: its
/// future is the caller's to cancel, while it has what is returned.
pub fn withdraw(address: usize, running: bool) -> Option<Withdrawn> {
    Upward::current()?.cancel(address, running)
}

/// Cancels the parent's task at this address.
pub(super) fn stop(address: usize) {
    if let Some(upward) = Upward::current() {
        drop(upward.cancel(address, true));
    }
}
