//! What a thread sleeps on that waits for any one of many futures, again and again.
//!
//! A program that takes "whichever is done next" by a loop of `wait(..., FIRST_COMPLETED)` waits for
//! nearly the same futures each time. To ask each of them for a call and to take that back, at every turn,
//! is most of what such a loop costs. So a thread has a *bell*: a future is asked once to ring it at its
//! end, and not asked again as long as the same thread waits for it. Nor are all looked at to find the one that has
//! rung: it says who it is.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use manyhands::ready::Ready;

use crate::task::{Core, Watcher};

pub(crate) struct Bell {
    number: u32,
    /// Whether its thread will ever listen again.
    owned: AtomicBool,
    /// The addresses of those who have rung it, but no more than `FEW`: one by one.
    rung: Arc<Ready>,
}

/// From so many on, it is not said who they are: to look at all futures is as quick.
const FEW: usize = 8;

/// The address of one who has no promise.
pub(crate) const BY_ANOTHER: usize = 0;

/// Who has rung a bell.
pub(crate) enum Heard {
    /// These, by the addresses of their cores; one that has taken the address of another may be meant no more.
    These(VecDeque<usize>),
    /// It is to be looked for among all.
    Anybody,
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

    pub(crate) fn ring(&self, address: usize) {
        // Whoever rings has ended before, and is seen by one who looks at all.
        if !self.rung.has(FEW) {
            self.rung.push([address]);
        }
    }

    /// Who has rung it; it forgets them.
    pub(crate) fn hear(&self) -> Heard {
        let mut rung = VecDeque::new();
        self.rung.pop_all(Some(Instant::now()), &mut rung);
        if rung.len() < FEW && !rung.contains(&BY_ANOTHER) {
            Heard::These(rung)
        } else {
            Heard::Anybody
        }
    }

    /// The queue that is not empty when it has been rung.
    pub(crate) fn rung(&self) -> &Arc<Ready> {
        &self.rung
    }

    /// Whether a future has been asked to ring it, and no other one since.
    #[inline]
    pub(crate) fn hangs_on(&self, core: &Core) -> bool {
        core.rings.load(Ordering::Relaxed) == self.number
    }

    /// Asks a future to ring it; `false`: it has ended already.
    pub(crate) fn hang_on(self: &Arc<Self>, core: &Core) -> bool {
        if self.hangs_on(core) {
            return true;
        }
        match core.rings.swap(self.number, Ordering::Relaxed) {
            0 => (),
            // Threads that take turns, or come and go, must not leave something at each turn.
            _ => drop(core.life.unwatch(|watcher| self.replaces(watcher))),
        }
        core.life.watch(Watcher::Bell(Arc::clone(self), address(core))).is_ok()
    }

    fn replaces(&self, watcher: &Watcher) -> bool {
        matches!(watcher, Watcher::Bell(bell, _)
            if bell.number == self.number || !bell.owned.load(Ordering::Relaxed))
    }
}

/// By what a bell knows a future.
#[inline]
pub(crate) fn address(core: &Core) -> usize {
    ptr::from_ref(core).addr()
}
