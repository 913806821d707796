//! The end of an executor: by its own tasks, unused, and by its drop.

use std::sync::mpsc;

use manyhands::{Executor, Future};

use super::{PEP, TRAIT};
use crate::behaviour::{Behaviour, Need};
use crate::tasks::square;
use crate::trial::Trial;

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "an_unused_executor_shuts_down",
        &[],
        "an executor that has run nothing shuts down in any way",
        PEP,
        an_unused_executor_shuts_down,
    ),
    Behaviour::new(
        "a_task_may_shut_its_own_executor_down",
        &[Need::Closures],
        "shutdown called from one of the executor's own tasks cannot wait, and returns",
        TRAIT,
        a_task_may_shut_its_own_executor_down,
    ),
    Behaviour::new(
        "a_callback_of_shutdown_may_use_the_executor",
        &[Need::Queue],
        "a callback of a task that shutdown cancels may use the executor: no lock is held meanwhile",
        TRAIT,
        a_callback_of_shutdown_may_use_the_executor,
    ),
    Behaviour::new(
        "a_dropped_executor_leaves_no_future_pending",
        &[],
        "an executor that is dropped runs or cancels what it has accepted",
        "the documentation of `manyhands::Executor::execute`",
        a_dropped_executor_leaves_no_future_pending,
    ),
    Behaviour::new(
        "futures_outlive_their_executor",
        &[],
        "a future gives its result also when the executor is gone",
        PEP,
        futures_outlive_their_executor,
    ),
];

fn an_unused_executor_shuts_down(trial: &Trial) {
    for wait in [true, false] {
        for cancel in [true, false] {
            let executor = trial.executor();
            executor.shutdown(wait, cancel);
            executor.shutdown(true, false);
        }
    }
    drop(trial.executor_to_drop());
}

fn a_task_may_shut_its_own_executor_down(trial: &Trial) {
    for cancel in [false, true] {
        let executor = trial.executor();
        let inside = executor.clone();
        let future = executor.spawn(move || {
            inside.shutdown(true, cancel);
            inside.submit(square, (2,)).is_err()
        });
        let refused = trial.value(&future.unwrap());
        assert!(refused, "expected the executor to refuse tasks after its task has shut it down");
        executor.shutdown(true, false);
    }
}

fn a_callback_of_shutdown_may_use_the_executor(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.busy(&executor);
    let future = executor.submit(square, (2,)).unwrap();
    let (sender, told) = mpsc::channel();
    let inside = executor.clone();
    future.add_done_callback(move |_| {
        let refused = inside.submit(square, (2,)).is_err();
        inside.shutdown(false, false);
        let _ = sender.send(refused);
    });
    let stops = executor.clone();
    trial.returns("shutdown", move || stops.shutdown(false, true));
    let refused = trial.received("submit and shutdown to return in a callback", &told);
    assert!(refused, "expected the executor to refuse tasks while it cancels others");
    held.end();
}

fn a_dropped_executor_leaves_no_future_pending(trial: &Trial) {
    let executor = trial.executor_to_drop();
    let held = trial.subject.meets(Need::Queue).then(|| trial.busy(&executor));
    let futures: Vec<_> = (0..10).map(|n| executor.submit(square, (n,)).unwrap()).collect();
    if let Some(held) = held {
        held.end();
    }
    drop(executor);
    for future in &futures {
        trial.until("each task to be run or cancelled", || future.done());
    }
}

fn futures_outlive_their_executor(trial: &Trial) {
    let executor = trial.executor_to_drop();
    let futures: Vec<Future<u64>> =
        (0..10).map(|n| executor.submit(square, (n,)).unwrap()).collect();
    executor.shutdown(true, false);
    drop(executor);
    for (number, future) in (0..).zip(&futures) {
        assert_eq!(trial.value(future), number * number, "expected the result of task {number}");
    }
}
