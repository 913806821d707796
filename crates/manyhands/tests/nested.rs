//! Tasks that wait for tasks: of their own pool, of each other's, in every way there is to wait.

#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use common::{block_on, watched};
use manyhands::{
    Executor, Future, FutureError, Graph, InlineExecutor, ReturnWhen, ThreadPoolExecutor,
    as_completed, join_all, task_scope, wait,
};

type Pool = Arc<ThreadPoolExecutor>;

fn pool(workers: usize) -> Pool {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

/// A task that gets a future after it has begun, and gives what `wait` makes of it.
fn waiting<T: Send + 'static>(
    pool: &Pool,
    wait: impl FnOnce(Future<String>) -> T + Send + 'static,
) -> (Future<T>, mpsc::Sender<Future<String>>) {
    let (sender, receiver) = mpsc::channel();
    (pool.spawn(move || wait(receiver.recv().unwrap())).unwrap(), sender)
}

fn deadlock_of(future: &Future<String>) -> String {
    match future.result(None) {
        Err(FutureError::Deadlock(deadlock)) => deadlock.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_only_worker_runs_what_its_task_waits_for() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let outer = pool.spawn(move || {
        let inner = own.spawn(|| thread::current().id()).unwrap();
        (thread::current().id(), inner.result(None).unwrap())
    });
    let (outer, inner) = outer.unwrap().result(None).unwrap();
    assert_eq!(outer, inner, "in place");
    assert_eq!(pool.stats().workers, 1);
}

#[test]
fn no_other_pending_task_is_run_in_place() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let at = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&at);
    let outer = pool.spawn(move || {
        let log = |n: usize| {
            let seen = Arc::clone(&seen);
            move || (thread::current().id(), seen.swap(n, Ordering::SeqCst))
        };
        let others = [1, 2].map(|n| own.spawn(log(n)).unwrap());
        let awaited = own.spawn(log(3)).unwrap();
        let (_, before) = awaited.result(None).unwrap();
        (before, others)
    });
    let (before, others) = outer.unwrap().into_result(None).unwrap();
    assert_eq!(before, 0, "those before it were passed over");
    assert_eq!(others.map(|other| other.result(None).unwrap().1), [3, 1], "and ran later");
}

#[test]
fn every_way_to_wait_ends_on_a_pool_of_one() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let all = pool.spawn(move || {
        let three = || (1..=3).map(|n| own.spawn(move || n).unwrap()).collect::<Vec<_>>();
        let sum = |futures: Vec<Future<i32>>| {
            futures.into_iter().map(|future| future.into_result(None).unwrap()).sum::<i32>()
        };
        let whens =
            [ReturnWhen::AllCompleted, ReturnWhen::FirstException, ReturnWhen::FirstCompleted];
        for when in whens {
            let waited = wait(three(), None, when);
            assert!(!waited.done.is_empty(), "{when:?}");
            assert_eq!(sum(waited.done) + sum(waited.not_done), 6, "{when:?}");
        }
        let timed = wait(three(), Duration::from_secs(50), ReturnWhen::AllCompleted);
        assert_eq!(timed.done.len(), 3);
        assert_eq!(sum(as_completed(three(), None).map(Result::unwrap).collect()), 6);
        let timed = as_completed(three(), Duration::from_secs(50));
        assert_eq!(sum(timed.map(Result::unwrap).collect()), 6);
        assert_eq!(own.map(|n: i32| n * n, 1..=3).map(Result::unwrap).sum::<i32>(), 14);
        let unordered = own.map(|n: i32| n * n, 1..=3).unordered().chunksize(2);
        assert_eq!(unordered.map(Result::unwrap).sum::<i32>(), 14);
        assert_eq!(sum(three()), 6);
        let timed = own.spawn(|| 4).unwrap().result(Duration::from_secs(50));
        assert_eq!(timed.unwrap(), 4);
        assert!(own.spawn(|| 5).unwrap().exception(None).unwrap().is_none());
        assert_eq!(block_on(own.spawn(|| 6).unwrap()).unwrap(), 6);
        assert_eq!(block_on(own.spawn(|| 6).unwrap().map(|six| six + 1)).unwrap(), 7);
        assert_eq!(manyhands::block_on(own.spawn(|| 6).unwrap()).unwrap(), 6);
        let derived = own.spawn(|| 6).unwrap().map(|six| six + 1);
        assert_eq!(manyhands::block_on(derived).unwrap(), 7);
        assert_eq!(join_all(three()).map(|all| all.len()).result(None).unwrap(), 3);
        let later = own.submit_after(|n| n + 1, (own.spawn(|| 7).unwrap(),));
        assert_eq!(later.result(None).unwrap(), 8);
        let inner = Arc::clone(&own);
        let in_scope = task_scope(&own, |scope| {
            scope.spawn(move || inner.spawn(|| 9).unwrap().into_result(None).unwrap()).unwrap()
        });
        assert_eq!(in_scope.unwrap().result(None).unwrap(), 9);
        let mut graph = Graph::new();
        let ten = graph.task("ten", || 10);
        let eleven = graph.task_with("eleven", (ten,), |(ten,)| *ten + 1);
        assert_eq!(*graph.get(&own, eleven).unwrap(), 11);
    });
    all.unwrap().result(None).unwrap();
}

#[test]
fn tasks_of_a_scope_may_wait_for_each_other() {
    let _watched = watched();
    let words = ["one", "three"];
    let lengths = ThreadPoolExecutor::builder().max_workers(1).scope(|scope| {
        let own = scope.clone();
        let words = &words;
        let outer = scope.spawn(move || {
            let inner = words.map(|word| own.spawn(|| word.len()).unwrap());
            inner.map(|future| future.result(None).unwrap())
        });
        outer.unwrap().result(None).unwrap()
    });
    assert_eq!(lengths.unwrap(), [3, 5]);
}

#[test]
fn a_task_that_waits_for_itself_is_told() {
    let _watched = watched();
    let pool = pool(1);
    let (own, tell) = waiting(&pool, |own| deadlock_of(&own));
    tell.send(own.clone()).unwrap();
    let said = own.result(None).unwrap();
    assert!(said.contains("waits for itself") && said.contains("tests/nested.rs:"), "{said}");
}

#[test]
fn two_tasks_that_wait_for_each_other_are_both_told() {
    let _watched = watched();
    let pools = [pool(2), pool(1)];
    for (one, two) in [(&pools[0], &pools[0]), (&pools[0], &pools[1]), (&pools[1], &pools[1])] {
        // On a pool of one, the second is started in the stead of the first.
        let (first, tell_first) = waiting(one, |other| deadlock_of(&other));
        let (second, tell_second) = waiting(two, |other| deadlock_of(&other));
        tell_first.send(second.clone()).unwrap();
        tell_second.send(first.clone()).unwrap();
        for task in [first, second] {
            let said = task.result(None).unwrap();
            assert_eq!(said.matches("submitted at").count(), 2, "{said}");
            assert!(said.contains("waits for") && said.contains("waiting"), "{said}");
        }
    }
}

#[test]
fn a_task_below_one_that_runs_in_place_is_part_of_the_cycle() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let (outer, tell) = waiting(&pool, move |outer| {
        let inner = own.spawn(move || deadlock_of(&outer)).unwrap();
        inner.result(None).unwrap()
    });
    tell.send(outer.clone()).unwrap();
    let said = outer.result(None).unwrap();
    assert!(said.starts_with("deadlock: "), "{said}");
}

#[test]
fn each_way_to_wait_in_a_cycle_ends() {
    let _watched = watched();
    let pool = pool(1);
    let waits: [fn(Future<String>) -> String; 4] = [
        |own| wait([own], None, ReturnWhen::AllCompleted).not_done.len().to_string(),
        |own| wait([own], None, ReturnWhen::FirstCompleted).not_done.len().to_string(),
        |own| as_completed([own], None).filter(Result::is_err).count().to_string(),
        |own| own.exception(None).unwrap_err().to_string(),
    ];
    for way in waits {
        let (own, tell) = waiting(&pool, way);
        tell.send(own.clone()).unwrap();
        let said = own.result(None).unwrap();
        assert!(said == "1" || said.contains("waits for itself"), "{said}");
    }
}

#[test]
fn any_of_several_is_no_deadlock_while_one_of_them_may_end() {
    let _watched = watched();
    let pool = pool(2);
    let free: Future<String> = Future::new();
    let other = free.clone();
    let (own, tell) = waiting(&pool, move |own| {
        let first = wait([own.clone(), other], None, ReturnWhen::FirstCompleted);
        format!("{} {}", first.done.len(), deadlock_of(&own))
    });
    tell.send(own.clone()).unwrap();
    assert!(!own.done());
    thread::sleep(Duration::from_millis(50)); // longer than it takes to look for a deadlock
    assert!(!own.done(), "{:?}", own.result(None));
    free.set_result("ended".to_owned()).unwrap();
    assert!(own.result(None).unwrap().starts_with("1 deadlock: "));
}

#[test]
fn a_wait_with_a_timeout_is_no_deadlock() {
    let _watched = watched();
    let pool = pool(2);
    let (patient, tell_patient) = waiting(&pool, |other| other.result(None).unwrap());
    let (hasty, tell_hasty) = waiting(&pool, |other| {
        let ended = other.result(Duration::from_millis(100));
        assert!(matches!(ended, Err(FutureError::TimedOut)), "{ended:?}");
        "hasty".to_owned()
    });
    tell_patient.send(hasty).unwrap();
    tell_hasty.send(patient.clone()).unwrap();
    assert_eq!(patient.result(None).unwrap(), "hasty");
}

#[test]
fn one_who_is_no_task_may_wait_for_tasks_in_a_deadlock() {
    let _watched = watched();
    let pool = pool(1);
    let (own, tell) = waiting(&pool, |own| deadlock_of(&own));
    let waiter = thread::spawn({
        let own = own.clone();
        move || own.result(None).unwrap()
    });
    tell.send(own).unwrap();
    assert!(waiter.join().unwrap().starts_with("deadlock: "));
}

fn fib(pool: &Pool, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let own = Arc::clone(pool);
    let left = pool.spawn(move || fib(&own, n - 1)).unwrap();
    let right = fib(pool, n - 2);
    left.into_result(None).unwrap() + right
}

#[test]
fn divide_and_conquer_takes_few_threads() {
    let _watched = watched();
    let pool = pool(2);
    assert_eq!(fib(&pool, 18), 2584);
    let workers = pool.stats().workers;
    assert!(workers <= 20, "{workers} threads, where the recursion is 18 deep");
}

#[test]
fn what_is_run_in_place_leaves_the_queue() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let left = pool.spawn(move || (fib(&own, 15), own.stats().pending)).unwrap();
    assert_eq!(left.result(None).unwrap(), (610, 0));
}

#[test]
fn a_thread_that_is_nearly_gone_may_wait_and_run_tasks() {
    struct AtTheEnd(Future<i32>, mpsc::Sender<i32>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            let inline = InlineExecutor::new().spawn(|| 1).unwrap();
            let sum = self.0.result(None).unwrap() + inline.result(None).unwrap();
            self.1.send(sum).unwrap();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    let _watched = watched();
    let (sender, sums) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let pool = pool(1);
    let future = pool.spawn(move || gate.recv().map_or(6, |()| 0)).unwrap();
    let thread = thread::spawn(move || {
        LAST.set(Some(AtTheEnd(future, sender)));
        // What a thread knows of its tasks is dropped before what it knew earlier.
        InlineExecutor::new().spawn(|| ()).unwrap();
    });
    drop(go);
    assert_eq!(sums.recv(), Ok(7));
    thread.join().unwrap();
}

#[test]
fn a_chain_of_waits_longer_than_a_stack_ends() {
    let _watched = watched();
    let pool = pool(1);
    let mut last = pool.spawn(|| 0_u64).unwrap();
    let (go, gate) = mpsc::channel::<()>();
    let blocked = pool.spawn(move || gate.recv().is_err()).unwrap();
    for _ in 0..10_000 {
        let before = last;
        last = pool.spawn(move || before.into_result(None).unwrap() + 1).unwrap();
    }
    let own = Arc::clone(&pool);
    let end = own.spawn(move || last.into_result(None).unwrap()).unwrap();
    drop(go);
    assert!(blocked.result(None).unwrap());
    assert_eq!(end.result(None).unwrap(), 10_000);
}

#[test]
fn those_who_worked_in_the_stead_of_others_leave() {
    let _watched = watched();
    let pool = pool(1);
    let (release, gate) = mpsc::channel::<()>();
    let gated: Future<()> = Future::new();
    let waiters: Vec<_> = (0..10)
        .map(|_| {
            let gated = gated.clone();
            pool.spawn(move || gated.result(None).unwrap()).unwrap()
        })
        .collect();
    let last = pool.spawn(move || gate.recv().is_err()).unwrap();
    // All ten wait. For something else than a task: not all at once have another work in their stead.
    while pool.stats().workers < 4 {
        thread::yield_now();
    }
    gated.set_result(()).unwrap();
    drop(release);
    assert!(last.result(None).unwrap());
    for waiter in waiters {
        waiter.result(None).unwrap();
    }
    while pool.stats().workers > 1 {
        thread::yield_now();
        pool.spawn(|| ()).unwrap().result(None).unwrap();
    }
}

#[test]
fn a_pool_that_is_shut_down_still_ends_nested_waits() {
    let _watched = watched();
    let pool = pool(1);
    let barrier = Arc::new(Barrier::new(2));
    let (inner, wait_for) = mpsc::channel::<Future<i32>>();
    let started = Arc::clone(&barrier);
    let outer = pool
        .spawn(move || {
            started.wait();
            wait_for.recv().unwrap().map(|n| n + 1).into_result(None).unwrap()
        })
        .unwrap();
    barrier.wait();
    inner.send(pool.spawn(|| 1).unwrap()).unwrap();
    pool.shutdown(true, false);
    assert_eq!(outer.result(None).unwrap(), 2);
}
