//! A task that blocks holds up no other while a worker is free, however short the tasks around it
//! are and however many of them a worker takes at once.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};

use common::watched;
use manyhands::{Executor, Future, ReturnWhen, ThreadPoolExecutor, wait};

/// So many that workers see that tasks are short and take several at once.
const TINY: usize = 3_000;

fn tiny(pool: &ThreadPoolExecutor, count: usize) -> impl Iterator<Item = Future<()>> {
    (0..count).map(|_| pool.spawn(|| ()).unwrap())
}

/// Tasks that can only end together, `apart` tiny tasks from one another.
fn meet(pool: &ThreadPoolExecutor, parties: usize, apart: usize) -> Vec<Future<()>> {
    let barrier = Arc::new(Barrier::new(parties));
    let mut futures = Vec::new();
    for _ in 0..parties {
        let barrier = Arc::clone(&barrier);
        futures.push(pool.spawn(move || _ = barrier.wait()).unwrap());
        futures.extend(tiny(pool, apart));
    }
    futures
}

fn wait_for_all(futures: Vec<Future<()>>) {
    assert!(wait(futures, None, ReturnWhen::AllCompleted).not_done.is_empty());
}

#[test]
fn tasks_that_meet_come_together_among_thousands_of_tiny_ones() {
    let _watched = watched();
    for workers in 2..=4 {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        for round in 0..20 {
            for (apart, after) in [(0, 0), (0, TINY), (1, 0), (round, 0), (10 * round, 100)] {
                let mut futures: Vec<_> = tiny(&pool, TINY).collect();
                futures.extend(meet(&pool, workers, apart));
                futures.extend(tiny(&pool, after));
                wait_for_all(futures);
            }
        }
    }
}

#[test]
fn tasks_that_meet_come_together_in_a_pool_that_has_just_been_made() {
    let _watched = watched();
    for workers in 2..=4 {
        for _ in 0..100 {
            let pool = ThreadPoolExecutor::new(workers).unwrap();
            let mut futures: Vec<_> = tiny(&pool, 200).collect();
            futures.extend(meet(&pool, workers, 0));
            wait_for_all(futures);
        }
    }
}

#[test]
fn tasks_that_meet_come_together_in_a_pool_that_has_slept() {
    let _watched = watched();
    for workers in 2..=4 {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        for _ in 0..500 {
            wait_for_all(meet(&pool, workers, 0));
            pool.spawn(|| ()).unwrap().result(None).unwrap();
        }
    }
}

/// A task is blocked by the very next one, which lies in the same worker's hand as often as not,
/// and all is done only when that one has been taken from there.
#[test]
fn a_task_behind_a_blocked_one_is_run_by_another_worker() {
    let _watched = watched();
    for workers in 2..=4 {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        for _ in 0..50 {
            let mut futures: Vec<_> = tiny(&pool, TINY).collect();
            for _ in 1..workers {
                let (sender, receiver) = mpsc::channel();
                futures.push(pool.spawn(move || receiver.recv().unwrap()).unwrap());
                futures.push(pool.spawn(move || sender.send(()).unwrap()).unwrap());
            }
            wait_for_all(futures);
        }
    }
}

/// As long as there is work in the queue no worker is short of it; what lies in a hand must not wait
/// for the end of the supply.
#[test]
fn a_task_behind_a_blocked_one_is_run_though_the_supply_never_ends() {
    fn tick(pool: &Arc<ThreadPoolExecutor>, stop: &Arc<AtomicBool>) {
        if !stop.load(Ordering::SeqCst) {
            let (again, stop) = (Arc::clone(pool), Arc::clone(stop));
            drop(pool.spawn(move || tick(&again, &stop)));
        }
    }
    let _watched = watched();
    for workers in 2..=3 {
        let pool = Arc::new(ThreadPoolExecutor::new(workers).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..1_000 {
            tick(&pool, &stop);
        }
        for _ in 0..100 {
            let (sender, receiver) = mpsc::channel();
            let blocked = pool.spawn(move || receiver.recv().unwrap()).unwrap();
            let behind = pool.spawn(move || sender.send(()).unwrap()).unwrap();
            wait_for_all(vec![blocked, behind]);
        }
        stop.store(true, Ordering::SeqCst);
        pool.shutdown(true, false);
    }
}

#[test]
fn a_single_task_is_never_left_lying() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(3).unwrap();
    for n in 0..20_000 {
        let burst: Vec<_> = tiny(&pool, n % 4).collect();
        assert_eq!(pool.spawn(move || n).unwrap().result(None).unwrap(), n);
        wait_for_all(burst);
    }
}
