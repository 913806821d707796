//! A future awaited: by async code, with whatever wakers it brings.

#![cfg(not(loom))]

mod common;

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use common::{Counted, Counter, PLANNED, block_on, logged, occupy, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, State, ThreadPoolExecutor,
};

/// A waker that counts its calls, and whose life is counted.
struct Alarm {
    rung: Arc<AtomicUsize>,
    _alive: Counted,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
    }
}

fn alarm(rung: &Arc<AtomicUsize>, counter: &Counter) -> Waker {
    Waker::from(Arc::new(Alarm { rung: Arc::clone(rung), _alive: counter.value() }))
}

fn poll<T: Send, E: Send + Sync>(
    future: &mut Future<T, E>,
    waker: &Waker,
) -> Poll<Result<T, FutureError<E>>> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn gives_the_value_error_panic_or_cancel() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let sum = block_on(async {
        let parts = [pool.spawn(|| 1).unwrap(), pool.spawn(|| 2).unwrap()];
        let mut sum = 0;
        for part in parts {
            sum += part.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 3);

    let failed = pool.try_spawn(|| Err::<(), _>("no")).unwrap();
    let outcome = block_on(failed);
    assert!(matches!(outcome, Err(FutureError::Exception(Exception::Error(e))) if *e == "no"));

    let panicked = pool.spawn(|| panic!("{PLANNED}awaited")).unwrap();
    let outcome: Result<(), _> = block_on(panicked);
    assert!(matches!(outcome, Err(FutureError::Exception(Exception::Panic(_)))));

    let cancelled: Future<i32> = Future::new();
    assert!(cancelled.cancel());
    assert_eq!(cancelled.state(), State::Cancelled);
    assert!(matches!(block_on(cancelled), Err(FutureError::Cancelled)));
}

#[test]
fn is_woken_by_the_end_whichever_it_is() {
    let _watched = watched();
    let ends: [fn(&Future<i32>); 2] =
        [|future| future.set_result(1).unwrap(), |future| assert!(future.cancel())];
    for end in ends {
        for _ in 0..200 {
            let future: Future<i32> = Future::new();
            let (sender, outcome) = mpsc::channel();
            let awaiting = future.clone();
            let thread = thread::spawn(move || sender.send(block_on(awaiting)).unwrap());
            end(&future);
            assert_eq!(outcome.recv().unwrap().is_ok(), !future.cancelled());
            thread.join().unwrap();
        }
    }
}

#[test]
fn moves_the_value_out() {
    let _watched = watched();
    let future = InlineExecutor::new().spawn(|| 5).unwrap();
    assert_eq!(block_on(future.clone()).unwrap(), 5);
    assert!(matches!(future.result(None), Err(FutureError::Taken)));
    assert!(matches!(block_on(future), Err(FutureError::Taken)));
}

#[test]
fn more_parties_than_wakers_are_kept_all_come_to_an_end() {
    let _watched = watched();
    let future: Future<i32> = Future::new();
    let parties: Vec<_> = (0..80)
        .map(|_| {
            let future = future.clone();
            thread::spawn(move || block_on(future))
        })
        .collect();
    thread::yield_now();
    future.set_result(1).unwrap();
    let outcomes: Vec<_> = parties.into_iter().map(|party| party.join().unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let taken = outcomes.iter().filter(|outcome| matches!(outcome, Err(FutureError::Taken)));
    assert_eq!(taken.count(), 79);
}

#[test]
fn many_polls_with_new_wakers_take_bounded_memory() {
    let _watched = watched();
    let counter = Counter::new();
    let rung = Arc::new(AtomicUsize::new(0));
    let mut future: Future<i32> = Future::new();
    for _ in 0..10_000 {
        let waker = alarm(&rung, &counter);
        assert!(poll(&mut future, &waker).is_pending());
        drop(waker);
        assert_eq!(counter.alive(), 1, "only the newest waker counts");
    }
    assert_eq!(rung.load(Ordering::SeqCst), 0);
    future.set_result(1).unwrap();
    assert_eq!((rung.load(Ordering::SeqCst), counter.alive()), (1, 0));
}

/// Each party is woken once, by the end: as many as there are, they do not wake each other.
#[test]
fn many_parties_poll_no_more_than_they_must() {
    let _watched = watched();
    let counter = Counter::new();
    let rung = Arc::new(AtomicUsize::new(0));
    let future: Future<i32> = Future::new();
    let mut parties: Vec<_> = (0..100).map(|_| future.clone()).collect();
    for _ in 0..3 {
        for party in &mut parties {
            assert!(poll(party, &alarm(&rung, &counter)).is_pending());
        }
    }
    assert_eq!((rung.load(Ordering::SeqCst), counter.alive()), (0, 100));
    future.set_result(1).unwrap();
    assert_eq!(rung.load(Ordering::SeqCst), 100);
}

#[test]
fn many_polls_with_one_waker_keep_it_once() {
    let _watched = watched();
    let counter = Counter::new();
    let rung = Arc::new(AtomicUsize::new(0));
    let waker = alarm(&rung, &counter);
    let mut future: Future<i32> = Future::new();
    for _ in 0..1_000 {
        assert!(poll(&mut future, &waker).is_pending());
    }
    assert_eq!(rung.load(Ordering::SeqCst), 0);
    future.set_result(1).unwrap();
    assert_eq!(rung.load(Ordering::SeqCst), 1);
    assert!(matches!(poll(&mut future, &waker), Poll::Ready(Ok(1))));
}

#[test]
fn a_waker_of_a_dropped_handle_dies_with_the_future() {
    let _watched = watched();
    let counter = Counter::new();
    let rung = Arc::new(AtomicUsize::new(0));
    let mut future: Future<i32> = Future::new();
    assert!(poll(&mut future, &alarm(&rung, &counter)).is_pending());
    assert_eq!(counter.alive(), 1);
    drop(future);
    assert_eq!((counter.alive(), rung.load(Ordering::SeqCst)), (0, 0));
}

#[test]
fn wakers_and_callbacks_are_told_together() {
    let _watched = watched();
    let counter = Counter::new();
    let rung = Arc::new(AtomicUsize::new(0));
    let future: Future<i32> = Future::new();
    let mut parties = [future.clone(), future.clone(), future.clone()];
    let (sender, seen) = mpsc::channel();
    for party in &mut parties {
        assert!(poll(party, &alarm(&rung, &counter)).is_pending());
        let (sender, rung) = (sender.clone(), Arc::clone(&rung));
        future.add_done_callback(move |_| sender.send(rung.load(Ordering::SeqCst)).unwrap());
    }
    future.set_result(1).unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_waker_that_panics_is_logged_and_the_others_are_woken() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("{PLANNED}waker 5120");
        }
    }
    let _watched = watched();
    let counter = Counter::new();
    let rung = Arc::new(AtomicUsize::new(0));
    let mut future: Future<i32> = Future::new();
    let mut other = future.clone();
    assert!(poll(&mut other, &Waker::from(Arc::new(Broken))).is_pending());
    assert!(poll(&mut future, &alarm(&rung, &counter)).is_pending());
    future.set_result(1).unwrap();
    assert_eq!(rung.load(Ordering::SeqCst), 1);
    assert_eq!(logged("waker 5120").len(), 1);
}

#[test]
fn a_pool_task_wakes_the_one_who_awaits_it() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for n in 0..1_000 {
        let future = pool.spawn(move || n).unwrap();
        assert_eq!(block_on(future).unwrap(), n);
    }
    let busy = occupy(&pool, 2);
    let cancelled = pool.spawn(|| 1).unwrap();
    let awaiting = cancelled.clone();
    let thread = thread::spawn(move || block_on(awaiting));
    assert!(cancelled.cancel());
    assert!(matches!(thread.join().unwrap(), Err(FutureError::Cancelled)));
    drop(busy);
}
