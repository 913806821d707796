//! Cancelling: what has not begun never does, and everybody is told.

use manyhands::{Executor, FutureError, ReturnWhen, as_completed, wait};

use super::{PEP, TRAIT};
use crate::behaviour::{Behaviour, Need};
use crate::tasks::{add, note};
use crate::trial::{Trial, in_thread};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "a_pending_task_is_cancelled_and_never_runs",
        &[Need::Queue],
        "cancel of a task that has not begun succeeds, again and again, and the task never runs",
        PEP,
        a_pending_task_is_cancelled_and_never_runs,
    ),
    Behaviour::new(
        "a_running_task_is_not_cancelled",
        &[Need::Elsewhere],
        "cancel of a running task fails and changes nothing",
        PEP,
        a_running_task_is_not_cancelled,
    ),
    Behaviour::new(
        "an_ended_task_is_not_cancelled",
        &[],
        "cancel of a task that has ended fails and changes nothing",
        PEP,
        an_ended_task_is_not_cancelled,
    ),
    Behaviour::new(
        "a_cancelled_task_is_known_while_all_workers_are_busy",
        &[Need::Queue],
        "result, wait and as_completed return when the task they wait for is cancelled, though all \
         workers are busy",
        TRAIT,
        a_cancelled_task_is_known_while_all_workers_are_busy,
    ),
];

fn a_pending_task_is_cancelled_and_never_runs(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.busy(&executor);
    let [cancelled, kept] = [1, 2].map(|n| executor.submit(note, (trial.place.name(), n)).unwrap());
    assert!(!cancelled.done() && !cancelled.running(), "expected the task to be pending");
    assert!(cancelled.cancel(), "expected cancel to succeed on a pending task");
    assert!(cancelled.cancel(), "expected cancel to succeed again");
    assert!(cancelled.cancelled() && cancelled.done(), "expected the future to be cancelled");
    let result = cancelled.result(trial.patience());
    assert!(
        matches!(result, Err(FutureError::Cancelled)),
        "expected FutureError::Cancelled, but result gives {result:?}"
    );
    held.end();
    assert_eq!(trial.value(&kept), 2, "expected the task behind the cancelled one to run");
    executor.shutdown(true, false);
    assert_eq!(trial.place.noted(), [2], "expected the cancelled task never to run");
}

fn a_running_task_is_not_cancelled(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.hold(&executor, 1);
    let future = &held.futures[0];
    assert!(!future.cancel(), "expected cancel to fail on a running task");
    assert!(future.running() && !future.cancelled(), "expected the task to run on");
    held.end();
    assert_eq!(trial.value(future), 0, "expected its result");
}

fn an_ended_task_is_not_cancelled(trial: &Trial) {
    let executor = trial.executor();
    let future = executor.submit(add, (1, 1)).unwrap();
    trial.value(&future);
    assert!(!future.cancel(), "expected cancel to fail on a task that has ended");
    assert!(future.done() && !future.cancelled(), "expected the future to be as it was");
    assert_eq!(trial.value(&future), 2, "expected its result");
}

fn a_cancelled_task_is_known_while_all_workers_are_busy(trial: &Trial) {
    let executor = trial.executor();
    let _held = trial.busy(&executor);
    let future = executor.submit(add, (1, 1)).unwrap();
    let [one, two, three] = [(); 3].map(|()| future.clone());
    let result = in_thread(move || matches!(one.result(None), Err(FutureError::Cancelled)));
    let waited = in_thread(move || wait([two], None, ReturnWhen::AllCompleted).done.len() == 1);
    let completed = in_thread(move || as_completed([three], None).count() == 1);
    assert!(future.cancel(), "expected cancel to succeed on a pending task");
    for (what, told) in [("result", result), ("wait", waited), ("as_completed", completed)] {
        let knows = trial.received(&format!("{what} to return while workers are busy"), &told);
        assert!(knows, "expected {what} to find the task cancelled");
    }
}
