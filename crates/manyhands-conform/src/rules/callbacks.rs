//! Callbacks: once, in their order, and free to use the executor.

use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

use manyhands::Executor;

use super::{DOCS, PEP, TRAIT};
use crate::behaviour::{Behaviour, Need};
use crate::tasks::{add, square};
use crate::trial::Trial;

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "a_callback_is_called_once_with_its_future",
        &[],
        "a callback is called once, with its future, when that has ended",
        PEP,
        a_callback_is_called_once_with_its_future,
    ),
    Behaviour::new(
        "callbacks_are_called_in_the_order_they_were_added",
        &[Need::Elsewhere],
        "callbacks are called in the order in which they were added",
        DOCS,
        callbacks_are_called_in_the_order_they_were_added,
    ),
    Behaviour::new(
        "a_callback_added_late_is_called_at_once",
        &[],
        "a callback of a future that has ended is called at once, in the thread that adds it",
        DOCS,
        a_callback_added_late_is_called_at_once,
    ),
    Behaviour::new(
        "a_callback_of_a_cancelled_task_is_called",
        &[Need::Queue],
        "a callback is called once when its task is cancelled",
        PEP,
        a_callback_of_a_cancelled_task_is_called,
    ),
    Behaviour::new(
        "a_panic_in_a_callback_harms_nobody",
        &[Need::Elsewhere],
        "a panic in a callback is logged, and neither the next callback nor the executor suffers",
        DOCS,
        a_panic_in_a_callback_harms_nobody,
    ),
    Behaviour::new(
        "a_callback_may_submit_to_its_executor",
        &[Need::Elsewhere],
        "a callback may submit to the executor that calls it: no lock is held while it runs",
        TRAIT,
        a_callback_may_submit_to_its_executor,
    ),
];

fn a_callback_is_called_once_with_its_future(trial: &Trial) {
    let executor = trial.executor();
    let future = executor.submit(square, (3,)).unwrap();
    let (sender, calls) = mpsc::channel();
    future.add_done_callback(move |future| {
        let _ = sender.send((future.clone(), future.done()));
    });
    let (called_with, done) = trial.received("the callback to be called", &calls);
    assert_eq!(called_with, future, "expected the future that it was added to");
    assert!(done, "expected the future to have ended");
    executor.shutdown(true, false);
    assert!(calls.try_recv().is_err(), "expected the callback to be called once");
}

fn callbacks_are_called_in_the_order_they_were_added(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.hold(&executor, 1);
    let (sender, calls) = mpsc::channel();
    for number in 0..20 {
        let sender = sender.clone();
        held.futures[0].add_done_callback(move |_| sender.send(number).unwrap_or(()));
    }
    assert!(calls.try_recv().is_err(), "expected no call before the task has ended");
    held.end();
    let order: Vec<i32> =
        (0..20).map(|_| trial.received("each callback to be called", &calls)).collect();
    assert!(order.iter().copied().eq(0..20), "expected 0 to 19 in their order, not {order:?}");
}

fn a_callback_added_late_is_called_at_once(trial: &Trial) {
    let executor = trial.executor();
    let future = executor.submit(square, (3,)).unwrap();
    trial.value(&future);
    let (sender, calls) = mpsc::channel();
    future.add_done_callback(move |_| sender.send(thread::current().id()).unwrap_or(()));
    let called = calls.try_recv();
    assert_eq!(called, Ok(thread::current().id()), "expected a call in this thread, by now");
}

fn a_callback_of_a_cancelled_task_is_called(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.busy(&executor);
    let future = executor.submit(square, (3,)).unwrap();
    let (sender, calls) = mpsc::channel();
    future.add_done_callback(move |future| sender.send(future.cancelled()).unwrap_or(()));
    assert!(future.cancel(), "expected cancel to succeed on a pending task");
    assert!(trial.received("the callback to be called", &calls), "expected a cancelled future");
    held.end();
    executor.shutdown(true, false);
    assert!(calls.try_recv().is_err(), "expected the callback to be called once");
}

fn a_panic_in_a_callback_harms_nobody(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.hold(&executor, 1);
    let (sender, calls) = mpsc::channel();
    held.futures[0].add_done_callback(|_| resume_unwind(Box::new("on purpose")));
    held.futures[0].add_done_callback(move |_| sender.send(()).unwrap_or(()));
    held.end();
    trial.received("the callback after one that panics to be called", &calls);
    assert_eq!(trial.value(&held.futures[0]), 0, "expected the future's result as it was");
    for n in 0..2 * trial.subject.workers() {
        let future = executor.submit(add, (n, 1)).unwrap();
        assert_eq!(trial.value(&future), n + 1, "expected the executor to go on");
    }
}

fn a_callback_may_submit_to_its_executor(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.hold(&executor, 1);
    let (sender, submitted) = mpsc::channel();
    let inside = executor.clone();
    held.futures[0].add_done_callback(move |_| {
        let _ = sender.send(inside.submit(square, (5,)).unwrap());
    });
    held.end();
    let future = trial.received("submit to return in a callback", &submitted);
    assert_eq!(trial.value(&future), 25, "expected the result of the task that it submitted");
}
