//! `install`: the caller and the workers share what it lends; and what becomes of it while the pool ends.

#![cfg(not(loom))]

mod common;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use common::{PLANNED, here, occupy, stolen, watched};
use manyhands::{Executor, InlineExecutor, Stats, ThreadPoolExecutor, join, map_slice};

fn both_at_once() -> (ThreadId, ThreadId) {
    stolen(here, here)
}

#[test]
fn a_worker_takes_over_what_the_caller_lends_and_borrows() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    for started in [0, 1] {
        assert_eq!(pool.stats().workers, started, "one is started when there is something for it");
        let not_send = std::rc::Rc::new(String::from("borrowed"));
        let (a, b) = pool.install(|| {
            assert_eq!(*not_send, "borrowed");
            both_at_once()
        });
        assert_eq!(a, here());
        assert_ne!(b, here());
    }
    let Stats { pending, running, completed, workers, .. } = pool.stats();
    assert_eq!((pending, running, completed, workers), (0, 0, 0, 1), "it is no task");
}

#[test]
fn every_value_is_in_its_place_whoever_computes_it() {
    let _watched = watched();
    let items: Vec<usize> = (0..5_000).collect();
    for workers in [1, 2, 8] {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        for _ in 0..20 {
            let values = pool.install(|| map_slice(&items, |item| item * 2));
            assert!(values.iter().copied().eq((0..5_000).map(|item| item * 2)));
        }
    }
}

#[test]
fn all_workers_and_the_caller_take_part() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(3).unwrap();
    // The pool starts one worker at a time, when something more is lent.
    let all = (0..100).any(|_| {
        let slow = |(): &()| {
            thread::sleep(Duration::from_millis(1));
            here()
        };
        let places = pool.install(|| map_slice(&[(); 64], slow));
        let places: BTreeSet<_> = places.iter().map(|id| format!("{id:?}")).collect();
        places.len() == 4 && places.contains(&format!("{:?}", here()))
    });
    assert!(all);
}

#[test]
fn the_caller_waits_for_what_a_worker_has_taken() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    // Longer than anybody spins, and than a wait stays out of the graph.
    let slow = || {
        thread::sleep(Duration::from_millis(50));
        here()
    };
    let ((), late) = pool.install(|| stolen(|| (), slow));
    assert_ne!(late, here());
}

#[test]
fn a_part_may_wait_for_a_task_of_the_pool() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let values = pool.install(|| {
        map_slice(&[1, 2, 3, 4], |item| {
            let item = *item;
            pool.spawn(move || item * 10).unwrap().into_result(None).unwrap()
        })
    });
    assert_eq!(values, [10, 20, 30, 40]);
}

#[test]
fn it_is_a_plain_call_in_a_task_of_the_pool() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
    let own = Arc::clone(&pool);
    let task = move || (here(), own.install(both_at_once));
    let (place, (a, b)) = pool.spawn(task).unwrap().into_result(None).unwrap();
    assert_eq!(a, place);
    assert_ne!(b, place);
}

#[test]
fn a_task_of_another_pool_lends_to_this_one_and_then_to_its_own_again() {
    let _watched = watched();
    let named =
        |name| ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix(name).build();
    let (other, own) = (Arc::new(named("other").unwrap()), named("own").unwrap());
    let name = || thread::current().name().map(str::to_owned).unwrap_or_default();
    let taker = move || stolen(|| (), name).1;
    let takers = own.spawn(move || [taker(), other.install(taker), taker()]).unwrap();
    let [before, within, after] = takers.into_result(None).unwrap();
    assert!(before.starts_with("own_") && after.starts_with("own_"), "{before}, {after}");
    assert!(within.starts_with("other_"), "{within}");
}

#[test]
fn an_inline_task_lends_too() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
    let inline = InlineExecutor::new().spawn(move || pool.install(both_at_once)).unwrap();
    let (a, b) = inline.into_result(None).unwrap();
    assert_ne!(a, b);
}

#[test]
fn a_panic_comes_out_and_nothing_is_lent_afterwards() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        pool.install(|| map_slice(&[1, 2, 3], |item| assert!(*item != 2, "{PLANNED}two")))
    }));
    let message = panicked.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*message, format!("{PLANNED}two"));
    assert_eq!(join(here, here), (here(), here()));
    assert_eq!(pool.install(both_at_once).0, here());
    assert_eq!(join(here, here), (here(), here()));
}

/// Goes with its thread, and says where it is then, and where two closures are that it calls in a pool.
struct Last(mpsc::Sender<(ThreadId, (ThreadId, ThreadId))>);

impl Drop for Last {
    fn drop(&mut self) {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        self.0.send((here(), pool.install(|| join(here, here)))).unwrap();
    }
}

thread_local! {
    static LAST: OnceCell<Last> = const { OnceCell::new() };
}

#[test]
fn a_thread_near_its_end_does_all_alone() {
    let _watched = watched();
    let (sender, places) = mpsc::channel();
    thread::spawn(move || {
        // What is made last goes first: that is what `join` keeps in this thread.
        assert!(LAST.with(|last| last.set(Last(sender))).is_ok());
        join(|| (), || ());
    });
    let (place, both) = places.recv().unwrap();
    assert_eq!(both, (place, place));
}

#[test]
fn the_caller_does_alone_what_nobody_is_free_for() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let places = pool.install(|| map_slice(&[(); 100], |()| here()));
    assert!(places.iter().all(|place| *place == here()));
    drop(busy);
}

#[test]
fn a_pool_that_was_shut_down_starts_no_thread_for_it() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    pool.shutdown(true, false);
    let places = pool.install(|| map_slice(&[(); 100], |()| here()));
    assert!(places.iter().all(|place| *place == here()));
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn shutdown_does_not_wait_for_the_caller() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let (a, workers, after) = pool.install(|| {
        let (a, _) = both_at_once();
        let shut_down = || {
            pool.shutdown(true, false);
            pool.stats().workers
        };
        let (workers, ()) = join(shut_down, || ());
        (a, workers, join(here, here))
    });
    assert_eq!((a, workers, after), (here(), 0, (here(), here())));
}

#[test]
fn a_broken_pool_takes_nothing() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .try_initializer(|| Err::<(), _>("no licence"), ())
        .build()
        .unwrap();
    assert!(pool.spawn(|| ()).unwrap().into_result(None).is_err());
    let places = pool.install(|| map_slice(&[(); 100], |()| here()));
    assert!(places.iter().all(|place| *place == here()));
}

#[test]
fn several_callers_share_the_workers_and_one_shuts_the_pool_down() {
    let _watched = watched();
    let items: Vec<usize> = (0..2_000).collect();
    for _ in 0..20 {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        thread::scope(|scope| {
            for caller in 0..4 {
                let (pool, items) = (&pool, &items);
                scope.spawn(move || {
                    for round in 0..10 {
                        let values = pool.install(|| map_slice(items, |item| item + caller));
                        assert!(values.iter().copied().eq(caller..2_000 + caller));
                        if (caller, round) == (0, 5) {
                            pool.shutdown(true, false);
                        }
                    }
                });
            }
        });
        assert_eq!(pool.stats().workers, 0);
    }
}
