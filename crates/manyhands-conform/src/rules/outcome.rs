//! What futures give: results, exceptions, and nothing before it is there.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use manyhands::{Exception, Executor, Future, FutureError};

use super::{PEP, TRAIT};
use crate::behaviour::{Behaviour, Need};
use crate::tasks::{add, give_up, hold, odd_only, square};
use crate::trial::{Trial, in_thread};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "a_result_may_be_asked_for_by_many_and_again",
        &[],
        "result gives the same value whoever asks for it, and as often as anybody does",
        PEP,
        a_result_may_be_asked_for_by_many_and_again,
    ),
    Behaviour::new(
        "an_error_is_the_tasks_exception",
        &[],
        "the error that a task returns is its exception, which result and exception give",
        PEP,
        an_error_is_the_tasks_exception,
    ),
    Behaviour::new(
        "a_panic_is_the_tasks_exception_and_harms_no_other",
        &[],
        "a task's panic is its exception, and the executor goes on",
        "the documentation of `manyhands::Job::run`",
        a_panic_is_the_tasks_exception_and_harms_no_other,
    ),
    Behaviour::new(
        "result_gives_up_after_its_timeout_and_the_task_goes_on",
        &[Need::Elsewhere],
        "result and exception with a timeout fail when it is over, and the task goes on",
        PEP,
        result_gives_up_after_its_timeout_and_the_task_goes_on,
    ),
    Behaviour::new(
        "all_who_wait_get_the_result",
        &[Need::Elsewhere],
        "all threads that wait for a task are told when it ends",
        PEP,
        all_who_wait_get_the_result,
    ),
    Behaviour::new(
        "a_future_can_be_awaited",
        &[],
        "a future can be awaited in any async runtime",
        TRAIT,
        a_future_can_be_awaited,
    ),
];

fn a_result_may_be_asked_for_by_many_and_again(trial: &Trial) {
    let executor = trial.executor();
    let future = executor.submit(square, (9,)).unwrap();
    let other = future.clone();
    let there = trial.returns("result, in another thread,", move || other.result(None).ok());
    assert_eq!(there, Some(81), "expected the value in another thread");
    assert_eq!([(); 2].map(|()| trial.value(&future)), [81, 81], "expected the value, twice");
    let exception = future.exception(trial.patience());
    assert!(
        matches!(exception, Ok(None)),
        "expected no exception of a task that returned a value, but it is {exception:?}"
    );
}

fn an_error_is_the_tasks_exception(trial: &Trial) {
    let executor = trial.executor();
    let future = executor.try_submit(odd_only, (4,)).unwrap();
    let exception = future.exception(trial.patience());
    let Ok(Some(Exception::Error(error))) = &exception else {
        panic!("expected the error that the task returned, but exception() gives {exception:?}");
    };
    assert_eq!(**error, "4 is even", "expected the very error");
    let result = future.result(trial.patience());
    assert!(
        matches!(result, Err(FutureError::Exception(Exception::Error(_)))),
        "expected the error that the task returned, but result() gives {result:?}"
    );
    let good = executor.try_submit(odd_only, (5,)).unwrap();
    assert_eq!(trial.value(&good), 5, "expected the value of a task that returned Ok");
}

fn a_panic_is_the_tasks_exception_and_harms_no_other(trial: &Trial) {
    let executor = trial.executor();
    let panicked: Vec<_> = (0..2 * trial.subject.workers())
        .map(|_| executor.submit(give_up, ("on purpose".to_owned(),)).unwrap())
        .collect();
    let after = executor.submit(add, (1, 2)).unwrap();
    for future in panicked {
        let exception = future.exception(trial.patience());
        let Ok(Some(Exception::Panic(panic))) = &exception else {
            panic!("expected the task's panic, but exception() gives {exception:?}");
        };
        assert!(panic.message().contains("on purpose"), "expected its message, not {panic}");
    }
    assert_eq!(trial.value(&after), 3, "expected the result of the task after those that panicked");
}

fn result_gives_up_after_its_timeout_and_the_task_goes_on(trial: &Trial) {
    let time = Duration::from_millis(5);
    let executor = trial.executor();
    let held = trial.hold(&executor, 1);
    let begin = Instant::now();
    let (result, exception) = (held.futures[0].result(time), held.futures[0].exception(time));
    assert!(begin.elapsed() >= 2 * time, "expected each to wait for its time");
    assert!(
        matches!((&result, &exception), (Err(FutureError::TimedOut), Err(FutureError::TimedOut))),
        "expected TimedOut twice, but they give {result:?} and {exception:?}"
    );
    assert!(held.futures[0].running(), "expected the task to run on");
    held.end();
    assert_eq!(trial.value(&held.futures[0]), 0, "expected the result in the end");
}

fn all_who_wait_get_the_result(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.hold(&executor, 1);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let future = held.futures[0].clone();
            in_thread(move || future.result(None).ok())
        })
        .collect();
    held.end();
    for told in waiting {
        let result = trial.received("result to return in each thread that waits", &told);
        assert_eq!(result, Some(0), "expected the task's value in each thread");
    }
}

fn a_future_can_be_awaited(trial: &Trial) {
    let executor = trial.executor();
    let future = if trial.subject.meets(Need::Elsewhere) {
        executor.submit(hold, (trial.place.name(), 0)).unwrap()
    } else {
        executor.submit(square, (0,)).unwrap()
    };
    let awaited = in_thread(move || block_on(future).ok());
    trial.place.open();
    let value = trial.received("the awaited task to end", &awaited);
    assert_eq!(value, Some(0), "expected .await to give the task's value");
}

/// The smallest async runtime.
fn block_on(future: Future<u64>) -> Result<u64, FutureError> {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match std::future::Future::poll(future.as_mut(), &mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
