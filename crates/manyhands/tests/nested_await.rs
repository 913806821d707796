//! Tasks that await tasks by `block_on`: in place, in each other's stead, in cycles, and beside what else may
//! wake them.

#![cfg(not(loom))]

mod common;

use std::future::{Future as StdFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::watched;
use manyhands::{
    Executor, Future, FutureError, InlineExecutor, ThreadPoolExecutor, block_on, join_all, race,
};

type Pool = Arc<ThreadPoolExecutor>;

/// How a task waits, and what it says of that.
type Way = fn(Future<String>) -> String;

type Outcome = Result<String, FutureError>;

fn pool(workers: usize) -> Pool {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

/// What a task found out: the value, or the deadlock that it was told of.
fn said(outcome: Outcome) -> String {
    match outcome {
        Ok(value) => value,
        Err(FutureError::Deadlock(deadlock)) => deadlock.to_string(),
        Err(other) => panic!("{other:?}"),
    }
}

/// A task that has begun: what to tell it, and what it says in the end, wherever its value goes.
struct Begun {
    task: Future<String>,
    tell: mpsc::Sender<Future<String>>,
    said: mpsc::Receiver<String>,
}

/// Tasks that get a future once all have begun, so that none runs another in place.
fn begun<const N: usize>(tasks: [(&Pool, Way); N]) -> [Begun; N] {
    let all_begun = Arc::new(Barrier::new(N + 1));
    let begun = tasks.map(|(pool, awaits)| {
        let all_begun = Arc::clone(&all_begun);
        let (tell, told) = mpsc::channel();
        let (say, said) = mpsc::channel();
        let task = move || {
            all_begun.wait();
            let saying = awaits(told.recv().unwrap());
            say.send(saying.clone()).unwrap();
            saying
        };
        Begun { task: pool.spawn(task).unwrap(), tell, said }
    });
    all_begun.wait();
    begun
}

/// Has each of two tasks wait for what is made of the other; what both say.
fn each_other(
    pools: [&Pool; 2],
    awaits: [Way; 2],
    derive: fn(Future<String>) -> Future<String>,
) -> [String; 2] {
    let tasks = [(pools[0], awaits[0]), (pools[1], awaits[1])];
    let [first, second] = begun(tasks);
    first.tell.send(derive(second.task)).unwrap();
    second.tell.send(first.task).unwrap();
    [first.said, second.said].map(|said| said.recv().unwrap())
}

/// The outputs of both.
async fn join(one: Future<String>, two: Future<String>) -> (Outcome, Outcome) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let (mut ended, mut other_ended) = (None, None);
    poll_fn(move |context| {
        for (future, outcome) in [(&mut one, &mut ended), (&mut two, &mut other_ended)] {
            if outcome.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *outcome = Some(output),
                    Poll::Pending => (),
                }
            }
        }
        if ended.is_none() || other_ended.is_none() {
            return Poll::Pending;
        }
        Poll::Ready(ended.take().zip(other_ended.take()).unwrap())
    })
    .await
}

/// The first of two that ends; the first of all, if both do.
async fn select<O>(one: impl StdFuture<Output = O>, two: impl StdFuture<Output = O>) -> O {
    let (mut one, mut two) = (pin!(one), pin!(two));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(output),
        Poll::Pending => two.as_mut().poll(context),
    })
    .await
}

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
fn the_only_worker_runs_what_its_task_awaits() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let outer = pool.spawn(move || {
        let inner = own.spawn(|| thread::current().id()).unwrap();
        (thread::current().id(), block_on(inner).unwrap())
    });
    let (outer, inner) = outer.unwrap().result(None).unwrap();
    assert_eq!(outer, inner, "in place");
    assert_eq!(pool.stats().workers, 1);
}

#[test]
fn another_works_in_the_stead_of_one_that_awaits() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let outer = pool.spawn(move || {
        let parts = (1..=3).map(|n| own.spawn(move || n).unwrap());
        let sum = join_all(parts).map(|all| all.iter().sum::<i32>());
        // And a task that it does not know of, which wakes it by hand.
        let (tell, told) = mpsc::channel::<Waker>();
        own.spawn(move || told.recv().unwrap().wake()).unwrap();
        let mut polls = 0;
        let woken = poll_fn(|context| {
            polls += 1;
            if polls > 1 {
                return Poll::Ready(());
            }
            tell.send(context.waker().clone()).unwrap();
            Poll::Pending
        });
        block_on(async {
            woken.await;
            sum.await.unwrap()
        })
    });
    assert_eq!(outer.unwrap().result(None).unwrap(), 6);
    assert_eq!(pool.stats().workers, 2);
}

#[test]
fn two_tasks_that_await_each_other_are_both_told() {
    let _watched = watched();
    let awaits: Way = |other| said(block_on(other));
    let waits: Way = |other| said(other.result(None));
    let [one, another] = [pool(2), pool(2)];
    for pools in [[&one, &one], [&one, &another]] {
        for ways in [[awaits, awaits], [awaits, waits], [waits, awaits]] {
            for said in each_other(pools, ways, |other| other) {
                assert!(said.starts_with("deadlock: "), "{said}");
                assert_eq!(said.matches("submitted at").count(), 2, "{said}");
                assert_eq!(said.matches("tests/nested_await.rs:").count(), 2, "{said}");
                assert!(said.contains("waits for") && said.contains("begun"), "{said}");
            }
        }
    }
}

#[test]
fn a_task_that_awaits_itself_is_told_and_goes_on() {
    let _watched = watched();
    let awaits = |mut own: Future<String>| {
        block_on(async {
            // Told each time, and between them of other things.
            let first = said((&mut own).await);
            let other = InlineExecutor::new().spawn(|| 5).unwrap().await.unwrap();
            let second = said(own.await);
            assert_eq!((&first, other), (&second, 5));
            first
        })
    };
    let pool = pool(1);
    let [own] = begun([(&pool, awaits)]);
    own.tell.send(own.task).unwrap();
    let said = own.said.recv().unwrap();
    assert!(said.contains("waits for itself"), "{said}");
}

#[test]
fn a_cycle_through_futures_made_from_others_is_found() {
    let _watched = watched();
    let awaits: Way = |other| said(block_on(other));
    let ways: [fn(Future<String>) -> Future<String>; 5] = [
        |other| other.map(|n| n),
        |other| (0..1_000).fold(other, |last, _| last.map(|n| n)),
        |other| race([other]),
        |other| join_all([Future::ready(String::new()), other]).map(|mut all| all.remove(1)),
        |other| Future::ready(0).and_then(move |_| other),
    ];
    let pool = pool(2);
    for derive in ways {
        let said = each_other([&pool, &pool], [awaits, awaits], derive);
        assert!(said.iter().all(|said| said.starts_with("deadlock: ")), "{said:?}");
    }
}

#[test]
fn a_cycle_through_several_awaits_is_found() {
    let _watched = watched();
    let joins: Way = |other| {
        let (one, two) = block_on(join(other.clone(), other.map(|n| n)));
        let (one, two) = (said(one), said(two));
        assert_eq!(one, two, "all that are awaited are told");
        one
    };
    let selects: Way = |other| said(block_on(select(other.clone(), other)));
    let pool = pool(2);
    for way in [joins, selects] {
        for said in each_other([&pool, &pool], [way, way], |other| other) {
            assert!(said.starts_with("deadlock: "), "{said}");
        }
    }
}

#[test]
fn one_of_several_that_may_end_is_waited_for() {
    let _watched = watched();
    let free: Future<String> = Future::new();
    let own_pool = pool(1);
    let (tell, told) = mpsc::channel::<Future<String>>();
    let other = free.clone();
    let awaits = move || {
        let own = told.recv().unwrap();
        let (first, second) = block_on(join(other, own));
        format!("{} and {}", said(first), said(second))
    };
    let own = own_pool.spawn(awaits).unwrap();
    tell.send(own.clone()).unwrap();
    thread::sleep(Duration::from_millis(50)); // longer than it takes to look for a deadlock
    assert!(!own.done(), "{own:?}");
    free.set_result("ended".to_owned()).unwrap();
    let said = own.result(None).unwrap();
    assert!(said.starts_with("ended and deadlock: "), "{said}");
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
    // Only the newest waker of a handle counts.
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut *shared.lock().unwrap()).poll(noop).is_pending());
    let said = own.result(None).unwrap();
    assert!(said.contains("waits for itself"), "{said}");
    drop(free);
}

#[test]
fn tasks_below_one_that_runs_in_place_are_part_of_the_cycle() {
    let _watched = watched();
    let pool = pool(1);
    let own = Arc::clone(&pool);
    let (tell, told) = mpsc::channel::<Future<String>>();
    let outer = pool.spawn(move || {
        let outer = told.recv().unwrap();
        let inner = own.spawn(move || said(block_on(outer))).unwrap();
        said(block_on(inner))
    });
    let outer = outer.unwrap();
    tell.send(outer.clone()).unwrap();
    let said = outer.result(None).unwrap();
    assert!(said.starts_with("deadlock: "), "{said}");
}

fn fib(pool: &Pool, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let own = Arc::clone(pool);
    let left = pool.spawn(move || fib(&own, n - 1)).unwrap();
    let right = fib(pool, n - 2);
    block_on(async { left.await.unwrap() + right })
}

#[test]
fn divide_and_conquer_takes_few_threads() {
    let _watched = watched();
    let pool = pool(2);
    assert_eq!(fib(&pool, 18), 2584);
    let workers = pool.stats().workers;
    assert!(workers <= 20, "{workers} threads, where the recursion is 18 deep");
}
