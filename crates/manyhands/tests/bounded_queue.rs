//! The bounded queue: what a submit does when it is full.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{occupy, watched};
use manyhands::{Executor, Future, Reason, ThreadPoolExecutor, WhenFull};

const SHORT: Duration = Duration::from_millis(5);
const DAY: Duration = Duration::from_hours(24);

fn pool(workers: usize, max_pending: usize, when_full: WhenFull) -> ThreadPoolExecutor {
    let builder = ThreadPoolExecutor::builder().max_workers(workers);
    builder.max_pending(max_pending, when_full).build().unwrap()
}

fn fill(pool: &ThreadPoolExecutor, count: usize) -> Vec<Future<()>> {
    (0..count).map(|_| pool.spawn(|| ()).unwrap()).collect()
}

#[test]
fn block_waits_until_there_is_room() {
    let _watched = watched();
    assert_eq!(WhenFull::default(), WhenFull::Block);
    for when_full in [WhenFull::Block, WhenFull::BlockFor(DAY), WhenFull::BlockFor(Duration::MAX)] {
        let pool = pool(1, 2, when_full);
        let busy = occupy(&pool, 1);
        let pending = fill(&pool, 2);
        thread::scope(|scope| {
            let (sender, submitted) = mpsc::channel();
            for _ in 0..3 {
                let (sender, pool) = (sender.clone(), &pool);
                scope.spawn(move || sender.send(pool.spawn(|| 3).unwrap()).unwrap());
            }
            assert!(submitted.recv_timeout(SHORT).is_err());
            assert_eq!(pool.stats().pending, 2);
            drop(busy);
            for _ in 0..3 {
                assert_eq!(submitted.recv().unwrap().result(None).unwrap(), 3);
            }
        });
        assert!(pending.iter().all(Future::done));
    }
}

#[test]
fn block_for_gives_the_task_back_when_the_time_is_up() {
    let _watched = watched();
    for time in [Duration::ZERO, SHORT] {
        let pool = pool(1, 1, WhenFull::BlockFor(time));
        let busy = occupy(&pool, 1);
        let pending = fill(&pool, 1);
        let before = Instant::now();
        let refused = pool.spawn(|| 4).unwrap_err();
        assert!(before.elapsed() >= time);
        assert_eq!(refused.reason, Reason::Full { max_pending: 1 });
        assert_eq!((refused.task)(), 4);
        drop(busy);
        pending[0].result(None).unwrap();
        assert_eq!(pool.spawn(|| 5).unwrap().result(None).unwrap(), 5);
    }
}

#[test]
fn refuse_gives_the_task_back_at_once() {
    let _watched = watched();
    let pool = pool(1, 3, WhenFull::Refuse);
    let busy = occupy(&pool, 1);
    let pending = fill(&pool, 3);
    let text = String::from("kept");
    let refused = pool.spawn(move || text).unwrap_err();
    assert_eq!(refused.reason, Reason::Full { max_pending: 3 });
    assert_eq!(refused.to_string(), "task refused: the queue is full: 3 tasks are pending");
    assert_eq!((refused.task)(), "kept");
    let refused = pool.submit(u32::pow, (2, 5)).unwrap_err();
    assert_eq!(refused.task.1, (2, 5));
    let refused = pool.try_spawn(|| "x".parse::<u8>()).unwrap_err();
    assert!((refused.task)().is_err());
    assert!(pool.try_submit(str::parse::<u8>, ("7",)).is_err());
    drop(busy);
    for future in pending {
        future.result(None).unwrap();
    }
    assert_eq!(pool.spawn(|| 5).unwrap().result(None).unwrap(), 5);
}

#[test]
fn run_in_caller_runs_in_the_thread_that_submits() {
    let _watched = watched();
    let pool = pool(1, 1, WhenFull::RunInCaller);
    let busy = occupy(&pool, 1);
    let pending = fill(&pool, 1);
    for _ in 0..3 {
        let future = pool.spawn(|| thread::current().id()).unwrap();
        assert!(future.done());
        assert_eq!(future.result(None).unwrap(), thread::current().id());
    }
    drop(busy);
    pending[0].result(None).unwrap();
    let other = pool.spawn(|| thread::current().id()).unwrap().result(None).unwrap();
    assert_ne!(other, thread::current().id());
}

#[test]
fn a_task_that_submits_to_its_own_full_pool_does_not_wait_for_itself() {
    let _watched = watched();
    for when_full in [WhenFull::Block, WhenFull::RunInCaller] {
        let pool = Arc::new(pool(1, 1, when_full));
        let ran = Arc::new(AtomicUsize::new(0));
        let (inner, count) = (Arc::clone(&pool), Arc::clone(&ran));
        let outer = pool.spawn(move || {
            for _ in 0..100 {
                let count = Arc::clone(&count);
                inner.spawn(move || count.fetch_add(1, Ordering::SeqCst)).unwrap();
            }
        });
        outer.unwrap().result(None).unwrap();
        assert!(ran.load(Ordering::SeqCst) >= 99);
        pool.shutdown(true, false);
        assert_eq!(ran.load(Ordering::SeqCst), 100);
    }
}

#[test]
fn a_task_of_another_pool_waits_like_anybody() {
    let _watched = watched();
    let full = Arc::new(pool(1, 1, WhenFull::Block));
    let other = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&*full, 1);
    let _pending = fill(&full, 1);
    let target = Arc::clone(&full);
    let (sender, submitted) = mpsc::channel();
    let outer = other.spawn(move || {
        let future = target.spawn(|| thread::current().id()).unwrap();
        sender.send(()).unwrap();
        future.result(None).unwrap() != thread::current().id()
    });
    assert!(submitted.recv_timeout(SHORT).is_err());
    drop(busy);
    assert!(outer.unwrap().result(None).unwrap());
}

#[test]
fn a_shutdown_gives_the_tasks_of_blocked_submitters_back() {
    let _watched = watched();
    for (when_full, cancel) in
        [(WhenFull::Block, false), (WhenFull::Block, true), (WhenFull::BlockFor(DAY), false)]
    {
        let pool = pool(1, 1, when_full);
        let busy = occupy(&pool, 1);
        let pending = fill(&pool, 1);
        thread::scope(|scope| {
            let (sender, refused) = mpsc::channel();
            for n in 0..3 {
                let (sender, pool) = (sender.clone(), &pool);
                scope.spawn(move || sender.send(pool.spawn(move || n).unwrap_err()).unwrap());
            }
            assert!(refused.recv_timeout(SHORT).is_err());
            pool.shutdown(false, cancel);
            let mut given_back: Vec<_> = refused.iter().take(3).collect();
            assert!(given_back.iter().all(|refused| refused.reason == Reason::Shutdown));
            let mut numbers: Vec<_> =
                given_back.drain(..).map(|refused| (refused.task)()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2]);
        });
        assert_eq!(pending[0].cancelled(), cancel);
        drop(busy);
    }
}

#[test]
fn the_bound_holds_and_nothing_is_lost() {
    let _watched = watched();
    for when_full in [WhenFull::Block, WhenFull::BlockFor(DAY), WhenFull::RunInCaller] {
        for max_pending in [1, 5] {
            let pool = pool(2, max_pending, when_full);
            let ran = AtomicUsize::new(0);
            let ran = Arc::new(ran);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            let ran = Arc::clone(&ran);
                            pool.spawn(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap();
                            assert!(pool.stats().pending <= max_pending);
                        }
                    });
                }
            });
            pool.shutdown(true, false);
            assert_eq!(ran.load(Ordering::SeqCst), 4_000);
        }
    }
}
