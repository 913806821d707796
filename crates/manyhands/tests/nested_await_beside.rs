//! Tasks that are in a cycle and await something else beside it, which others may wake: these are no deadlocks.

#![cfg(not(loom))]

mod common;

use std::future::{Future as StdFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::awaiting::{Outcome, Way, begun, each_other, pool, said, select};
use common::watched;
use manyhands::{Exception, Executor, Future, FutureError, block_on, join_all};

/// What a thread ends after so long, which has the waker until then. `ends`: else it only lets go of it.
fn timer(after: Duration, ends: bool) -> impl StdFuture<Output = Outcome> {
    let mut started = None::<Arc<Mutex<Option<Waker>>>>;
    poll_fn(move |context| {
        let Some(waker) = &started else {
            let waker = Arc::new(Mutex::new(Some(context.waker().clone())));
            started = Some(Arc::clone(&waker));
            thread::spawn(move || {
                thread::sleep(after);
                let waker = waker.lock().unwrap().take();
                if ends {
                    waker.into_iter().for_each(Waker::wake);
                }
            });
            return Poll::Pending;
        };
        let mut waker = waker.lock().unwrap();
        match &mut *waker {
            None if ends => return Poll::Ready(Ok("the timer".to_owned())),
            None => (),
            Some(waker) => waker.clone_from(context.waker()),
        }
        Poll::Pending
    })
}

#[test]
fn what_others_may_still_wake_is_no_deadlock() {
    let _watched = watched();
    let awaits: Way = |own| {
        let timer = timer(Duration::from_millis(300), true);
        said(block_on(select(own, timer)))
    };
    let pool = pool(2);
    let [own] = begun([(&pool, awaits)]);
    own.tell.send(own.task).unwrap();
    assert_eq!(own.said.recv().unwrap(), "the timer");

    // Nor is it one for a task that waits for it.
    let waits: Way = |other| said(other.result(None));
    let said = each_other([&pool, &pool], [awaits, waits], |other| other);
    assert_eq!(said, ["the timer", "the timer"]);
}

#[test]
fn a_timeout_of_a_cycle_is_no_deadlock() {
    let _watched = watched();
    let awaits: Way = |own| match block_on(own.timeout(Duration::from_millis(150)).map(|n| n)) {
        Err(FutureError::Exception(Exception::Elapsed(_))) => "elapsed".to_owned(),
        other => format!("{other:?}"),
    };
    let pool = pool(1);
    let [own] = begun([(&pool, awaits)]);
    own.tell.send(own.task).unwrap();
    assert_eq!(own.said.recv().unwrap(), "elapsed");
}

#[test]
fn a_deadlock_is_found_when_all_others_have_let_go() {
    let _watched = watched();
    let awaits: Way = |own| {
        let timer = timer(Duration::from_millis(150), false);
        said(block_on(select(own, timer)))
    };
    let pool = pool(1);
    let [own] = begun([(&pool, awaits)]);
    own.tell.send(own.task).unwrap();
    let said = own.said.recv().unwrap();
    assert!(said.contains("waits for itself"), "{said}");
}

#[test]
fn a_future_that_is_polled_no_more_may_still_wake_it() {
    let _watched = watched();
    let free: Future<String> = Future::new();
    let pool = pool(1);
    let (tell, told) = mpsc::channel::<Future<String>>();
    let other = free.clone();
    let own = pool.spawn(move || {
        let (mut own, mut other, mut polled) = (told.recv().unwrap(), other, false);
        said(block_on(poll_fn(|context| {
            // Asked, not polled, once it has the waker.
            if other.done() {
                return Poll::Ready(Ok("the other".to_owned()));
            }
            if !std::mem::replace(&mut polled, true) {
                assert!(Pin::new(&mut other).poll(context).is_pending());
                context.waker().wake_by_ref();
            }
            Pin::new(&mut own).poll(context)
        })))
    });
    let own = own.unwrap();
    tell.send(own.clone()).unwrap();
    thread::sleep(Duration::from_millis(50)); // longer than it takes to look for a deadlock
    assert!(!own.done(), "{own:?}");
    free.set_result(String::new()).unwrap();
    assert_eq!(own.result(None).unwrap(), "the other");
}

#[test]
fn a_handle_may_be_moved_while_it_is_awaited() {
    let _watched = watched();
    let awaits: Way = |own| {
        let (mut here, mut there) = (Some(own), None);
        said(block_on(poll_fn(|context| {
            std::mem::swap(&mut here, &mut there);
            let moved = here.as_mut().or(there.as_mut()).unwrap();
            let polled = Pin::new(moved).poll(context);
            if polled.is_pending() && here.is_none() {
                context.waker().wake_by_ref();
            }
            polled
        })))
    };
    let pool = pool(1);
    let [own] = begun([(&pool, awaits)]);
    own.tell.send(own.task).unwrap();
    let said = own.said.recv().unwrap();
    assert!(said.contains("waits for itself"), "{said}");
}

/// A waker of a combinator's own, as `FuturesUnordered` has them.
struct Passes(Waker);

impl Wake for Passes {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

async fn wrapped<F: StdFuture>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let waker = Waker::from(Arc::new(Passes(context.waker().clone())));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

#[test]
fn wakers_of_a_combinators_own_are_no_deadlock() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let sum = pool.spawn(move || {
        let parts = (1..=3).map(|n| own.spawn(move || n).unwrap());
        let sum = join_all(parts).map(|all| all.iter().sum::<i32>());
        block_on(wrapped(sum)).unwrap()
    });
    assert_eq!(sum.unwrap().result(None).unwrap(), 6);

    // Whoever has them may have handed them on.
    let awaits: Way = |own| {
        let timer = timer(Duration::from_millis(300), true);
        said(block_on(wrapped(select(own, timer))))
    };
    let [own] = begun([(&pool, awaits)]);
    own.tell.send(own.task).unwrap();
    assert_eq!(own.said.recv().unwrap(), "the timer");
}

#[test]
fn a_handle_that_goes_on_elsewhere_is_forgotten_here() {
    let _watched = watched();
    let free: Future<String> = Future::new();
    let pool = pool(1);
    let (tell, told) = mpsc::channel::<Future<String>>();
    let handle = Mutex::new(free.clone());
    let shared = Arc::new(handle);
    let here = Arc::clone(&shared);
    let (polled, first_poll) = mpsc::channel();
    let own = pool.spawn(move || {
        let mut own = told.recv().unwrap();
        said(block_on(poll_fn(|context| {
            let mut other = here.lock().unwrap();
            if polled.send(()).is_ok() {
                assert!(Pin::new(&mut *other).poll(context).is_pending());
            }
            Pin::new(&mut own).poll(context)
        })))
    });
    let own = own.unwrap();
    tell.send(own.clone()).unwrap();
    first_poll.recv().unwrap();
    drop(first_poll);
    thread::sleep(Duration::from_millis(50)); // longer than it takes to look for a deadlock
    // Only the newest waker of a handle counts.
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut *shared.lock().unwrap()).poll(noop).is_pending());
    let said = own.result(None).unwrap();
    assert!(said.contains("waits for itself"), "{said}");
    drop(free);
}
