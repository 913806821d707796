//! Tasks that are submitted while all workers are busy, and left for the manager.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::processes::{add, eventually, on_both};
use common::watched;
use manyhands::process::Transport;
use manyhands::{Executor, ProcessPoolExecutor, Reason};

/// How many calls there were before this one, in this worker.
fn calls() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed)
}

manyhands::test_worker![add, calls];

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
