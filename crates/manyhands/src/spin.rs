//! How long to spin before sleeping: briefly, and only where the last waits showed that it pays.
//!
//! Handing work to a sleeping thread on another core costs tens of microseconds, to a spinning one
//! a fraction of one. But a spin takes a core from somebody, and when all cores are busy that
//! somebody may be the very thread that is waited for. So every spinner keeps a budget of turns:
//! a wait that ended within it raises the budget, one that did not halves it, down to nothing;
//! then a short probe every [`PROBE_EVERY`] waits finds out whether times have changed.

use crate::sync::atomic::{AtomicU32, Ordering};

/// The most turns one wait may spin; a turn is one `spin_loop` hint, 10 to 50 ns by machine.
const MAX_TURNS: u32 = 400;
const FIRST_TURNS: u32 = 100;
const PROBE_TURNS: u32 = 25;
const PROBE_EVERY: u32 = 32;

/// One party's budget, learnt from its own waits. The two fields are hints: a lost update between
/// two threads costs a few turns, never a wake-up, so relaxed order is enough.
#[derive(Debug)]
pub(crate) struct Spin {
    turns: AtomicU32,
    skipped: AtomicU32,
}

impl Spin {
    pub(crate) fn new() -> Self {
        let turns = if cores() > 1 { FIRST_TURNS } else { 0 };
        Self { turns: AtomicU32::new(turns), skipped: AtomicU32::new(0) }
    }

    /// Spins until `ready` or until the budget is spent; whether it was ready.
    pub(crate) fn until(&self, mut ready: impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        if cfg!(loom) {
            return false;
        }
        let turns = self.turns.load(Ordering::Relaxed);
        let allowed = if turns > 0 { turns } else { self.probe() };
        for _ in 0..allowed {
            std::hint::spin_loop();
            if ready() {
                self.turns.store(after_success(turns), Ordering::Relaxed);
                return true;
            }
        }
        self.turns.store(after_failure(turns), Ordering::Relaxed);
        false
    }

    fn probe(&self) -> u32 {
        let skipped = self.skipped.load(Ordering::Relaxed);
        if cores() > 1 && skipped >= PROBE_EVERY {
            self.skipped.store(0, Ordering::Relaxed);
            PROBE_TURNS
        } else {
            self.skipped.store(skipped + 1, Ordering::Relaxed);
            0
        }
    }
}

fn after_success(turns: u32) -> u32 {
    (turns + turns / 2).clamp(PROBE_TURNS * 2, MAX_TURNS)
}

fn after_failure(turns: u32) -> u32 {
    let half = turns / 2;
    if half < PROBE_TURNS { 0 } else { half }
}

/// Spins for the calling thread's own budget: threads that wait for long tasks do not spoil it for
/// those that wait for short ones.
pub(crate) fn for_caller(ready: impl FnMut() -> bool) -> bool {
    thread_local! {
        static SPIN: Spin = Spin::new();
    }
    SPIN.with(|spin| spin.until(ready))
}

fn cores() -> usize {
    use std::sync::OnceLock;
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn failures_end_the_spinning_and_a_success_revives_it() {
        let mut turns = MAX_TURNS;
        for _ in 0..8 {
            turns = after_failure(turns);
        }
        assert_eq!(turns, 0);
        assert_eq!(after_success(turns), PROBE_TURNS * 2);
        for _ in 0..20 {
            turns = after_success(turns);
        }
        assert_eq!(turns, MAX_TURNS);
    }

    #[test]
    fn a_spent_budget_probes_now_and_then() {
        let spin = Spin { turns: AtomicU32::new(0), skipped: AtomicU32::new(0) };
        let mut looks = 0;
        for _ in 0..=PROBE_EVERY {
            spin.until(|| {
                looks += 1;
                false
            });
        }
        let every_wait = PROBE_EVERY + 1;
        let probe = if cores() > 1 { PROBE_TURNS } else { 0 };
        assert_eq!(looks, every_wait + probe);
    }
}
