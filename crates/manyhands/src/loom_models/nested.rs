//! Models of tasks that wait for each other: each of them is told, and nobody is told too late.

use std::convert::Infallible;
use std::sync::Arc;

use loom::thread;

use super::{exhaustive, preempted_at_most};
use crate::errors::WaitingTask;
use crate::nested::graph::{How, TaskId};
use crate::nested::{Targets, Woken, sleep_in_graph};
use crate::ready::Ready;

/// Waits in this task for the other, whose end is pushed to `ready`.
fn wait_in(task: TaskId, other: TaskId, ready: &Arc<Ready>) -> Woken {
    let tasks = vec![(task, WaitingTask { name: task.to_string(), place: None })];
    let wait = |_| {
        let enough = ready.wait_for_all(1, None);
        Ok::<_, Infallible>(enough || ready.is_interrupted())
    };
    let targets = || {
        let mut targets = Targets::new(How::All);
        targets.add(other, None, None);
        targets
    };
    let Ok(woken) = sleep_in_graph(ready, 1, &tasks, &targets, wait);
    assert!(!ready.is_interrupted(), "the next to sleep here would take it for itself");
    woken
}

fn is_deadlock(woken: &Woken) -> bool {
    matches!(woken, Woken::Deadlock(deadlock) if deadlock.cycle().len() == 2)
}

#[test]
fn two_tasks_that_wait_for_each_other_are_both_told() {
    exhaustive(|| {
        let readies = [(); 2].map(|()| Arc::new(Ready::new()));
        let first = Arc::clone(&readies[0]);
        let other = thread::spawn(move || assert!(is_deadlock(&wait_in(1, 2, &first))));
        assert!(is_deadlock(&wait_in(2, 1, &readies[1])));
        other.join().unwrap();
    });
}

#[test]
fn one_that_ends_while_it_is_told_is_told_nothing_afterwards() {
    preempted_at_most(3, || {
        let readies = [(); 2].map(|()| Arc::new(Ready::new()));
        let [first, second] = readies.clone();
        let other = thread::spawn(move || {
            let woken = wait_in(1, 2, &first);
            second.push([0]); // the first task has ended
            matches!(woken, Woken::Ended) || is_deadlock(&woken)
        });
        // Somebody ends the second task, whose thread waits all the same.
        let first = Arc::clone(&readies[0]);
        let ending = thread::spawn(move || first.push([0]));
        let woken = wait_in(2, 1, &readies[1]);
        assert!(matches!(woken, Woken::Ended) || is_deadlock(&woken));
        assert!(other.join().unwrap());
        ending.join().unwrap();
        assert!(readies.iter().all(|ready| ready.pop(None) == Some(0)));
    });
}
