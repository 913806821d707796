//! Tasks that are submitted while all workers are busy, and left for the manager.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::processes::{Directory, Gate, add, eventually, hold, on_both, signal};
use common::watched;
use manyhands::process::Transport;
use manyhands::{Exception, Executor, Future, ProcessPoolExecutor, Reason};
use rustix::process::Signal;
use serde::{Deserialize, Deserializer, Serialize};

/// How many calls there were before this one, in this worker.
fn calls() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed)
}

manyhands::test_worker![add, calls, hold, slow];

/// What takes as long to be read, in the process of the test, as that says.
#[derive(Clone, Serialize)]
struct Slow(u64);

static HOLDS_READERS: AtomicBool = AtomicBool::new(false);
static READERS: AtomicU64 = AtomicU64::new(0);

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READERS.fetch_add(1, Ordering::Relaxed);
        eventually("it may be read", || !HOLDS_READERS.load(Ordering::Relaxed));
        u64::deserialize(deserializer).map(Self)
    }
}

fn slow(number: u64) -> Slow {
    Slow(number)
}

fn pool(transport: Transport, workers: usize) -> ProcessPoolExecutor {
    init_worker();
    ProcessPoolExecutor::builder().max_workers(workers).transport(transport).build().unwrap()
}

/// Now and then the worker has done all of it, and the next is sent by who submits it.
#[test]
fn what_one_thread_submits_is_run_in_order_whichever_way_it_goes() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(transport, 1);
        let mut pending = Vec::new();
        for number in 0..20_000 {
            pending.push(pool.submit(calls, ()).unwrap());
            if number % 1_000 == 0 {
                thread::sleep(Duration::from_micros(number / 20));
            }
        }
        for (number, future) in (0..).zip(pending) {
            assert_eq!(future.result(None).unwrap(), number);
        }
    });
}

#[test]
fn who_looks_sees_what_was_left() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(transport, 2);
        for round in 1..=50 {
            let pending: Vec<_> = (0..200).map(|n| pool.submit(add, (n, n)).unwrap()).collect();
            let stats = pool.stats();
            let seen = stats.completed + (stats.pending + stats.running) as u64;
            assert_eq!(seen, round * 200, "{stats:?}");
            for future in pending {
                assert!(future.result(None).is_ok());
            }
        }
    });
}

/// By sockets, nobody else could.
#[test]
fn who_waits_receives_while_the_manager_of_a_backlog_reads_a_result() {
    let _watch = watched();
    let pool = pool(Transport::Automatic, 1);
    HOLDS_READERS.store(true, Ordering::Relaxed);
    let many = || (0..MANY).map(|n| pool.submit(add, (n, 1)).unwrap()).collect::<Vec<_>>();
    let (before, read_long, behind) = (many(), pool.submit(slow, (7,)).unwrap(), many());
    eventually("the manager reads it", || READERS.load(Ordering::Relaxed) > 0);
    // The next few hundred have been received with it, and are read behind it.
    for (n, future) in (0..).zip(before).chain((0..).zip(behind).skip(1_000)) {
        assert_eq!(future.result(Duration::from_secs(10)).unwrap(), n + 1);
    }
    HOLDS_READERS.store(false, Ordering::Relaxed);
    assert_eq!(read_long.result(None).unwrap().0, 7);
}

/// A shutdown that meets a crowd of submitters: what was accepted runs, what was not is told so.
#[test]
fn each_task_that_meets_a_shutdown_is_refused_or_runs() {
    let _watch = watched();
    on_both(|transport| {
        for cancels in [false, true] {
            let pool = Arc::new(pool(transport, 2));
            let submitted = thread::scope(|scope| {
                let submits = || {
                    let mut pending = Vec::new();
                    loop {
                        match pool.submit(add, (1, 2)) {
                            Ok(future) => pending.push(future),
                            Err(refused) => {
                                assert_eq!(
                                    refused.reason.to_string(),
                                    Reason::Shutdown.to_string()
                                );
                                return pending;
                            }
                        }
                    }
                };
                let crowd: Vec<_> = (0..3).map(|_| scope.spawn(submits)).collect();
                eventually("they work", || pool.stats().completed > 500);
                pool.shutdown(true, cancels);
                crowd.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
            });
            for future in submitted {
                assert!(future.done(), "a shutdown has waited for it");
                assert!(future.result(None).is_ok() || (cancels && future.cancelled()));
            }
        }
    });
}

/// A pool whose only worker has run many short tasks, is held up by a long one, and has as many behind it.
struct HeldUp {
    pool: ProcessPoolExecutor,
    before: Vec<Future<u64>>,
    long: Future<u32>,
    behind: Vec<Future<u64>>,
    /// Where the long one waits.
    gate: Gate,
    _directory: Directory,
}

/// More than a pool tells its supervisor of.
const MANY: u64 = 3_000;

fn held_up(transport: Transport) -> HeldUp {
    let pool = pool(transport, 1);
    let directory = Directory::new();
    let gate = directory.gate("long");
    let many = || (0..MANY).map(|_| pool.submit(calls, ()).unwrap()).collect();
    let (before, long, behind) = (many(), pool.submit(hold, (gate.clone(),)).unwrap(), many());
    eventually("the long one has begun", || gate.arrivals() > 0);
    // Until its manager sleeps.
    thread::sleep(Duration::from_millis(10));
    HeldUp { pool, before, long, behind, gate, _directory: directory }
}

#[test]
fn a_backlog_behind_a_long_task_runs_in_order_but_for_what_is_cancelled() {
    let _watch = watched();
    on_both(|transport| {
        let held = held_up(transport);
        // Those before them may lie ahead in the worker's lane.
        for number in [1_000, 1_500, 2_999] {
            assert!(held.behind[number].cancel(), "{number} has not begun");
        }
        held.gate.open();
        assert!(held.long.result(None).is_ok());
        let ran = held.behind.iter().filter(|future| !future.cancelled());
        for (number, future) in (0..).zip(held.before.iter().chain(ran)) {
            assert_eq!(future.result(None).unwrap(), number);
        }
        assert_eq!(held.behind.iter().filter(|future| future.cancelled()).count(), 3);
    });
}

#[test]
fn a_backlog_outlives_the_worker_that_it_waits_for() {
    let _watch = watched();
    on_both(|transport| {
        let held = held_up(transport);
        signal(held.pool.worker_pids()[0], Signal::KILL);
        assert!(matches!(held.long.exception(None), Ok(Some(Exception::Crashed(_)))));
        for (number, future) in (0..).zip(&held.behind) {
            assert_eq!(future.result(None).unwrap(), number, "another worker counts anew");
        }
    });
}

#[test]
fn a_backlog_ends_with_the_workers_of_its_pool() {
    let _watch = watched();
    on_both(|transport| {
        let held = held_up(transport);
        held.pool.kill_workers();
        for future in &held.behind {
            assert!(matches!(future.exception(None), Ok(Some(Exception::Broken(_)))));
        }
    });
}

#[test]
fn a_backlog_is_cancelled_with_its_pool() {
    let _watch = watched();
    on_both(|transport| {
        let held = held_up(transport);
        assert_eq!(held.pool.stats().pending as u64, MANY, "all of it is counted");
        held.pool.shutdown(false, true);
        held.gate.open();
        held.pool.shutdown(true, true);
        assert!(held.long.result(None).is_ok());
        assert!(held.before.iter().all(|future| future.result(None).is_ok()));
        assert!(held.behind.iter().all(Future::cancelled));
    });
}
