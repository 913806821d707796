//! Futures made from others: who runs what, what becomes of failures and cancels, and long chains.

#![cfg(not(loom))]

mod common;

use std::convert::Infallible;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::{Counter, PLANNED, block_on, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, ReturnWhen, State,
    ThreadPoolExecutor, join_all, race, wait,
};

/// More than any stack holds by recursion.
const LONG: usize = 100_000;

fn text<T>(outcome: Result<T, FutureError<impl std::fmt::Display>>) -> String {
    match outcome {
        Ok(_) => "a value".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn closures_run_in_the_thread_that_ends_the_source() {
    let _watched = watched();
    let source: Future<i32> = Future::new();
    let derived = source.clone().map(|n| (n, thread::current().id()));
    assert_eq!(derived.state(), State::Pending);
    let ender = thread::spawn(move || {
        source.set_result(5).unwrap();
        thread::current().id()
    });
    let (value, id) = derived.result(None).unwrap();
    assert_eq!((value, id), (5, ender.join().unwrap()));
    let here = Future::<()>::ready(()).map(|()| thread::current().id());
    assert_eq!(here.result(None).unwrap(), thread::current().id());
}

#[test]
fn a_panic_in_a_closure_is_the_new_futures_exception() {
    let _watched = watched();
    let derived = Future::<i32>::ready(1).map(|_| -> i32 { panic!("{PLANNED}no luck") });
    let after = derived.map(|n| n + 1);
    match after.exception(None).unwrap() {
        Some(Exception::Panic(panic)) => assert_eq!(panic.message(), format!("{PLANNED}no luck")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn failures_pass_by_what_wants_values_and_reach_what_wants_failures() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    let fail = || inline.try_spawn(|| "x".parse::<u8>()).unwrap();
    let ran = Counter::new();
    let (one, two) = (ran.value(), ran.value());
    let passed = fail().map(move |_| drop(one)).and_then(move |()| {
        drop(two);
        Ok(())
    });
    assert_eq!(text(passed.result(None)), "invalid digit found in string");
    assert_eq!(ran.alive(), 0);
    let mapped = fail().map_err(|error| format!("bad: {error}"));
    assert_eq!(text(mapped.result(None)), "bad: invalid digit found in string");
    let mended = fail().or_else(|_| Ok::<_, Infallible>(7));
    assert_eq!(mended.result(None).unwrap(), 7);
    let instead = fail().or_else(|_| Future::<u8>::ready(8));
    assert_eq!(instead.result(None).unwrap(), 8);
    let still = fail().or_else(|exception| Err::<u8, _>(exception.to_string()));
    assert_eq!(text(still.result(None)), "invalid digit found in string");
    let told = fail().then(|outcome| Ok::<_, Infallible>(outcome.is_err()));
    assert!(told.result(None).unwrap());
    let panicked = inline.spawn(|| -> u8 { panic!("{PLANNED}no luck") }).unwrap().widen();
    let panicked = panicked.map_err(|_: Arc<String>| "never called");
    assert!(text(panicked.result(None)).contains("no luck"));
}

#[test]
fn a_cancelled_source_cancels_what_is_made_from_it() {
    let _watched = watched();
    let source: Future<i32, String> = Future::new();
    let mapped = source.clone().map(|n| n + 1);
    let mended = source.clone().or_else(|_| Ok::<_, String>(0));
    let told = source
        .clone()
        .then(|outcome| Ok::<_, Infallible>(matches!(outcome, Err(FutureError::Cancelled))));
    let flat = Future::<(), String>::ready(()).and_then({
        let source = source.clone();
        move |()| source
    });
    assert!(!flat.done());
    source.cancel();
    assert!(mapped.cancelled() && mended.cancelled() && flat.cancelled());
    assert!(told.result(None).unwrap());
    // `wait` counts it as ended too.
    assert_eq!(wait([mapped], None, ReturnWhen::AllCompleted).done.len(), 1);
}

#[test]
fn cancelling_what_was_made_leaves_the_source_alone_and_drops_the_closure() {
    let _watched = watched();
    let counter = Counter::new();
    let source: Future<i32> = Future::new();
    let held = counter.value();
    let derived = source.clone().map(move |n| {
        drop(held);
        n
    });
    assert_eq!(counter.alive(), 1);
    assert!(derived.cancel() && derived.cancelled());
    assert_eq!(counter.alive(), 0);
    assert!(!source.done());
    source.set_result(5).unwrap();
    // Nobody wanted the value.
    assert_eq!(source.result(None).unwrap(), 5);
}

#[test]
fn what_waits_for_an_inner_future_can_be_cancelled_running() {
    let _watched = watched();
    let inner: Future<i32, String> = Future::new();
    let returned = inner.clone();
    let derived = Future::<(), String>::ready(()).and_then(move |()| returned);
    assert!(!derived.cancel());
    assert!(derived.cancel_running() && derived.cancelled());
    inner.set_result(1).unwrap();
    assert_eq!(inner.result(None).unwrap(), 1);
}

#[test]
fn the_value_is_moved_and_a_second_taker_is_told() {
    let _watched = watched();
    let source: Future<String> = Future::new();
    let (first, second) = (source.clone().map(|s| s.len()), source.clone().map(|s| s.len()));
    source.set_result("four".to_owned()).unwrap();
    assert_eq!(first.result(None).unwrap(), 4);
    assert!(matches!(second.exception(None).unwrap(), Some(Exception::Taken)));
    assert!(matches!(source.result(None), Err(FutureError::Taken)));
}

#[test]
fn a_handle_that_is_dropped_cancels_nothing() {
    let _watched = watched();
    let (sender, receiver) = mpsc::channel();
    let source: Future<i32> = Future::new();
    drop(source.clone().map(|n| n + 1).map(move |n| sender.send(n).unwrap()));
    source.set_result(5).unwrap();
    assert_eq!(receiver.recv().unwrap(), 6);
}

#[test]
fn a_source_that_nobody_can_end_any_more_cancels() {
    let _watched = watched();
    let source: Future<i32> = Future::new();
    let derived = source.clone().map(|n| n + 1).map(|n| n + 1);
    let joined = join_all([source.clone(), Future::ready(1)]);
    let won = race([source.clone()]);
    let in_time = source.clone().timeout(Duration::from_hours(1));
    drop(source);
    for future in [derived, won, in_time] {
        assert!(matches!(future.result(None), Err(FutureError::Cancelled)));
    }
    assert!(joined.cancelled());
}

#[test]
fn a_long_chain_ends_on_a_small_stack() {
    let _watched = watched();
    let (source, other): (Future<usize>, Future<usize>) = (Future::new(), Future::new());
    let end = (0..LONG).fold(source.clone(), |future, _| future.map(|n| n + 1));
    let flat = (0..LONG).fold(other.clone(), |future, _| future.and_then(|n| Future::ready(n + 1)));
    let chain = thread::Builder::new().stack_size(128 * 1024).spawn(move || {
        source.set_result(0).unwrap();
        other.set_result(0).unwrap();
    });
    chain.unwrap().join().unwrap();
    assert_eq!((end.result(None).unwrap(), flat.result(None).unwrap()), (LONG, LONG));
}

#[test]
fn a_long_chain_is_cancelled_and_dropped_on_a_small_stack() {
    let _watched = watched();
    let chain_of =
        |source: Future<usize>| (0..LONG).fold(source, |future, _| future.map(|n| n + 1));
    let (cancelled, dropped) = (Future::new(), Future::new());
    let ends = [chain_of(cancelled.clone()), chain_of(dropped.clone())];
    let thread = thread::Builder::new().stack_size(128 * 1024).spawn(move || {
        cancelled.cancel();
        drop(dropped);
    });
    thread.unwrap().join().unwrap();
    assert!(ends.iter().all(Future::cancelled));
}

#[test]
fn a_future_that_returns_the_next_may_go_on_for_long() {
    fn down(n: usize) -> Future<usize> {
        if n == 0 { Future::ready(0) } else { Future::ready(n - 1).and_then(down) }
    }
    let _watched = watched();
    let start: Future<usize> = Future::new();
    let end = start.clone().and_then(|_| down(50));
    start.set_result(0).unwrap();
    assert_eq!(end.result(None).unwrap(), 0);
}

#[test]
fn closures_and_callbacks_may_wait_for_what_they_bring_about() {
    let _watched = watched();
    let (source, other): (Future<i32>, Future<i32>) = (Future::new(), Future::new());
    let waited = {
        let inner = other.clone().map(|n| n + 1).map(|n| n * 2);
        source.clone().map(|n| n).map(move |n| {
            other.set_result(n).unwrap();
            inner.result(Duration::from_secs(20)).unwrap()
        })
    };
    source.set_result(20).unwrap();
    assert_eq!(waited.result(None).unwrap(), 42);
    let (source, other): (Future<i32>, Future<i32>) = (Future::new(), Future::new());
    let (sender, receiver) = mpsc::channel();
    let inner = other.clone().map(|n| n + 1);
    source.clone().map(|n| n).map(|n| n).add_done_callback(move |future| {
        other.set_result(future.result(None).unwrap()).unwrap();
        sender.send(inner.result(Duration::from_secs(20)).unwrap()).unwrap();
    });
    source.set_result(41).unwrap();
    assert_eq!(receiver.recv().unwrap(), 42);
}

#[test]
fn join_all_keeps_the_order_whoever_ends_first() {
    let _watched = watched();
    let futures: Vec<Future<usize>> = (0..100).map(|_| Future::new()).collect();
    let joined = join_all(futures.clone());
    for (index, future) in futures.iter().enumerate().rev() {
        assert!(!joined.done());
        future.set_result(index).unwrap();
    }
    assert_eq!(joined.result(None).unwrap(), (0..100).collect::<Vec<_>>());
    assert!(join_all::<i32, Infallible>([]).result(None).unwrap().is_empty());
}

#[test]
fn join_all_fails_with_the_first_failure_at_once() {
    let _watched = watched();
    let futures: Vec<Future<i32, String>> = (0..3).map(|_| Future::new()).collect();
    let joined = join_all(futures.clone());
    futures[2].set_exception(Exception::Error(Arc::new("no luck".to_owned()))).unwrap();
    assert_eq!(text(joined.result(None)), "no luck");
    assert!(!futures[0].done());
    let joined = join_all(futures[..2].to_vec());
    futures[1].cancel();
    assert!(joined.cancelled() && !futures[0].done());
}

#[test]
fn a_cancelled_join_takes_no_values() {
    let _watched = watched();
    let counter = Counter::new();
    let futures: Vec<Future<_>> = (0..2).map(|_| Future::new()).collect();
    let joined = join_all(futures.clone());
    futures[0].set_result(counter.value()).unwrap();
    assert_eq!(counter.alive(), 1);
    joined.cancel();
    assert_eq!(counter.alive(), 0);
    futures[1].set_result(counter.value()).unwrap();
    assert!(futures[1].clone().into_result(None).is_ok());
}

#[test]
fn race_is_won_by_the_first_to_be_done_and_the_others_go_on() {
    let _watched = watched();
    let futures: Vec<Future<i32>> = (0..3).map(|_| Future::new()).collect();
    let won = race(futures.clone());
    futures[1].set_result(1).unwrap();
    futures[0].set_result(0).unwrap();
    assert_eq!(won.result(None).unwrap(), 1);
    assert_eq!(futures[0].result(None).unwrap(), 0);
    assert!(!futures[2].done());
    let won = race(futures[2..].to_vec());
    futures[2].cancel();
    assert!(won.cancelled());
    assert!(race::<i32, Infallible>([]).cancelled());
}

#[test]
fn derived_futures_can_be_awaited_and_counted() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let values = (0..100).map(|n| pool.spawn(move || n).unwrap().map(|n| n * 2));
    assert_eq!(block_on(join_all(values)).unwrap().iter().sum::<i32>(), 9_900);
}

#[test]
fn chains_on_a_pool_from_many_threads_lose_nothing() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(3).unwrap());
    let sums: Vec<Future<Vec<usize>>> = (0..20)
        .map(|_| {
            join_all((0..200).map(|n| {
                let other = Arc::clone(&pool);
                let task = pool.spawn(move || n).unwrap();
                task.map(|n| n + 1).and_then(move |n| other.spawn(move || n * 2).unwrap())
            }))
        })
        .collect();
    let expected: Vec<usize> = (0..200).map(|n| (n + 1) * 2).collect();
    for sum in sums {
        assert_eq!(sum.result(None).unwrap(), expected);
    }
}
