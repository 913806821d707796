//! How workers are born, or are not: the initializer, and what breaks a pool before its first task.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use common::processes::{
    Death, Directory, Gate, add, children_of, die, eventually, hold, is_alive, keep_busy, on_both,
    pid, signal,
};
use common::{PLANNED, watched};
use manyhands::process::{Output, ProcessPoolBuilder, Transport};
use manyhands::{
    BrokenExecutor, BrokenProcessPool, Exception, Executor, Future, ProcessPoolExecutor, Reason,
};
use rustix::process::Signal;

static SET: AtomicU64 = AtomicU64::new(0);

fn set(directory: PathBuf, value: u64) {
    let name = directory.join(pid().to_string());
    assert!(!name.exists(), "called twice");
    fs::write(name, "").unwrap();
    SET.store(value, Ordering::SeqCst);
}

fn get() -> (u32, u64) {
    (pid(), SET.load(Ordering::SeqCst))
}

fn give_up(why: String) {
    panic!("{PLANNED}{why}");
}

fn fail_at_birth(lines: u32, how: Death) {
    for line in 0..lines {
        eprintln!("{PLANNED}line {line}");
    }
    die(how);
}

/// Only one is born, whoever comes first.
fn be_the_first(mark: PathBuf) {
    if fs::File::create_new(mark).is_err() {
        die(Death::Exit(2));
    }
}

fn hold_at_birth(gate: Gate) {
    hold(gate);
}

manyhands::test_worker![
    add,
    be_the_first,
    die,
    fail_at_birth,
    get,
    give_up,
    hold,
    hold_at_birth,
    pid,
    set
];

fn builder(transport: Transport) -> ProcessPoolBuilder {
    init_worker();
    ProcessPoolExecutor::builder().max_workers(2).transport(transport).stderr(Output::Null)
}

#[track_caller]
fn broken<T: Send>(future: &Future<T>) -> BrokenProcessPool {
    match future.exception(None).unwrap() {
        Some(Exception::Broken(BrokenExecutor::ProcessPool(broken))) => broken,
        other => panic!("not broken: {other:?}"),
    }
}

#[test]
fn the_initializer_runs_once_in_each_worker_before_its_first_task() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let builder = builder(transport).initializer(set, (directory.path().to_owned(), 42));
        let pool = builder.max_tasks_per_child(5).build().unwrap();
        let futures: Vec<_> = (0..100).map(|_| pool.submit(get, ()).unwrap()).collect();
        let mut pids: Vec<_> = futures
            .into_iter()
            .map(|future| {
                let (pid, value) = future.result(None).unwrap();
                assert_eq!(value, 42);
                pid
            })
            .collect();
        pids.sort_unstable();
        pids.dedup();
        assert!(pids.len() >= 20, "{pids:?}");
        let called: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert!(called.len() >= pids.len());
        assert!(pids.iter().all(|pid| directory.path().join(pid.to_string()).exists()));
    });
}

#[test]
fn an_initializer_that_panics_breaks_the_pool_and_says_why() {
    let _watch = watched();
    on_both(|transport| {
        let why = ("no licence".to_owned(),);
        let pool = builder(transport).initializer(give_up, why).build().unwrap();
        let futures: Vec<_> = (0..10).filter_map(|n| pool.submit(add, (n, n)).ok()).collect();
        assert!(!futures.is_empty());
        for future in &futures {
            let broken = broken(future);
            assert!(broken.reason.contains("initializer"), "{broken}");
            assert!(broken.reason.contains("no licence"), "{broken}");
        }
        let refused = pool.submit(add, (1, 2)).unwrap_err();
        assert!(matches!(refused.reason, Reason::Broken(BrokenExecutor::ProcessPool(_))));
        assert_eq!(refused.task.1, (1, 2));
    });
}

#[test]
fn workers_that_die_at_birth_break_the_pool_with_their_last_words() {
    let _watch = watched();
    on_both(|transport| {
        for (how, exit) in [(Death::Exit(3), "exited with code 3"), (Death::Kill, "SIGKILL")] {
            let pool = builder(transport).initializer(fail_at_birth, (50, how)).build().unwrap();
            let futures: Vec<_> = (0..10).filter_map(|n| pool.submit(add, (n, n)).ok()).collect();
            for future in &futures {
                let broken = broken(future);
                assert!(broken.reason.contains(exit), "{broken}");
                assert!(broken.reason.contains("line 49"), "{broken}");
                assert!(!broken.reason.contains("line 10\n"), "{broken}");
            }
            assert!(matches!(pool.submit(pid, ()).unwrap_err().reason, Reason::Broken(_)));
        }
    });
}

#[test]
fn a_worker_killed_while_it_is_born_is_replaced() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, me) = (Directory::new(), std::process::id());
        let gate = directory.gate("birth");
        let builder = builder(transport).max_workers(1);
        let pool = builder.initializer(hold_at_birth, (gate.clone(),)).build().unwrap();
        let sum = pool.submit(add, (1, 2)).unwrap();
        eventually("a worker is being born", || gate.arrivals() == 1);
        let newborn = pool.worker_pids();
        assert_eq!(newborn.len(), 1);
        assert!(children_of(me).contains(&newborn[0]));
        signal(newborn[0], Signal::KILL);
        eventually("another is being born", || gate.arrivals() == 2);
        gate.open();
        assert_eq!(sum.result(None).unwrap(), 3);
    });
}

#[test]
fn a_pool_goes_on_with_the_workers_it_has_when_no_more_are_born() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let mark = directory.path().join("first");
        let pool = builder(transport).initializer(be_the_first, (mark,)).build().unwrap();
        let only = pool.submit(pid, ()).unwrap().result(None).unwrap();
        let gate = directory.gate("busy");
        let busy = keep_busy(&pool, &gate);
        let futures: Vec<_> = (0..50).map(|_| pool.submit(pid, ()).unwrap()).collect();
        eventually("others are tried", || pool.stats().restarted >= 4);
        gate.open();
        assert_eq!(busy.result(None).unwrap(), only);
        assert!(futures.into_iter().all(|future| future.result(None).unwrap() == only));
    });
}

#[test]
fn a_pool_can_be_dropped_while_its_workers_are_born() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let gate = directory.gate("birth");
        let pool = builder(transport).initializer(hold_at_birth, (gate.clone(),)).build().unwrap();
        let sum = pool.submit(add, (1, 2)).unwrap();
        eventually("a worker is being born", || gate.arrivals() == 1);
        assert!(sum.cancel());
        let pids = pool.worker_pids();
        pool.shutdown(false, true);
        gate.open();
        drop(pool);
        assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    });
}
