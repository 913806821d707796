//! How a task sleeps until others have ended, and is told when that will never be.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, MutexGuard, OnceLock, TryLockError};
use std::time::{Duration, Instant};

use super::graph::{How, TaskId, Wait, WaitGraph, WaitId, Waits};
use super::{Waiting, tasks};
use crate::errors::{Deadlock, WaitingTask};
use crate::ready::Ready;

/// How long a wait lasts before it is looked at: nearly all are over by then, and need no graph.
const PATIENCE: Duration = Duration::from_millis(10);

/// The waits of all tasks of this process that have lasted for a while.
static WAITS: std::sync::Mutex<WaitGraph<dyn Waits>> = std::sync::Mutex::new(WaitGraph::new());

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
    let mut waiting = Waiting::begin(awaited.own);
    let patience = deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
    if waiting.wait_by(Some(patience), &mut wait)? {
        return Ok(Woken::Ended);
    }
    if deadline.is_some() {
        return Ok(Woken::TimeIsUp);
    }
    let (on, how) = (awaited.tasks)();
    let (ready, wanted) = (Arc::clone(awaited.ready), awaited.wanted);
    let sleeper = Arc::new(Sleeper { ready, wanted, deadlock: OnceLock::new() });
    let waiter = Arc::clone(&sleeper);
    let _registered = register(Wait { tasks: tasks(describe), on, how, waiter });
    loop {
        let slept = waiting.wait_by(None, &mut wait)?;
        if awaited.ready.take_interrupt()
            && let Some(deadlock) = sleeper.deadlock.get()
        {
            return Ok(Woken::Deadlock(deadlock.clone()));
        }
        if slept {
            return Ok(Woken::Ended);
        }
    }
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
}

impl Waits for Sleeper {
    fn is_over(&self) -> bool {
        self.deadlock.get().is_some() || self.ready.has(self.wanted)
    }

    fn give_up(&self, deadlock: &Deadlock) {
        if self.deadlock.set(deadlock.clone()).is_ok() {
            self.ready.interrupt();
        }
    }
}

/// A wait in the graph, until it is dropped.
#[must_use = "the wait is in the graph as long as this lives"]
#[derive(Debug)]
pub struct Registered(Option<WaitId>);

/// Puts a wait without a timeout into the graph of this process. If it closes a cycle, all that are in it
/// are told to give up, before this returns.
pub fn register(wait: Wait<dyn Waits>) -> Registered {
    let Some(mut waits) = lock() else { return Registered(None) };
    let id = waits.add(wait);
    if let Some(cycle) = waits.cycle(id) {
        let deadlock = Deadlock::new(waits.describe(&cycle));
        let waiters: Vec<_> = waits.waiters(&cycle).cloned().collect();
        drop(waits);
        log::warn!("{deadlock}");
        for waiter in waiters {
            waiter.give_up(&deadlock);
        }
    }
    Registered(Some(id))
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(id) = self.0
            && let Some(mut waits) = lock()
        {
            waits.remove(id);
        }
    }
}

/// `None`: it is held for so long that its owner must have stayed behind in a process that this one was
/// forked from. Then no deadlock is found here, and nobody hangs for that.
fn lock() -> Option<MutexGuard<'static, WaitGraph<dyn Waits>>> {
    for _ in 0..5_000 {
        match WAITS.try_lock() {
            Ok(waits) => return Some(waits),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_micros(20)),
        }
    }
    None
}
