//! Tasks in worker processes that submit to their own pool, and wait for what they have submitted.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::processes::{Directory, Gate, add, eventually, executor, hold, on_both, pid, sleep};
use common::watched;
use manyhands::process::{Buffer, TaskOptions, Transport, current_executor};
use manyhands::{Executor, ProcessPoolExecutor, ReturnWhen, as_completed, wait};

/// Waits for both, so that a task of each call waits.
fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let both = [n - 1, n - 2].map(|n| executor().submit(fib, (n,)).unwrap());
    both.map(|future| future.result(None).unwrap()).iter().sum()
}

fn sort(mut items: Vec<u32>) -> Vec<u32> {
    let Some(pivot) = items.pop() else { return items };
    let (small, large): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| *item < pivot);
    let small = executor().submit(sort, (small,)).unwrap();
    let mut large = sort(large);
    let mut sorted = small.into_result(None).unwrap();
    sorted.push(pivot);
    sorted.append(&mut large);
    sorted
}

/// A sum that others have worked out, as the main way to collect says.
fn sum_by(way: u32, to: u64) -> u64 {
    let pool = executor();
    if way == 0 {
        return pool.starmap(add, (0..to).map(|n| (n, 1))).map(Result::unwrap).sum();
    }
    let futures: Vec<_> = (0..to).map(|n| pool.submit(add, (n, 1)).unwrap()).collect();
    match way {
        1 => as_completed(futures, None).map(|future| future.unwrap().result(None).unwrap()).sum(),
        2 => {
            let sorted = wait(futures, None, ReturnWhen::AllCompleted);
            sorted.done.iter().map(|future| future.result(None).unwrap()).sum()
        }
        3 => futures.into_iter().map(|future| future.into_result(None).unwrap()).sum(),
        4 => {
            let (sender, receiver) = mpsc::channel();
            for future in futures {
                let sender = sender.clone();
                future.add_done_callback(move |future| {
                    sender.send(future.result(None).unwrap()).unwrap();
                });
            }
            drop(sender);
            receiver.iter().sum()
        }
        5 => {
            while !futures.iter().all(manyhands::Future::done) {
                thread::sleep(Duration::from_millis(1));
            }
            futures.iter().map(|future| future.result(None).unwrap()).sum()
        }
        6 => common::block_on(sum_of(futures)),
        7 => manyhands::block_on(sum_of(futures)),
        _ => {
            let waits =
                futures.into_iter().map(|it| thread::spawn(move || it.result(None).unwrap()));
            let waits: Vec<_> = waits.collect();
            waits.into_iter().map(|thread| thread.join().unwrap()).sum()
        }
    }
}

async fn sum_of(futures: Vec<manyhands::Future<u64>>) -> u64 {
    let mut sum = 0;
    for future in futures {
        sum += future.await.unwrap();
    }
    sum
}

/// Waits in such a way that nobody can run what it waits for in place.
fn held_by_other(gate: Gate) -> (u32, u32) {
    let inner = executor().submit(hold, (gate,)).unwrap();
    let done = wait([inner.clone()], None, ReturnWhen::FirstCompleted).done;
    assert_eq!(done.len(), 1);
    (std::process::id(), inner.result(None).unwrap())
}

fn in_place() -> (u32, u32) {
    let inner = executor().submit(pid, ()).unwrap();
    (std::process::id(), inner.result(None).unwrap())
}

fn is_worker() -> bool {
    current_executor().is_some()
}

fn give_up(why: String) -> u8 {
    panic!("{}{why}", common::PLANNED)
}

fn parse(text: String) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn die() {
    std::process::abort()
}

/// How tasks that it submits fail, in words.
fn failures() -> Vec<String> {
    let pool = executor();
    let error = pool.try_submit(parse, ("x".to_owned(),)).unwrap().exception(None).unwrap();
    let panic = pool.submit(give_up, ("no luck".to_owned(),)).unwrap().exception(None).unwrap();
    // In place it would end this very worker.
    let dead = pool.submit(die, ()).unwrap();
    wait([dead.clone()], None, ReturnWhen::FirstCompleted);
    let crash = dead.exception(None).unwrap();
    let hasty = pool.with(TaskOptions::new().timeout(Duration::from_millis(50)));
    let late = hasty.submit(sleep, (60_000,)).unwrap().exception(None).unwrap();
    let closure = pool.spawn(|| 5).unwrap_err().reason;
    vec![
        error.unwrap().to_string(),
        panic.unwrap().to_string(),
        crash.unwrap().to_string(),
        late.unwrap().to_string(),
        closure.to_string(),
    ]
}

fn total(numbers: Buffer<f64>) -> f64 {
    numbers.iter().sum()
}

fn doubled(numbers: Buffer<f64>) -> Buffer<f64> {
    numbers.iter().map(|number| 2.0 * number).collect::<Vec<_>>().into()
}

/// Large data goes on to other workers, and comes back from them.
fn passes_on(numbers: Buffer<f64>) -> f64 {
    let pool = executor();
    let doubled = pool.submit(doubled, (numbers,)).unwrap();
    wait([doubled.clone()], None, ReturnWhen::FirstCompleted);
    let total = pool.submit(total, (doubled.into_result(None).unwrap(),)).unwrap();
    wait([total.clone()], None, ReturnWhen::FirstCompleted);
    total.result(None).unwrap()
}

manyhands::test_worker![
    add,
    die,
    doubled,
    failures,
    fib,
    give_up,
    held_by_other,
    hold,
    in_place,
    is_worker,
    parse,
    passes_on,
    pid,
    sleep,
    sort,
    sum_by,
    total,
];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    ProcessPoolExecutor::builder().max_workers(workers).transport(transport).build().unwrap()
}

#[test]
fn only_a_worker_has_a_current_executor() {
    let _watch = watched();
    on_both(|transport| {
        assert!(pool(1, transport).submit(is_worker, ()).unwrap().result(None).unwrap());
        assert!(current_executor().is_none());
    });
}

#[test]
fn recursion_on_a_pool_of_its_own_ends() {
    let _watch = watched();
    on_both(|transport| {
        for workers in 1..=2 {
            let pool = pool(workers, transport);
            assert_eq!(pool.submit(fib, (12,)).unwrap().result(None).unwrap(), 144);
            let items: Vec<u32> = (0..200).map(|n| n * 7919 % 1009).collect();
            let sorted = pool.submit(sort, (items.clone(),)).unwrap().result(None).unwrap();
            assert!(sorted.is_sorted() && sorted.len() == items.len());
        }
    });
}

#[test]
fn every_way_to_collect_works_in_a_worker_too() {
    let _watch = watched();
    on_both(|transport| {
        for way in [0, 1, 2, 3, 6, 7, 8] {
            let pool = pool(1, transport);
            let sum = pool.submit(sum_by, (way, 40)).unwrap();
            assert_eq!(sum.result(None).unwrap(), (1..=40).sum(), "way {way}");
        }
        // These look, and do not wait: another worker has to be there.
        for way in [4, 5] {
            let pool = pool(2, transport);
            let sum = pool.submit(sum_by, (way, 40)).unwrap();
            assert_eq!(sum.result(None).unwrap(), (1..=40).sum(), "way {way}");
        }
    });
}

#[test]
fn what_nobody_has_begun_runs_in_place() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        let (own, inner) = pool.submit(in_place, ()).unwrap().result(None).unwrap();
        assert_eq!(own, inner);
        assert_eq!(pool.stats().workers, 1);
    });
}

#[test]
fn another_worker_runs_in_the_stead_of_one_that_waits() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(1, transport));
        let gate = directory.gate("held");
        let future = pool.submit(held_by_other, (gate.clone(),)).unwrap();
        eventually("another begins it", || gate.arrivals() == 1);
        assert_eq!(pool.stats().workers, 2);
        gate.open();
        let (own, inner) = future.result(None).unwrap();
        assert_ne!(own, inner);
        eventually("the one too many leaves", || pool.stats().workers == 1);
        assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
    });
}

#[test]
fn failures_come_back_as_they_would_in_the_parent() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(2, transport);
        let failures = pool.submit(failures, ()).unwrap().result(None).unwrap();
        let [error, panic, crash, late, closure] = &failures[..] else { panic!("{failures:?}") };
        assert_eq!(error, "x is no number");
        assert!(panic.contains("no luck"), "{panic}");
        assert!(crash.contains("SIGABRT") && crash.contains("process_nested.rs:"), "{crash}");
        assert!(late.contains("sleep(60000,)") && late.contains("50ms"), "{late}");
        assert!(closure.contains("cannot be called in another process"), "{closure}");
    });
}

#[test]
fn large_data_goes_on_and_comes_back() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        let numbers = vec![1.5; 300_000];
        for _ in 0..3 {
            let total = pool.submit(passes_on, (pool.buffer(&numbers),)).unwrap();
            assert_eq!(total.result(None).unwrap().to_bits(), 900_000_f64.to_bits());
        }
    });
}
