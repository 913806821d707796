//! What a thread sleeps on that waits for any one of many futures, again and again.
//!
//! A program that takes "whichever is done next" by a loop of `wait(..., FIRST_COMPLETED)` waits for
//! nearly the same futures each time. To ask each of them for a call and to take that back, at every turn,
//! is most of what such a loop costs. So a thread has a *bell*: a future is asked once to ring it at its
//! end, and not asked again as long as the same thread waits for it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use manyhands::ready::Ready;

use crate::task::{Core, Watcher};

pub(crate) struct Bell {
    number: u32,
    /// Whether its thread will ever listen again.
    owned: AtomicBool,
    /// Not empty: it has been rung. Whoever hears it looks at all futures.
    rung: Arc<Ready>,
}

/// A thread's hold on its bell.
struct Owned(Arc<Bell>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.owned.store(false, Ordering::Relaxed);
    }
}

thread_local! {
    /// Not there while the thread waits: a signal handler that waits too gets one of its own.
    static BELL: Cell<Option<Owned>> = const { Cell::new(None) };
}

impl Bell {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(1);
        Self {
            number: MADE.fetch_add(1, Ordering::Relaxed),
            owned: AtomicBool::new(true),
            rung: Arc::new(Ready::new()),
        }
    }

    /// Calls `wait` with the thread's bell.
    pub(crate) fn with<R>(wait: impl FnOnce(&Arc<Self>) -> R) -> R {
        let bell = BELL.take().unwrap_or_else(|| Owned(Arc::new(Self::new())));
        let waited = wait(&bell.0);
        BELL.set(Some(bell));
        waited
    }

    pub(crate) fn ring(&self) {
        // Once is enough: whoever rings has ended before, and is seen by whoever hears.
        if self.rung.is_empty() {
            self.rung.push([0]);
        }
    }

    /// Forgets that it was rung.
    pub(crate) fn reset(&self) {
        self.rung.pop_all(Some(Instant::now()), &mut VecDeque::new());
    }

    /// The queue that is not empty when it has been rung.
    pub(crate) fn rung(&self) -> &Arc<Ready> {
        &self.rung
    }

    /// Asks a future to ring it; `false`: it has ended already.
    pub(crate) fn hang_on(self: &Arc<Self>, core: &Core) -> bool {
        // Most have been asked before, and a look is cheaper than a change.
        if core.rings.load(Ordering::Relaxed) == self.number {
            return true;
        }
        match core.rings.swap(self.number, Ordering::Relaxed) {
            0 => (),
            // Threads that take turns, or come and go, must not leave something at each turn.
            _ => drop(core.life.unwatch(|watcher| self.replaces(watcher))),
        }
        core.life.watch(Watcher::Bell(Arc::clone(self))).is_ok()
    }

    fn replaces(&self, watcher: &Watcher) -> bool {
        matches!(watcher, Watcher::Bell(bell)
            if bell.number == self.number || !bell.owned.load(Ordering::Relaxed))
    }
}
