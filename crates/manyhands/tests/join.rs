//! `join`: what both closures return, borrow and panic with, wherever they run; and what their pool does meanwhile.

#![cfg(not(loom))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use common::{PLANNED, here, occupy, stolen, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, ThreadPoolExecutor, join,
};

fn pool(workers: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (left, right) = join(|| fib(n - 1), || fib(n - 2));
    left + right
}

fn sort(numbers: &mut [u64]) {
    if numbers.len() < 10 {
        return numbers.sort_unstable();
    }
    let middle = numbers.len() / 2;
    numbers.select_nth_unstable(middle);
    let (low, high) = numbers.split_at_mut(middle);
    join(|| sort(low), || sort(high));
}

fn numbers() -> Vec<u64> {
    (0..5_000).map(|n| n * 7_919 % 10_007).collect()
}

#[test]
fn gives_what_both_return_on_any_number_of_workers() {
    let _watched = watched();
    for workers in [1, 2, 8] {
        let pool = pool(workers);
        for _ in 0..20 {
            assert_eq!(pool.spawn(|| fib(16)).unwrap().into_result(None).unwrap(), 987);
        }
        let stats = pool.stats();
        assert_eq!((stats.completed, stats.pending, stats.running), (20, 0, 0), "{stats:?}");
    }
}

#[test]
fn a_free_worker_takes_over_and_one_is_started_for_it() {
    let _watched = watched();
    let pool = pool(2);
    let own = Arc::clone(&pool);
    let places = pool.spawn(move || stolen(here, move || (here(), own.stats())));
    let (a, (b, stats)) = places.unwrap().into_result(None).unwrap();
    assert_ne!(a, b);
    assert_eq!((stats.running, stats.pending, stats.completed), (1, 0, 0), "it is no task");
    assert_eq!((pool.stats().completed, pool.stats().workers), (1, 2));
}

#[test]
fn both_run_in_place_where_nobody_is_free() {
    let _watched = watched();
    assert_eq!(join(here, here), (here(), here()), "outside of a pool");
    let inline = InlineExecutor::new().spawn(|| join(here, here)).unwrap();
    assert_eq!(inline.into_result(None).unwrap(), (here(), here()));

    let pool_of_one = pool(1);
    let (a, b) = pool_of_one.spawn(|| join(here, here)).unwrap().into_result(None).unwrap();
    assert_eq!(a, b);
    let pool = pool(2);
    let busy = occupy(&*pool, 1);
    let (a, b) = pool.spawn(|| join(here, here)).unwrap().into_result(None).unwrap();
    assert_eq!(a, b, "the other worker is busy");
    drop(busy);
}

#[test]
fn both_may_borrow_and_need_no_send_for_the_first() {
    let _watched = watched();
    let pool = pool(2);
    let sorted = pool.spawn(|| {
        let mut all = numbers();
        let text = String::from("one two");
        let rc = std::rc::Rc::new(2);
        let (words, ()) = stolen(|| text.split(' ').count() * *rc, || sort(&mut all));
        (words, all)
    });
    let (words, sorted) = sorted.unwrap().into_result(None).unwrap();
    assert!(words == 4 && sorted.is_sorted());
}

#[test]
fn works_in_the_tasks_of_a_scope() {
    let _watched = watched();
    let mut all = numbers();
    let places = ThreadPoolExecutor::builder().max_workers(2).scope(|scope| {
        let places = scope.spawn(|| stolen(here, here)).unwrap().into_result(None).unwrap();
        // Nobody waits: it is done when the scope has ended.
        scope.spawn(|| sort(&mut all)).unwrap();
        places
    });
    let (a, b) = places.unwrap();
    assert_ne!(a, b);
    assert!(all.is_sorted());
}

#[test]
fn a_panic_goes_on_after_both_have_ended() {
    let _watched = watched();
    let pool = pool(2);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = |fails: Option<&'static str>| {
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(1, Ordering::SeqCst);
            if let Some(message) = fails {
                panic!("{PLANNED}{message}");
            }
        }
    };
    for (a, b, expected) in
        [(Some("a"), None, "a"), (None, Some("b"), "b"), (Some("a"), Some("b"), "a")]
    {
        for away in [true, false] {
            calls.store(0, Ordering::SeqCst);
            let (a, b) = (count(a), count(b));
            let future = pool.spawn(move || if away { stolen(a, b) } else { join(a, b) });
            let exception = future.unwrap().exception(None).unwrap();
            let Some(Exception::Panic(panic)) = exception else { panic!("{exception:?}") };
            assert_eq!(panic.message(), format!("{PLANNED}{expected}"), "away: {away}");
            assert!(panic.location().is_some_and(|at| at.contains("join.rs")), "{panic}");
            assert_eq!(calls.load(Ordering::SeqCst), 2, "both were called");
        }
        calls.store(0, Ordering::SeqCst);
        let (a, b) = (count(a), count(b));
        let payload = catch_unwind(AssertUnwindSafe(|| join(a, b))).unwrap_err();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), &format!("{PLANNED}{expected}"));
        assert_eq!(calls.load(Ordering::SeqCst), 2, "both were called");
    }
}

#[test]
fn who_waits_helps_with_what_it_waits_for() {
    let _watched = watched();
    let pool = pool(2);
    let help = || {
        let places = || {
            let (owner, (thief, helper)) = stolen(here, || stolen(here, here));
            assert!(owner != thief && thief != helper);
            owner == helper
        };
        pool.spawn(places).unwrap().into_result(None).unwrap()
    };
    // Where the machine is busy, it may be asleep by then, and another one comes in its stead.
    while !help() {}
}

#[test]
fn who_waits_runs_no_part_of_another_task() {
    let _watched = watched();
    let pool = pool(3);
    let lock = Arc::new(Mutex::new(()));
    let own = Arc::clone(&pool);
    let locked = Arc::clone(&lock);
    let outer = pool.spawn(move || {
        let guard = locked.lock().unwrap();
        let (offered, other_offers) = mpsc::channel();
        let wants_it = Arc::clone(&locked);
        let other = own.spawn(move || {
            let offer = || {
                (0..1_000).for_each(|_| thread::yield_now());
                offered.send(()).unwrap();
            };
            // Whoever takes this over is held up by the lock.
            join(offer, || drop(wants_it.lock().unwrap()));
        });
        stolen(|| (), move || other_offers.recv().unwrap());
        drop(guard);
        other.unwrap()
    });
    outer.unwrap().into_result(None).unwrap().into_result(None).unwrap();
}

/// A task that gets its own future after it has begun.
fn with_its_own_future<T: Send + 'static>(
    pool: &Arc<ThreadPoolExecutor>,
    task: impl FnOnce(Future<T>) -> T + Send + 'static,
) -> Future<T> {
    let (sender, receiver) = mpsc::channel();
    let future = pool.spawn(move || task(receiver.recv().unwrap())).unwrap();
    sender.send(future.clone()).unwrap();
    future
}

#[test]
fn a_part_that_waits_for_its_own_task_is_told_of_the_deadlock() {
    let _watched = watched();
    let cycle_of = |outcome: Result<usize, FutureError>| match outcome {
        Err(FutureError::Deadlock(deadlock)) => deadlock.cycle().len(),
        other => panic!("{other:?}"),
    };
    for (workers, cycle) in [(1, 1), (2, 2)] {
        let task = move |own: Future<usize>| {
            let waits = move || cycle_of(own.result(None));
            if workers == 1 { join(|| (), waits).1 } else { stolen(|| (), waits).1 }
        };
        let future = with_its_own_future(&pool(workers), task);
        assert_eq!(future.result(None).unwrap(), cycle, "{workers} workers");
    }
}

#[test]
fn a_cycle_through_a_part_and_another_task_is_told_to_both() {
    let _watched = watched();
    let pool = pool(3);
    let own = Arc::clone(&pool);
    let future = with_its_own_future(&pool, move |outer: Future<bool>| {
        let is_deadlock = |outcome| matches!(outcome, Err(FutureError::Deadlock(_)));
        let other = own.spawn(move || is_deadlock(outer.result(None))).unwrap();
        let ((), told) = stolen(|| (), || is_deadlock(other.result(None)));
        // The other may have been told first, and have ended.
        told || other.into_result(None).unwrap()
    });
    assert!(future.result(None).unwrap());
}

#[test]
fn parts_may_wait_for_tasks() {
    let _watched = watched();
    for workers in [1, 2] {
        let pool = pool(workers);
        let own = Arc::clone(&pool);
        let sum = pool.spawn(move || {
            let task = |n: u64| own.spawn(move || fib(n)).unwrap().into_result(None).unwrap();
            let (a, b) = join(|| task(10), || task(11));
            a + b
        });
        assert_eq!(sum.unwrap().into_result(None).unwrap(), 144);
    }
}

#[test]
fn queued_tasks_come_before_parts() {
    let _watched = watched();
    let pool = pool(2);
    let own = Arc::clone(&pool);
    let lending = pool.spawn(move || {
        let ran = Arc::new(AtomicBool::new(false));
        let (release, released) = mpsc::channel();
        let task = Arc::clone(&ran);
        stolen(
            || {
                // The only other worker is at a part, so this one is queued.
                own.spawn(move || task.store(true, Ordering::SeqCst)).unwrap();
                release.send(()).unwrap();
            },
            move || released.recv().unwrap(),
        );
        while !ran.load(Ordering::SeqCst) {
            join(thread::yield_now, thread::yield_now);
        }
    });
    lending.unwrap().into_result(None).unwrap();
}

#[test]
fn parts_are_taken_over_after_a_shutdown_and_waited_for() {
    let _watched = watched();
    let pool = pool(2);
    let (own, ended) = (Arc::clone(&pool), Arc::new(AtomicBool::new(false)));
    let end = Arc::clone(&ended);
    let (closed, is_closed) = mpsc::channel();
    pool.spawn(move || {
        own.shutdown(false, true);
        drop(own);
        closed.send(()).unwrap();
        let (a, b) = stolen(here, here);
        assert_eq!(fib(15), 610);
        end.store(a != b, Ordering::SeqCst);
    })
    .unwrap();
    is_closed.recv().unwrap();
    pool.shutdown(true, false);
    assert!(ended.load(Ordering::SeqCst), "shutdown has waited for the task and its parts");
    assert_eq!(pool.stats().workers, 0);
}

/// Runs itself again, with stacks that are as large as a plain recursion of this depth needs.
#[test]
fn a_recursion_of_a_hundred_thousand_ends() {
    const NAME: &str = "a_recursion_of_a_hundred_thousand_ends";
    fn down(depth: usize) -> usize {
        let leaf = || 1;
        if depth == 0 { 0 } else { [join(|| down(depth - 1), leaf)].map(|(a, b)| a + b)[0] }
    }
    let _watched = watched();
    if std::env::var_os("RUST_MIN_STACK").is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME]).env("RUST_MIN_STACK", (1 << 30).to_string());
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let future = pool(2).spawn(|| down(100_000)).unwrap();
    assert_eq!(future.into_result(None).unwrap(), 100_000);
}

/// A tree of calls of no regular shape: how many there are, and how many were made.
fn tree(seed: u64, left: u64, calls: &AtomicUsize) -> usize {
    calls.fetch_add(1, Ordering::Relaxed);
    if left == 0 {
        return 1;
    }
    let next = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let some = (next >> 33) % left;
    let (a, b) = join(|| tree(next, some, calls), || tree(!next, left - 1 - some, calls));
    1 + a + b
}

#[test]
fn every_call_is_made_once_under_load() {
    let _watched = watched();
    for workers in [1, 2, 8] {
        let pool = pool(workers);
        for round in 0..30_u64 {
            let calls = Arc::new(AtomicUsize::new(0));
            let roots: Vec<_> = (0..6)
                .map(|root| {
                    let (calls, own) = (Arc::clone(&calls), Arc::clone(&pool));
                    let grow = move || {
                        let other = own.spawn(|| ()).unwrap();
                        (tree(round * 6 + root, 400, &calls), other)
                    };
                    pool.spawn(grow).unwrap()
                })
                .collect();
            let ends = roots.into_iter().map(|root| root.into_result(None).unwrap());
            let (grown, others): (Vec<usize>, Vec<_>) = ends.unzip();
            for other in others {
                other.into_result(None).unwrap();
            }
            let grown: usize = grown.into_iter().sum();
            assert_eq!(grown, calls.load(Ordering::Relaxed), "round {round}, {workers} workers");
        }
        assert_eq!(pool.stats().completed, 30 * 12);
    }
}
