//! Workers that die: whatever way they do, the task that ran is lost and nothing else.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::fs;
use std::time::Duration;

use common::processes::{
    Death, Directory, add, as_pid, crash, die, eventually, hold, is_alive, keep_busy, limit_memory,
    on_both, pid, sleep,
};
use common::watched;
use manyhands::process::{OnCrash, Output, TaskOptions, Transport};
use manyhands::{
    BrokenExecutor, Exception, Executor, Exit, FutureError, ProcessPoolExecutor, Reason,
};
use rustix::process::{Signal, kill_process};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A variable of the workers of these tests: a value that kills must not kill the test.
const WORKER: &str = "MANYHANDS_TEST_IS_WORKER";

/// A value that is deadly to a worker that reads it, or that writes it.
#[derive(Clone, Debug, PartialEq)]
struct Deadly {
    when_read: bool,
}

impl Serialize for Deadly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.when_read && std::env::var_os(WORKER).is_some() {
            die(Death::Exit(5));
        }
        self.when_read.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Deadly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let when_read = bool::deserialize(deserializer)?;
        if when_read && std::env::var_os(WORKER).is_some() {
            die(Death::Exit(4));
        }
        Ok(Self { when_read })
    }
}

fn take(value: Deadly) -> bool {
    value.when_read
}

fn make(when_read: bool) -> Deadly {
    Deadly { when_read }
}

/// Dies while its answer is on the way, sooner or later.
fn answer_and_die(bytes: u64, micros: u64) -> Vec<u8> {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_micros(micros));
        die(Death::Kill)
    });
    vec![7; usize::try_from(bytes).unwrap()]
}

/// Dies unless it has been here before.
fn die_once(mark: std::path::PathBuf) -> u32 {
    if !mark.exists() {
        fs::write(&mark, "").unwrap();
        die(Death::Abort);
    }
    pid()
}

/// Counts its runs by a file for each.
fn poison(directory: std::path::PathBuf) -> u64 {
    fs::write(directory.join(pid().to_string()), "").unwrap();
    die(Death::Exit(1))
}

manyhands::test_worker![
    add,
    answer_and_die,
    die,
    die_once,
    hold,
    limit_memory,
    make,
    pid,
    poison,
    sleep,
    take
];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(workers).transport(transport);
    // Those that die have much to say.
    let builder = builder.stderr(Output::Null);
    builder.env(WORKER, "yes").initializer(limit_memory, (4_u64 << 30,)).build().unwrap()
}

#[test]
fn a_task_that_ends_its_worker_is_lost_and_nothing_else() {
    let _watch = watched();
    let ways = [
        (Death::Exit(0), &[Exit::Code(0)][..]),
        (Death::Exit(3), &[Exit::Code(3)]),
        (Death::Abort, &[Exit::Signal(6)]),
        (Death::Segv, &[Exit::Signal(11)]),
        (Death::Kill, &[Exit::Signal(9)]),
        (Death::StackOverflow, &[Exit::Signal(6), Exit::Signal(11)]),
        (Death::OutOfMemory, &[Exit::Signal(6)]),
    ];
    on_both(|transport| {
        let directory = Directory::new();
        let pool = pool(2, transport);
        let gate = directory.gate("neighbour");
        let neighbour = keep_busy(&pool, &gate);
        for (count, (death, exits)) in (1..).zip(ways) {
            let victim = pool.submit(pid, ()).unwrap().result(None).unwrap();
            let (dies, line) = (pool.submit(die, (death,)).unwrap(), line!());
            let behind: Vec<_> = (0..50).map(|n| pool.submit(add, (n, 1)).unwrap()).collect();
            let crash = crash(&dies);
            assert!(exits.contains(&crash.exit), "{crash}");
            assert!(crash.task.function.ends_with("processes::die"), "{crash}");
            assert_eq!(crash.task.arguments, format!("({death:?},)"));
            assert!(crash.task.submitted.file().ends_with("process_deaths.rs"), "{crash}");
            assert_eq!((crash.task.submitted.line(), crash.attempts), (line, 1));
            assert_eq!((crash.pid, crash.worker), (victim, 1));
            assert!(crash.ran > Duration::ZERO, "{crash}");
            for (n, future) in (1..).zip(behind) {
                assert_eq!(future.result(None).unwrap(), n);
            }
            assert!(!is_alive(victim));
            assert_eq!((pool.stats().crashed, neighbour.done()), (count, false));
        }
        gate.open();
        assert!(neighbour.result(None).is_ok());
        let stats = pool.stats();
        assert_eq!((stats.restarted, stats.workers), (ways.len() as u64, 2), "{stats:?}");
    });
}

#[test]
fn a_worker_that_is_killed_from_outside_loses_what_it_runs() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(2, transport));
        let gates = ["one", "two"].map(|name| directory.gate(name));
        let held = gates.clone().map(|gate| keep_busy(&pool, &gate));
        let behind: Vec<_> = (0..20).map(|n| pool.submit(add, (n, n)).unwrap()).collect();
        let pids = pool.worker_pids();
        kill_process(as_pid(pids[0]), Signal::KILL).unwrap();
        let crash = crash(&held[0]);
        assert_eq!((crash.exit, crash.pid, crash.worker), (Exit::Signal(9), pids[0], 0));
        assert!(crash.to_string().contains("SIGKILL"), "{crash}");
        for (n, future) in (0..).zip(behind) {
            assert_eq!(future.result(None).unwrap(), 2 * n);
        }
        assert!(!held[1].done());
        gates[1].open();
        assert_eq!(held[1].result(None).unwrap(), pids[1]);
    });
}

#[test]
fn an_idle_worker_that_is_killed_is_replaced_when_there_is_work() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        for _ in 0..5 {
            let before = pool.submit(pid, ()).unwrap().result(None).unwrap();
            kill_process(as_pid(before), Signal::KILL).unwrap();
            // It may go to the dying worker, which does not begin it.
            let after = pool.submit(pid, ()).unwrap().result(None).unwrap();
            assert_ne!(before, after);
        }
    });
}

#[test]
fn arguments_that_kill_their_reader_and_results_that_kill_their_writer() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(2, transport);
        let read = pool.submit(take, (Deadly { when_read: true },)).unwrap();
        let written = pool.submit(make, (false,)).unwrap();
        let (read, written) = (crash(&read), crash(&written));
        assert_eq!((read.exit, written.exit), (Exit::Code(4), Exit::Code(5)));
        assert_eq!((&*read.task.arguments, &*written.task.arguments), ("(true,)", "(false,)"));
        assert!(!pool.submit(take, (Deadly { when_read: false },)).unwrap().result(None).unwrap());
        // All values of a chunk go with their worker.
        let mut map = pool.map(make, [false, false]).chunksize(2);
        assert!(map.next().unwrap().is_err());
        assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
    });
}

#[test]
fn an_answer_that_is_cut_off_is_none() {
    let _watch = watched();
    on_both(|transport| {
        let (pool, length) = (pool(2, transport), 4 << 20);
        let mut whole = 0;
        for micros in (0..40).map(|n| n * 500) {
            let future = pool.submit(answer_and_die, (length, micros)).unwrap();
            match future.result(None) {
                Ok(bytes) => {
                    whole += 1;
                    assert!(bytes.len() == 4 << 20 && bytes.iter().all(|byte| *byte == 7));
                }
                Err(_) => assert_eq!(crash(&future).exit, Exit::Signal(9)),
            }
            assert_eq!(pool.submit(add, (1, 1)).unwrap().result(None).unwrap(), 2);
        }
        assert!(whole < 40, "none was cut off");
    });
}

#[test]
fn a_poison_task_costs_one_worker_for_each_attempt() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        init_worker();
        let builder = ProcessPoolExecutor::builder().max_workers(2).transport(transport);
        let pool = builder.retries(2).build().unwrap();
        for (retries, attempts) in [(None, 3), (Some(0), 1), (Some(4), 5)] {
            let options = retries.map_or(TaskOptions::new(), |n| TaskOptions::new().retries(n));
            let runs = directory.path().join(attempts.to_string());
            fs::create_dir(&runs).unwrap();
            let before = pool.stats().crashed;
            let poisoned = pool.with(options).submit(poison, (runs.clone(),)).unwrap();
            let others: Vec<_> = (0..50).map(|n| pool.submit(add, (n, 0)).unwrap()).collect();
            let crash = crash(&poisoned);
            assert_eq!((crash.attempts, crash.exit), (attempts, Exit::Code(1)));
            assert_eq!(fs::read_dir(runs).unwrap().count(), attempts as usize);
            assert_eq!(pool.stats().crashed - before, u64::from(attempts));
            for (n, future) in (0..).zip(others) {
                assert_eq!(future.result(None).unwrap(), n);
            }
        }
    });
}

#[test]
fn a_task_that_dies_once_is_run_again() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(1, transport));
        let before = pool.submit(pid, ()).unwrap().result(None).unwrap();
        let patient = pool.with(TaskOptions::new().retries(1));
        let task = patient.submit(die_once, (directory.path().join("here"),)).unwrap();
        assert_ne!(task.result(None).unwrap(), before);
        assert_eq!(pool.stats().crashed, 1);
    });
}

#[test]
fn a_pool_that_is_to_break_at_a_crash_fails_all_it_has() {
    let _watch = watched();
    on_both(|transport| {
        init_worker();
        let builder = ProcessPoolExecutor::builder().max_workers(2).transport(transport);
        let pool = builder.on_crash(OnCrash::Break).build().unwrap();
        let directory = Directory::new();
        let gate = directory.gate("closed");
        let running = keep_busy(&pool, &gate);
        pool.submit(pid, ()).unwrap().result(None).unwrap();
        let pids = pool.worker_pids();
        let dies = pool.submit(die, (Death::Exit(9),)).unwrap();
        let pending: Vec<_> = (0..100).map(|_| pool.submit(hold, (gate.clone(),))).collect();
        for future in [running].into_iter().chain(pending.into_iter().filter_map(Result::ok)) {
            assert_broken(future.exception(None).unwrap(), "exited with code 9");
        }
        assert_broken(dies.exception(None).unwrap(), "exited with code 9");
        let refused = pool.submit(add, (1, 1)).unwrap_err();
        let Reason::Broken(BrokenExecutor::ProcessPool(why)) = refused.reason else { panic!() };
        assert!(why.reason.contains("exited with code 9"), "{why}");
        assert_eq!(refused.task.1, (1, 1));
        pool.shutdown(true, false);
        assert!(pids.iter().all(|pid| !is_alive(*pid)));
        assert_eq!(pool.stats().workers, 0);
    });
}

#[track_caller]
fn assert_broken(exception: Option<Exception<std::convert::Infallible>>, why: &str) {
    match exception {
        Some(Exception::Broken(BrokenExecutor::ProcessPool(broken))) => {
            assert!(broken.reason.contains(why), "{broken}");
        }
        other => panic!("not broken: {other:?}"),
    }
}

#[test]
fn of_a_chunk_the_crash_shows_its_calls() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        let mut results = pool.map(die, [Death::Exit(1), Death::Exit(2)]).chunksize(2);
        match results.next().unwrap() {
            Err(FutureError::Exception(Exception::Crashed(crash))) => {
                assert_eq!(crash.exit, Exit::Code(1));
                assert_eq!(crash.task.arguments, "[2 calls, the first with (Exit(1),)]");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_dead_are_not_left_as_zombies() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(2, transport);
        let deaths: Vec<_> =
            (0..10).map(|n| pool.submit(die, (Death::Exit(n),)).unwrap()).collect();
        let pids: Vec<_> = deaths.iter().map(|future| crash(future).pid).collect();
        for pid in pids {
            eventually("a dead worker is waited for", || {
                !std::path::Path::new(&format!("/proc/{pid}")).exists()
            });
        }
    });
}
