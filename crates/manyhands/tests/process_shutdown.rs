//! The end of a pool of processes: shutdown in all its ways, workers ended by force, and the drop.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use common::processes::{
    Death, Directory, add, crash, die, eventually, hold, is_alive, is_stopped, keep_busy, on_both,
    pid, signal, sleep,
};
use common::watched;
use manyhands::process::{Output, Transport};
use manyhands::{
    BrokenExecutor, Exception, Executor, Exit, Future, FutureError, ProcessPoolExecutor, Reason,
};
use rustix::process::Signal;

manyhands::test_worker![add, die, hold, pid, sleep];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(workers).transport(transport);
    builder.stderr(Output::Null).grace(Duration::from_millis(50)).build().unwrap()
}

#[track_caller]
fn assert_refused(pool: &ProcessPoolExecutor) {
    let refused = pool.submit(add, (1, 2)).unwrap_err();
    assert_eq!((refused.reason, refused.task.1), (Reason::Shutdown, (1, 2)));
}

#[test]
fn shutdown_in_every_way_with_work_of_every_kind() {
    let _watch = watched();
    on_both(|transport| {
        for (wait, cancel) in [(true, false), (true, true), (false, false), (false, true)] {
            eprintln!("wait {wait}, cancel {cancel}");
            let (directory, pool) = (Directory::new(), pool(2, transport));
            let gate = directory.gate("busy");
            let dies = pool.submit(die, (Death::Exit(1),)).unwrap();
            crash(&dies);
            let running = [0, 1].map(|n| {
                let gate = directory.gate(&format!("busy{n}"));
                (keep_busy(&pool, &gate), gate)
            });
            let pending: Vec<_> = (0..50).map(|n| pool.submit(add, (n, n)).unwrap()).collect();
            let pids = pool.worker_pids();
            let dies_later = pool.submit(die, (Death::Exit(2),)).unwrap();
            gate.open();
            std::thread::scope(|scope| {
                let shut = scope.spawn(|| pool.shutdown(wait, cancel));
                eventually("it is closed", || pool.submit(add, (1, 2)).is_err());
                assert_refused(&pool);
                assert!(running.iter().all(|(future, _)| !future.done()));
                if !wait {
                    shut.join().unwrap();
                }
                for (_, gate) in &running {
                    gate.open();
                }
            });
            for (future, _) in &running {
                assert!(pids.contains(&future.result(None).unwrap()));
            }
            for (n, future) in (0..).zip(&pending) {
                match future.result(None) {
                    Ok(sum) => assert_eq!((sum, cancel), (2 * n, false)),
                    Err(FutureError::Cancelled) => assert!(cancel),
                    Err(other) => panic!("{other}"),
                }
            }
            match dies_later.exception(None) {
                Err(FutureError::Cancelled) => assert!(cancel),
                Ok(Some(Exception::Crashed(crash))) => {
                    assert_eq!((crash.exit, cancel), (Exit::Code(2), false));
                }
                other => panic!("{other:?}"),
            }
            pool.shutdown(true, false);
            assert_eq!(pool.stats().workers, 0);
            assert!(pids.into_iter().all(|pid| !is_alive(pid)));
            assert_refused(&pool);
        }
    });
}

#[test]
fn of_a_pool_that_never_had_work() {
    let _watch = watched();
    on_both(|transport| {
        for cancel in [false, true] {
            let pool = pool(2, transport);
            assert!(pool.shutdown_timeout(Duration::from_secs(30), cancel));
            pool.shutdown(true, cancel);
            assert_refused(&pool);
        }
        pool(2, transport).terminate_workers();
        pool(2, transport).kill_workers();
        drop(pool(2, transport));
    });
}

#[test]
fn a_shutdown_with_a_timeout_says_whether_all_is_over() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(1, transport));
        let gate = directory.gate("busy");
        let busy = keep_busy(&pool, &gate);
        assert!(!pool.shutdown_timeout(Duration::ZERO, false));
        assert!(!pool.shutdown_timeout(Duration::from_millis(30), true));
        assert!(!busy.done());
        gate.open();
        assert!(pool.shutdown_timeout(Duration::from_secs(30), false));
        assert!(busy.done() && pool.stats().workers == 0);
    });
}

#[test]
fn a_pool_that_is_dropped_finishes_its_work() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(2, transport);
        let futures: Vec<_> = (0..200).map(|n| pool.submit(add, (n, 1)).unwrap()).collect();
        let slow = pool.submit(sleep, (30,)).unwrap();
        drop(pool);
        assert!(slow.done() && futures.iter().all(Future::done));
        for (n, future) in (1..).zip(futures) {
            assert_eq!(future.result(None).unwrap(), n);
        }
    });
}

#[test]
fn two_threads_may_shut_down_at_once() {
    let _watch = watched();
    on_both(|transport| {
        for _ in 0..20 {
            let pool = pool(2, transport);
            let future = pool.submit(add, (1, 2)).unwrap();
            std::thread::scope(|scope| {
                let pool = &pool;
                for cancel in [false, true, false] {
                    scope.spawn(move || {
                        pool.shutdown(true, cancel);
                        assert_eq!(pool.stats().workers, 0);
                    });
                }
            });
            assert!(future.done());
        }
    });
}

#[test]
fn workers_ended_by_force_take_all_tasks_with_them() {
    let _watch = watched();
    on_both(|transport| {
        for kill in [false, true] {
            let (directory, pool) = (Directory::new(), pool(2, transport));
            let gates = ["one", "two"].map(|name| directory.gate(name));
            let held = gates.map(|gate| keep_busy(&pool, &gate));
            let pending: Vec<_> = (0..50).map(|n| pool.submit(add, (n, n)).unwrap()).collect();
            let pids = pool.worker_pids();
            if kill {
                pool.kill_workers();
            } else {
                pool.terminate_workers();
            }
            for exception in held.iter().map(|future| future.exception(None).unwrap()) {
                assert!(is_broken(exception.as_ref()), "{exception:?}");
            }
            for exception in pending.iter().map(|future| future.exception(None).unwrap()) {
                assert!(is_broken(exception.as_ref()), "{exception:?}");
            }
            assert!(pool.submit(add, (1, 2)).is_err());
            pool.shutdown(true, false);
            assert!(pids.into_iter().all(|pid| !is_alive(pid)));
            pool.kill_workers();
            pool.terminate_workers();
        }
    });
}

/// A stopped process is not reached by the first signal, nor one that ignores it.
#[test]
fn workers_that_the_first_signal_does_not_end_are_killed() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(2, transport));
        let _busy = keep_busy(&pool, &directory.gate("busy"));
        pool.submit(pid, ()).unwrap().result(None).unwrap();
        let pids = pool.worker_pids();
        for pid in &pids {
            signal(*pid, Signal::STOP);
            eventually("a worker stops", || is_stopped(*pid));
        }
        pool.terminate_workers();
        let in_time = pool.shutdown_timeout(Duration::from_secs(20), false);
        pool.kill_workers();
        assert!(in_time, "the grace of 50 ms is long over: {:?}", pool.stats());
        assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    });
}

/// It has nothing to do, and would never be seen to leave.
#[test]
fn a_stopped_worker_does_not_hold_up_the_shutdown() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        let worker = pool.submit(pid, ()).unwrap().result(None).unwrap();
        signal(worker, Signal::STOP);
        eventually("a worker stops", || is_stopped(worker));
        let in_time = pool.shutdown_timeout(Duration::from_secs(20), false);
        pool.kill_workers();
        assert!(in_time, "the worker goes on, to leave: {:?}", pool.stats());
    });
}

fn is_broken<E>(exception: Option<&Exception<E>>) -> bool {
    matches!(exception, Some(Exception::Broken(BrokenExecutor::ProcessPool(_))))
}

#[test]
fn a_callback_can_submit_and_shut_down() {
    let _watch = watched();
    on_both(|transport| {
        let pool = Arc::new(pool(2, transport));
        let (sender, told) = mpsc::channel();
        let (other, inner) = (Arc::clone(&pool), sender.clone());
        pool.submit(add, (1, 1)).unwrap().add_done_callback(move |_| {
            let next = other.submit(add, (2, 2)).unwrap();
            next.add_done_callback(move |next| inner.send(next.result(None).unwrap()).unwrap());
        });
        assert_eq!(told.recv().unwrap(), 4);

        let directory = Directory::new();
        let gate = directory.gate("busy");
        let busy = keep_busy(&*pool, &gate);
        let other = Arc::clone(&pool);
        busy.add_done_callback(move |_| {
            other.shutdown(true, false);
            sender.send(u64::from(other.shutdown_timeout(Duration::from_mins(1), false))).unwrap();
        });
        gate.open();
        assert_eq!(told.recv().unwrap(), 0, "a callback cannot wait for the pool's end");
        drop(busy);
        eventually("the callback lets go of the pool", || Arc::strong_count(&pool) == 1);
        pool.shutdown(true, false);
    });
}

#[test]
fn the_last_handle_of_a_pool_may_be_dropped_in_a_callback() {
    let _watch = watched();
    on_both(|transport| {
        for _ in 0..20 {
            let pool = Arc::new(pool(1, transport));
            let (release, released) = mpsc::channel::<()>();
            let (sender, told) = mpsc::channel();
            let future = pool.submit(pid, ()).unwrap();
            let worker = future.clone();
            future.add_done_callback(move |_| {
                let _ = released.recv();
                drop(pool);
                sender.send(()).unwrap();
            });
            drop(release);
            told.recv().unwrap();
            let worker = worker.result(None).unwrap();
            eventually("its worker leaves", || !is_alive(worker));
        }
    });
}

#[test]
fn submitters_that_race_with_the_end_get_an_answer() {
    let _watch = watched();
    on_both(|transport| {
        for turn in 0..30 {
            let pool = pool(2, transport);
            let futures: Vec<Future<u64>> = std::thread::scope(|scope| {
                let submitters: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            let submit = || pool.submit(add, (1, 2)).ok();
                            std::iter::from_fn(submit).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                std::thread::sleep(Duration::from_millis(turn % 10));
                match turn % 4 {
                    0 => pool.shutdown(true, false),
                    1 => pool.shutdown(true, true),
                    2 => pool.terminate_workers(),
                    _ => pool.kill_workers(),
                }
                let all = submitters.into_iter().flat_map(|submitter| submitter.join().unwrap());
                all.collect()
            });
            for future in futures {
                match future.result(None) {
                    Ok(sum) => assert_eq!(sum, 3),
                    // Accepted as the pool was closed, too late to give its arguments back.
                    Err(FutureError::Cancelled) => (),
                    Err(FutureError::Exception(exception)) => {
                        assert!(turn % 4 > 1 && is_broken(Some(&exception)), "{exception}");
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    });
}

/// A thread that waits for a result may be the one that hears of it, and calls back.
#[test]
fn a_callback_can_shut_down_whoever_calls_it() {
    let _watch = watched();
    on_both(|transport| {
        for turn in 0..40 {
            let pool = Arc::new(pool(2, transport));
            pool.submit(add, (0, 0)).unwrap().result(None).unwrap();
            let slow = pool.submit(sleep, (turn % 4,)).unwrap();
            let other = Arc::clone(&pool);
            slow.add_done_callback(move |_| {
                other.shutdown(true, turn % 2 == 0);
            });
            let behind: Vec<_> = (0..20).map_while(|n| pool.submit(add, (n, 1)).ok()).collect();
            std::thread::scope(|scope| {
                scope.spawn(|| slow.result(None));
                for (n, future) in (1..).zip(&behind) {
                    match future.result(None) {
                        Ok(sum) => assert_eq!(sum, n),
                        Err(FutureError::Cancelled) => assert_eq!(turn % 2, 0),
                        Err(other) => panic!("{other}"),
                    }
                }
            });
            drop(slow);
            eventually("the callback is over", || Arc::strong_count(&pool) == 1);
            pool.shutdown(true, false);
            assert_eq!(pool.stats().workers, 0);
        }
    });
}
