//! On which core a worker runs: not on that of the thread which waits for its answers.
//!
//! Where all cores are busy, the system wakes a worker on the core of the thread that gives it a task, and from then
//! on each has to fall asleep for the other to run: two wake-ups a task. To spin does not help, for what is waited for
//! needs this very core; and that is how it shows. Asleep, a worker hears of the next task at once; awake, never in
//! time. Then it moves to another core, where the next spins pay, and the system leaves it there.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A sleep that is over sooner is one that a spin would have spared, with a core to spin on.
const SHORT: Duration = Duration::from_micros(50);

/// So many short sleeps in a row show that a core is shared.
const FIRST: u32 = 16;

/// If moving does not help, it is tried less and less often: it takes as long as some sleeps do.
const LAST: u32 = 4096;

/// What a worker's sleeps show of it.
pub(super) struct Placement {
    short_sleeps: u32,
    /// So many are needed.
    needed: u32,
}

impl Placement {
    pub(super) fn new() -> Self {
        Self { short_sleeps: 0, needed: FIRST }
    }

    /// It has slept for so long, as spinning does not pay; whether it should move.
    pub(super) fn slept(&mut self, time: Duration) -> bool {
        self.short_sleeps = if time < SHORT { self.short_sleeps + 1 } else { 0 };
        let moves = self.short_sleeps >= self.needed;
        if moves {
            self.short_sleeps = 0;
            self.needed = (self.needed * 2).min(LAST);
        }
        moves
    }
}

/// Has the calling thread go on on another core, if there is one that it may use; whether it does. What it may use
/// stays as it was.
pub(super) fn leave_core() -> bool {
    let Ok(before) = sched_getaffinity(None) else { return false };
    let mut others = before;
    others.unset(sched_getcpu());
    let left = others.count() > 0 && sched_setaffinity(None, &others).is_ok();
    if left {
        restore(&before);
    }
    left
}

/// A thread that may use all cores has to say so in this way: then it may use those too which come later.
fn restore(before: &CpuSet) {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|core| all.set(core));
    let is_as_before = |now: CpuSet| now == *before;
    if sched_setaffinity(None, &all).is_err() || !sched_getaffinity(None).is_ok_and(is_as_before) {
        // It was allowed a moment ago.
        let _ = sched_setaffinity(None, before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(1);

    fn short_sleeps_until_it_moves(placement: &mut Placement) -> u32 {
        (1..=LAST).find(|_| placement.slept(Duration::ZERO)).unwrap()
    }

    #[test]
    fn a_worker_that_is_woken_at_once_again_and_again_moves() {
        let mut placement = Placement::new();
        assert_eq!(short_sleeps_until_it_moves(&mut placement), FIRST);
    }

    #[test]
    fn one_that_is_left_alone_now_and_then_stays() {
        let mut placement = Placement::new();
        for _ in 0..10 {
            assert!((1..FIRST).all(|_| !placement.slept(SHORT / 2)));
            assert!(!placement.slept(LONG));
        }
    }

    #[test]
    fn it_moves_more_and_more_seldom() {
        let mut placement = Placement::new();
        let moves: Vec<_> = (0..11).map(|_| short_sleeps_until_it_moves(&mut placement)).collect();
        assert_eq!(moves, [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
    }

    /// In a thread of its own: nothing else is to be moved.
    fn in_a_thread(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn what_a_thread_may_use_stays_as_it_was() {
        in_a_thread(|| {
            let before = sched_getaffinity(None).unwrap();
            assert_eq!(leave_core(), before.count() > 1);
            assert_eq!(sched_getaffinity(None).unwrap(), before);
        });
    }

    #[test]
    fn a_thread_that_may_use_one_core_stays_there() {
        in_a_thread(|| {
            let core = sched_getcpu();
            let mut one = CpuSet::new();
            one.set(core);
            sched_setaffinity(None, &one).unwrap();
            assert!(!leave_core());
            assert_eq!((sched_getaffinity(None).unwrap(), sched_getcpu()), (one, core));
        });
    }

    #[test]
    fn a_thread_that_was_restricted_is_so_afterwards() {
        in_a_thread(|| {
            let all = sched_getaffinity(None).unwrap();
            let two = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).take(2);
            let mut restricted = CpuSet::new();
            two.for_each(|core| restricted.set(core));
            sched_setaffinity(None, &restricted).unwrap();
            leave_core();
            assert_eq!(sched_getaffinity(None).unwrap(), restricted);
        });
    }
}
