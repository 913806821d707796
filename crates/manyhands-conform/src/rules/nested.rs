//! Tasks that wait for tasks of their own executor.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use manyhands::{Executor, Future, FutureError};

use crate::behaviour::{Behaviour, Need};
use crate::tasks::square;
use crate::trial::{Shared, Trial};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "a_task_may_wait_for_a_task_of_its_own_executor",
        &[Need::NestedWaits, Need::Closures],
        "a task that submits to its own executor and waits completes, though all workers do so",
        SOURCE,
        a_task_may_wait_for_a_task_of_its_own_executor,
    ),
    Behaviour::new(
        "tasks_may_wait_for_tasks_to_any_depth",
        &[Need::NestedWaits, Need::Closures],
        "tasks that wait for tasks that wait for tasks complete, to any depth",
        SOURCE,
        tasks_may_wait_for_tasks_to_any_depth,
    ),
    Behaviour::new(
        "a_task_may_map_on_its_own_executor",
        &[Need::NestedWaits, Need::Closures],
        "a task that maps on its own executor completes",
        SOURCE,
        a_task_may_map_on_its_own_executor,
    ),
    Behaviour::new(
        "tasks_that_wait_for_each_other_end",
        &[Need::NestedWaits, Need::Closures, Need::Elsewhere],
        "tasks that wait for each other end, and one of them at least is told that it would be for ever",
        SOURCE,
        tasks_that_wait_for_each_other_end,
    ),
];

const SOURCE: &str =
    "the first examples of a deadlock in the documentation of `concurrent.futures`";

fn a_task_may_wait_for_a_task_of_its_own_executor(trial: &Trial) {
    let executor = trial.executor();
    let futures: Vec<_> = (0..4 * trial.subject.workers())
        .map(|n| {
            let inside = executor.clone();
            executor.spawn(move || inside.submit(square, (n,)).unwrap().result(None).ok()).unwrap()
        })
        .collect();
    for (number, future) in (0..).zip(&futures) {
        let inner = trial.value(future);
        assert_eq!(inner, Some(number * number), "expected what the inner task returned");
    }
}

fn fibonacci(executor: &Shared, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let inside = executor.clone();
    let one = executor.spawn(move || fibonacci(&inside, n - 1)).unwrap();
    fibonacci(executor, n - 2) + one.result(None).unwrap()
}

fn tasks_may_wait_for_tasks_to_any_depth(trial: &Trial) {
    let executor = trial.executor();
    let inside = executor.clone();
    let future = executor.spawn(move || fibonacci(&inside, 12)).unwrap();
    assert_eq!(trial.value(&future), 144, "expected the twelfth Fibonacci number");
}

fn a_task_may_map_on_its_own_executor(trial: &Trial) {
    let executor = trial.executor();
    let inside = executor.clone();
    let future = executor
        .spawn(move || inside.map(square, 0..10).filter_map(Result::ok).sum::<u64>())
        .unwrap();
    assert_eq!(trial.value(&future), 285, "expected the sum of all squares");
}

fn tasks_that_wait_for_each_other_end(trial: &Trial) {
    type Slot = Arc<OnceLock<Future<bool>>>;
    let executor = trial.executor();
    let slots: [Slot; 2] = Default::default();
    // Whether the wait for the other was a deadlock.
    let waits = |other: Slot| {
        move || {
            while other.get().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let waited = other.get().map(|other| other.result(None));
            matches!(waited, Some(Err(FutureError::Deadlock(_))))
        }
    };
    let [a, b] = slots.clone();
    let first = executor.spawn(waits(b.clone())).unwrap();
    let second = executor.spawn(waits(a.clone())).unwrap();
    let _ = (a.set(first.clone()), b.set(second.clone()));
    let told = [first, second].map(|future| {
        trial.ended(&future);
        future.result(trial.patience()).unwrap_or(true)
    });
    assert!(
        told.contains(&true),
        "expected one of the two waits at least to end with FutureError::Deadlock"
    );
}
