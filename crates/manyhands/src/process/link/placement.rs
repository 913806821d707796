//! On which core a worker runs: not on that of the thread which waits for its answers.
//!
//! Where all cores are busy, the system wakes a worker on the core of the thread that gives it a task, and from then
//! on each has to make room for the other to run: two switches a task, and two wake-ups if they sleep. To look for
//! the next task does not help, for what is waited for needs this very core; and that is how it shows. The task is
//! there when the worker has slept a moment, or has given its core away, and never when it looks. Then it moves to
//! another core, where the next looks pay, and the system leaves it there.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use crate::spin::Spun;

/// A sleep that is over sooner is one that a spin would have spared, with a core to spin on.
const SHORT: Duration = Duration::from_micros(50);

/// So many waits in a row show that a core is shared.
const FIRST: u32 = 16;

/// If moving does not help, it is tried less and less often: it takes as long as some sleeps do.
const LAST: u32 = 4096;

/// One that does more tasks between two waits is not waited for after each.
const FEW: u32 = 4;

/// What a worker's waits for tasks show of it. Each is told with the count of the task before it.
pub(super) struct Placement {
    /// Waits in a row that would have been shorter on another core.
    in_the_way: u32,
    /// So many are needed.
    needed: u32,
    /// The count at the last wait.
    last: u32,
}

impl Placement {
    pub(super) fn new() -> Self {
        Self { in_the_way: 0, needed: FIRST, last: 0 }
    }

    /// It has waited awake; whether it should move.
    pub(super) fn spun(&mut self, how: Spun, task: u32) -> bool {
        how != Spun::InVain && self.waited(how == Spun::Away, task)
    }

    /// It has slept for so long, as spinning does not pay; whether it should move.
    pub(super) fn slept(&mut self, time: Duration, task: u32) -> bool {
        self.waited(time < SHORT, task)
    }

    fn waited(&mut self, in_the_way: bool, task: u32) -> bool {
        let few = task.wrapping_sub(self.last) <= FEW;
        self.last = task;
        self.in_the_way = if in_the_way && few { self.in_the_way + 1 } else { 0 };
        let moves = self.in_the_way >= self.needed;
        if moves {
            self.in_the_way = 0;
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

    /// After one task each.
    fn waits_until_it_moves(placement: &mut Placement, how: Option<Spun>) -> u32 {
        let wait = |_: &u32| {
            let task = placement.last + 1;
            match how {
                Some(how) => placement.spun(how, task),
                None => placement.slept(SHORT / 2, task),
            }
        };
        (1..=LAST).find(wait).unwrap()
    }

    #[test]
    fn a_worker_that_is_woken_at_once_again_and_again_moves() {
        assert_eq!(waits_until_it_moves(&mut Placement::new(), None), FIRST);
    }

    #[test]
    fn a_worker_that_always_has_to_give_its_core_away_moves() {
        assert_eq!(waits_until_it_moves(&mut Placement::new(), Some(Spun::Away)), FIRST);
    }

    #[test]
    fn one_that_is_left_alone_now_and_then_stays() {
        let mut placement = Placement::new();
        for task in 1..10 * FIRST {
            let time = if task.is_multiple_of(FIRST) { LONG } else { SHORT / 2 };
            assert!(!placement.slept(time, task));
        }
    }

    #[test]
    fn one_that_sees_a_task_come_now_and_then_stays() {
        let mut placement = Placement::new();
        for task in 1..10 * FIRST {
            let how = if task.is_multiple_of(FIRST) { Spun::Looking } else { Spun::Away };
            assert!(!placement.spun(how, task) && !placement.spun(Spun::InVain, task));
        }
    }

    #[test]
    fn one_that_does_several_tasks_between_two_waits_stays() {
        let mut placement = Placement::new();
        let several = FEW + 1;
        assert!((1..10 * FIRST).all(|wait| !placement.slept(Duration::ZERO, several * wait)));
    }

    #[test]
    fn it_moves_more_and_more_seldom() {
        let mut placement = Placement::new();
        let moves: Vec<_> = (0..11).map(|_| waits_until_it_moves(&mut placement, None)).collect();
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
