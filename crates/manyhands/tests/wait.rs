//! `wait`: every condition, time limits, and who counts as done.

#![cfg(not(loom))]

mod common;

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{PLANNED, occupy, watched};
use manyhands::{
    Exception, Executor, Future, InlineExecutor, ReturnWhen, State, ThreadPoolExecutor, wait,
};

const EVERY: [ReturnWhen; 4] = [
    ReturnWhen::AllCompleted,
    ReturnWhen::FirstCompleted,
    ReturnWhen::FirstException,
    ReturnWhen::Immediately,
];

const SHORT: Duration = Duration::from_millis(5);

fn bare(count: usize) -> Vec<Future<i32, String>> {
    (0..count).map(|_| Future::new()).collect()
}

fn fail(future: &Future<i32, String>) {
    future.set_exception(Exception::Error(Arc::new("failed".to_owned()))).unwrap();
}

/// Waits in another thread.
fn waiting(
    futures: &[Future<i32, String>],
    return_when: ReturnWhen,
) -> mpsc::Receiver<[Vec<Future<i32, String>>; 2]> {
    let futures = futures.to_vec();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let sorted = wait(futures, None, return_when);
        sender.send([sorted.done, sorted.not_done]).unwrap();
    });
    receiver
}

#[test]
fn all_completed_waits_for_all() {
    let _watched = watched();
    assert_eq!(ReturnWhen::default(), ReturnWhen::AllCompleted);
    let futures = bare(4);
    let waiter = waiting(&futures, ReturnWhen::AllCompleted);
    futures[2].set_result(1).unwrap();
    fail(&futures[0]);
    assert!(futures[3].cancel());
    assert!(!futures[3].set_running_or_notify_cancel().unwrap());
    assert!(waiter.recv_timeout(SHORT).is_err());
    futures[1].set_result(1).unwrap();
    assert_eq!(waiter.recv().unwrap(), [futures, vec![]]);
}

#[test]
fn first_completed_waits_for_one() {
    let _watched = watched();
    let futures = bare(3);
    let waiter = waiting(&futures, ReturnWhen::FirstCompleted);
    assert!(waiter.recv_timeout(SHORT).is_err());
    futures[1].set_result(1).unwrap();
    let [one, two, three] = <[_; 3]>::try_from(futures).unwrap();
    assert_eq!(waiter.recv().unwrap(), [vec![two.clone()], vec![one.clone(), three.clone()]]);
    let again = wait([one.clone(), two.clone(), three.clone()], None, ReturnWhen::FirstCompleted);
    assert_eq!((again.done, again.not_done), (vec![two], vec![one, three]));
}

#[test]
fn first_exception_waits_for_a_failure() {
    let _watched = watched();
    let futures = bare(4);
    let waiter = waiting(&futures, ReturnWhen::FirstException);
    futures[0].set_result(1).unwrap();
    assert!(futures[1].cancel());
    assert!(!futures[1].set_running_or_notify_cancel().unwrap());
    assert!(waiter.recv_timeout(SHORT).is_err());
    fail(&futures[3]);
    let [done, not_done] = waiter.recv().unwrap();
    assert_eq!(not_done, [futures[2].clone()]);
    assert_eq!(done.len(), 3);
    let again = wait(futures, None, ReturnWhen::FirstException);
    assert_eq!(again.not_done, not_done);
}

#[test]
fn first_exception_without_one_waits_for_all() {
    let _watched = watched();
    let futures = bare(2);
    let waiter = waiting(&futures, ReturnWhen::FirstException);
    futures[0].set_result(1).unwrap();
    assert!(waiter.recv_timeout(SHORT).is_err());
    futures[1].set_result(1).unwrap();
    assert_eq!(waiter.recv().unwrap(), [futures, vec![]]);
}

#[test]
fn immediately_waits_for_nothing() {
    let _watched = watched();
    let futures = bare(2);
    futures[1].set_result(1).unwrap();
    let sorted = wait(futures.clone(), None, ReturnWhen::Immediately);
    assert_eq!(
        (sorted.done, sorted.not_done),
        (vec![futures[1].clone()], vec![futures[0].clone()])
    );
}

#[test]
fn of_nothing_returns_at_once() {
    let _watched = watched();
    for return_when in EVERY {
        for timeout in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
            let sorted = wait(bare(0), timeout, return_when);
            assert!(sorted.done.is_empty() && sorted.not_done.is_empty());
        }
    }
}

#[test]
fn a_timeout_leaves_the_rest_undone_and_unharmed() {
    let _watched = watched();
    let futures = bare(3);
    futures[1].set_result(1).unwrap();
    for return_when in [ReturnWhen::AllCompleted, ReturnWhen::FirstException] {
        for timeout in [Duration::ZERO, SHORT] {
            let before = Instant::now();
            let sorted = wait(futures.clone(), timeout, return_when);
            assert!(before.elapsed() >= timeout);
            assert_eq!((sorted.done.len(), sorted.not_done.len()), (1, 2));
        }
    }
    let pending = [futures[0].clone(), futures[2].clone()];
    let sorted = wait(pending.clone(), SHORT, ReturnWhen::FirstCompleted);
    assert_eq!(sorted.not_done, pending);
    assert!(pending.iter().all(|future| future.state() == State::Pending));
}

#[test]
fn one_given_twice_counts_once() {
    let _watched = watched();
    let futures = bare(2);
    let repeated = [&futures[0], &futures[1], &futures[0], &futures[1]].map(Clone::clone);
    for return_when in EVERY {
        let sorted = wait(repeated.clone(), Duration::ZERO, return_when);
        assert_eq!((sorted.done, sorted.not_done), (vec![], futures.clone()));
    }
    let waiter = waiting(&repeated, ReturnWhen::AllCompleted);
    futures[1].set_result(1).unwrap();
    futures[0].set_result(1).unwrap();
    assert_eq!(waiter.recv().unwrap(), [futures, vec![]]);
}

#[test]
fn futures_of_several_executors_wait_together() {
    let _watched = watched();
    let (one, two) = (ThreadPoolExecutor::new(1).unwrap(), ThreadPoolExecutor::new(2).unwrap());
    let busy = occupy(&two, 2);
    let futures = [
        one.spawn(|| 1).unwrap(),
        two.spawn(|| 2).unwrap(),
        InlineExecutor::new().spawn(|| 3).unwrap(),
        Future::new(),
    ];
    let sorted = wait(futures.clone(), None, ReturnWhen::FirstCompleted);
    assert!(sorted.done.contains(&futures[2]) && sorted.not_done.contains(&futures[1]));
    drop(busy);
    futures[3].set_result(4).unwrap();
    let sorted = wait(futures.clone(), None, ReturnWhen::AllCompleted);
    assert_eq!(sorted.done, futures);
}

#[test]
fn a_cancelled_pool_task_is_done_at_once_though_all_workers_are_busy() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let _busy = occupy(&pool, 2);
    for return_when in EVERY {
        let before = pool.spawn(|| ()).unwrap();
        assert!(before.cancel());
        assert_eq!(wait([before.clone()], None, return_when).done, [before]);

        let during = pool.spawn(|| ()).unwrap();
        let waiter = thread::spawn({
            let during = during.clone();
            move || wait([during], None, return_when).done.len()
        });
        assert!(during.cancel());
        let done = waiter.join().unwrap();
        assert!(done == 1 || return_when == ReturnWhen::Immediately);
    }
}

#[test]
fn a_cancelled_bare_future_is_done_when_its_executor_has_said_so() {
    let _watched = watched();
    for return_when in [ReturnWhen::AllCompleted, ReturnWhen::FirstCompleted] {
        let futures = bare(1);
        let waiter = waiting(&futures, return_when);
        assert!(futures[0].cancel());
        assert!(waiter.recv_timeout(SHORT).is_err());
        assert_eq!(wait(futures.clone(), SHORT, return_when).not_done, futures);
        assert!(!futures[0].set_running_or_notify_cancel().unwrap());
        assert_eq!(waiter.recv().unwrap(), [futures, vec![]]);
    }
}

#[test]
fn a_panicked_task_is_an_exception_too() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let busy = occupy(&pool, 1);
    let futures = [Future::new(), pool.spawn(|| panic!("{PLANNED}first")).unwrap()];
    let sorted = wait(futures.clone(), None, ReturnWhen::FirstException);
    assert_eq!(sorted.done, [futures[1].clone()]);
    let _: &[Future<()>] = &futures;
    drop(busy);
}

/// What `wait` registers with a future must go when it returns. Each poll looks at everybody who is
/// registered, so if they stayed, this would take longer with every round, and hang.
#[test]
fn many_waits_leave_nothing_behind() {
    let _watched = watched();
    let mut future: Future<i32> = Future::new();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..50_000 {
        for return_when in [ReturnWhen::AllCompleted, ReturnWhen::FirstException] {
            assert!(wait([future.clone()], Duration::ZERO, return_when).done.is_empty());
            assert!(Pin::new(&mut future).poll(&mut context).is_pending());
        }
    }
    future.set_result(1).unwrap();
    assert_eq!(wait([future.clone()], None, ReturnWhen::FirstCompleted).done, [future]);
}

/// A future may end between `wait`'s first look at it and the moment at which it would be watched.
/// Many futures make that time long, and the end comes at ever other moments of it.
fn ends_while_wait_sets_out(return_when: ReturnWhen, end: fn(&Future<i32, String>)) {
    const RESCUE: Duration = Duration::from_secs(20);
    for turns in 0..300_u32 {
        let futures = bare(3_000);
        let (first, last) = (futures[0].clone(), futures[2_999].clone());
        let go = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&go);
        let mut left = futures.clone().into_iter();
        // The last step of the input is the last moment before `wait` looks at the futures.
        let input = std::iter::from_fn(move || {
            left.next().or_else(|| {
                gone.store(true, Ordering::SeqCst);
                None
            })
        });
        let (sender, returned) = mpsc::channel();
        let waiter = thread::spawn(move || {
            let sorted = wait(input, None, return_when);
            sender.send(sorted.done.len()).unwrap();
        });
        while !go.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        for _ in 0..turns * 20 {
            std::hint::spin_loop();
        }
        end(&first);
        if let Ok(done) = returned.recv_timeout(RESCUE) {
            assert_eq!(done, 1);
        } else {
            futures.iter().filter(|future| !future.done()).for_each(fail);
            drop(last);
            waiter.join().unwrap();
            panic!("the end of a future was overlooked, {turns} turns after the start");
        }
        waiter.join().unwrap();
    }
}

#[test]
fn first_completed_overlooks_no_end_while_it_sets_out() {
    let _watched = watched();
    ends_while_wait_sets_out(ReturnWhen::FirstCompleted, |first| first.set_result(1).unwrap());
}

#[test]
fn first_exception_overlooks_no_failure_while_it_sets_out() {
    let _watched = watched();
    ends_while_wait_sets_out(ReturnWhen::FirstException, fail);
}

#[test]
fn no_end_is_lost_in_a_race() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for round in 0..2_000_usize {
        let futures: Vec<_> = (0..3)
            .map(|n| pool.try_spawn(move || if n == 1 { Err(n) } else { Ok(n) }).unwrap())
            .collect();
        let return_when = EVERY[round % EVERY.len()];
        let sorted = wait(futures, None, return_when);
        let expected = match return_when {
            ReturnWhen::AllCompleted => 3,
            ReturnWhen::FirstCompleted | ReturnWhen::FirstException => 1,
            ReturnWhen::Immediately => 0,
        };
        assert!(sorted.done.len() >= expected);
        assert_eq!(sorted.done.len() + sorted.not_done.len(), 3);
    }
}
