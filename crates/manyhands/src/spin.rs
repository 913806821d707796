//! How long to spin before sleeping: as long as a wake-up would take, and only while the last waits
//! show that it pays.
//!
//! Handing work to a sleeping thread on another core costs tens of microseconds, to a spinning one
//! a fraction of one. But a spin takes a core from somebody, and when all cores are busy that
//! somebody may be the very thread that is waited for. So a spinner offers its core to others now
//! and then, and each party has a budget: a wait that ended within it restores it in full, one that
//! did not halves it, down to nothing. Then a full probe every so many waits finds out whether times
//! have changed: a full one, because the other party is asleep by then too, and its wake-up is what
//! has to be sat out once.

use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicU32, Ordering};

/// About the time in which a sleeping thread is brought back on another core, in nanoseconds.
const FULL: u32 = 50_000;
/// Below this a budget is not worth the clock that measures it.
const LEAST: u32 = 1_000;
const FIRST_PROBE: u32 = 4;
const LAST_PROBE: u32 = 256;
/// Looks between two readings of the clock.
const LOOKS: u32 = 16;
/// Looks before the core is offered to others for the first time.
const FIRST_LOOKS: u32 = 200;

/// One party's budget, learnt from its own waits. The fields are hints: a lost update between two
/// threads costs a spin, never a wake-up, so relaxed order is enough.
#[derive(Debug)]
pub(crate) struct Spin {
    /// In nanoseconds.
    budget: AtomicU32,
    /// Waits until the next probe, when the budget is spent.
    until_probe: AtomicU32,
    probe_every: AtomicU32,
}

/// How a spin has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spun {
    /// It was ready when this thread looked, which had its core.
    Looking,
    /// It was ready when this thread got its core back, after offering it to others.
    Away,
    /// It was not ready.
    InVain,
}

impl Spin {
    pub(crate) fn new() -> Self {
        Self {
            budget: AtomicU32::new(FULL),
            until_probe: AtomicU32::new(FIRST_PROBE),
            probe_every: AtomicU32::new(FIRST_PROBE),
        }
    }

    /// Spins until `ready` or until the budget is spent; whether it was ready.
    pub(crate) fn until(&self, ready: impl FnMut() -> bool) -> bool {
        self.wait(ready) != Spun::InVain
    }

    /// As `until`, and says how it came to be ready.
    pub(crate) fn wait(&self, mut ready: impl FnMut() -> bool) -> Spun {
        if ready() {
            return Spun::Looking;
        }
        if cfg!(loom) || !has_cores() {
            return Spun::InVain;
        }
        let budget = self.budget.load(Ordering::Relaxed);
        let allowed = if budget > 0 { budget } else { self.probe() };
        if allowed == 0 {
            return Spun::InVain;
        }
        let end = Instant::now() + Duration::from_nanos(allowed.into());
        let (mut in_time, mut away) = (true, false);
        // The quickest answers come before a core could be given away and had back.
        let mut done = (0..FIRST_LOOKS).any(|_| {
            std::hint::spin_loop();
            ready()
        });
        while in_time && !done {
            done = (0..LOOKS).any(|_| {
                std::hint::spin_loop();
                ready()
            });
            if !done {
                // Not for a probe: where all cores are busy, a core that is given away is gone for a whole
                // slice of time, and that is when it would find out that spinning does not pay.
                if budget > 0 {
                    std::thread::yield_now();
                }
                done = ready();
                away = done;
                // Also when it is ready now: whoever had the core may have had it for long.
                in_time = Instant::now() < end;
            }
        }
        self.learn(budget, done && in_time);
        match (done, away) {
            (false, _) => Spun::InVain,
            (true, false) => Spun::Looking,
            (true, true) => Spun::Away,
        }
    }

    /// Whether it has been found not to pay.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.load(Ordering::Relaxed) == 0
    }

    /// Times have changed, for all that is known.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn renew(&self) {
        self.learn(0, true);
    }

    fn probe(&self) -> u32 {
        let left = self.until_probe.load(Ordering::Relaxed);
        if left > 0 {
            self.until_probe.store(left - 1, Ordering::Relaxed);
            return 0;
        }
        let every = (self.probe_every.load(Ordering::Relaxed) * 2).min(LAST_PROBE);
        self.probe_every.store(every, Ordering::Relaxed);
        self.until_probe.store(every, Ordering::Relaxed);
        FULL
    }

    fn learn(&self, budget: u32, paid: bool) {
        if !paid {
            let half = budget / 2;
            self.budget.store(if half < LEAST { 0 } else { half }, Ordering::Relaxed);
        } else if budget < FULL {
            self.budget.store(FULL, Ordering::Relaxed);
            self.probe_every.store(FIRST_PROBE, Ordering::Relaxed);
        }
    }
}

/// Spins for the calling thread's own budget: threads that wait for long tasks do not spoil it for
/// those that wait for short ones.
pub(crate) fn for_caller(mut ready: impl FnMut() -> bool) -> bool {
    if cfg!(loom) {
        return ready();
    }
    thread_local! {
        static SPIN: Spin = Spin::new();
    }
    SPIN.with(|spin| spin.until(ready))
}

/// Whether anybody else can run while this thread spins.
fn has_cores() -> bool {
    cores() > 1
}

/// How many processors this process may use.
pub(crate) fn cores() -> usize {
    use std::sync::atomic::AtomicUsize;
    /// 0 until somebody has asked. Not a lock of any kind: the answer takes a while, and a child that is
    /// forked meanwhile would wait for it for ever.
    static CORES: AtomicUsize = AtomicUsize::new(0);
    let mut cores = CORES.load(Ordering::Relaxed);
    if cores == 0 {
        cores = std::thread::available_parallelism().map_or(1, usize::from);
        CORES.store(cores, Ordering::Relaxed);
    }
    cores
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn looks(spin: &Spin) -> u32 {
        let mut looks = 0;
        spin.until(|| {
            looks += 1;
            false
        });
        looks
    }

    #[test]
    fn failures_end_the_spinning() {
        let spin = Spin::new();
        for _ in 0..FULL.ilog2() {
            spin.learn(spin.budget.load(Ordering::Relaxed), false);
        }
        assert_eq!(looks(&spin), 1, "one look, no spin");
    }

    #[test]
    fn a_success_restores_the_budget() {
        let spin = Spin::new();
        spin.learn(LEAST, true);
        assert_eq!(spin.budget.load(Ordering::Relaxed), FULL);
    }

    #[test]
    fn a_spent_budget_probes_more_and_more_seldom() {
        let spin = Spin::new();
        let probes: Vec<_> = (0..400).filter(|_| spin.probe() > 0).collect();
        assert_eq!(probes, [4, 13, 30, 63, 128, 257]);
    }
}
