//! How a task sleeps until others have ended, and is told when that will never be.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::graph::{TaskId, Wait, Waits};
use super::registry::register;
use super::source::{Sources, Targets, are_pending};
use super::{Running, Waiting, tasks};
use crate::errors::{Deadlock, WaitingTask};
use crate::ready::Ready;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{now, sabotaged};

/// How long a wait lasts before it is looked at: nearly all are over by then, and need no graph.
const PATIENCE: Duration = Duration::from_millis(10);

/// When a wait for futures that are made from others is looked at for the second time, since these may go on
/// to wait for something else; and how long at most until the next look.
pub(crate) const FIRST_LOOK: Duration = Duration::from_millis(100);
pub(crate) const LAST_LOOK: Duration = Duration::from_secs(5);

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
    /// Whether one of them is of the pool that the calling thread works for.
    pub own: bool,
    /// Which tasks these are, and whether all of them are needed for the next step. Asked for when the wait
    /// has lasted for a while, and again where that may change.
    pub targets: &'a dyn Fn() -> Targets,
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
    describe: impl Fn(usize, Running) -> WaitingTask,
    mut wait: impl FnMut(Option<Instant>) -> Result<bool, X>,
) -> Result<Woken, X> {
    let mut waiting = Waiting::begin(awaited.own);
    let mut wait = |until| waiting.wait_by(until, &mut wait);
    if let Some(woken) = doze(deadline, &mut wait)? {
        return Ok(woken);
    }
    sleep_in_graph(awaited.ready, awaited.wanted, &tasks(describe), awaited.targets, wait)
}

/// Sleeps without the graph: a wait with a timeout, or the first part of one without. `None`: it takes longer.
fn doze<X>(
    deadline: Option<Instant>,
    wait: &mut impl FnMut(Option<Instant>) -> Result<bool, X>,
) -> Result<Option<Woken>, X> {
    let until = deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
    Ok(match (wait(Some(until))?, deadline) {
        (true, _) => Some(Woken::Ended),
        (false, Some(_)) => Some(Woken::TimeIsUp),
        (false, None) => None,
    })
}

/// Sleeps as one of those whom the graph knows. `wait` as for [`sleep`].
pub(crate) fn sleep_in_graph<X>(
    ready: &Arc<Ready>,
    wanted: usize,
    tasks: &[(TaskId, WaitingTask)],
    targets: &dyn Fn() -> Targets,
    mut wait: impl FnMut(Option<Instant>) -> Result<bool, X>,
) -> Result<Woken, X> {
    let mut look_again = FIRST_LOOK;
    loop {
        let targets = targets();
        let until = targets.may_change.then(|| now() + look_again);
        if let Some(woken) = sleep_until(until, ready, wanted, tasks, targets, &mut wait)? {
            return Ok(woken);
        }
        look_again = (look_again * 2).min(LAST_LOOK);
    }
}

/// `None`: it is time to look again at what is waited for.
fn sleep_until<X>(
    until: Option<Instant>,
    ready: &Arc<Ready>,
    wanted: usize,
    tasks: &[(TaskId, WaitingTask)],
    targets: Targets,
    wait: &mut impl FnMut(Option<Instant>) -> Result<bool, X>,
) -> Result<Option<Woken>, X> {
    let Targets { on, how, made_from, links, .. } = targets;
    let sleeper = Arc::new(Sleeper::new(ready, wanted, links));
    let waiter = Arc::clone(&sleeper);
    let registered = register(Wait { tasks: tasks.to_vec(), on, how, made_from, waiter });
    let woken = loop {
        let slept = match wait(until) {
            Ok(slept) => slept,
            Err(error) => break Err(error),
        };
        let interrupted = ready.take_interrupt();
        if ready.has(wanted) || (slept && !interrupted) {
            break Ok(Some(Woken::Ended));
        }
        if sleeper.deadlock.get().is_some() || until.is_some_and(|until| now() >= until) {
            break Ok(None);
        }
    };
    sleeper.has_left.store(true, Ordering::Relaxed);
    drop(registered);
    // It may have been told between its last look and this moment. The next to sleep here must not take that
    // for itself.
    if !sabotaged("nested_leaves_an_interrupt_behind") {
        ready.take_interrupt();
    }
    // Also if what it waits for has come by now: it came because another in the cycle was told.
    match sleeper.deadlock.get() {
        Some(deadlock) => woken.map(|_| Some(Woken::Deadlock(deadlock.clone()))),
        None => woken,
    }
}

/// Sleeps as [`sleep`] does, in the host's thread with nothing else to heed, whose tasks have names, until
/// so many futures have left their numbers. `own`: as in [`Awaited`].
pub(crate) fn sleep_here(
    ready: &Arc<Ready>,
    wanted: usize,
    own: bool,
    targets: &dyn Fn() -> Targets,
    deadline: Option<Instant>,
) -> Woken {
    let mut waiting = Waiting::begin(own);
    let mut wait = |until| {
        waiting.wait_by(until, |until| {
            let enough = ready.wait_for_all(wanted, until);
            Ok::<_, Infallible>(enough || ready.is_interrupted())
        })
    };
    let nameless = |_, _| WaitingTask { name: "a task".to_owned(), place: None };
    let Ok(woken) = doze(deadline, &mut wait).and_then(|woken| match woken {
        Some(woken) => Ok(woken),
        None => sleep_in_graph(ready, wanted, &tasks(nameless), targets, wait),
    });
    woken
}

struct Sleeper {
    ready: Arc<Ready>,
    wanted: usize,
    deadlock: OnceLock<Deadlock>,
    /// What has to be pending, if it is to wait for ever.
    links: Sources,
    /// So that one whom nobody could take out of the graph does no harm in it.
    has_left: AtomicBool,
}

impl Sleeper {
    fn new(ready: &Arc<Ready>, wanted: usize, links: Sources) -> Self {
        let (ready, deadlock) = (Arc::clone(ready), OnceLock::new());
        Self { ready, wanted, deadlock, links, has_left: AtomicBool::new(false) }
    }
}

impl Waits for Sleeper {
    fn is_over(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
            || self.deadlock.get().is_some()
            || self.ready.has(self.wanted)
    }

    fn is_up_to_date(&self) -> bool {
        are_pending(&self.links)
    }

    fn give_up(&self, deadlock: &Deadlock) {
        if self.deadlock.set(deadlock.clone()).is_ok() {
            self.ready.interrupt();
        }
    }
}
