//! Models of `block_on`: no wake-up is lost, and nobody who may still be woken is taken for stuck.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Poll, Wake};

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::{exhaustive, preempted_at_most};
use crate::errors::WaitingTask;
use crate::future::Blocked;
use crate::nested::graph::{How, TaskId};
use crate::nested::{Targets, Woken, sleep_in_graph};
use crate::ready::Ready;

/// Sleeps in this task until something is in `ready`.
fn sleep_in(task: TaskId, ready: &Arc<Ready>, targets: &dyn Fn() -> Targets) -> Woken {
    let tasks = vec![(task, WaitingTask { name: task.to_string(), place: None })];
    let wait = |_| {
        let enough = ready.wait_for_all(1, None);
        Ok::<_, Infallible>(enough || ready.is_interrupted())
    };
    let Ok(woken) = sleep_in_graph(ready, 1, &tasks, targets, wait);
    woken
}

/// In the first task: as `block_on`.
fn block_in_first(blocked: &Blocked) -> Woken {
    sleep_in(1, blocked.ready(), &|| {
        // loom does not see the counts: so it tries this at every moment at which they may change.
        let _ = blocked.ready().has(1);
        blocked.targets()
    })
}

/// In the second task: waits for the first.
fn wait_for_first(ready: &Arc<Ready>) -> Woken {
    sleep_in(2, ready, &|| Targets { on: vec![1], ..Targets::new(How::All) })
}

fn is_deadlock(woken: &Woken) -> bool {
    matches!(woken, Woken::Deadlock(deadlock) if deadlock.cycle().len() == 2)
}

#[test]
fn every_wake_up_is_followed_by_a_poll() {
    exhaustive(|| {
        let blocked = Blocked::new();
        let events = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let [first, second] = events.clone();
        let waker = blocked.waker().clone();
        let other = thread::spawn(move || {
            first.store(true, Ordering::Relaxed);
            waker.wake_by_ref();
            second.store(true, Ordering::Relaxed);
            waker.wake();
        });
        blocked.run(|_| {
            let all = events.iter().all(|event| event.load(Ordering::Relaxed));
            if all { Poll::Ready(()) } else { Poll::Pending }
        });
        other.join().unwrap();
    });
}

#[test]
fn one_whom_somebody_wakes_is_not_stuck() {
    preempted_at_most(3, || {
        let blocked = Blocked::new();
        let awaited = blocked.register((2, 0), false, None);
        let waker = blocked.waker().clone();
        let waking = thread::spawn(move || waker.wake());
        let ready = Arc::new(Ready::new());
        let seconds = Arc::clone(&ready);
        let second = thread::spawn(move || {
            assert!(matches!(wait_for_first(&seconds), Woken::Ended), "the first went on");
            awaited.wake();
        });
        let woken = block_in_first(&blocked);
        assert!(matches!(woken, Woken::Ended), "somebody woke it");
        ready.push([0]); // the first task has ended
        waking.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn one_whose_future_ends_is_not_stuck() {
    preempted_at_most(3, || {
        let blocked = Blocked::new();
        let [second, free] = [2, 3].map(|id| blocked.register((id, 0), false, None));
        let ending = thread::spawn(move || free.wake());
        let ready = Arc::new(Ready::new());
        let seconds = Arc::clone(&ready);
        let waiting = thread::spawn(move || {
            assert!(matches!(wait_for_first(&seconds), Woken::Ended), "the first went on");
            second.wake();
        });
        let woken = block_in_first(&blocked);
        assert!(matches!(woken, Woken::Ended), "one of two has ended");
        ready.push([0]); // the first task has ended
        ending.join().unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn two_tasks_of_which_one_blocks_are_both_told() {
    exhaustive(|| {
        let ready = Arc::new(Ready::new());
        let seconds = Arc::clone(&ready);
        let second = thread::spawn(move || assert!(is_deadlock(&wait_for_first(&seconds))));
        let blocked = Blocked::new();
        let _awaited = blocked.register((2, 0), false, None);
        assert!(is_deadlock(&block_in_first(&blocked)));
        second.join().unwrap();
    });
}
