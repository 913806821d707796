//! A thread of a worker waits, and the parent is told of it, and tells it if that would be for ever.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::protocol::{Edge, Up};
use super::this_worker;
use super::upward::Upward;
use crate::errors::{Deadlock, WaitingTask};
use crate::nested::graph::How;

/// A wait that is over sooner is not told of: nobody would be started in its stead in time.
const WORTH_TELLING: Duration = Duration::from_millis(1);

/// How often a wait that the parent knows looks whether it would be for ever.
pub const LOOK: Duration = Duration::from_millis(50);

thread_local! {
    /// Whether the parent knows that this thread waits, or is not to be told.
    pub(super) static KNOWN: Cell<bool> = const { Cell::new(false) };
    /// What the parent says of the wait of this thread.
    static TOLD: RefCell<Option<Arc<OnceLock<Deadlock>>>> = const { RefCell::new(None) };
}

/// What a thread of a worker waits for.
#[derive(Debug)]
pub struct For {
    /// The addresses of what it waits for, and how many of these have to end.
    pub tasks: Vec<usize>,
    /// See `tasks`.
    pub how: How,
    /// The task that waits.
    pub task: WaitingTask,
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
    let upward = Upward::current()?;
    let none_open = upward.open.load(Ordering::Relaxed) == 0;
    if none_open || KNOWN.get() {
        return None;
    }
    let soon = Instant::now().checked_add(WORTH_TELLING);
    if is_done(deadline.into_iter().chain(soon).min()) {
        return None;
    }
    Some(upward.say_waits(what(), deadline.is_some()))
}

/// That the calling thread waits for ever, if the parent has said so.
pub fn told_of_deadlock() -> Option<Deadlock> {
    TOLD.with_borrow(|told| told.as_ref()?.get().cloned())
}

/// Whether the parent may say so: the thread is to look every [`LOOK`].
pub fn is_in_graph() -> bool {
    TOLD.with_borrow(Option::is_some)
}

impl For {
    /// One, in a task whose name nobody knows.
    pub(crate) fn one(address: usize) -> Self {
        let task = WaitingTask { name: "a task".to_owned(), place: None };
        Self { tasks: vec![address], how: How::All, task }
    }
}

impl Upward {
    fn say_waits(self: &Arc<Self>, what: Option<For>, timed: bool) -> Waits {
        let mut ids = Vec::new();
        let mut edge = None;
        if let Some(For { tasks, how, task }) = what {
            ids.extend(tasks.iter().filter_map(|address| self.find(*address)));
            let all_known = ids.len() == tasks.len();
            // Any other thread may wait while its task goes on. What is not known here may end.
            let holds_up = this_worker::serves() && !timed && !ids.is_empty();
            edge = (holds_up && (how == How::All || all_known)).then(|| {
                let WaitingTask { name, place } = task;
                Edge { any: how == How::Any, name, place }
            });
        }
        let mut state = self.state();
        let token = state.number();
        if edge.is_some() {
            let told = Arc::default();
            state.waiting.insert(token, Arc::clone(&told));
            TOLD.set(Some(told));
        }
        drop(state);
        KNOWN.set(true);
        let number = self.number.load(Ordering::Relaxed);
        self.say(&Up::Waits { token, number, ids, timed, edge }, &[]);
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
        TOLD.take();
        self.upward.state().waiting.remove(&self.token);
        self.upward.say(&Up::Resumes { token: self.token }, &[]);
    }
}
