//! A thread of a worker waits, and the parent is told of it, and tells it if that would be for ever.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::protocol::Up;
use super::this_worker;
use super::upward::Upward;
use crate::errors::{Deadlock, WaitingTask};
use crate::nested::graph::How;
use crate::nested::{FIRST_LOOK, LAST_LOOK};
use crate::process::stand_in;

/// A wait that is over sooner is not told of: nobody would be started in its stead in time.
const WORTH_TELLING: Duration = Duration::from_millis(1);

/// How often a wait that the parent knows looks whether it would be for ever.
pub const LOOK: Duration = Duration::from_millis(50);

thread_local! {
    /// Whether the parent knows that this thread waits, or is not to be told.
    pub(super) static KNOWN: Cell<bool> = const { Cell::new(false) };
    /// The wait of this thread, if it may turn out to be for ever.
    static LASTING: RefCell<Option<Lasting>> = const { RefCell::new(None) };
}

struct Lasting {
    token: u64,
    any: bool,
    /// What the parent says of it, once it knows that it lasts.
    told: Option<Arc<OnceLock<Deadlock>>>,
    /// When the parent is to look again at what it waits for, and how long after that the next time.
    again: Instant,
    then: Duration,
}

/// What a thread of a worker waits for.
#[derive(Debug)]
pub struct For {
    /// The addresses of what it waits for, and how many of these have to end.
    pub tasks: Vec<usize>,
    /// See `tasks`.
    pub how: How,
}

/// Tells the parent that the task of this worker waits, until what is returned is dropped. `what` says for
/// what; if it gives `None`, that may be any of the tasks that it has submitted. `None` if there is nothing
/// to tell: in a process that is no worker, or in one that waits for no outcome of its parent's, or if
/// `is_done` says that the wait is over, which has waited until the moment that it is given.
pub fn waits(
    what: impl FnOnce() -> Option<For>,
    deadline: Option<Instant>,
    is_done: impl FnOnce(Option<Instant>) -> bool,
) -> Option<Waits> {
    let has_open = |upward: &&Arc<Upward>| upward.open.load(Ordering::Relaxed) > 0;
    let upward = Upward::current().filter(has_open).filter(|_| !KNOWN.get());
    if upward.is_none() && !stand_in::is_calling() {
        return None;
    }
    let soon = Instant::now().checked_add(WORTH_TELLING);
    if is_done(deadline.into_iter().chain(soon).min()) {
        return None;
    }
    stand_in::hand_over();
    Some(upward?.say_waits(what(), deadline.is_some()))
}

/// Whether the wait of the calling thread may turn out to be for ever: then it calls [`lasts`] every
/// [`LOOK`].
pub fn may_last() -> bool {
    LASTING.with_borrow(Option::is_some)
}

/// That the wait of the calling thread would last for ever, if the parent has said so.
pub fn told_of_deadlock() -> Option<Deadlock> {
    LASTING.with_borrow(|lasting| lasting.as_ref()?.told.as_ref()?.get().cloned())
}

/// The calling thread has waited for a while, and goes on to wait; `describe` says which task it is at.
pub fn lasts(describe: impl FnOnce() -> WaitingTask) {
    let due = LASTING.with_borrow_mut(|lasting| {
        let lasting = lasting.as_mut()?;
        let now = Instant::now();
        if lasting.told.is_some() && now < lasting.again {
            return None;
        }
        lasting.again = now + lasting.then;
        lasting.then = (lasting.then * 2).min(LAST_LOOK);
        let told = lasting.told.get_or_insert_default();
        Some((lasting.token, lasting.any, Arc::clone(told)))
    });
    if let (Some((token, any, told)), Some(upward)) = (due, Upward::current()) {
        upward.state().waiting.insert(token, told);
        let WaitingTask { name, place } = describe();
        upward.say(&Up::Lasts { token, any, name, place }, &[]);
    }
}

/// Waits by `wait`, which is given the time to wait until, where the wait [`may_last`]; whether what it
/// waits for has ended.
///
/// # Errors
/// That it never will.
pub(crate) fn wait_in_graph(wait: impl Fn(Option<Instant>) -> bool) -> Result<bool, Deadlock> {
    loop {
        let ended = wait(Instant::now().checked_add(LOOK));
        // Also if it has ended by now: then because another one in the cycle was told.
        match told_of_deadlock() {
            Some(deadlock) => return Err(deadlock),
            None if ended => return Ok(true),
            None => lasts(|| WaitingTask { name: this_worker::function().to_owned(), place: None }),
        }
    }
}

impl Upward {
    fn say_waits(self: &Arc<Self>, what: Option<For>, timed: bool) -> Waits {
        let mut ids = Vec::new();
        let token = self.state().number();
        if let Some(For { tasks, how }) = what {
            ids.extend(tasks.iter().filter_map(|address| self.find(*address)));
            // What is not known here may end; and any other thread may wait while its task goes on.
            let all_known = how == How::All || ids.len() == tasks.len();
            if this_worker::serves() && !timed && !ids.is_empty() && all_known {
                LASTING.set(Some(Lasting {
                    token,
                    any: how == How::Any,
                    told: None,
                    again: Instant::now(),
                    then: FIRST_LOOK,
                }));
            }
        }
        KNOWN.set(true);
        let number = self.number.load(Ordering::Relaxed);
        self.say(&Up::Waits { token, number, ids, timed }, &[]);
        Waits { upward: Arc::clone(self), token }
    }
}

pub(super) fn deadlock_of(cycle: Vec<(String, Option<String>)>) -> Deadlock {
    Deadlock::new(cycle.into_iter().map(|(name, place)| WaitingTask { name, place }).collect())
}

/// A thread waits, and the parent knows.
#[derive(Debug)]
#[must_use = "dropping it says that the wait is over"]
pub struct Waits {
    upward: Arc<Upward>,
    token: u64,
}

impl Drop for Waits {
    fn drop(&mut self) {
        KNOWN.set(false);
        if LASTING.take().is_some_and(|lasting| lasting.told.is_some()) {
            self.upward.state().waiting.remove(&self.token);
        }
        self.upward.say(&Up::Resumes { token: self.token }, &[]);
    }
}
