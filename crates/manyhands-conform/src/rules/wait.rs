//! Waiting for several: `wait` and `as_completed`.

use std::time::{Duration, Instant};

use manyhands::{Executor, Future, ReturnWhen, as_completed, wait};

use super::PEP;
use crate::behaviour::{Behaviour, Need};
use crate::tasks::{give_up, square};
use crate::trial::{Held, Shared, Trial, in_thread};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "wait_returns_when_all_have_ended",
        &[],
        "wait for AllCompleted returns when all have ended, each once in what it returns",
        PEP,
        wait_returns_when_all_have_ended,
    ),
    Behaviour::new(
        "wait_returns_when_the_first_has_ended",
        &[Need::Elsewhere],
        "wait for FirstCompleted returns when one has ended, and tells which have not",
        PEP,
        wait_returns_when_the_first_has_ended,
    ),
    Behaviour::new(
        "wait_returns_when_the_first_has_failed",
        &[Need::Elsewhere],
        "wait for FirstException returns when one has failed, though others run",
        PEP,
        wait_returns_when_the_first_has_failed,
    ),
    Behaviour::new(
        "wait_gives_up_after_its_timeout",
        &[Need::Elsewhere],
        "wait with a timeout returns when it is over, with what has not ended",
        PEP,
        wait_gives_up_after_its_timeout,
    ),
    Behaviour::new(
        "as_completed_gives_each_future_once_as_it_ends",
        &[Need::Elsewhere],
        "as_completed gives each future once, those that end first before the others",
        PEP,
        as_completed_gives_each_future_once_as_it_ends,
    ),
    Behaviour::new(
        "as_completed_gives_up_after_its_timeout",
        &[Need::Elsewhere],
        "as_completed with a timeout tells when it is over how many have not ended",
        PEP,
        as_completed_gives_up_after_its_timeout,
    ),
    Behaviour::new(
        "futures_of_two_executors_can_be_waited_for_together",
        &[],
        "futures of several executors can be waited for together",
        PEP,
        futures_of_two_executors_can_be_waited_for_together,
    ),
];

/// A task that has ended, before others are held.
fn ended(trial: &Trial, executor: &Shared) -> Future<u64> {
    let ended = executor.submit(square, (7,)).unwrap();
    trial.value(&ended);
    ended
}

fn some_held(trial: &Trial, executor: &Shared) -> (Held, Future<u64>) {
    let held = trial.hold(executor, 1);
    let future = held.futures[0].clone();
    (held, future)
}

fn wait_returns_when_all_have_ended(trial: &Trial) {
    let executor = trial.executor();
    let futures: Vec<_> = (0..16).map(|n| executor.submit(square, (n,)).unwrap()).collect();
    let twice = futures.iter().chain(&futures).cloned();
    let waited = wait(twice, trial.patience(), ReturnWhen::AllCompleted);
    assert_eq!(waited.not_done, [], "expected all to have ended");
    assert_eq!(waited.done, futures, "expected each of the 16 once");
    assert!(futures.iter().all(Future::done), "expected each to be done, now that wait says so");
}

fn wait_returns_when_the_first_has_ended(trial: &Trial) {
    let executor = trial.executor();
    let first = ended(trial, &executor);
    let (_held, second) = some_held(trial, &executor);
    let both = [second.clone(), first.clone()];
    let waited =
        trial.returns("wait(FirstCompleted)", move || wait(both, None, ReturnWhen::FirstCompleted));
    assert_eq!(waited.done, [first], "expected the one that has ended");
    assert_eq!(waited.not_done, [second], "expected the one that has not");
}

fn wait_returns_when_the_first_has_failed(trial: &Trial) {
    let executor = trial.executor();
    let failed = executor.submit(give_up, ("on purpose".to_owned(),)).unwrap();
    trial.ended(&failed);
    let (held, running) = some_held(trial, &executor);
    let both = [running.clone(), failed.clone()];
    let waited =
        trial.returns("wait(FirstException)", move || wait(both, None, ReturnWhen::FirstException));
    assert_eq!(waited.done, [failed], "expected the one that has failed");
    assert!(waited.not_done.contains(&running), "expected the one that runs in `not_done`");
    let waiting = in_thread(move || wait([running], None, ReturnWhen::FirstException).done.len());
    held.end();
    let done = trial.received("wait(FirstException) to return when all have ended", &waiting);
    assert_eq!(done, 1, "expected the one that has ended, though none failed");
}

fn wait_gives_up_after_its_timeout(trial: &Trial) {
    let time = Duration::from_millis(10);
    let executor = trial.executor();
    let (_held, running) = some_held(trial, &executor);
    let begin = Instant::now();
    let waited = wait([running.clone()], time, ReturnWhen::AllCompleted);
    assert!(begin.elapsed() >= time, "expected it to wait for its time");
    assert!(waited.done.is_empty(), "expected none to have ended");
    assert_eq!(waited.not_done, [running], "expected the one that runs");
}

fn as_completed_gives_each_future_once_as_it_ends(trial: &Trial) {
    let executor = trial.executor();
    let first = ended(trial, &executor);
    let (held, second) = some_held(trial, &executor);
    let given = [second.clone(), first.clone(), second.clone()];
    let mut completed = as_completed(given, trial.patience());
    assert_eq!(completed.next(), Some(Ok(first)), "expected the one that has ended");
    held.end();
    assert_eq!(completed.next(), Some(Ok(second)), "expected the one that ended later");
    assert_eq!(completed.next(), None, "expected each once");
}

fn as_completed_gives_up_after_its_timeout(trial: &Trial) {
    let executor = trial.executor();
    let first = ended(trial, &executor);
    let (_held, second) = some_held(trial, &executor);
    let mut completed = as_completed([first.clone(), second], Duration::from_millis(10));
    assert_eq!(completed.next(), Some(Ok(first)), "expected the one that has ended");
    let Some(Err(unfinished)) = completed.next() else {
        panic!("expected `Unfinished` while the other task runs");
    };
    assert_eq!((unfinished.unfinished, unfinished.total), (1, 2), "expected one of two unfinished");
}

fn futures_of_two_executors_can_be_waited_for_together(trial: &Trial) {
    let (one, two) = (trial.executor(), trial.executor());
    let futures: Vec<_> = (0..16)
        .map(|n| if n % 2 == 0 { &one } else { &two }.submit(square, (n,)).unwrap())
        .collect();
    let waited = wait(futures.clone(), trial.patience(), ReturnWhen::AllCompleted);
    assert_eq!(waited.not_done, [], "expected all to have ended");
    assert_eq!(as_completed(futures, trial.patience()).count(), 16, "expected each once");
}
