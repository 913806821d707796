//! Whether this process is a worker, and what its loop tells the tasks that speak.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::upward::{RunInPlace, Upward};

/// The newest comes last: a worker may be forked off a process that is one itself. No lock, which a child
/// might find locked.
static FIRST: Generation = Generation { upward: OnceLock::new(), next: OnceLock::new() };

struct Generation {
    upward: OnceLock<Arc<Upward>>,
    next: OnceLock<Box<Generation>>,
}

thread_local! {
    /// Whether this is the thread that runs a worker's tasks.
    static SERVES: Cell<bool> = const { Cell::new(false) };
    /// The function of the task that this thread runs, where the host has said so.
    static FUNCTION: Cell<&'static str> = const { Cell::new("a task") };
}

/// Whether this is the thread that runs the worker's tasks.
pub(super) fn serves() -> bool {
    SERVES.get()
}

/// Calls `run`, which runs a task of this function.
pub(in crate::process) fn running<R>(function: &'static str, run: impl FnOnce() -> R) -> R {
    let outer = FUNCTION.replace(function);
    let result = run();
    FUNCTION.set(outer);
    result
}

/// See [`running`].
pub(super) fn function() -> &'static str {
    FUNCTION.get()
}

/// Makes it known that this process is a worker, whose tasks this thread runs.
pub(in crate::process) fn install(socket: OwnedFd, runs: Option<Box<dyn RunInPlace>>) {
    let upward = Arc::new(Upward::new(socket, runs));
    SERVES.set(true);
    let mut at = &FIRST;
    while at.upward.get().is_some() {
        at = at.next.get_or_init(|| {
            Box::new(Generation { upward: OnceLock::new(), next: OnceLock::new() })
        });
    }
    let _ = at.upward.set(upward); // This thread alone works for a parent.
}

/// The worker begins a request, and had answered so many before.
pub(in crate::process) fn begin_request(number: u64) {
    if let Some(upward) = Upward::current() {
        upward.number.store(number, Ordering::Relaxed);
    }
}

/// Whether the task that is about to be answered has said something: the parent is to hear it first.
pub(in crate::process) fn has_spoken() -> bool {
    let has_spoken = |it: &Arc<Upward>| {
        it.spoke.load(Ordering::Relaxed) && it.spoke.swap(false, Ordering::Relaxed)
    };
    Upward::current().is_some_and(has_spoken)
}

impl Upward {
    /// That of this process, if it is a worker.
    pub fn current() -> Option<&'static Arc<Self>> {
        let mut newest = FIRST.upward.get()?;
        let mut at = &FIRST;
        while let Some(next) = at.next.get() {
            at = next;
            newest = at.upward.get().unwrap_or(newest);
        }
        (!newest.is_in_a_fork()).then_some(newest)
    }
}
