//! No task waits behind one that runs long while workers take up tasks that came later.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::time::Duration;

use common::processes::{Directory, Gate, hold, keep_busy, on_both, sleep};
use common::watched;
use manyhands::{Executor, Future, ProcessPoolExecutor};

fn open(gate: Gate) {
    gate.open();
}

manyhands::test_worker![hold, open, sleep];

#[test]
fn a_task_that_the_first_waits_for_is_run_by_the_second_worker() {
    let _watch = watched();
    on_both(|transport| {
        init_worker();
        let builder = ProcessPoolExecutor::builder().max_workers(2).transport(transport);
        let (directory, pool) = (Directory::new(), builder.build().unwrap());
        the_second_worker_runs_what_the_first_waits_for(&pool, &directory.gate("first"), 5);
    });
}

#[test]
fn the_second_worker_begins_with_the_oldest_of_what_lies_ahead_of_the_first() {
    let _watch = watched();
    on_both(|transport| {
        init_worker();
        for behind in [5, 1_000] {
            let builder = ProcessPoolExecutor::builder().max_workers(2).transport(transport);
            // When it is there, the first has been at its task for long.
            let builder = builder.initializer(sleep, (100,));
            let (directory, pool) = (Directory::new(), builder.build().unwrap());
            for _ in 0..100 {
                pool.submit(sleep, (0,)).unwrap().result(None).unwrap();
            }
            assert_eq!(pool.stats().workers, 1, "the second comes when there is need of it");
            let gate = directory.gate("first");
            the_second_worker_runs_what_the_first_waits_for(&pool, &gate, behind);
        }
    });
}

/// The second worker comes for the task that opens the gate, and must not take up those behind it.
fn the_second_worker_runs_what_the_first_waits_for(
    pool: &ProcessPoolExecutor,
    gate: &Gate,
    behind: usize,
) {
    let first = keep_busy(pool, gate);
    let opens = pool.submit(open, (gate.clone(),)).unwrap();
    let others: Vec<_> = (0..behind).map(|_| pool.submit(hold, (gate.clone(),)).unwrap()).collect();
    let in_time = opens.result(Duration::from_secs(20)).is_ok();
    gate.open();
    assert!(in_time, "it was not run, while those behind it are");
    first.result(None).unwrap();
    for other in others {
        other.result(None).unwrap();
    }
}

#[test]
fn a_task_behind_a_long_one_does_not_wait_for_the_queue_to_be_empty() {
    let _watch = watched();
    on_both(|transport| {
        init_worker();
        let builder = ProcessPoolExecutor::builder().max_workers(2).transport(transport);
        let (directory, pool) = (Directory::new(), builder.build().unwrap());
        let gates = ["both", "long", "short", "early"].map(|name| directory.gate(name));
        let [both, long, short, early] = &gates;
        let held = [keep_busy(&pool, both), keep_busy(&pool, both)];
        both.open();
        for held in held {
            held.result(None).unwrap();
        }
        // Both have run so many short tasks that some go ahead.
        let quick: Vec<_> = (0..1_000).map(|_| pool.submit(sleep, (0,)).unwrap()).collect();
        for quick in quick {
            quick.result(None).unwrap();
        }
        let held = [keep_busy(&pool, long), keep_busy(&pool, short)];
        // One of these lies behind the long one, the other behind the short one.
        let behind = [0, 1].map(|_| pool.submit(open, (early.clone(),)).unwrap());
        // A stream of tasks that never ends, as far as the pool can see.
        let mut later = 0;
        short.open();
        while !behind.iter().all(Future::done) && later < 5_000 {
            if pool.stats().pending < 1000 {
                later += (0..500).filter(|_| pool.submit(sleep, (1,)).is_ok()).count();
            }
        }
        gates.iter().for_each(Gate::open);
        assert!(later < 5_000, "so many tasks that came later were run before one of {behind:?}");
        for held in held {
            held.result(None).unwrap();
        }
    });
}
