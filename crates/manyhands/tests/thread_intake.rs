//! Many threads that submit to a pool whose workers are all at work: what they leave there is run in the order of
//! the submits, is counted, and ends like all else.

#![cfg(not(loom))]

mod common;

use std::num::NonZeroUsize;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use common::{occupy, watched};
use manyhands::thread::pool::{Pool, WhenFull};
use manyhands::{Executor, Future, ReturnWhen, ThreadPoolExecutor, wait};

const SUBMITTERS: usize = 6;

/// Past the backlog from which on submitters leave their tasks without the pool's lock.
const EACH: usize = 2_000;

/// Has each of several threads submit tasks: the futures.
fn submit_from_all<T: Send>(submit: impl Fn(usize) -> Future<T> + Sync) -> Vec<Future<T>> {
    let together = Barrier::new(SUBMITTERS);
    let submit_each = |first: usize| {
        together.wait();
        (first..first + EACH).map(&submit).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let submit_each = &submit_each;
        let threads: Vec<_> =
            (0..SUBMITTERS).map(|n| scope.spawn(move || submit_each(n * EACH))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn one_worker_runs_the_tasks_of_many_threads_in_the_order_of_their_submits() {
    let _watched = watched();
    for held in [true, false] {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let busy = held.then(|| occupy(&pool, 1));
        let ran = Arc::new(Mutex::new(Vec::new()));
        // Each submits its task before another may take a number.
        let numbers = Mutex::new(0);
        let futures = submit_from_all(|_| {
            let mut number = numbers.lock().unwrap();
            let (own, ran) = (*number, Arc::clone(&ran));
            *number += 1;
            pool.spawn(move || ran.lock().unwrap().push(own)).unwrap()
        });
        drop(busy);
        assert!(wait(futures, None, ReturnWhen::AllCompleted).not_done.is_empty());
        assert!(ran.lock().unwrap().iter().copied().eq(0..SUBMITTERS * EACH), "held: {held}");
    }
}

#[test]
fn what_was_left_is_counted_and_cancelled_with_the_rest() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let busy = occupy(&pool, 2);
    let futures = submit_from_all(|number| pool.spawn(move || number).unwrap());
    assert_eq!(pool.stats().pending, SUBMITTERS * EACH);
    pool.shutdown(false, true);
    assert_eq!(pool.stats().pending, 0);
    for future in &futures {
        assert!(future.cancelled());
    }
    drop(busy);
}

#[test]
fn all_is_run_while_the_pool_is_asked_and_changed() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let futures = submit_from_all(|number| {
        if number % 100 == 0 {
            assert!(pool.stats().pending <= SUBMITTERS * EACH);
        }
        let other = pool.spawn(move || number).unwrap();
        if number % 500 == 0 {
            // It waits for another, so that somebody works in its stead.
            return pool.spawn(move || other.result(None).unwrap()).unwrap();
        }
        other
    });
    for (number, future) in futures.into_iter().enumerate() {
        assert_eq!(future.result(None).unwrap(), number);
    }
}

#[test]
fn a_pool_that_may_have_more_workers_knows_of_what_was_left() {
    let _watched = watched();
    let pool = Pool::new(NonZeroUsize::MIN, None);
    let mut worker = pool.submit(0, WhenFull::Refuse).unwrap().expect("the first");
    assert_eq!(worker.try_next(), Some(0));
    for job in 1..=EACH {
        assert!(pool.submit(job, WhenFull::Refuse).unwrap().is_none());
    }
    assert!(worker.has_next());
    pool.set_max_workers(NonZeroUsize::new(2).unwrap());
    let mut other =
        pool.submit(EACH + 1, WhenFull::Refuse).unwrap().expect("there is work for two");
    let mut jobs: Vec<_> = std::iter::from_fn(|| other.try_next()).collect();
    jobs.extend(std::iter::from_fn(|| worker.try_next()));
    assert!(jobs.into_iter().eq(1..=EACH + 1));
}
