//! Scopes that fail fast: the first failure cancels the others, and leaving leaves nothing running.

#![cfg(not(loom))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use common::{Counter, PLANNED, watched};
use manyhands::{
    Exception, Executor, FutureError, InlineExecutor, Reason, ThreadPoolExecutor, task_scope,
};

#[test]
fn the_end_waits_for_all_tasks() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(3).unwrap();
    for _ in 0..50 {
        let ran = Arc::new(AtomicUsize::new(0));
        task_scope(&pool, |scope| {
            for _ in 0..100 {
                let ran = Arc::clone(&ran);
                scope.spawn(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap();
            }
        })
        .unwrap();
        assert_eq!(Arc::into_inner(ran).unwrap().into_inner(), 100);
    }
}

#[test]
fn the_first_failure_cancels_the_pending_and_stops_the_running() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let left = Counter::new();
    let ran = Arc::new(AtomicUsize::new(0));
    let mut pending = Vec::new();
    let failed = task_scope(&pool, |scope| {
        let (started, starts) = mpsc::channel();
        let (fail, failing) = mpsc::channel::<()>();
        let (stop, alive) = (scope.stop(), left.value());
        let running = move || {
            started.send(()).unwrap();
            while !stop.is_requested() {
                std::hint::spin_loop();
            }
            drop(alive);
        };
        let running = scope.spawn(running).unwrap();
        scope.try_spawn(move || failing.recv().map(|()| "x".parse::<u8>().is_ok())).unwrap();
        pending.extend((0..10).map(|_| {
            let ran = Arc::clone(&ran);
            scope.spawn(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap()
        }));
        starts.recv().unwrap();
        drop(fail);
        running.result(None)
    });
    assert_eq!(
        failed.unwrap_err().to_string(),
        "a task of the scope failed: receiving on a closed channel"
    );
    assert_eq!(left.alive(), 0);
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    assert!(pending.iter().all(manyhands::Future::cancelled));
}

#[test]
fn who_waits_inside_hears_of_the_failure() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let mut heard = None;
    let failed = task_scope(&pool, |scope| {
        let _failing = scope.spawn(|| panic!("{PLANNED}no luck")).unwrap();
        match scope.spawn(|| 1) {
            Ok(next) => heard = Some(next.result(None)),
            Err(refused) => assert_eq!(refused.reason, Reason::ScopeOver),
        }
    })
    .unwrap_err();
    assert!(matches!(heard, None | Some(Err(FutureError::Cancelled))), "{heard:?}");
    let cause: &Exception<std::convert::Infallible> = failed.cause().downcast_ref().unwrap();
    assert!(matches!(cause, Exception::Panic(_)));
    // The pool is none the worse for it.
    assert_eq!(pool.spawn(|| 5).unwrap().result(None).unwrap(), 5);
}

#[test]
fn a_closure_that_panics_cancels_and_waits_too() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let left = Counter::new();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        task_scope(&pool, |scope| {
            let (stop, alive) = (scope.stop(), left.value());
            let endless = move || {
                while !stop.is_requested() {
                    std::hint::spin_loop();
                }
                drop(alive);
            };
            scope.spawn(endless).unwrap();
            panic!("{PLANNED}no luck");
        })
    }));
    assert!(caught.is_err());
    assert_eq!(left.alive(), 0);
}

#[test]
fn tasks_submit_tasks_through_a_clone_until_it_is_over() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
    let ran = Arc::new(AtomicUsize::new(0));
    let mut kept = None;
    task_scope(Arc::clone(&pool), |scope| {
        let (inner, ran) = (scope.clone(), Arc::clone(&ran));
        kept = Some(scope.clone());
        let grow = move || {
            for _ in 0..10 {
                let ran = Arc::clone(&ran);
                inner.spawn(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap();
            }
        };
        scope.spawn(grow).unwrap();
    })
    .unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 10);
    let refused = kept.unwrap().spawn(|| ()).unwrap_err();
    assert_eq!(refused.reason, Reason::ScopeOver);
}

#[test]
fn a_cancel_is_no_failure_and_a_failure_after_it_is_none() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    let result = task_scope(&inline, |scope| {
        scope.cancel();
        scope.spawn(|| ()).is_err()
    });
    assert!(result.unwrap());
    let pool = ThreadPoolExecutor::new(1).unwrap();
    task_scope(&pool, |scope| {
        let (stop, (started, starts)) = (scope.stop(), mpsc::channel());
        let gives_up = move || {
            started.send(()).unwrap();
            while !stop.is_requested() {
                std::hint::spin_loop();
            }
            Err::<(), _>("was told to stop")
        };
        scope.try_spawn(gives_up).unwrap();
        starts.recv().unwrap();
        scope.cancel();
    })
    .unwrap();
}

#[test]
fn a_task_that_the_executor_refuses_keeps_no_scope_waiting() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    inline.shutdown(true, false);
    let refused = task_scope(&inline, |scope| scope.spawn(|| 1).unwrap_err().reason).unwrap();
    assert_eq!(refused, Reason::Shutdown);
}

#[test]
fn failures_from_everywhere_leave_nothing_behind() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(4).unwrap();
    for failing in 0..100 {
        let alive = Counter::new();
        let outcome = task_scope(&pool, |scope| {
            for index in 0..100 {
                let value = alive.value();
                let task = move || {
                    drop(value);
                    if index == failing { Err("no luck") } else { Ok(()) }
                };
                if scope.try_spawn(task).is_err() {
                    break;
                }
            }
        });
        assert!(outcome.is_err());
        assert_eq!(alive.alive(), 0);
    }
}
