//! `block_on` as any program may use it: whoever wakes it, wherever it is called.

#![cfg(not(loom))]

mod common;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use common::{PLANNED, watched};
use manyhands::{Executor, Future, FutureError, ThreadPoolExecutor, block_on};

/// Pending until it was polled so often; wakes itself.
async fn pending(mut times: usize) -> usize {
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        if times == 0 {
            return Poll::Ready(polls);
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Ends when another thread says so, which is the only one to have the waker.
fn elsewhere() -> (impl std::future::Future<Output = ()>, impl FnOnce() + Send + 'static) {
    #[derive(Default)]
    struct Shared {
        ended: AtomicBool,
        waker: Mutex<Option<Waker>>,
    }
    let shared = Arc::new(Shared::default());
    let ending = Arc::clone(&shared);
    let future = poll_fn(move |context| {
        *shared.waker.lock().unwrap() = Some(context.waker().clone());
        if shared.ended.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    });
    let end = move || {
        ending.ended.store(true, Ordering::SeqCst);
        let waker = ending.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    };
    (future, end)
}

#[test]
fn gives_the_output_of_any_future() {
    let _watched = watched();
    assert_eq!(block_on(async { 6 * 7 }), 42);
    assert_eq!(block_on(pending(1_000)), 1_001);
    let text = String::from("borrowed");
    let borrowed = &text;
    assert_eq!(block_on(async { borrowed.len() }), 8);
    for n in 0..1_000 {
        let (future, end) = elsewhere();
        let thread = thread::spawn(end);
        block_on(async {
            pending(n % 3).await;
            future.await;
        });
        thread.join().unwrap();
    }
}

#[test]
fn awaits_tasks_whatever_their_ends() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
    for n in 0..1_000 {
        assert_eq!(block_on(pool.spawn(move || n).unwrap()).unwrap(), n);
    }
    let failed = pool.spawn(|| panic!("{PLANNED}awaited")).unwrap();
    let outcome: Result<(), _> = block_on(failed);
    assert!(matches!(outcome, Err(FutureError::Exception(_))));
    let cancelled: Future<i32> = Future::new();
    assert!(cancelled.cancel());
    assert!(matches!(block_on(cancelled), Err(FutureError::Cancelled)));
}

#[test]
fn sleeps_until_it_is_woken() {
    let _watched = watched();
    let polls = Cell::new(0);
    let bare: Future<i32> = Future::new();
    let ending = bare.clone();
    let (polled, first_poll) = mpsc::channel();
    let thread = thread::spawn(move || {
        first_poll.recv().unwrap();
        ending.set_result(5).unwrap();
    });
    let mut awaiting = std::pin::pin!(bare);
    let value = block_on(poll_fn(|context| {
        polls.set(polls.get() + 1);
        let polled_now = awaiting.as_mut().poll(context);
        polled.send(()).unwrap_or(());
        polled_now
    }));
    assert_eq!((value.unwrap(), polls.get()), (5, 2));
    thread.join().unwrap();
}

#[test]
fn many_threads_may_wake_it_at_once() {
    let _watched = watched();
    for _ in 0..200 {
        let left = Arc::new(AtomicUsize::new(8));
        let mut threads = Vec::new();
        block_on(poll_fn(|context| {
            while threads.len() < 8 {
                let (left, waker) = (Arc::clone(&left), context.waker().clone());
                threads.push(thread::spawn(move || {
                    waker.wake_by_ref();
                    left.fetch_sub(1, Ordering::Relaxed);
                    waker.wake();
                }));
            }
            if left.load(Ordering::Relaxed) == 0 { Poll::Ready(()) } else { Poll::Pending }
        }));
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_waker_may_outlive_it() {
    let _watched = watched();
    let kept = RefCell::new(None);
    block_on(poll_fn(|context| {
        *kept.borrow_mut() = Some(context.waker().clone());
        Poll::Ready(())
    }));
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(block_on(pending(1)), 2);

    // As the end of a future may that was polled in it and not awaited.
    let mut bare: Future<i32> = Future::new();
    block_on(poll_fn(|context| {
        assert!(std::pin::Pin::new(&mut bare).poll(context).is_pending());
        Poll::Ready(())
    }));
    bare.set_result(1).unwrap();
    assert_eq!(block_on(&mut bare).unwrap(), 1);
}

#[test]
fn one_may_run_in_another_and_in_a_task_inside_it() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
    let own = Arc::clone(&pool);
    let sum = block_on(async {
        let before = pool.spawn(|| 1).unwrap();
        let inner = block_on(async { pool.spawn(|| 2).unwrap().await.unwrap() });
        let task = move || {
            let inmost = own.spawn(|| 3).unwrap();
            block_on(async { block_on(inmost).unwrap() + pending(2).await })
        };
        let task = pool.spawn(task).unwrap();
        // A foreign one inside, with a waker of its own.
        let foreign = common::block_on(pool.spawn(|| 4).unwrap()).unwrap();
        before.await.unwrap() + inner + i32::try_from(task.await.unwrap()).unwrap() + foreign
    });
    assert_eq!(sum, 13);
    // And in a foreign one.
    assert_eq!(common::block_on(async { block_on(pool.spawn(|| 5).unwrap()).unwrap() }), 5);
}

#[test]
fn a_panic_goes_through_it_and_leaves_nothing_behind() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            let inner: Result<(), _> =
                catch_unwind(AssertUnwindSafe(|| block_on(async { panic!("{PLANNED}inner") })));
            assert!(inner.is_err());
            pool.spawn(|| 1).unwrap().await.unwrap();
            panic!("{PLANNED}outer");
        })
    }));
    assert!(outcome.is_err());
    assert_eq!(block_on(pool.spawn(|| 2).unwrap()).unwrap(), 2);
}

#[test]
fn a_thread_that_is_nearly_gone_may_block() {
    struct AtTheEnd(Future<i32>, mpsc::Sender<i32>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.1.send(block_on(self.0.clone()).unwrap()).unwrap();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    let _watched = watched();
    let (sender, values) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let future = pool.spawn(move || gate.recv().map_or(6, |()| 0)).unwrap();
    let thread = thread::spawn(move || {
        LAST.set(Some(AtTheEnd(future, sender)));
        block_on(async {}); // what is known of it is dropped before what was known earlier
    });
    drop(go);
    assert_eq!(values.recv(), Ok(6));
    thread.join().unwrap();
}
