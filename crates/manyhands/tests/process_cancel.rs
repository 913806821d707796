//! Tasks that are to end before they are done: cancelled, or out of time.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::processes::{
    Directory, Gate, add, as_pid, eventually, hold, is_alive, is_stopped, keep_busy, on_both, pid,
    sleep,
};
use common::watched;
use manyhands::process::{ProcessPoolBuilder, TaskOptions, Transport, stop_requested};
use manyhands::{Exception, Executor, Future, FutureError, ProcessPoolExecutor};
use rustix::process::{Signal, getpid, kill_process};

/// Ends when it is asked to.
fn obey(gate: Gate) {
    gate.arrive();
    while !stop_requested() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Stopped, a process dies of SIGKILL alone.
fn stop_myself(gate: Gate) {
    gate.arrive();
    kill_process(getpid(), Signal::STOP).unwrap();
    // Another thread may be the first to stop.
    sleep(600_000);
}

fn is_asked() -> bool {
    stop_requested()
}

manyhands::test_worker![add, hold, is_asked, obey, pid, sleep, stop_myself];

fn builder(transport: Transport) -> ProcessPoolBuilder {
    init_worker();
    ProcessPoolExecutor::builder().transport(transport).grace(Duration::from_millis(100))
}

const LONG_GRACE: Duration = Duration::from_mins(10);

fn assert_cancelled<T: Clone + Send + std::fmt::Debug>(future: &Future<T>) {
    assert!(matches!(future.result(None), Err(FutureError::Cancelled)), "{future:?}");
}

fn assert_timed_out<T: Send>(future: &Future<T>, timeout: Duration) {
    match future.exception(None).unwrap() {
        Some(Exception::TimedOut(overrun)) => {
            assert_eq!(overrun.timeout, timeout);
            assert!(overrun.ran >= timeout, "{overrun}");
            assert!(overrun.task.submitted.file().ends_with("process_cancel.rs"), "{overrun}");
        }
        other => panic!("not timed out: {other:?}"),
    }
}

fn begun<T: Send>(submit: impl FnOnce() -> Future<T>, gate: &Gate) -> Future<T> {
    let future = submit();
    eventually("a task begins", || gate.arrivals() == 1);
    future
}

#[test]
fn a_task_that_obeys_keeps_its_worker() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let pool = builder(transport).max_workers(1).grace(LONG_GRACE).build().unwrap();
        let worker = pool.submit(pid, ()).unwrap().result(None).unwrap();
        for (name, cancels) in [("cancelled", true), ("late", false), ("again", true)] {
            let gate = directory.gate(name);
            if cancels {
                let future = begun(|| pool.submit(obey, (gate.clone(),)).unwrap(), &gate);
                let behind: Vec<_> = (0..5).map(|_| pool.submit(pid, ()).unwrap()).collect();
                assert!(!future.cancel() && future.cancel_running() && future.cancelled());
                assert_cancelled(&future);
                assert!(behind.into_iter().all(|task| task.result(None).unwrap() == worker));
            } else {
                // Long enough for it to begin, on a busy machine too.
                let timeout = Duration::from_millis(500);
                let hasty = pool.with(TaskOptions::new().timeout(timeout));
                assert_timed_out(&hasty.submit(obey, (gate,)).unwrap(), timeout);
            }
            assert_eq!(pool.submit(pid, ()).unwrap().result(None).unwrap(), worker);
            assert!(!pool.submit(is_asked, ()).unwrap().result(None).unwrap());
        }
        assert_eq!((pool.stats().restarted, pool.stats().crashed), (0, 0));
    });
}

#[test]
fn a_task_that_does_not_obey_costs_its_worker() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let pool = builder(transport).max_workers(1).build().unwrap();
        for (name, cancels) in [("cancelled", true), ("late", false)] {
            let gate = directory.gate(name);
            let before = pool.submit(pid, ()).unwrap().result(None).unwrap();
            let timeout = Duration::from_millis(if cancels { 600_000 } else { 20 });
            let slow = pool.with(TaskOptions::new().timeout(timeout)).submit(hold, (gate.clone(),));
            let slow = slow.unwrap();
            let behind: Vec<_> = (0..10).map(|_| pool.submit(pid, ()).unwrap()).collect();
            if cancels {
                eventually("it runs", || gate.arrivals() == 1);
                assert!(slow.cancel_running());
                assert_cancelled(&slow);
            } else {
                assert_timed_out(&slow, timeout);
            }
            for task in behind {
                assert_ne!(task.result(None).unwrap(), before);
            }
            assert!(!is_alive(before));
        }
        let stats = pool.stats();
        assert_eq!((stats.restarted, stats.crashed), (2, 0), "{stats:?}");
    });
}

#[test]
fn a_worker_that_no_signal_but_the_last_reaches_is_killed() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), builder(transport).max_workers(2));
        let pool = pool.build().unwrap();
        let neighbour_gate = directory.gate("neighbour");
        let neighbour = keep_busy(&pool, &neighbour_gate);
        for (name, cancels) in [("cancelled", true), ("late", false)] {
            let worker = pool.submit(pid, ()).unwrap().result(None).unwrap();
            let gate = directory.gate(name);
            let timeout = Duration::from_millis(if cancels { 600_000 } else { 20 });
            let hasty = pool.with(TaskOptions::new().timeout(timeout));
            let stuck = begun(|| hasty.submit(stop_myself, (gate.clone(),)).unwrap(), &gate);
            let behind: Vec<_> = (0..10).map(|n| pool.submit(add, (n, 1)).unwrap()).collect();
            if cancels {
                assert!(stuck.cancel_running());
                assert_cancelled(&stuck);
            } else {
                assert_timed_out(&stuck, timeout);
            }
            for (n, task) in (1..).zip(behind) {
                assert_eq!(task.result(None).unwrap(), n);
            }
            eventually("a stopped worker is killed", || !is_alive(worker));
        }
        assert!(!neighbour.done());
        neighbour_gate.open();
        neighbour.result(None).unwrap();
    });
}

#[test]
fn what_lies_behind_a_task_that_is_stopped_runs_elsewhere_at_once() {
    let _watch = watched();
    on_both(|transport| {
        // The stopped task's worker is never signalled in the time of this test.
        let directory = Directory::new();
        let pool = builder(transport).max_workers(2).grace(LONG_GRACE).build().unwrap();
        let gates = ["one", "two"].map(|name| directory.gate(name));
        let held = gates.clone().map(|gate| keep_busy(&pool, &gate));
        let behind: Vec<_> = (0..10).map(|n| pool.submit(add, (n, n)).unwrap()).collect();
        assert!(held[0].cancel_running());
        gates[1].open();
        for (n, task) in (0..).zip(behind) {
            assert_eq!(task.result(None).unwrap(), 2 * n);
        }
        gates[0].open();
    });
}

#[test]
fn a_queued_task_is_cancelled_without_a_trace() {
    let _watch = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let pool = builder(transport).max_workers(1).build().unwrap();
        let gate = directory.gate("busy");
        let busy = keep_busy(&pool, &gate);
        let queued: Vec<_> = (0..100).map(|n| (n, pool.submit(add, (n, n)).unwrap())).collect();
        let (ended, ends) = mpsc::channel();
        for (n, future) in &queued {
            let (n, ended) = (*n, ended.clone());
            future.add_done_callback(move |future| ended.send((n, future.cancelled())).unwrap());
        }
        for (n, future) in &queued {
            if n % 3 > 0 {
                let cancelled = if n % 3 == 1 { future.cancel() } else { future.cancel_running() };
                // One or two lie in the worker's lane: begun, as far as the parent knows.
                assert!(cancelled || future.running());
            }
        }
        gate.open();
        let worker = busy.result(None).unwrap();
        drop(ended);
        let ends: Vec<_> = (0..100).map(|_| ends.recv().unwrap()).collect();
        assert_eq!(ends.iter().filter(|(_, cancelled)| !cancelled).count() / 30, 1);
        for (n, future) in queued {
            if future.cancelled() {
                assert_cancelled(&future);
            } else {
                assert_eq!(future.result(None).unwrap(), 2 * n);
            }
        }
        assert_eq!(pool.submit(pid, ()).unwrap().result(None).unwrap(), worker);
    });
}

#[test]
fn the_clock_of_a_task_starts_with_its_run() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(1).build().unwrap();
        let timeout = Duration::from_millis(400);
        let hasty = pool.with(TaskOptions::new().timeout(timeout));
        let directory = Directory::new();
        let gate = directory.gate("busy");
        let busy = keep_busy(&pool, &gate);
        let waits: Vec<_> = (0..5).map(|_| hasty.submit(sleep, (1,)).unwrap()).collect();
        // Longer than they may run.
        std::thread::sleep(2 * timeout);
        gate.open();
        assert!(busy.result(None).is_ok());
        for wait in waits {
            assert_eq!(wait.result(None).unwrap(), 1);
        }
    });
}

#[test]
fn a_stopped_worker_is_found_by_the_timeout_of_its_task() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(1).build().unwrap();
        let worker = pool.submit(pid, ()).unwrap().result(None).unwrap();
        kill_process(as_pid(worker), Signal::STOP).unwrap();
        eventually("a worker stops", || is_stopped(worker));
        // It never begins its task, which does no harm: another worker gets it.
        let hasty = pool.with(TaskOptions::new().timeout(Duration::from_millis(50)));
        let future = hasty.submit(pid, ()).unwrap();
        match future.result(None) {
            Ok(other) => assert_ne!(other, worker),
            Err(FutureError::Exception(Exception::TimedOut(_))) => (),
            Err(other) => panic!("{other}"),
        }
        assert_ne!(pool.submit(pid, ()).unwrap().result(None).unwrap(), worker);
    });
}

#[test]
fn without_grace_the_last_signal_comes_at_once() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(2).grace(Duration::ZERO).build().unwrap();
        for turn in 0..20 {
            let slow = pool.submit(sleep, (600_000,)).unwrap();
            let behind: Vec<_> = (0..10).map(|n| pool.submit(add, (n, turn)).unwrap()).collect();
            assert!(slow.cancel_running());
            for (n, task) in (0..).zip(behind) {
                assert_eq!(task.result(None).unwrap(), n + turn);
            }
            let hasty = pool.with(TaskOptions::new().timeout(Duration::ZERO));
            assert_timed_out(&hasty.submit(sleep, (600_000,)).unwrap(), Duration::ZERO);
        }
        assert_eq!(pool.stats().crashed, 0);
    });
}

#[test]
fn times_that_no_clock_can_express_are_for_ever() {
    let _watch = watched();
    on_both(|transport| {
        let pool = builder(transport).max_workers(1).grace(Duration::MAX).build().unwrap();
        let patient = pool.with(TaskOptions::new().timeout(Duration::MAX));
        assert_eq!(patient.submit(add, (1, 1)).unwrap().result(Duration::MAX).unwrap(), 2);
        assert!(pool.shutdown_timeout(Duration::MAX, false));
    });
}
