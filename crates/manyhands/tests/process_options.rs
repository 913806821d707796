//! The options of a pool of processes, each by what it does.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use common::processes::{
    Directory, Gate, add, children_of, eventually, hold, is_alive, keep_busy, on_both, pid,
};
use common::watched;
use manyhands::process::{Output, ProcessPoolBuilder, Transport};
use manyhands::{ConfigError, Executor, ProcessPoolExecutor, Reason};
use serde::{Serialize, Serializer};

fn variable(name: String) -> Option<String> {
    std::env::var(name).ok()
}

fn directory() -> PathBuf {
    std::env::current_dir().unwrap()
}

fn standard_streams() -> Vec<PathBuf> {
    (0..3).map(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap()).collect()
}

/// Writes more than a pipe that nobody reads could take.
fn chatter(lines: u32) -> u32 {
    for line in 0..lines {
        println!("line {line} {}", "x".repeat(100));
        eprintln!("line {line} {}", "x".repeat(100));
    }
    lines
}

/// A task may have a pool of its own.
fn pool_of_my_own(n: u64) -> (u32, u64) {
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let there = pool.submit(pid, ()).unwrap().result(None).unwrap();
    (there, pool.submit(add, (n, 1)).unwrap().result(None).unwrap())
}

fn undeclared(n: u64) -> u64 {
    n
}

fn unused(_: ()) {}

fn refuse(_: Unwritable) {}

#[derive(Clone, Debug, serde::Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

manyhands::test_worker![
    add,
    chatter,
    directory,
    hold,
    pid,
    pool_of_my_own,
    refuse,
    standard_streams,
    variable
];

fn builder(transport: Transport) -> ProcessPoolBuilder {
    init_worker();
    ProcessPoolExecutor::builder().transport(transport)
}

#[test]
fn workers_start_on_demand_and_never_more_than_allowed() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let pool = builder(transport).max_workers(3).build().unwrap();
        assert_eq!((pool.stats().workers, pool.worker_pids().len(), pool.max_workers()), (0, 0, 3));
        for _ in 0..50 {
            pool.submit(add, (1, 1)).unwrap().result(None).unwrap();
        }
        assert_eq!(pool.stats().workers, 1, "one at a time needs one worker");
        let gates: Vec<_> = (0..3).map(|n| directory.gate(&format!("gate{n}"))).collect();
        let held: Vec<_> = gates.iter().map(|gate| keep_busy(&pool, gate)).collect();
        let more: Vec<_> = (0..100).map(|_| pool.submit(pid, ()).unwrap()).collect();
        let stats = pool.stats();
        assert_eq!((stats.workers, stats.running, stats.pending), (3, 3, 100), "{stats:?}");
        gates.iter().for_each(Gate::open);
        let pids: HashSet<_> = held.iter().chain(&more).map(|f| f.result(None).unwrap()).collect();
        assert_eq!(pids, pool.worker_pids().into_iter().collect());
        eventually("all are idle", || pool.stats().idle == 3);
        let stats = pool.stats();
        assert_eq!((stats.workers, stats.completed, stats.restarted), (3, 153, 0), "{stats:?}");
    });
}

#[test]
fn a_worker_for_each_task() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(4).max_tasks_per_child(1).build().unwrap();
        let futures: Vec<_> = (0..150).map(|_| pool.submit(pid, ()).unwrap()).collect();
        let pids: HashSet<_> = futures.iter().map(|f| f.result(None).unwrap()).collect();
        assert_eq!(pids.len(), 150);
        pool.shutdown(true, false);
        assert_eq!(pool.stats().crashed, 0);
        assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    });
}

#[test]
fn a_worker_for_each_so_many_tasks() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(2).max_tasks_per_child(7).build().unwrap();
        let futures: Vec<_> = (0..300).map(|_| pool.submit(pid, ()).unwrap()).collect();
        let mut counts = std::collections::HashMap::new();
        for future in futures {
            *counts.entry(future.result(None).unwrap()).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| *count <= 7), "{counts:?}");
        assert!(counts.len() >= 300 / 7, "{counts:?}");
        assert_eq!(pool.stats().crashed, 0);
    });
}

#[test]
fn the_environment_and_the_directory_are_the_workers_own() {
    let _watch = watched();
    on_both(|transport| {
        let there = Directory::new();
        let pool = builder(transport).max_workers(1).env("MANYHANDS_TEST_A", "one");
        let pool = pool.env("MANYHANDS_TEST_B", "two").env_remove("MANYHANDS_TEST_B");
        let pool = pool.env_remove("PATH").current_dir(there.path()).build().unwrap();
        let get =
            |name: &str| pool.submit(variable, (name.to_owned(),)).unwrap().result(None).unwrap();
        assert_eq!(get("MANYHANDS_TEST_A").as_deref(), Some("one"));
        assert_eq!((get("MANYHANDS_TEST_B"), get("PATH")), (None, None));
        let directory = pool.submit(directory, ()).unwrap().result(None).unwrap();
        assert_eq!(directory.canonicalize().unwrap(), there.path().canonicalize().unwrap());
        assert!(std::env::var_os("PATH").is_some());
    });
}

#[test]
fn a_directory_that_is_not_there_breaks_the_pool_and_hangs_nobody() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).current_dir("/no/such/place").build().unwrap();
        let future = pool.submit(add, (1, 1)).unwrap();
        let exception = future.exception(None).unwrap().unwrap();
        assert!(exception.to_string().contains("No such file"), "{exception}");
        assert!(matches!(pool.submit(add, (1, 1)).unwrap_err().reason, Reason::Broken(_)));
    });
}

#[test]
fn output_goes_where_it_is_sent() {
    let _watch = watched();
    on_both(|transport| {
        let streams = |output| {
            let builder = builder(transport).max_workers(1).stdout(output).stderr(output);
            let pool = builder.build().unwrap();
            if output == Output::Null {
                // Much of it, which nobody reads.
                assert_eq!(pool.submit(chatter, (2000,)).unwrap().result(None).unwrap(), 2000);
            }
            pool.submit(standard_streams, ()).unwrap().result(None).unwrap()
        };
        let null = PathBuf::from("/dev/null");
        assert_eq!(streams(Output::Null), [null.clone(), null.clone(), null]);
        assert_eq!(streams(Output::Inherit)[1..], standard_streams()[1..]);
    });
}

#[test]
fn options_that_cannot_be_are_refused() {
    let _watch = watched();
    let builder = || builder(Transport::Automatic);
    assert_eq!(builder().max_workers(0).build().unwrap_err(), ConfigError::NoWorkers);
    let error = builder().max_tasks_per_child(0).build().unwrap_err();
    assert_eq!(error, ConfigError::NoTasksPerChild);
    let error = builder().initializer(unused, ((),)).build().unwrap_err();
    let ConfigError::InitializerNotDeclared { function } = error else { panic!("{error}") };
    assert!(function.ends_with("unused"), "{function}");
    let error = builder().initializer(refuse, (Unwritable,)).build().unwrap_err();
    let ConfigError::InitializerArguments { function } = error else { panic!("{error}") };
    assert!(function.ends_with("refuse"), "{function}");
}

#[test]
fn what_is_not_declared_is_refused_and_given_back() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(1).build().unwrap();
        let refused = pool.submit(undeclared, (5,)).unwrap_err();
        let Reason::NotDeclared { function } = refused.reason else { panic!("{refused}") };
        assert!(function.ends_with("undeclared"), "{function}");
        assert_eq!((refused.task.0)(refused.task.1.0), 5);
        let mut map = pool.map(|n: u64| n, [1, 2]);
        assert!(map.next().unwrap().unwrap_err().to_string().contains("tasks!"));
        assert!(pool.try_spawn(|| Err::<(), _>(5)).is_err());
        assert_eq!(pool.stats().workers, 0);
    });
}

#[test]
fn a_task_may_have_a_pool_of_its_own() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(2).build().unwrap();
        let nested: Vec<_> = (0..6).map(|n| pool.submit(pool_of_my_own, (n,)).unwrap()).collect();
        for (n, future) in (1..).zip(nested) {
            let (there, sum) = future.result(None).unwrap();
            assert_eq!(sum, n);
            assert!(!is_alive(there) && !pool.worker_pids().contains(&there));
        }
    });
}

#[test]
fn many_pools_at_once() {
    let _watch = watched();
    on_both(|transport| {
        let pools: Vec<_> =
            (0..8).map(|_| builder(transport).max_workers(1).build().unwrap()).collect();
        let futures: Vec<_> = (0..400_u64)
            .map(|n| pools[usize::try_from(n % 8).unwrap()].submit(add, (n, 1)).unwrap())
            .collect();
        for (n, future) in (1..).zip(futures) {
            assert_eq!(future.result(Duration::from_secs(50)).unwrap(), n);
        }
        let pids: Vec<_> = pools.iter().flat_map(ProcessPoolExecutor::worker_pids).collect();
        let children = children_of(std::process::id());
        assert!(pids.len() == 8 && pids.iter().all(|pid| children.contains(pid)));
        drop(pools);
        assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    });
}
