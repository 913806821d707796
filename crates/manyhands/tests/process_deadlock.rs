//! Tasks in worker processes that wait for each other, and for threads.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::processes::{Directory, Gate, eventually, executor, on_both, say, value};
use common::watched;
use manyhands::process::Transport;
use manyhands::{Executor, Future, FutureError, ProcessPoolExecutor, ThreadPoolExecutor, join_all};

manyhands::test_worker![answer, inner, other_thread, value, waits_for_a_while, waits_for_child];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    ProcessPoolExecutor::builder().max_workers(workers).transport(transport).build().unwrap()
}

fn answer(future: Future<Result<u64, String>>) -> Result<u64, String> {
    say(future.result(None))?
}

fn inner(future: Future<Future<Result<u64, String>>>) -> Result<u64, String> {
    say(say(future.result(None))?.result(None))?
}

fn waits_for_a_while(future: Future<Future<Result<u64, String>>>) -> Result<u64, String> {
    match future.result(None).unwrap().result(Duration::from_millis(300)) {
        Err(FutureError::TimedOut) => Ok(1),
        other => Err(format!("{other:?}")),
    }
}

/// A thread of the task waits for ever, and the task does not.
fn other_thread(future: Future<Future<Result<u64, String>>>, gate: Gate) -> Result<u64, String> {
    let waits = thread::spawn(move || inner(future));
    gate.arrive();
    while !gate.is_open() {
        thread::sleep(Duration::from_millis(1));
    }
    if waits.is_finished() { Err("it does not wait".to_owned()) } else { Ok(1) }
}

fn waits_for_child(own: Future<Future<Result<u64, String>>>) -> Result<u64, String> {
    say(executor().submit(inner, (own,)).unwrap().result(None))?
}

fn is_cycle(outcome: Result<u64, String>, names: &[&str]) {
    let error = outcome.unwrap_err();
    assert!(error.contains("deadlock: "), "{error}");
    for name in names {
        assert!(error.contains(&format!("::{name}` (submitted at ")), "{error}");
    }
}

#[test]
fn tasks_that_wait_for_each_other_are_told() {
    let _watch = watched();
    on_both(|transport| {
        for length in 1..=3 {
            let pool = pool(1, transport);
            let nexts: Vec<_> = (0..length).map(|_| Future::new()).collect();
            let submit = |next: &Future<_>| pool.submit(inner, (next.clone(),)).unwrap();
            let futures: Vec<_> = nexts.iter().map(submit).collect();
            for (at, next) in nexts.iter().enumerate() {
                next.set_result(futures[(at + 1) % length].clone()).unwrap();
            }
            for future in futures {
                is_cycle(future.result(None).unwrap(), &["inner"]);
            }
        }
    });
}

#[test]
fn a_thread_and_a_process_that_wait_for_each_other_are_told() {
    let _watch = watched();
    on_both(|transport| {
        let (pool, threads) = (pool(1, transport), ThreadPoolExecutor::new(1).unwrap());
        let (sender, receiver) = mpsc::channel::<Future<u64>>();
        let (ends, end) = mpsc::channel();
        let in_thread = threads
            .spawn(move || {
                let task = pool.submit(value, (receiver.recv().unwrap(),)).unwrap();
                ends.send(say(task.result(None)).and_then(|told| told)).unwrap();
                0
            })
            .unwrap();
        sender.send(in_thread).unwrap();
        let told = end.recv().unwrap().unwrap_err();
        assert!(told.contains("deadlock: ") && told.contains("::value` (submitted at"), "{told}");
    });
}

#[test]
fn a_task_and_one_that_it_has_submitted_are_told() {
    let _watch = watched();
    on_both(|transport| {
        let (pool, own) = (pool(1, transport), Future::new());
        let future = pool.submit(waits_for_child, (own.clone(),)).unwrap();
        own.set_result(future.clone()).unwrap();
        let error = future.result(None).unwrap().unwrap_err();
        assert!(error.contains("::waits_for_child`") && error.contains("::inner`"), "{error}");
    });
}

#[test]
fn a_task_that_waits_for_what_is_made_of_its_future_is_told() {
    let _watch = watched();
    on_both(|transport| {
        let (pool, own) = (pool(1, transport), Future::new());
        let made = pool.submit(inner, (own.clone(),)).unwrap().map(|told| told);
        own.set_result(made.clone()).unwrap();
        is_cycle(made.result(None).unwrap(), &["inner"]);

        // Of all that it is made of, this is left at last.
        let (own, other) = (Future::new(), Future::new());
        let future = pool.submit(inner, (own.clone(),)).unwrap();
        let made = join_all([other.clone(), future.clone()]).map(|mut told| told.remove(1));
        own.set_result(made.clone()).unwrap();
        thread::sleep(Duration::from_millis(200));
        assert!(!future.done(), "the other may end, as far as anybody knows");
        other.set_result(Ok(1)).unwrap();
        is_cycle(made.result(None).unwrap(), &["inner"]);
    });
}

#[test]
fn there_are_no_false_alarms() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(2, transport));
        let next = Future::new();
        let first = pool.submit(waits_for_a_while, (next.clone(),)).unwrap();
        let second = pool.submit(answer, (first,)).unwrap();
        next.set_result(second.clone()).unwrap();
        assert_eq!(second.result(None).unwrap(), Ok(1));
        let (next, gate) = (Future::new(), directory.gate("held"));
        let first = pool.submit(other_thread, (next.clone(), gate.clone())).unwrap();
        let second = pool.submit(answer, (first,)).unwrap();
        next.set_result(second.clone()).unwrap();
        eventually("it has begun", || gate.arrivals() == 1);
        // Longer than it takes to find a deadlock.
        thread::sleep(Duration::from_millis(300));
        gate.open();
        assert_eq!(second.result(None).unwrap(), Ok(1));
    });
}
