//! A future's states, its outcome as its handles see it, and its identity.

#![cfg(not(loom))]

mod common;

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use common::{Counter, PLANNED, occupy, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, InvalidState, State,
    ThreadPoolExecutor,
};

const STATES: [State; 5] = [
    State::Pending,
    State::Running,
    State::Cancelled,
    State::CancelledAndNotified,
    State::Finished,
];

fn in_state(state: State) -> Future<i32, String> {
    let future = Future::new();
    match state {
        State::Pending => (),
        State::Running => assert!(future.set_running_or_notify_cancel().unwrap()),
        State::Cancelled => assert!(future.cancel()),
        State::CancelledAndNotified => {
            assert!(future.cancel());
            assert!(!future.set_running_or_notify_cancel().unwrap());
        }
        State::Finished => future.set_result(1).unwrap(),
    }
    assert_eq!(future.state(), state);
    future
}

fn error(text: &str) -> Exception<String> {
    Exception::Error(Arc::new(text.to_owned()))
}

#[test]
fn a_bare_future_runs_and_finishes() {
    let _watched = watched();
    let future: Future<i32, String> = Future::new();
    assert_eq!(future.state(), State::Pending);
    assert!(future.set_running_or_notify_cancel().unwrap());
    assert_eq!(future.state(), State::Running);
    future.set_result(5).unwrap();
    assert_eq!(future.state(), State::Finished);
    assert_eq!(future.result(None).unwrap(), 5);
    assert!(future.exception(None).unwrap().is_none());
}

#[test]
fn every_state_answers_the_questions() {
    let _watched = watched();
    for state in STATES {
        let future = in_state(state);
        let cancelled = matches!(state, State::Cancelled | State::CancelledAndNotified);
        assert_eq!(future.running(), state == State::Running, "{state}");
        assert_eq!(future.cancelled(), cancelled, "{state}");
        assert_eq!(future.done(), cancelled || state == State::Finished, "{state}");
        assert_eq!(state.is_done(), future.done());
        assert_eq!(future.cancel(), cancelled || state == State::Pending, "{state}");
    }
}

#[test]
fn a_wrong_transition_names_the_state_and_changes_nothing() {
    let _watched = watched();
    let wrong = |state, attempt: &'static str, outcome: Result<(), InvalidState>| {
        assert_eq!(outcome, Err(InvalidState { state, attempt }));
        let text = outcome.unwrap_err().to_string();
        assert_eq!(text, format!("{attempt} is not possible: the future is {state}"));
    };
    for state in [State::Cancelled, State::CancelledAndNotified, State::Finished] {
        let future = in_state(state);
        wrong(state, "set_result", future.set_result(2));
        wrong(state, "set_exception", future.set_exception(error("too late")));
        assert_eq!(future.state(), state);
    }
    for state in [State::Running, State::CancelledAndNotified, State::Finished] {
        let future = in_state(state);
        let outcome = future.set_running_or_notify_cancel().map(|_| ());
        wrong(state, "set_running_or_notify_cancel", outcome);
        assert_eq!(future.state(), state);
    }
    assert_eq!(in_state(State::Finished).result(None).unwrap(), 1);
    assert_eq!(State::CancelledAndNotified.to_string(), "CANCELLED_AND_NOTIFIED");
}

#[test]
fn a_pool_future_goes_through_its_states() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (start, started) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let busy = occupy(&pool, 1);
    let future = pool.spawn(move || {
        start.send(()).unwrap();
        ended.recv().unwrap_err();
        7
    });
    let future = future.unwrap();
    let cancelled = pool.spawn(|| 8).unwrap();
    assert_eq!((future.state(), cancelled.state()), (State::Pending, State::Pending));
    assert!(cancelled.cancel());
    assert_eq!(cancelled.state(), State::CancelledAndNotified);
    drop(busy);
    started.recv().unwrap();
    assert_eq!(future.state(), State::Running);
    assert!(!future.cancel());
    drop(end);
    assert_eq!(future.result(None).unwrap(), 7);
    assert_eq!(future.state(), State::Finished);
    assert!(!future.cancel());
}

#[test]
fn asking_an_unfinished_future_times_out_and_harms_nothing() {
    let _watched = watched();
    let future: Future<i32> = Future::new();
    for timeout in [Duration::ZERO, Duration::from_millis(3)] {
        assert!(matches!(future.result(timeout), Err(FutureError::TimedOut)));
        assert!(matches!(future.exception(timeout), Err(FutureError::TimedOut)));
        assert!(matches!(future.clone().into_result(timeout), Err(FutureError::TimedOut)));
    }
    future.set_result(3).unwrap();
    assert_eq!(future.result(Duration::ZERO).unwrap(), 3);
}

#[test]
fn a_timeout_too_long_for_the_clock_is_no_timeout() {
    let _watched = watched();
    let future: Future<i32> = Future::new();
    let waiter = thread::spawn({
        let future = future.clone();
        move || future.result(Duration::MAX)
    });
    future.set_result(3).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), 3);
}

#[test]
fn one_result_for_many_threads_many_times() {
    let _watched = watched();
    for _ in 0..200 {
        let future: Future<String> = Future::new();
        let barrier = Barrier::new(5);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    for timeout in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
                        assert_eq!(future.result(timeout).unwrap(), "once");
                        assert!(future.exception(timeout).unwrap().is_none());
                    }
                });
            }
            barrier.wait();
            future.set_result("once".to_owned()).unwrap();
        });
    }
}

#[test]
fn into_result_moves_out_and_the_other_handles_are_told() {
    struct NotClone(i32);
    let _watched = watched();
    let future: Future<NotClone> = Future::new();
    let other = future.clone();
    future.set_result(NotClone(4)).unwrap();
    assert_eq!(future.into_result(None).unwrap().0, 4);
    assert!(other.done() && !other.cancelled());
    assert!(other.exception(None).unwrap().is_none());
    assert!(matches!(other.clone().into_result(None), Err(FutureError::Taken)));

    let future = InlineExecutor::new().spawn(|| 5).unwrap();
    assert_eq!(future.clone().into_result(None).unwrap(), 5);
    let taken = future.result(None).unwrap_err();
    assert!(matches!(taken, FutureError::Taken));
    assert!(taken.to_string().contains("into_result"), "{taken}");
}

#[test]
fn into_result_gives_the_value_to_one_of_many() {
    let _watched = watched();
    for _ in 0..200 {
        let future: Future<i32> = Future::new();
        let barrier = Arc::new(Barrier::new(4));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let (future, barrier) = (future.clone(), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    future.into_result(None)
                })
            })
            .collect();
        barrier.wait();
        future.set_result(1).unwrap();
        let results: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let taken = results.iter().filter(|result| matches!(result, Err(FutureError::Taken)));
        assert_eq!(taken.count(), 2);
    }
}

#[test]
fn the_value_is_dropped_with_the_last_handle() {
    let _watched = watched();
    let counter = Counter::new();
    let future = Future::<_>::new();
    let other = future.clone();
    future.set_result(counter.value()).unwrap();
    drop(future);
    assert_eq!(counter.alive(), 1);
    let copy = other.result(None).unwrap();
    assert_eq!(counter.alive(), 2);
    drop(other);
    assert_eq!(counter.alive(), 1);
    drop(copy);
    assert_eq!(counter.alive(), 0);
}

#[test]
fn an_error_stays_visible_on_every_handle() {
    let _watched = watched();
    let future = InlineExecutor::new().try_spawn(|| "x".parse::<u8>()).unwrap();
    let mut seen = Vec::new();
    for handle in [future.clone(), future.clone(), future.clone()] {
        match handle.into_result(None) {
            Err(FutureError::Exception(Exception::Error(error))) => seen.push(error),
            other => panic!("{other:?}"),
        }
    }
    let Some(Exception::Error(error)) = future.exception(None).unwrap() else { panic!() };
    assert!(seen.iter().all(|other| Arc::ptr_eq(other, &error)));
    let text = future.result(None).unwrap_err().to_string();
    assert_eq!(text, "invalid digit found in string");
}

#[test]
fn an_error_is_no_panic_and_a_panic_no_error() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let failed = pool.try_spawn(|| Err::<(), _>("bad input")).unwrap();
    let exception = failed.exception(None).unwrap().unwrap();
    assert!(matches!(&exception, Exception::Error(error) if **error == "bad input"));

    let line = line!() + 2;
    let number = 3;
    let task = move || if number > 2 { panic!("{PLANNED}{number} is too many") } else { Ok(()) };
    let panicked = pool.try_spawn::<_, _, String>(task).unwrap();
    let Some(Exception::Panic(panic)) = panicked.exception(None).unwrap() else { panic!() };
    assert_eq!(panic.message(), format!("{PLANNED}3 is too many"));
    let place = panic.location().unwrap();
    assert!(place.contains(&format!("future.rs:{line}:")), "{place}");
    let text = format!("the task panicked: {PLANNED}3 is too many (at {place})");
    assert_eq!(panicked.result(None).unwrap_err().to_string(), text);
}

#[test]
fn a_panic_without_text_is_still_a_panic() {
    let _watched = watched();
    let task = || -> i32 { resume_unwind(Box::new(42)) };
    let future = InlineExecutor::new().spawn(task).unwrap();
    let Some(Exception::Panic(panic)) = future.exception(None).unwrap() else { panic!() };
    assert_eq!(panic.message(), "a panic whose payload is no text");
    assert!(format!("{panic:?}").contains("no text"));
}

/// `resume_unwind` calls no panic hook, so the place is unknown. That of an earlier panic, which
/// another task has caught itself, is the wrong one.
#[test]
fn a_panic_does_not_inherit_the_place_of_an_earlier_one() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let caught = pool.spawn(|| std::panic::catch_unwind(|| panic!("{PLANNED}caught")).is_err());
    assert!(caught.unwrap().result(None).unwrap());
    let task = || -> i32 { resume_unwind(Box::new("resumed")) };
    let exception = pool.spawn(task).unwrap().exception(None).unwrap();
    let Some(Exception::Panic(panic)) = exception else { panic!("{exception:?}") };
    assert_eq!((panic.message(), panic.location()), ("resumed", None));
}

#[test]
fn an_exception_can_be_set_by_hand() {
    let _watched = watched();
    let future: Future<i32, String> = Future::new();
    assert!(future.set_running_or_notify_cancel().unwrap());
    future.set_exception(error("by hand")).unwrap();
    assert_eq!(future.state(), State::Finished);
    assert_eq!(future.result(None).unwrap_err().to_string(), "by hand");
}

#[test]
fn a_cancelled_future_says_so_to_all_who_wait() {
    let _watched = watched();
    let future: Future<i32> = Future::new();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(matches!(future.result(None), Err(FutureError::Cancelled))));
            scope.spawn(|| assert!(matches!(future.exception(None), Err(FutureError::Cancelled))));
        }
        assert!(future.cancel() && future.cancel());
    });
    assert!(matches!(future.into_result(None), Err(FutureError::Cancelled)));
}

#[test]
fn cancelling_a_pool_task_drops_what_it_holds_and_it_never_runs() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let counter = Counter::new();
    let (sender, runs) = mpsc::channel();
    let value = counter.value();
    let future = pool.spawn(move || (sender.send(()).unwrap(), drop(value))).unwrap();
    assert_eq!(counter.alive(), 1);
    assert!(future.cancel());
    assert_eq!(counter.alive(), 0);
    drop(busy);
    pool.shutdown(true, false);
    assert!(runs.recv().is_err());
}

#[test]
fn a_task_runs_though_nobody_holds_its_future() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let counter = Counter::new();
    let (sender, results) = mpsc::channel();
    for n in 0..10 {
        let (sender, value) = (sender.clone(), counter.value());
        drop(pool.spawn(move || (sender.send(n).unwrap(), value).1).unwrap());
    }
    drop(sender);
    assert_eq!(results.iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    pool.shutdown(true, false);
    assert_eq!(counter.alive(), 0);
}

#[test]
#[allow(clippy::mutable_key_type, reason = "a future hashes by its identity, which stays")]
fn handles_compare_and_hash_by_their_task() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    let futures = [inline.spawn(|| 1).unwrap(), inline.spawn(|| 1).unwrap(), Future::new()];
    let names: HashMap<_, _> = futures.iter().cloned().zip(["a", "b", "c"]).collect();
    assert_eq!(names.len(), 3);
    for (future, name) in futures.iter().zip(["a", "b", "c"]) {
        assert_eq!(names[&future.clone()], name);
        assert_eq!(future, &future.clone());
    }
    assert_ne!(futures[0], futures[1]);
    assert_ne!(futures[1], futures[2]);
}

#[test]
fn debug_tells_the_state() {
    let _watched = watched();
    for state in STATES {
        let text = format!("{:?}", in_state(state));
        assert!(text.starts_with("<Future at 0x"), "{text}");
        assert!(text.ends_with(&format!(" state={state}>")), "{text}");
    }
}
