//! Tasks in worker processes that submit to their own pool, and wait for what they have submitted.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::processes::{
    Directory, Gate, add, eventually, hold, keep_busy, on_both, pid, signal, sleep,
};
use common::watched;
use manyhands::process::{Buffer, CurrentExecutor, TaskOptions, Transport, current_executor};
use manyhands::{
    Exception, Executor, FutureError, ProcessPoolExecutor, Reason, ReturnWhen, as_completed, wait,
};
use rustix::process::Signal;

fn executor() -> CurrentExecutor {
    current_executor().expect("it is called in a worker")
}

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
        _ => {
            let waits =
                futures.into_iter().map(|it| thread::spawn(move || it.result(None).unwrap()));
            let waits: Vec<_> = waits.collect();
            waits.into_iter().map(|thread| thread.join().unwrap()).sum()
        }
    }
}

/// Waits in such a way that nobody can run what it waits for in place.
fn held_by_other(gate: Gate) -> (u32, u32) {
    let inner = executor().submit(hold, (gate,)).unwrap();
    let done = wait([inner.clone()], None, ReturnWhen::AllCompleted).done;
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
    wait([dead.clone()], None, ReturnWhen::AllCompleted);
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
    wait([doubled.clone()], None, ReturnWhen::AllCompleted);
    let total = pool.submit(total, (doubled.into_result(None).unwrap(),)).unwrap();
    wait([total.clone()], None, ReturnWhen::AllCompleted);
    total.result(None).unwrap()
}

/// What cancelling says of a pending task and of one that runs, with one worker held by that.
fn cancels(gate: Gate) -> (bool, bool, bool, bool) {
    let pool = executor();
    let running = pool.submit(hold, (gate.clone(),)).unwrap();
    eventually("it runs", || gate.arrivals() > 0);
    let pending = pool.submit(add, (1, 1)).unwrap();
    let answers = (pending.cancel(), pending.cancelled(), running.cancel());
    let stopped = running.cancel_running();
    assert!(matches!(running.result(None), Err(FutureError::Cancelled)));
    (answers.0, answers.1, answers.2, stopped)
}

/// Each waits for one more, so many deep, without running it in place.
fn chain(depth: u32) -> Result<u32, String> {
    if depth == 0 {
        return Ok(0);
    }
    let next = executor().try_submit(chain, (depth - 1,)).unwrap();
    wait([next.clone()], None, ReturnWhen::AllCompleted);
    match next.result(None) {
        Ok(depth) => Ok(depth + 1),
        Err(FutureError::Exception(Exception::Error(error))) => Err((*error).clone()),
        Err(error) => Err(error.to_string()),
    }
}

fn waits_for_some_time() -> bool {
    let (pool, long) = (executor(), Duration::from_millis(30));
    let slow = pool.submit(sleep, (200,)).unwrap();
    let hasty = matches!(slow.result(long), Err(FutureError::TimedOut));
    slow.result(Duration::from_mins(1)).is_ok() && hasty
}

fn leaves_behind(gate: Gate) {
    executor().submit(hold, (gate,)).unwrap();
}

/// Submits once the gate is open, when the pool has been shut down.
fn submits_late(gate: Gate) -> String {
    let before = executor().submit(add, (40, 2)).unwrap();
    hold(gate);
    let mut late = executor().submit(add, (1, 1));
    while let Ok(future) = late {
        if let Some(exception) = future.exception(None).unwrap() {
            return format!("{exception} {}", before.result(None).unwrap());
        }
        late = executor().submit(add, (1, 1));
    }
    assert_eq!(late.unwrap_err().reason, Reason::Shutdown);
    format!("refused {}", before.result(None).unwrap())
}

fn waits_for_ever(held: Gate, mark: Gate) -> u32 {
    let pool = executor();
    let pending: Vec<_> = (0..50).map(|_| pool.submit(arrive, (mark.clone(),)).unwrap()).collect();
    held.arrive();
    // They are cancelled with the worker that waits for them.
    thread::sleep(Duration::from_mins(5));
    u32::try_from(pending.len()).unwrap()
}

fn arrive(mark: Gate) {
    mark.arrive();
}

manyhands::test_worker![
    add,
    arrive,
    cancels,
    chain,
    die,
    doubled,
    failures,
    fib,
    give_up,
    held_by_other,
    hold,
    in_place,
    is_worker,
    leaves_behind,
    parse,
    passes_on,
    pid,
    sleep,
    sort,
    submits_late,
    sum_by,
    total,
    waits_for_ever,
    waits_for_some_time
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
        for way in [0, 1, 2, 3, 6] {
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

#[test]
fn a_worker_can_cancel_what_it_has_submitted() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let pool = pool(2, transport);
        let answers = pool.submit(cancels, (directory.gate("held"),)).unwrap();
        assert_eq!(answers.result(None).unwrap(), (true, true, false, true));
    });
}

#[test]
fn a_wait_for_some_time_ends_in_time_and_can_be_resumed() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        assert!(pool.submit(waits_for_some_time, ()).unwrap().result(None).unwrap());
    });
}

#[test]
fn a_chain_of_waits_ends_at_the_limit_with_an_error() {
    let _watch = watched();
    let pool = pool(1, Transport::Automatic);
    assert_eq!(pool.try_submit(chain, (20,)).unwrap().result(None).unwrap(), 20);
    let error = pool.try_submit(chain, (80,)).unwrap().result(None).unwrap_err();
    assert!(error.to_string().contains("all 62 that the pool may have"), "{error}");
    assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
}

#[test]
fn what_is_left_behind_is_run() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let (gate, pool) = (directory.gate("held"), pool(1, transport));
        pool.submit(leaves_behind, (gate.clone(),)).unwrap().result(None).unwrap();
        gate.open();
        drop(pool); // which waits
        assert_eq!(gate.arrivals(), 1);
    });
}

#[test]
fn a_pool_that_is_shut_down_accepts_nothing_from_its_tasks_and_loses_nothing() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let (gate, pool) = (directory.gate("held"), pool(1, transport));
        let future = pool.submit(submits_late, (gate.clone(),)).unwrap();
        eventually("it has submitted", || gate.arrivals() == 1);
        pool.shutdown(false, false);
        gate.open();
        pool.shutdown(true, false);
        let told = future.result(None).unwrap();
        assert!(
            told == "refused 42" || told.contains("cannot schedule new futures after shutdown 42"),
            "{told}"
        );
    });
}

#[test]
fn what_a_dead_worker_waited_for_is_cancelled_if_nobody_has_begun_it() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let (held, mark) = (directory.gate("held"), directory.gate("mark"));
        let pool = pool(1, transport);
        let future = pool.submit(waits_for_ever, (held.clone(), mark.clone())).unwrap();
        eventually("it has submitted", || held.arrivals() == 1 && pool.stats().pending == 50);
        assert!(future.cancel_running());
        eventually("they are cancelled", || pool.stats().pending == 0);
        assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
        assert_eq!(mark.arrivals(), 0);
    });
}

#[test]
fn a_wait_ends_with_its_pool() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let (gate, pool) = (directory.gate("held"), pool(1, transport));
        let future = pool.submit(held_by_other, (gate.clone(),)).unwrap();
        eventually("another begins it", || gate.arrivals() == 1);
        pool.kill_workers();
        assert!(matches!(future.exception(None).unwrap(), Some(Exception::Broken(_))));
        drop(pool);
    });
}

#[test]
fn workers_that_wait_can_be_killed() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let pool = pool(2, transport);
        for round in 0..5 {
            let gate = directory.gate(&format!("held-{round}"));
            let future = pool.submit(held_by_other, (gate.clone(),)).unwrap();
            eventually("another begins it", || gate.arrivals() == 1);
            for pid in pool.worker_pids() {
                signal(pid, Signal::KILL);
            }
            assert!(matches!(future.exception(None).unwrap(), Some(Exception::Crashed(_))));
            gate.open();
            assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
        }
        let busy = keep_busy(&pool, &directory.gate("busy"));
        assert!(busy.cancel_running());
    });
}
