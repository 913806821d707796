//! The end of a pool: shutdown in all its ways, and the drop.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::{Counter, occupy, watched};
use manyhands::{Executor, Future, FutureError, Reason, State, ThreadPoolExecutor};

const SHORT: Duration = Duration::from_millis(5);
const DAY: Duration = Duration::from_hours(24);

fn pending(pool: &ThreadPoolExecutor, count: u32) -> Vec<Future<u32>> {
    (0..count).map(|n| pool.spawn(move || n).unwrap()).collect()
}

#[test]
fn with_wait_all_that_was_submitted_has_ended() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let busy = occupy(&pool, 2);
    let futures = pending(&pool, 100);
    thread::scope(|scope| {
        let (sender, returned) = mpsc::channel();
        let pool = &pool;
        scope.spawn(move || {
            pool.shutdown(true, false);
            sender.send(()).unwrap();
        });
        assert!(returned.recv_timeout(SHORT).is_err());
        drop(busy);
        returned.recv().unwrap();
        assert!(futures.iter().all(|future| future.state() == State::Finished));
    });
    assert_eq!((pool.stats().workers, pool.stats().completed), (0, 102));
}

#[test]
fn without_wait_it_returns_at_once_and_what_is_pending_still_runs() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let futures = pending(&pool, 100);
    pool.shutdown(false, false);
    assert!(futures.iter().all(|future| future.state() == State::Pending));
    drop(busy);
    for (n, future) in (0..).zip(&futures) {
        assert_eq!(future.result(None).unwrap(), n);
    }
}

#[test]
fn with_cancel_what_is_pending_is_cancelled_and_what_runs_is_not() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (end, ended) = mpsc::channel::<()>();
    let (start, started) = mpsc::channel();
    let running = pool.spawn(move || {
        start.send(()).unwrap();
        ended.recv().is_err()
    });
    let running = running.unwrap();
    started.recv().unwrap();
    let futures = pending(&pool, 100);
    let (sender, told) = mpsc::channel();
    for (n, future) in futures.iter().enumerate() {
        let sender = sender.clone();
        future.add_done_callback(move |future| {
            sender.send((n, future.cancelled(), thread::current().id())).unwrap();
        });
    }
    drop(sender);
    pool.shutdown(false, true);
    // The callbacks run in the thread that shuts down, in the order of the tasks, each once.
    let me = thread::current().id();
    assert!(told.iter().eq((0..100).map(|n| (n, true, me))));
    assert!(futures.iter().all(|future| future.state() == State::CancelledAndNotified));
    assert!(matches!(futures[7].result(None), Err(FutureError::Cancelled)));
    assert!(running.running());
    drop(end);
    pool.shutdown(true, true);
    assert!(running.result(Duration::ZERO).unwrap());
    assert_eq!(pool.stats().completed, 1);
}

#[test]
fn with_wait_and_cancel_only_what_runs_is_waited_for() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let counter = Counter::new();
    let busy = occupy(&pool, 2);
    let futures: Vec<_> = (0..100)
        .map(|_| {
            let value = counter.value();
            pool.spawn(move || value).unwrap()
        })
        .collect();
    thread::scope(|scope| {
        let (sender, returned) = mpsc::channel();
        let pool = &pool;
        scope.spawn(move || {
            pool.shutdown(true, true);
            sender.send(()).unwrap();
        });
        assert!(matches!(futures[99].result(None), Err(FutureError::Cancelled)));
        assert!(returned.recv_timeout(SHORT).is_err());
        drop(busy);
        returned.recv().unwrap();
    });
    assert_eq!(counter.alive(), 0);
    assert!(futures.iter().all(Future::cancelled));
}

#[test]
fn shutdown_timeout_tells_whether_all_has_ended() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let futures = pending(&pool, 3);
    for time in [Duration::ZERO, SHORT] {
        assert!(!pool.shutdown_timeout(time, false));
    }
    assert!(!futures[0].done());
    assert_eq!(pool.spawn(|| ()).unwrap_err().reason, Reason::Shutdown);
    assert!(!pool.shutdown_timeout(Duration::ZERO, true));
    assert!(futures.iter().all(Future::cancelled));
    drop(busy);
    assert!(pool.shutdown_timeout(DAY, false));
    assert!(pool.shutdown_timeout(Duration::ZERO, false));
    assert!(pool.shutdown_timeout(Duration::MAX, false));
}

#[test]
fn shutdown_may_come_often_and_from_several_threads() {
    let _watched = watched();
    for _ in 0..50 {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let futures = pending(&pool, 50);
        thread::scope(|scope| {
            for cancel in [false, true, false] {
                let (pool, futures) = (&pool, &futures);
                scope.spawn(move || {
                    pool.shutdown(true, cancel);
                    assert!(futures.iter().all(Future::done));
                });
            }
        });
        pool.shutdown(true, false);
        pool.shutdown(false, true);
        assert_eq!(pool.stats().workers, 0);
    }
}

#[test]
fn an_unused_pool_shuts_down() {
    let _watched = watched();
    for (wait, cancel) in [(false, false), (false, true), (true, false), (true, true)] {
        ThreadPoolExecutor::new(4).unwrap().shutdown(wait, cancel);
    }
    assert!(ThreadPoolExecutor::new(4).unwrap().shutdown_timeout(Duration::ZERO, false));
    drop(ThreadPoolExecutor::new(4).unwrap());
}

#[test]
fn a_task_submitted_later_is_given_back() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    pool.shutdown(false, false);
    let text = String::from("given back");
    let refused = pool.spawn(move || text).unwrap_err();
    assert_eq!(refused.reason, Reason::Shutdown);
    assert_eq!(refused.to_string(), "task refused: cannot schedule new futures after shutdown");
    assert_eq!((refused.task)(), "given back");
    let source = std::error::Error::source(&pool.submit(u8::pow, (2, 3)).unwrap_err())
        .map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("cannot schedule new futures after shutdown"));
    drop(busy);
    pool.shutdown(true, false);
    assert_eq!((pool.spawn(|| 4).unwrap_err().task)(), 4);
    assert!(pool.submit(u8::pow, (2, 3)).is_err_and(|refused| refused.task.1 == (2, 3)));
    assert!(pool.try_spawn(|| "1".parse::<u8>()).is_err_and(|refused| (refused.task)() == Ok(1)));
    assert!(
        pool.try_submit(str::parse::<u8>, ("1",)).is_err_and(|refused| refused.task.1.0 == "1")
    );
}

#[test]
fn dropping_the_pool_waits_for_its_tasks() {
    let _watched = watched();
    for workers in [1, 3] {
        let ran = Arc::new(AtomicUsize::new(0));
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        let busy = occupy(&pool, workers);
        for _ in 0..1_000 {
            let ran = Arc::clone(&ran);
            drop(pool.spawn(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap());
        }
        let (sender, returned) = mpsc::channel();
        let dropper = thread::spawn(move || {
            drop(pool);
            sender.send(()).unwrap();
        });
        assert!(returned.recv_timeout(SHORT).is_err());
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        drop(busy);
        returned.recv().unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 1_000);
        dropper.join().unwrap();
    }
}

#[test]
fn futures_outlive_their_pool() {
    let _watched = watched();
    let futures = {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        pending(&pool, 10)
    };
    assert!(futures.iter().map(|future| future.result(Duration::ZERO).unwrap()).eq(0..10));
}

#[test]
fn a_pool_may_be_dropped_by_its_own_task() {
    let _watched = watched();
    for workers in [1, 2] {
        for _ in 0..100 {
            let pool = Arc::new(ThreadPoolExecutor::new(workers).unwrap());
            let (sender, results) = mpsc::channel();
            let (go, gone) = mpsc::channel::<()>();
            let (inner, early) = (Arc::clone(&pool), sender.clone());
            let dropping = pool.spawn(move || {
                let _ = gone.recv();
                early.send(Arc::strong_count(&inner)).unwrap();
                drop(inner);
                7
            });
            let dropping = dropping.unwrap();
            let later = pool.spawn(move || sender.send(1).unwrap()).unwrap();
            drop(pool);
            drop(go);
            assert_eq!(dropping.result(None).unwrap(), 7);
            later.result(None).unwrap();
            assert_eq!(results.iter().collect::<Vec<_>>(), [1, 1]);
        }
    }
}

#[test]
fn a_pool_may_be_dropped_by_a_callback_or_a_value_in_its_own_thread() {
    let _watched = watched();
    for _ in 0..100 {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let busy = occupy(&*pool, 1);
        let future = pool.spawn(|| 1).unwrap();
        let inner = Arc::clone(&pool);
        let (sender, told) = mpsc::channel();
        future.add_done_callback(move |_| {
            drop(inner);
            sender.send(()).unwrap();
        });
        drop(pool);
        drop(busy);
        told.recv().unwrap();

        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let inner = Arc::clone(&pool);
        let counter = Counter::new();
        let value = counter.value();
        drop(pool.spawn(move || (inner, value)).unwrap());
        drop(pool);
        while counter.alive() > 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn a_task_may_shut_its_own_pool_down() {
    let _watched = watched();
    for cancel in [false, true] {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let busy = occupy(&*pool, 1);
        let inner = Arc::clone(&pool);
        let first = pool.spawn(move || {
            inner.shutdown(true, cancel);
            let ended = inner.shutdown_timeout(DAY, false);
            (ended, inner.spawn(|| ()).unwrap_err().reason)
        });
        let second = pool.spawn(|| 2).unwrap();
        drop(busy);
        assert_eq!(first.unwrap().result(None).unwrap(), (false, Reason::Shutdown));
        pool.shutdown(true, false);
        assert_eq!(second.cancelled(), cancel);
        assert!(second.done());
    }
}

#[test]
fn a_shutdown_in_the_middle_loses_nothing() {
    let _watched = watched();
    for round in 0..60 {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let futures = thread::scope(|scope| {
            let submitter = scope.spawn(|| {
                let mut futures = Vec::new();
                loop {
                    let ran = Arc::clone(&ran);
                    match pool.spawn(move || ran.fetch_add(1, Ordering::SeqCst)) {
                        Ok(future) => futures.push(future),
                        Err(refused) => break (refused.reason == Reason::Shutdown, futures),
                    }
                }
            });
            for _ in 0..round {
                thread::yield_now();
            }
            pool.shutdown(true, round % 2 == 0);
            submitter.join().unwrap()
        });
        assert!(futures.0);
        let futures = futures.1;
        assert!(futures.iter().all(Future::done));
        let finished = futures.iter().filter(|future| !future.cancelled()).count();
        assert_eq!(finished, ran.load(Ordering::SeqCst));
        assert!(round % 2 == 0 || finished == futures.len());
    }
}
