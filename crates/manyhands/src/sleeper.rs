//! A thread that sleeps until a task has ended: it waits among those who are to be told.

use std::fmt;
use std::time::Instant;

use crate::sync::{Condvar, Mutex};

pub(crate) struct Sleeper {
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self { woken: Mutex::new(false), wakes: Condvar::new() }
    }

    pub(crate) fn wake(&self) {
        // None: in a forked child, and the thread is not here.
        if let Some(mut woken) = self.woken.lock_unless_orphaned() {
            *woken = true;
            drop(woken);
            self.wakes.notify_one();
        }
    }

    /// Until somebody wakes it, or until `deadline`.
    pub(crate) fn sleep(&self, deadline: Option<Instant>) {
        let mut woken = self.woken.lock();
        while !*woken && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            woken = self.wakes.wait(woken, deadline);
        }
    }
}

impl fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleeper").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Sleeper;

    #[test]
    fn one_that_stayed_behind_at_a_fork_holds_up_nobody() {
        let sleeper = Sleeper::new();
        let orphaned = sleeper.woken.lock();
        sleeper.wake();
        assert!(!*orphaned);
    }
}
