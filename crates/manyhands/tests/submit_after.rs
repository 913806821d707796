//! Tasks whose arguments are futures.

#![cfg(not(loom))]

mod common;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Counter, occupy, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, State, ThreadPoolExecutor,
};

/// More than any stack holds by recursion.
const LONG: usize = 100_000;

fn text<T>(outcome: Result<T, FutureError<impl std::fmt::Display>>) -> String {
    outcome.err().map_or_else(|| "a value".to_owned(), |error| error.to_string())
}

#[test]
fn a_long_chain_of_tasks_runs_inline_on_a_small_stack() {
    let _watched = watched();
    let inline = Arc::new(InlineExecutor::new());
    let source: Future<usize> = Future::new();
    let first = source.clone();
    let end = (0..LONG).fold(source, |future, _| inline.submit_after(|n: usize| n + 1, (future,)));
    let thread =
        thread::Builder::new().stack_size(128 * 1024).spawn(move || first.set_result(0).unwrap());
    thread.unwrap().join().unwrap();
    assert_eq!(end.result(None).unwrap(), LONG);
}

#[test]
fn submit_after_waits_for_its_futures_and_runs_on_its_executor() {
    let _watched = watched();
    let pool = Arc::new(
        ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("p").build().unwrap(),
    );
    let (a, b): (Future<i32>, Future<String, String>) = (Future::new(), Future::new());
    let task = pool.submit_after(
        |a: i32, b: String| (format!("{a}{b}"), thread::current().name().map(str::to_owned)),
        (a.clone(), b.clone()),
    );
    b.set_result("b".to_owned()).unwrap();
    assert_eq!(task.state(), State::Pending);
    a.set_result(1).unwrap();
    let (text, thread) = task.result(None).unwrap();
    assert_eq!((text.as_str(), thread.as_deref()), ("1b", Some("p_0")));
}

#[test]
fn submit_after_fails_with_the_whole_chain_of_causes() {
    let _watched = watched();
    let inline = Arc::new(InlineExecutor::new());
    let counter = Counter::new();
    let number = inline.try_spawn(|| "x".parse::<i32>()).unwrap();
    let held = counter.value();
    let half = inline.submit_after(
        move |n: i32| {
            drop(held);
            n / 2
        },
        (number,),
    );
    assert_eq!(counter.alive(), 0);
    let never: Future<i32> = Future::new();
    let sum = inline.submit_after(|a: i32, b: i32| a + b, (half, never.clone()));
    assert_eq!(
        text(sum.result(None)),
        "a task it depends on failed: a task it depends on failed: invalid digit found in string"
    );
    let Some(Exception::Dependency(failed)) = sum.exception(None).unwrap() else { panic!() };
    let half: &Exception<Infallible> = failed.cause().downcast_ref().unwrap();
    assert!(matches!(half, Exception::Dependency(_)));
    assert!(!never.done());
}

#[test]
fn submit_after_is_cancelled_with_its_futures_and_by_itself() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
    let source: Future<i32> = Future::new();
    let task = pool.submit_after(|n: i32| n, (source.clone(),));
    source.cancel();
    assert!(task.cancelled());

    let source: Future<i32> = Future::new();
    let task = pool.submit_after(|n: i32| n, (source.clone(),));
    assert!(task.cancel());
    source.set_result(5).unwrap();
    assert_eq!(source.result(None).unwrap(), 5);

    // Also once it is submitted, as long as it waits in the queue.
    let busy = occupy(&pool, 1);
    let task = pool.submit_after(|n: i32| n, (Future::<i32>::ready(1),));
    assert!(task.cancel());
    drop(busy);
    pool.shutdown(true, false);
    assert!(task.cancelled());
}

#[test]
fn submit_after_an_executor_has_shut_down_is_an_exception() {
    let _watched = watched();
    let inline = Arc::new(InlineExecutor::new());
    let source: Future<i32> = Future::new();
    let task = inline.submit_after(|n: i32| n, (source.clone(),));
    inline.shutdown(true, false);
    source.set_result(5).unwrap();
    assert!(matches!(task.exception(None).unwrap(), Some(Exception::Refused(_))));
}

#[test]
fn the_last_handle_of_a_pool_may_go_with_a_task_that_waits() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
    let gate: Future<i32> = Future::new();
    let ran = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ran);
    let task = pool.submit_after(move |n: i32| seen.lock().unwrap().push(n), (gate.clone(),));
    drop(pool);
    gate.set_result(5).unwrap();
    task.result(None).unwrap();
    assert_eq!(*ran.lock().unwrap(), [5]);
}
