//! The seam for another host: what it needs to run its own tasks on this module's pools, whose workers
//! it starts and whose calls it performs in its own way. The Rust face is one host, Python's another.
//!
//! In the parent, a [`Pool`] takes [`Task`]s, with a [`Request`] each; its [`Launcher`](super::launch::Launcher)
//! starts workers. In a worker, [`birth`](super::birth) tells who it is to be, and [`work`] has the host
//! [`Perform`] what is asked of it.

use std::sync::Arc;

use manyhands_shm::{Block, Place};

pub use super::by_number::{Awaited, attend, stop};
pub use super::lending::Borrowed;
pub use super::manager::Setting;
pub use super::nested::{
    Answered, Call, Ends, For, LOOK, Outlet, PARENTS, PassedFuture, PassedOn, RunInPlace, Unopened,
    Upward, Waits, Withdrawn, forget, is_passed, lasts, may_last, passes, run_in_place,
    told_of_deadlock, unopened, waits, withdraw,
};
pub use super::pool::{ManagedBy, Pool, Reservation};
pub use super::request::Request;
pub use super::task::{Loss, Task};
pub use super::worker::{Perform, work};
pub use crate::crossing::{Kind, RequestHead, tell_later};
pub use crate::errors::Reason;

use super::lending::with_carrier;

/// A longer body of a request or an answer goes into shared memory.
pub const MOST_IN_FRAME: usize = super::request::MOST_IN_FRAME;

/// What was lent with the answer that a [`Task`] is given, or with the request that is performed, at the
/// place that its sender has told.
///
/// # Errors
/// Why there is no such thing: it is told to whoever looks for the data.
pub fn borrow(place: Place) -> Result<Borrowed, String> {
    with_carrier(|carrier| carrier.view(place))
        .unwrap_or_else(|| Err("nothing is being read in this thread".to_owned()))
}

/// As [`borrow`], in memory in which whoever has it can write, with nobody else to see it.
///
/// # Errors
/// As for [`borrow`].
pub fn borrow_private(place: Place) -> Result<Borrowed, String> {
    with_carrier(|carrier| carrier.private_view(place))
        .unwrap_or_else(|| Err("nothing is being read in this thread".to_owned()))
}

/// Room in shared memory for what is to go with the answer that is being written; `None` if there is
/// none.
pub fn room(len: usize) -> Option<Block> {
    with_carrier(|carrier| carrier.arena.as_ref()?.allocate(len).ok()).flatten()
}

/// Sends this along with the answer that is being written.
pub fn lend(block: Arc<Block>) {
    with_carrier(|carrier| carrier.lent.push(block));
}
