//! Timeouts, delays and retries.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{Counter, PLANNED, occupy, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, Retry, ThreadPoolExecutor, delay,
    join_all,
};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_hours(1);

#[test]
fn a_timeout_ends_what_has_not_ended_and_leaves_the_task_alone() {
    let _watched = watched();
    let source: Future<i32> = Future::new();
    let in_time = source.clone().timeout(SHORT);
    match in_time.exception(None).unwrap() {
        Some(Exception::Elapsed(time)) => assert_eq!(time, SHORT),
        other => panic!("{other:?}"),
    }
    source.set_result(5).unwrap();
    assert_eq!(source.result(None).unwrap(), 5);
}

#[test]
fn what_ends_in_time_lets_go_of_the_timer() {
    let _watched = watched();
    let counter = Counter::new();
    let source: Future<Result<(), u8>> = Future::new();
    let held = counter.value();
    let in_time = source.clone().timeout(LONG);
    in_time.add_done_callback(move |_| drop(held));
    source.set_result(Ok(())).unwrap();
    assert_eq!(in_time.result(None).unwrap(), Ok(()));
    assert_eq!(counter.alive(), 0);
    let cancelled: Future<i32> = Future::new();
    let in_time = cancelled.clone().timeout(LONG);
    cancelled.cancel();
    assert!(in_time.cancelled());
    assert_eq!(Future::<i32>::ready(1).timeout(Duration::MAX).result(None).unwrap(), 1);
}

#[test]
fn a_delay_lasts_as_long_as_it_should_and_can_be_cancelled() {
    let _watched = watched();
    let start = Instant::now();
    delay(Duration::from_millis(20)).result(None).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(20));
    let (sender, dropped) = mpsc::channel::<()>();
    let never = delay(LONG);
    never.add_done_callback(move |_| drop(sender));
    assert!(never.cancel());
    assert!(dropped.recv().is_err());
    assert!(delay(Duration::MAX).cancel());
}

#[test]
fn ten_thousand_timers_come_each_once_and_none_too_early() {
    let _watched = watched();
    let (sender, came) = mpsc::channel();
    let start = Instant::now();
    let delays = (0..10_000_u64).map(|n| {
        let time = Duration::from_micros((n * 7_919) % 50_000);
        let sender = sender.clone();
        delay(time).map(move |()| sender.send((time, start.elapsed())).unwrap())
    });
    join_all(delays.collect::<Vec<_>>()).result(None).unwrap();
    drop(sender);
    let came: Vec<_> = came.into_iter().collect();
    assert_eq!(came.len(), 10_000);
    assert!(came.iter().all(|(time, at)| at >= time));
}

#[test]
fn the_timers_thread_comes_again_after_it_has_gone() {
    let _watched = watched();
    delay(SHORT).result(None).unwrap();
    // Longer than it stays idle.
    std::thread::sleep(Duration::from_millis(1_500));
    delay(SHORT).result(None).unwrap();
}

#[test]
fn a_callback_that_panics_ends_no_timer() {
    let _watched = watched();
    let after = delay(SHORT).map(|()| panic!("{PLANNED}no luck"));
    delay(SHORT).add_done_callback(|_| panic!("{PLANNED}no luck"));
    let next = delay(2 * SHORT);
    assert!(after.exception(None).unwrap().is_some());
    next.result(None).unwrap();
}

#[test]
fn a_task_is_tried_until_it_succeeds_or_the_attempts_are_over() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
    for (needed, attempts, succeeds) in [(1, 1, true), (3, 3, true), (4, 3, false), (1, 0, true)] {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let call = move || match counted.fetch_add(1, Ordering::SeqCst) + 1 {
            call if call == needed => Ok(call),
            call if call % 2 == 0 => panic!("{PLANNED}no luck"),
            _ => Err("no luck"),
        };
        let retry = Retry::attempts(attempts).first_delay(Duration::from_micros(100)).factor(3.0);
        let outcome = retry.try_submit(&pool, call, ()).exception(None).unwrap();
        assert_eq!(outcome.is_none(), succeeds, "{needed} {attempts}");
        assert_eq!(calls.load(Ordering::SeqCst), needed.min(attempts.max(1)));
    }
}

#[test]
fn many_attempts_run_inline_on_a_small_stack() {
    let _watched = watched();
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(|| {
        let inline = Arc::new(InlineExecutor::new());
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let call =
            move |n: u32| if counted.fetch_add(1, Ordering::SeqCst) < n { Err(n) } else { Ok(n) };
        let future = Retry::attempts(u32::MAX).try_submit(&inline, call, (20_000,));
        assert_eq!(future.result(None).unwrap(), 20_000);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn cancelling_a_retry_cancels_its_pending_attempt_and_all_further_ones() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
    let busy = occupy(&pool, 1);
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let future =
        Retry::attempts(3).submit(&pool, move || counted.fetch_add(1, Ordering::SeqCst), ());
    assert!(future.cancel());
    drop(busy);
    pool.shutdown(true, false);
    assert_eq!(calls.load(Ordering::SeqCst), 0);

    let inline = Arc::new(InlineExecutor::new());
    let counted = Arc::clone(&calls);
    let failing = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Err::<(), _>("no luck")
    };
    let future = Retry::attempts(9).first_delay(LONG).try_submit(&inline, failing, ());
    assert!(future.cancel());
    assert!(matches!(future.result(None), Err(FutureError::Cancelled)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_retry_that_is_refused_says_so() {
    let _watched = watched();
    let inline = Arc::new(InlineExecutor::new());
    inline.shutdown(true, false);
    let future = Retry::attempts(3).submit(&inline, || 1, ());
    assert!(matches!(future.exception(None).unwrap(), Some(Exception::Refused(_))));
}
