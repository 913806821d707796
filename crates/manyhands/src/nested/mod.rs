//! WAITS INSIDE TASKS: why a task may wait for another of its own pool.
//!
//! A thread that runs tasks and has one of them wait for another is lost for those that are pending, and
//! perhaps for the very one that is waited for. Three rules end every such wait:
//!
//! 1. A task that is waited for without a timeout and is still pending in the pool of the thread that waits
//!    is run in place, as a plain call would be. No *other* task ever is: it might want a lock that the
//!    waiting one holds.
//! 2. Otherwise the pool lets another worker work in the stead of the one that waits
//!    ([`Compensate`]; up to 256 more than its `max_workers`, as in Java's `ForkJoinPool`): at once where it
//!    waits for a task of its own pool. Where it waits for something else, which is how many programs keep
//!    down what is under way elsewhere, only when all workers of the pool wait, tasks are pending, and
//!    nothing has moved for a tenth of a second; and twice as long each next time.
//! 3. A wait without a timeout that closes a cycle ends with a [`Deadlock`](crate::Deadlock), and so do the
//!    others in it. That is found out when it has lasted for a while (`sleep.rs`), by the wait-for graph
//!    (`graph.rs`), also where what is waited for is made from the futures of other tasks, and where some wait
//!    in worker processes.
//!
//! What a thread is at is known to itself: here. Nobody else looks until it waits, so that a task which
//! does not wait costs a push and a pop.

pub mod graph;
mod registry;
mod sleep;
mod source;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::call_site::CallSite;
use crate::errors::WaitingTask;
use graph::TaskId;

pub use registry::{Registered, register};
#[cfg(all(test, loom))]
pub(crate) use sleep::sleep_in_graph;
pub use sleep::{Awaited, Woken, sleep};
pub(crate) use sleep::{FIRST_LOOK, LAST_LOOK, sleep_here};
pub(crate) use source::are_pending;
pub use source::{Source, Sources, Targets};

/// How many tasks may be run in place, one inside the other, before a worker is let work in the stead of
/// this one instead: a stack is not endless.
const DEEPEST: usize = 100;

/// How long nothing has to move before somebody works in the stead of a worker that waits for something else
/// than a task of its pool.
const STANDSTILL: Duration = Duration::from_millis(100);

/// A pool, to one of its workers whose task waits.
pub trait Compensate {
    /// It begins to wait, for a task of its `own` pool or for something else. Whether another may work in its
    /// stead from now on.
    fn begin_wait(&self, own: bool) -> bool;

    /// It waits, and nobody works in its stead. Whether somebody does from now on, because nothing moves.
    fn relieve(&self) -> bool;

    /// It waits no more. `relieved`: another worked in its stead.
    fn end_wait(&self, relieved: bool);

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
    pub place: CallSite,
    /// A number of the host's own, for where it has no name.
    pub known_as: u32,
}

/// How many tasks on one stack the wait-for graph gets to know: more than are run in place, unless every
/// thread that a pool may have waits.
const KNOWN: usize = 128;

/// What a thread is at. No destructor, and one place for all, so that a task that does not wait hardly
/// notices.
struct At {
    /// The number of the pool that it works for; 0 for none.
    pool: Cell<u32>,
    /// How many tasks are on its stack, and the outermost of them.
    depth: Cell<usize>,
    tasks: [Cell<Running>; KNOWN],
    /// An `.await` in a task has found its future pending, and the thread may be asleep.
    awaiting: Cell<bool>,
}

thread_local! {
    static AT: At = const {
        At {
            pool: Cell::new(0),
            depth: Cell::new(0),
            tasks: [const { Cell::new(Running { id: 0, name: "", place: CallSite::UNKNOWN, known_as: 0 }) }; KNOWN],
            awaiting: Cell::new(false),
        }
    };
    static COMPENSATE: RefCell<Option<Arc<dyn Compensate>>> = const { RefCell::new(None) };
}

/// Says which pool the calling thread works for, until the value is dropped.
pub fn work_for(pool: u32, compensate: Option<Arc<dyn Compensate>>) -> AtWork {
    AtWork { pool: AT.with(|at| at.pool.replace(pool)), compensate: COMPENSATE.replace(compensate) }
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
        AT.with(|at| at.pool.set(self.pool));
        drop(COMPENSATE.replace(self.compensate.take()));
    }
}

/// The number of the pool that the calling thread works for; 0 for none.
pub fn pool() -> u32 {
    AT.with(|at| at.pool.get())
}

/// Whether the calling thread is at a task.
#[inline]
pub fn in_task() -> bool {
    AT.with(|at| at.depth.get() > 0)
}

/// Calls `run`, which runs a task in this thread.
#[inline]
pub fn run<R>(task: Running, run: impl FnOnce() -> R) -> R {
    /// A task may panic, or what is called when it has ended.
    struct Leave;
    impl Drop for Leave {
        #[inline]
        fn drop(&mut self) {
            AT.with(|at| {
                at.depth.set(at.depth.get() - 1);
                if at.awaiting.get() {
                    stop_awaiting();
                }
            });
        }
    }

    AT.with(|at| {
        let depth = at.depth.get();
        if let Some(place) = at.tasks.get(depth) {
            place.set(task);
        }
        at.depth.set(depth + 1);
    });
    let _leave = Leave;
    run()
}

/// How many tasks are on the stack of the calling thread.
pub fn depth() -> usize {
    AT.with(|at| at.depth.get())
}

/// Says that the innermost task of this thread is another one now: the next of several that are run in one
/// go.
#[inline]
pub fn go_on_with(task: TaskId) {
    AT.with(|at| {
        if let Some(innermost) = at.depth.get().checked_sub(1).and_then(|depth| at.tasks.get(depth))
        {
            innermost.set(Running { id: task, ..innermost.get() });
        }
    });
}

/// Whether a task that is pending in the pool of this number is to be run in place by the calling thread,
/// which would wait for it.
pub fn runs_in_place(pool: u32) -> bool {
    is_own(pool)
        && in_task()
        && (AT.with(|at| at.depth.get()) < DEEPEST
            || compensate(|it| it.is_exhausted()) == Some(true))
}

/// Runs a task that [`runs_in_place`] if it was queued lately; whether it has.
pub fn run_recent(task: TaskId) -> bool {
    compensate(|it| it.run_recent(task)) == Some(true)
}

/// The tasks that this thread is at, for the wait-for graph. `describe` is asked for those without a name,
/// by how many tasks are below them on the stack.
fn tasks(describe: impl Fn(usize, Running) -> WaitingTask) -> Vec<(TaskId, WaitingTask)> {
    let described = |(depth, task): (usize, Running)| {
        let named = || WaitingTask {
            name: task.name.to_owned(),
            place: task.place.location().map(|place| format!("submitted at {place}")),
        };
        (task.id, if task.name.is_empty() { describe(depth, task) } else { named() })
    };
    let known =
        || AT.with(|at| at.tasks.iter().take(at.depth.get()).map(Cell::get).collect::<Vec<_>>());
    known().into_iter().enumerate().map(described).collect()
}

/// Whether the calling thread works for the pool of this number.
pub fn is_own(pool: u32) -> bool {
    pool != 0 && pool == self::pool()
}

/// Another may work in the stead of the calling thread until the value is dropped.
#[must_use = "the thread counts as waiting as long as this lives"]
#[derive(Debug)]
pub struct Waiting {
    relieved: bool,
    /// When it looks whether anything moves, and how long after that again.
    look: Instant,
    then: Duration,
}

impl Waiting {
    /// From now on it waits, for a task of its `own` pool or for something else.
    pub fn begin(own: bool) -> Self {
        stop_awaiting();
        let relieved = compensate(|it| it.begin_wait(own)) != Some(false);
        Self { relieved, look: Instant::now() + STANDSTILL, then: STANDSTILL }
    }

    /// When [`look`](Self::look) is to be called, if it is.
    pub fn next_look(&self) -> Option<Instant> {
        (!self.relieved).then_some(self.look)
    }

    /// Has another work in its stead if nothing else moves.
    pub fn look(&mut self) {
        if !self.relieved && Instant::now() >= self.look {
            self.relieved = compensate(|it| it.relieve()) == Some(true);
            self.then *= 2;
            self.look = Instant::now() + self.then;
        }
    }

    /// Calls `wait` with the time to wait until, again and again, until it gives `true` or the deadline is
    /// over; whether it did.
    ///
    /// # Errors
    /// Those of `wait`.
    pub fn wait_by<X>(
        &mut self,
        deadline: Option<Instant>,
        mut wait: impl FnMut(Option<Instant>) -> Result<bool, X>,
    ) -> Result<bool, X> {
        loop {
            if wait(deadline.into_iter().chain(self.next_look()).min())? {
                return Ok(true);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(false);
            }
            self.look();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        compensate(|it| it.end_wait(self.relieved));
    }
}

/// For an `.await` in a task that has found its future pending, in the pool of this number. Whether its
/// thread sleeps now, nobody says; another may work in its stead until it is seen again.
pub(crate) fn begin_awaiting(pool: u32) {
    if is_own(pool) && in_task() && !AT.with(|at| at.awaiting.replace(true)) {
        compensate(|it| it.begin_wait(true));
    }
}

/// Whether there was an `.await` that may have slept.
pub(crate) fn stop_awaiting() -> bool {
    let awaited = AT.with(|at| at.awaiting.replace(false));
    if awaited {
        compensate(|it| it.end_wait(true));
    }
    awaited
}

/// The thread may run a task meanwhile, which asks in turn: that shares the cell. It is changed only by a
/// thread that is at no task.
fn compensate<R>(ask: impl FnOnce(&dyn Compensate) -> R) -> Option<R> {
    COMPENSATE.try_with(|it| it.borrow().as_deref().map(ask)).ok()?
}
