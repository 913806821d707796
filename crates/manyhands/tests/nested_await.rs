//! Tasks that await tasks by `block_on`: in place, in each other's stead, and in cycles.

#![cfg(not(loom))]

mod common;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use common::awaiting::{Outcome, Pool, Way, begun, each_other, pool, said, select};
use common::watched;
use manyhands::{Executor, Future, InlineExecutor, block_on, join_all, race};

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
                assert_eq!(said.matches("tests/common/awaiting.rs:").count(), 2, "{said}");
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
