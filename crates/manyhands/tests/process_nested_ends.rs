//! How tasks in worker processes end that have submitted others to their own pool: cancelled, with their
//! pool, with their worker, or where too many wait.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::thread;
use std::time::Duration;

use common::processes::{
    Directory, Gate, add, eventually, executor, hold, keep_busy, on_both, signal, sleep,
};
use common::watched;
use manyhands::process::Transport;
use manyhands::{Exception, Executor, FutureError, ProcessPoolExecutor, Reason, ReturnWhen, wait};
use rustix::process::Signal;

/// Waits in such a way that nobody can run what it waits for in place.
fn held_by_other(gate: Gate) -> (u32, u32) {
    let inner = executor().submit(hold, (gate,)).unwrap();
    let done = wait([inner.clone()], None, ReturnWhen::FirstCompleted).done;
    assert_eq!(done.len(), 1);
    (std::process::id(), inner.result(None).unwrap())
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
    wait([next.clone()], None, ReturnWhen::FirstCompleted);
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
    held_by_other,
    hold,
    leaves_behind,
    sleep,
    submits_late,
    waits_for_ever,
    waits_for_some_time
];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    ProcessPoolExecutor::builder().max_workers(workers).transport(transport).build().unwrap()
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
