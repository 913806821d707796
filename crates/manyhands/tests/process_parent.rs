//! The end of the program that has the pool: by Ctrl-C, by SIGKILL, by its own exit. No worker
//! outlives it, and nothing is left behind. Also what a signal that it ignores means to its workers.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use std::os::unix::process::CommandExt;

use common::processes::{
    Directory, Gate, alone, as_pid, crash, die, eventually, hold, is_alive, is_alone, keep_busy,
    on_both, pid, sleep,
};
use common::{processes::Death, watched};
use manyhands::process::{TaskOptions, Transport};
use manyhands::{Executor, Exit, FutureError, ProcessPoolExecutor};
use rustix::process::{Signal, kill_process, kill_process_group};

fn ignores_term() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & (1 << (15 - 1)) > 0
}

manyhands::test_worker![die, hold, ignores_term, pid, sleep];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(workers).transport(transport);
    builder.grace(Duration::from_millis(100)).build().unwrap()
}

/// What the program that is ended does: three busy workers, one idle, and one that is stopped. Says
/// their numbers.
#[test]
fn a_program_with_workers() {
    if !is_alone() {
        return;
    }
    let transport = match std::env::var("MANYHANDS_TEST_TRANSPORT").as_deref() {
        Ok("socket") => Transport::Socket,
        _ => Transport::Automatic,
    };
    let directory = std::env::var("MANYHANDS_TEST_DIRECTORY").unwrap();
    let pool = pool(5, transport);
    let gate = |n: usize| Gate::at(Path::new(&directory).join(format!("gate{n}")));
    let held: Vec<_> = (0..4).map(|n| keep_busy(&pool, &gate(n))).collect();
    let idle = pool.submit(pid, ()).unwrap().result(None).unwrap();
    let pids = pool.worker_pids();
    assert!(pids.len() == 5 && pids.contains(&idle));
    let stopped = pids.iter().find(|pid| **pid != idle).unwrap();
    kill_process(as_pid(*stopped), Signal::STOP).unwrap();
    println!("\nWORKERS {}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
    match std::env::var("MANYHANDS_TEST_END").as_deref() {
        Ok("exit") => std::process::exit(7),
        Ok("abort") => std::process::abort(),
        _ => held.iter().for_each(|held| drop(held.result(None))),
    }
}

/// Starts that program in a process group of its own; its workers' numbers.
fn start(directory: &Directory, transport: Transport, end: &str) -> (Child, Vec<u32>) {
    let mut command: Command = alone("a_program_with_workers", r#"exec "$@""#);
    command.env("MANYHANDS_TEST_DIRECTORY", directory.path()).env("MANYHANDS_TEST_END", end);
    let transport = if transport == Transport::Socket { "socket" } else { "automatic" };
    command.env("MANYHANDS_TEST_TRANSPORT", transport).process_group(0);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pids = lines.map_while(Result::ok).find_map(|line| {
        let pids = line.strip_prefix("WORKERS ")?.split(' ');
        Some(pids.map(|pid| pid.parse().unwrap()).collect())
    });
    (child, pids.expect("the program says who its workers are"))
}

#[test]
fn no_worker_outlives_its_program() {
    if is_alone() {
        return;
    }
    let _watch = watched();
    on_both(|transport| {
        for end in ["SIGINT", "SIGTERM", "SIGKILL", "exit", "abort"] {
            let directory = Directory::new();
            let shared = || std::fs::read_dir("/dev/shm").map_or(0, Iterator::count);
            let before = shared();
            let (mut child, workers) = start(&directory, transport, end);
            assert_eq!(shared(), before, "shared memory has no name");
            let program = as_pid(child.id());
            match end {
                "SIGINT" => kill_process_group(program, Signal::INT).unwrap(),
                "SIGTERM" => kill_process_group(program, Signal::TERM).unwrap(),
                "SIGKILL" => kill_process(program, Signal::KILL).unwrap(),
                _ => (),
            }
            child.wait().unwrap();
            for worker in workers {
                eventually(&format!("worker {worker} leaves after {end}"), || !is_alive(worker));
            }
            assert_eq!(shared(), before);
        }
    });
}

/// A Ctrl-C at a terminal reaches the program's group alone: workers go on, if the program does.
#[test]
fn a_program_that_ignores_ctrl_c_keeps_its_workers() {
    let name = "a_program_that_ignores_ctrl_c_keeps_its_workers";
    let _watch = watched();
    if !is_alone() {
        let mut command = alone(name, r#"trap "" INT; exec "$@""#);
        assert!(command.process_group(0).status().unwrap().success());
        return;
    }
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(1, transport));
        let gate = directory.gate("busy");
        let busy = keep_busy(&pool, &gate);
        kill_process_group(as_pid(std::process::id()), Signal::INT).unwrap();
        gate.open();
        assert_eq!(vec![busy.result(None).unwrap()], pool.worker_pids());
    });
}

/// Workers inherit it if the program ignores SIGTERM: then the last signal has to do it.
#[test]
fn a_worker_that_ignores_the_signal_to_end_is_killed() {
    let name = "a_worker_that_ignores_the_signal_to_end_is_killed";
    let _watch = watched();
    if !is_alone() {
        assert!(alone(name, r#"trap "" TERM; exec "$@""#).status().unwrap().success());
        return;
    }
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(2, transport));
        assert!(pool.submit(ignores_term, ()).unwrap().result(None).unwrap());
        let gate = directory.gate("stubborn");
        let stubborn = keep_busy(&pool, &gate);
        assert!(stubborn.cancel_running());
        assert!(matches!(stubborn.result(None), Err(FutureError::Cancelled)));
        eventually("its worker is replaced when there is work", || {
            pool.submit(pid, ()).unwrap().result(None).unwrap();
            gate.arrivals() == 1 && pool.worker_pids().len() <= 2
        });
        let hasty = pool.with(TaskOptions::new().timeout(Duration::from_millis(20)));
        assert!(hasty.submit(sleep, (600_000,)).unwrap().result(None).is_err());
        // One that is terminated leaves as well, in the end.
        let other = directory.gate("other");
        let _held = keep_busy(&pool, &other);
        let pids = pool.worker_pids();
        pool.terminate_workers();
        pool.kill_workers();
        pool.shutdown(true, false);
        assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    });
}

#[test]
fn a_pool_works_on_after_its_first_thread_has_ended() {
    let _watch = watched();
    on_both(|transport| {
        // Workers die with the thread that has started them: that must not be the caller's.
        let pool = std::thread::spawn(move || {
            let pool = pool(1, transport);
            pool.submit(pid, ()).unwrap().result(None).unwrap();
            pool
        });
        let pool = pool.join().unwrap();
        let before = pool.worker_pids();
        assert_eq!(vec![pool.submit(pid, ()).unwrap().result(None).unwrap()], before);
        let crash = crash(&pool.submit(die, (Death::Exit(4),)).unwrap());
        assert_eq!(crash.exit, Exit::Code(4));
    });
}
