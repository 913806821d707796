//! WAITS INSIDE TASKS: why a task may wait for another of its own pool.
//!
//! A thread that runs tasks and has one of them wait for another is lost for those that are pending, and
//! perhaps for the very one that is waited for. Three rules end every such wait:
//!
//! 1. A task that is waited for without a timeout and is still pending in the pool of the thread that waits
//!    is run in place, as a plain call would be. No *other* task ever is: it might want a lock that the
//!    waiting one holds.
//! 2. Otherwise the pool lets another worker work in the stead of the one that waits
//!    ([`Compensate`]; up to 256 more than its `max_workers`, as in Java's `ForkJoinPool`).
//! 3. A wait without a timeout that closes a cycle ends with a [`Deadlock`](crate::Deadlock), and so do
//!    the others in it. That is found out when it has lasted for a while (`sleep.rs`), by the wait-for graph
//!    (`graph.rs`), also where what is waited for is made from the futures of other tasks.
//!
//! What a thread is at is known to itself: here. Nobody else looks until it waits, so that a task which
//! does not wait costs a push and a pop.

pub mod graph;
mod registry;
mod sleep;

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::sync::Arc;

use crate::errors::WaitingTask;
use graph::TaskId;

pub use registry::{Registered, register};
#[cfg(all(test, loom))]
pub(crate) use sleep::sleep_in_graph;
pub use sleep::{Awaited, Woken, sleep};
pub(crate) use sleep::{Targets, sleep_here};

/// How many tasks may be run in place, one inside the other, before a worker is let work in the stead of
/// this one instead: a stack is not endless.
const DEEPEST: usize = 100;

/// A pool, to one of its workers whose task waits.
pub trait Compensate {
    /// It begins to wait: another may work in its stead.
    fn begin_wait(&self);

    /// It waits no more.
    fn end_wait(&self);

    /// Whether nobody will work in its stead, because so many do already.
    fn is_exhausted(&self) -> bool;

    /// Runs a task in place if it is found near the end of the queue, as what a task has submitted lately
    /// is; whether it has. Elsewhere in the queue it would leave an empty place behind.
    fn run_recent(&self, task: TaskId) -> bool;
}

/// A task on the stack of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The address of its promise.
    pub id: TaskId,
    /// Its function; empty where the host finds a name when one is asked for.
    pub name: &'static str,
    /// Where it was submitted, if that is known.
    pub place: Option<&'static Location<'static>>,
}

thread_local! {
    /// The tasks that this thread is at, the innermost last.
    static TASKS: RefCell<Vec<Running>> = const { RefCell::new(Vec::new()) };
    /// The pool that this thread works for, by its number; 0 for none.
    static POOL: Cell<u32> = const { Cell::new(0) };
    static COMPENSATE: RefCell<Option<Arc<dyn Compensate>>> = const { RefCell::new(None) };
    /// An `.await` in a task has found its future pending, and the thread may be asleep.
    static AWAITING: Cell<bool> = const { Cell::new(false) };
}

/// Says which pool the calling thread works for, until the value is dropped.
pub fn work_for(pool: u32, compensate: Option<Arc<dyn Compensate>>) -> AtWork {
    AtWork { pool: POOL.replace(pool), compensate: COMPENSATE.replace(compensate) }
}

/// See [`work_for`].
#[must_use = "the thread works for the pool as long as this lives"]
#[expect(missing_debug_implementations, reason = "it only is dropped")]
pub struct AtWork {
    pool: u32,
    compensate: Option<Arc<dyn Compensate>>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        POOL.set(self.pool);
        drop(COMPENSATE.replace(self.compensate.take()));
    }
}

/// The number of the pool that the calling thread works for; 0 for none.
pub fn pool() -> u32 {
    POOL.get()
}

/// Whether the calling thread is at a task.
#[inline]
pub fn in_task() -> bool {
    // A thread that is nearly gone, and drops its thread-locals, is at no task.
    TASKS.try_with(|tasks| !tasks.borrow().is_empty()).unwrap_or(false)
}

/// Calls `run`, which runs a task in this thread.
#[inline]
pub fn run<R>(task: Running, run: impl FnOnce() -> R) -> R {
    /// A task may panic, or what is called when it has ended.
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            let _ = TASKS.try_with(|tasks| tasks.borrow_mut().pop());
            stop_awaiting();
        }
    }

    let _ = TASKS.try_with(|tasks| tasks.borrow_mut().push(task));
    let _leave = Leave;
    run()
}

/// Whether a task that is pending in the pool of this number is to be run in place by the calling thread,
/// which would wait for it.
pub fn runs_in_place(pool: u32) -> bool {
    pool != 0
        && pool == POOL.get()
        && in_task()
        && (TASKS.with_borrow(Vec::len) < DEEPEST
            || compensate(|it| it.is_exhausted()) == Some(true))
}

/// Runs a task that [`runs_in_place`] if it was queued lately; whether it has.
pub fn run_recent(task: TaskId) -> bool {
    compensate(|it| it.run_recent(task)) == Some(true)
}

/// The tasks that this thread is at, for the wait-for graph. `describe` is asked for those without a name,
/// by how many tasks are below them on the stack.
fn tasks(describe: impl Fn(usize) -> WaitingTask) -> Vec<(TaskId, WaitingTask)> {
    let described = |(depth, task): (usize, &Running)| {
        let named = || WaitingTask {
            name: task.name.to_owned(),
            place: task.place.map(|place| format!("submitted at {place}")),
        };
        (task.id, if task.name.is_empty() { describe(depth) } else { named() })
    };
    TASKS.with_borrow(|tasks| tasks.iter().enumerate().map(described).collect())
}

/// Lets another work in the stead of the calling thread until the value is dropped.
#[must_use = "another works in its stead as long as this lives"]
#[derive(Debug)]
pub struct Waiting(());

impl Waiting {
    /// From now on.
    pub fn begin() -> Self {
        stop_awaiting();
        compensate(|it| it.begin_wait());
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        compensate(|it| it.end_wait());
    }
}

/// For an `.await` in a task that has found its future pending. Whether its thread sleeps now, nobody says;
/// another may work in its stead until it is seen again.
pub(crate) fn begin_awaiting() {
    if in_task() && !AWAITING.replace(true) {
        compensate(|it| it.begin_wait());
    }
}

pub(crate) fn stop_awaiting() {
    if AWAITING.replace(false) {
        compensate(|it| it.end_wait());
    }
}

/// The thread may run a task meanwhile, which asks in turn: that shares the cell. It is changed only by a
/// thread that is at no task.
fn compensate<R>(ask: impl FnOnce(&dyn Compensate) -> R) -> Option<R> {
    COMPENSATE.try_with(|it| it.borrow().as_deref().map(ask)).ok()?
}
