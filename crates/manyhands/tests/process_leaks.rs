//! What pools of processes leave behind: no descriptor, no thread, no process, no mapping; and what
//! an idle one costs: nothing.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::fs;
use std::time::Duration;

use common::processes::{Death, add, children_of, crash, die, eventually, on_both, pid, sleep};
use common::watched_for;
use manyhands::process::{Output, Transport};
use manyhands::{Executor, ProcessPoolExecutor};

fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

manyhands::test_worker![add, die, echo, pid, sleep];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(workers).transport(transport);
    builder.stderr(Output::Null).grace(Duration::from_millis(20)).build().unwrap()
}

/// What this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holds {
    descriptors: usize,
    threads: usize,
    children: usize,
    shared_mappings: usize,
}

impl Holds {
    fn now() -> Self {
        let count = |directory: &str| fs::read_dir(directory).unwrap().count();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        Self {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            children: children_of(std::process::id()).len(),
            shared_mappings: maps.lines().filter(|line| line.contains("memfd")).count(),
        }
    }

    /// Other tests of this file have run and are over, or have not begun: there is one at a time.
    fn come_back_to(before: Self) {
        eventually(&format!("it is as before: {before:?}"), || {
            let now = Self::now();
            now.descriptors <= before.descriptors
                && now.threads <= before.threads
                && now.children <= before.children
                && now.shared_mappings <= before.shared_mappings
        });
    }
}

/// Resident, in KiB.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// All in one test: what it counts belongs to the whole process.
#[test]
fn pools_leave_nothing_behind_and_cost_nothing_when_idle() {
    let _watch = watched_for(Duration::from_secs(110));
    on_both(|transport| {
        an_idle_pool_uses_no_cpu(transport);
        // What is made once and kept is made by now.
        work(transport);
        small(transport);
        let before = Holds::now();
        let pools = if transport == Transport::Socket { 100 } else { 1_000 };
        (0..pools / 10).for_each(|_| small(transport));
        let warm = memory();
        (0..pools).for_each(|_| small(transport));
        (0..20).for_each(|_| work(transport));
        (0..200).for_each(|_| drop(pool(3, transport)));
        Holds::come_back_to(before);
        let grown = memory().saturating_sub(warm);
        assert!(grown < 16 << 10, "{grown} KiB more after {pools} pools");
    });
}

fn small(transport: Transport) {
    let pool = pool(1, transport);
    assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
}

/// With everything that can go wrong.
fn work(transport: Transport) {
    let pool = pool(3, transport);
    let dies: Vec<_> = (0..3).map(|_| pool.submit(die, (Death::Kill,)).unwrap()).collect();
    let slow = pool.submit(sleep, (600_000,)).unwrap();
    let echoes: Vec<_> = (0..30).map(|n| pool.submit(echo, (vec![n; 100_000],)).unwrap()).collect();
    for (n, echo) in (0..).zip(echoes) {
        assert_eq!(echo.result(None).unwrap(), vec![n; 100_000]);
    }
    for dies in &dies {
        crash(dies);
    }
    assert!(slow.cancel_running());
}

fn an_idle_pool_uses_no_cpu(transport: Transport) {
    let pool = pool(3, transport);
    let futures: Vec<_> = (0..1000).map(|_| pool.submit(pid, ()).unwrap()).collect();
    for future in futures {
        future.result(None).unwrap();
    }
    let pids: Vec<_> = pool.worker_pids().into_iter().chain([std::process::id()]).collect();
    std::thread::sleep(Duration::from_millis(300));
    let before: Vec<_> = pids.iter().map(|pid| ticks(*pid)).collect();
    std::thread::sleep(Duration::from_secs(1));
    for (pid, before) in pids.iter().zip(before) {
        let used = ticks(*pid) - before;
        assert!(
            used <= 2,
            "process {pid} of {pids:?} has used {used} ticks in a second of nothing"
        );
    }
}

/// CPU time of all threads, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [11, 12].iter().map(|at: &usize| fields[*at].parse::<u64>().unwrap()).sum()
}
