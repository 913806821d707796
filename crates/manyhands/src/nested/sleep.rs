//! How a task sleeps until others have ended, and is told when that will never be.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::graph::{How, TaskId, Wait, Waits};
use super::registry::register;
use super::{Waiting, tasks};
use crate::errors::{Deadlock, WaitingTask};
use crate::ready::Ready;
use crate::sync::atomic::{AtomicBool, Ordering};

/// How long a wait lasts before it is looked at: nearly all are over by then, and need no graph.
const PATIENCE: Duration = Duration::from_millis(10);

/// How a sleep of [`sleep`] has ended.
#[derive(Debug)]
pub enum Woken {
    /// So many have ended.
    Ended,
    /// The time is over.
    TimeIsUp,
    /// They never will.
    Deadlock(Deadlock),
}

/// What a task waits for.
pub struct Awaited<'a> {
    /// Where those that end leave their numbers.
    pub ready: &'a Arc<Ready>,
    /// How many numbers there have to be.
    pub wanted: usize,
    /// Which tasks these are, and whether all of them are needed for the next step. Asked for when the wait
    /// has lasted for a while.
    pub tasks: &'a dyn Fn() -> (Vec<TaskId>, How),
}

impl fmt::Debug for Awaited<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awaited").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// Sleeps in a task, while another may work in the stead of its thread. `wait` is the host's way to sleep
/// on the queue until so many are there, it is interrupted, or the time given is over; it says whether one
/// of the first two is so. `describe` names the tasks of this thread that have no name, by how many there are
/// below them on the stack.
///
/// # Errors
/// Those of `wait`.
pub fn sleep<X>(
    awaited: &Awaited<'_>,
    deadline: Option<Instant>,
    describe: impl Fn(usize) -> WaitingTask,
    mut wait: impl FnMut(Option<Instant>) -> Result<bool, X>,
) -> Result<Woken, X> {
    let _waiting = Waiting::begin();
    if deadline.is_some() {
        return Ok(if wait(deadline)? { Woken::Ended } else { Woken::TimeIsUp });
    }
    if wait(Some(Instant::now() + PATIENCE))? {
        return Ok(Woken::Ended);
    }
    let (on, how) = (awaited.tasks)();
    sleep_in_graph(awaited.ready, awaited.wanted, tasks(describe), on, how, || wait(None))
}

/// Sleeps as one of those whom the graph knows.
pub(crate) fn sleep_in_graph<X>(
    ready: &Arc<Ready>,
    wanted: usize,
    tasks: Vec<(TaskId, WaitingTask)>,
    on: Vec<TaskId>,
    how: How,
    mut wait: impl FnMut() -> Result<bool, X>,
) -> Result<Woken, X> {
    let sleeper = Arc::new(Sleeper::new(ready, wanted));
    let waiter = Arc::clone(&sleeper);
    let registered = register(Wait { tasks, on, how, waiter });
    let woken = loop {
        let slept = match wait() {
            Ok(slept) => slept,
            Err(error) => break Err(error),
        };
        let interrupted = ready.take_interrupt();
        if ready.has(wanted) || (slept && !interrupted) {
            break Ok(Woken::Ended);
        }
        if let Some(deadlock) = sleeper.deadlock.get() {
            break Ok(Woken::Deadlock(deadlock.clone()));
        }
    };
    sleeper.has_left.store(true, Ordering::Relaxed);
    drop(registered);
    // It may have been told between its last look and this moment. The next to sleep here must not take that
    // for itself.
    if cfg!(not(sabotage = "nested_leaves_an_interrupt_behind")) {
        ready.take_interrupt();
    }
    woken
}

/// Sleeps as [`sleep`] does, in the host's thread with nothing else to heed, whose tasks have names.
pub(crate) fn sleep_here(awaited: &Awaited<'_>, deadline: Option<Instant>) -> Woken {
    let nameless = |_| WaitingTask { name: "a task".to_owned(), place: None };
    let wait = |until| {
        let enough = awaited.ready.wait_for_all(awaited.wanted, until);
        Ok::<_, Infallible>(enough || awaited.ready.is_interrupted())
    };
    let Ok(woken) = sleep(awaited, deadline, nameless, wait);
    woken
}

struct Sleeper {
    ready: Arc<Ready>,
    wanted: usize,
    deadlock: OnceLock<Deadlock>,
    /// So that one whom nobody could take out of the graph does no harm in it.
    has_left: AtomicBool,
}

impl Sleeper {
    fn new(ready: &Arc<Ready>, wanted: usize) -> Self {
        let (ready, deadlock) = (Arc::clone(ready), OnceLock::new());
        Self { ready, wanted, deadlock, has_left: AtomicBool::new(false) }
    }
}

impl Waits for Sleeper {
    fn is_over(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
            || self.deadlock.get().is_some()
            || self.ready.has(self.wanted)
    }

    fn give_up(&self, deadlock: &Deadlock) {
        if self.deadlock.set(deadlock.clone()).is_ok() {
            self.ready.interrupt();
        }
    }
}
