//! Shutdown: with and without wait, with and without cancel, in every order.

use std::thread;

use manyhands::{Executor, Future, Reason};

use super::{PEP, TRAIT};
use crate::behaviour::{Behaviour, Need};
use crate::tasks::{add, note};
use crate::trial::{SHORT, Shared, Trial, in_thread};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "after_shutdown_tasks_are_refused_and_given_back",
        &[],
        "after shutdown, of whatever kind, tasks are refused with Reason::Shutdown and given back",
        TRAIT,
        after_shutdown_tasks_are_refused_and_given_back,
    ),
    Behaviour::new(
        "shutdown_with_wait_returns_when_all_have_ended",
        &[Need::Elsewhere],
        "shutdown with wait returns when all that was submitted has ended",
        PEP,
        shutdown_with_wait_returns_when_all_have_ended,
    ),
    Behaviour::new(
        "shutdown_without_wait_returns_at_once_and_pending_tasks_run",
        &[Need::Elsewhere],
        "shutdown without wait returns at once, and what is pending still runs",
        PEP,
        shutdown_without_wait_returns_at_once_and_pending_tasks_run,
    ),
    Behaviour::new(
        "shutdown_with_cancel_cancels_what_is_pending_alone",
        &[Need::Queue],
        "shutdown with cancel_futures cancels what has not begun, and nothing else",
        "the documentation of `concurrent.futures`, since 3.9",
        shutdown_with_cancel_cancels_what_is_pending_alone,
    ),
    Behaviour::new(
        "shutdown_may_come_again_in_every_order",
        &[Need::Queue],
        "shutdown may be called again, in another way: what is pending is cancelled as soon as one \
         of the calls says so, and runs if none does",
        TRAIT,
        shutdown_may_come_again_in_every_order,
    ),
    Behaviour::new(
        "shutdown_may_come_from_several_threads",
        &[],
        "shutdown may be called by several threads, and returns to each when all has ended",
        TRAIT,
        shutdown_may_come_from_several_threads,
    ),
];

/// With and without wait, with and without cancel.
const WAYS: [(bool, bool); 4] = [(true, false), (true, true), (false, false), (false, true)];

fn pending(trial: &Trial, executor: &Shared) -> Vec<Future<u64>> {
    (0..5).map(|n| executor.submit(note, (trial.place.name(), n)).unwrap()).collect()
}

fn after_shutdown_tasks_are_refused_and_given_back(trial: &Trial) {
    for (wait, cancel) in WAYS {
        let executor = trial.executor();
        trial.value(&executor.submit(add, (1, 2)).unwrap());
        executor.shutdown(wait, cancel);
        match executor.submit(add, (3, 4)) {
            Ok(future) => panic!(
                "expected a refusal after shutdown({wait}, {cancel}), but the task was accepted and is {}",
                future.state()
            ),
            Err(refused) => {
                let (reason, arguments) = (refused.reason, refused.task.1);
                assert_eq!(reason, Reason::Shutdown, "expected the reason to be the shutdown");
                assert_eq!(arguments, (3, 4), "expected the task itself to be given back");
            }
        }
    }
}

fn shutdown_with_wait_returns_when_all_have_ended(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.busy(&executor);
    let futures: Vec<_> = held.futures.iter().cloned().chain(pending(trial, &executor)).collect();
    let (stops, seen) = (executor.clone(), futures.clone());
    let returned = in_thread(move || {
        stops.shutdown(true, false);
        seen.iter().all(Future::done)
    });
    let too_early = returned.recv_timeout(SHORT);
    assert!(too_early.is_err(), "expected shutdown to wait for the tasks that run");
    held.end();
    let all_done = trial.received("shutdown to return when the tasks have ended", &returned);
    assert!(all_done, "expected all futures to have ended when shutdown returns");
    for future in &futures {
        trial.value(future);
    }
}

fn shutdown_without_wait_returns_at_once_and_pending_tasks_run(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.busy(&executor);
    let futures = pending(trial, &executor);
    let stops = executor.clone();
    trial.returns("shutdown without wait, while tasks run,", move || stops.shutdown(false, false));
    assert!(held.futures.iter().all(Future::running), "expected the running tasks to run on");
    held.end();
    for (number, future) in (0..).zip(&futures) {
        assert_eq!(trial.value(future), number, "expected what was pending to run");
    }
}

fn shutdown_with_cancel_cancels_what_is_pending_alone(trial: &Trial) {
    for (round, wait) in [false, true].into_iter().enumerate() {
        let trial = &trial.round(round);
        let executor = trial.executor();
        let held = trial.busy(&executor);
        let futures = pending(trial, &executor);
        let stops = executor.clone();
        let returned = in_thread(move || stops.shutdown(wait, true));
        for future in &futures {
            trial.until("shutdown to cancel what is pending", || future.cancelled());
        }
        let is_told = |future: &Future<u64>| future.exception(trial.patience()).is_err();
        assert!(futures.iter().all(is_told), "expected those who wait to be told");
        assert!(held.futures.iter().all(Future::running), "expected the running tasks to run on");
        held.end();
        trial.received("shutdown to return when the running tasks have ended", &returned);
        for (number, future) in (0..).zip(&held.futures) {
            assert_eq!(trial.value(future), number, "expected the results of those that ran");
        }
        assert_eq!(trial.place.noted(), [0; 0], "expected no cancelled task to run");
    }
}

fn shutdown_may_come_again_in_every_order(trial: &Trial) {
    for (row, first) in WAYS.into_iter().enumerate() {
        for (column, second) in WAYS.into_iter().enumerate() {
            let trial = &trial.round(WAYS.len() * row + column);
            let executor = trial.executor();
            let held = trial.busy(&executor);
            let futures = pending(trial, &executor);
            let stops = executor.clone();
            let returned = in_thread(move || {
                for (wait, cancel) in [first, second] {
                    stops.shutdown(wait, cancel);
                }
            });
            // A shutdown that waits comes back when the tasks end, and the next is called too late.
            let cancels = first.1 || (!first.0 && second.1);
            if cancels {
                for future in &futures {
                    trial.until("shutdown to cancel what is pending", || future.cancelled());
                }
            }
            held.end();
            trial.received(
                &format!("shutdown{first:?} and then shutdown{second:?} to return"),
                &returned,
            );
            executor.shutdown(true, false);
            for (number, future) in (0..).zip(&futures) {
                assert!(future.done(), "expected no future to be pending after shutdown");
                assert_eq!(
                    future.result(trial.patience()).ok(),
                    (!cancels).then_some(number),
                    "expected pending tasks, after shutdown{first:?} and shutdown{second:?}, to {}",
                    if cancels { "be cancelled" } else { "run" }
                );
            }
        }
    }
}

fn shutdown_may_come_from_several_threads(trial: &Trial) {
    let executor = trial.executor();
    let futures = pending(trial, &executor);
    for future in &futures {
        // It takes its time to cancel them, so the others come while it is at it.
        future.add_done_callback(|_| thread::sleep(SHORT));
    }
    let returned = [false, true, false].map(|cancel| {
        let (executor, futures) = (executor.clone(), futures.clone());
        in_thread(move || {
            executor.shutdown(true, cancel);
            futures.iter().all(Future::done)
        })
    });
    for returned in returned {
        let all_done = trial.received("shutdown to return in each thread", &returned);
        assert!(all_done, "expected all futures to have ended whenever shutdown returns");
    }
}
