//! Tasks that wait for futures made from others: whose tasks wait for them in turn, or only for a while.

#![cfg(not(loom))]

mod common;

use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use common::{Counter, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, Retry, ReturnWhen, ThreadPoolExecutor, as_completed,
    join_all, race, wait,
};

type Pool = Arc<ThreadPoolExecutor>;

fn pool(workers: usize) -> Pool {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

/// Ends a task that waits, or is told of a deadlock.
fn wait_for(future: &Future<u8>) -> u8 {
    match future.exception(None) {
        Ok(_) => 0,
        Err(FutureError::Deadlock(_)) => 1,
        Err(other) => panic!("{other:?}"),
    }
}

/// A task waits for what `derive` makes of another, which waits for the first. Whether the first was told of a
/// deadlock.
fn told_of_a_cycle(derive: impl FnOnce(&Pool, Future<u8>) -> Future<u8> + Send + 'static) -> bool {
    let pool = pool(2);
    let (tell_other, others) = mpsc::channel::<Future<u8>>();
    let (tell_first, firsts) = mpsc::channel::<Future<u8>>();
    // So that none runs the other in place.
    let begun = Arc::new(Barrier::new(3));
    let [first, other] = [firsts, others].map(|told| {
        let begun = Arc::clone(&begun);
        let task = move || {
            begun.wait();
            wait_for(&told.recv().unwrap())
        };
        pool.spawn(task).unwrap()
    });
    begun.wait();
    tell_other.send(first.clone()).unwrap();
    // The pool is kept by nothing that it runs.
    tell_first.send(derive(&pool, other)).unwrap();
    first.result(None).unwrap() == 1
}

#[test]
fn a_cycle_through_a_future_made_from_one_is_found() {
    let _watched = watched();
    assert!(told_of_a_cycle(|_, other| other));
    assert!(told_of_a_cycle(|_, other| other.map(|n| n)));
    assert!(told_of_a_cycle(|_, other| other
        .then(|outcome| outcome.map_err(drop))
        .map_err(|_| unreachable!())
        .or_else(|_| Ok(0))));
    assert!(told_of_a_cycle(|_, other| (0..1000).fold(other, |last, _| last.map(|n| n))));
    assert!(told_of_a_cycle(|pool, other| pool.submit_after(|n| n, (other,))));
    assert!(told_of_a_cycle(|pool, other| {
        let later = pool.submit_after(|n: u8| n, (other,));
        later.map(|n| n)
    }));
}

#[test]
fn a_cycle_through_a_future_made_from_many_is_found_when_no_other_is_left() {
    let _watched = watched();
    assert!(told_of_a_cycle(|_, other| race([other.map(|n| n)])));
    assert!(told_of_a_cycle(|pool, other| {
        let others = [pool.spawn(|| 1).unwrap(), other, Future::ready(1)];
        join_all(others).map(|all| all[0])
    }));
    assert!(told_of_a_cycle(|pool, other| {
        let slow = pool.spawn(|| 1).unwrap();
        pool.submit_after(|a: u8, b: u8| a + b, (slow, other))
    }));
}

#[test]
fn a_cycle_through_what_a_closure_has_returned_is_found() {
    let _watched = watched();
    assert!(told_of_a_cycle(|pool, other| {
        // By the time it is looked at, it waits for a task that has begun, and later for the other.
        let (go, gate) = mpsc::channel::<()>();
        let gated = pool.spawn(move || gate.recv().map_or(0, |()| 1)).unwrap();
        let then = gated.and_then(move |_| other);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            drop(go);
        });
        then
    }));
    assert!(told_of_a_cycle(|_, other| Future::ready(0).and_then(move |_| other)));
}

#[test]
fn a_cycle_through_a_closure_that_waits_is_found() {
    let _watched = watched();
    let ways: [fn(Future<u8>) -> Future<u8>; 3] =
        [|made| made, |made| made.map(|n| n), |made| race([made])];
    for derive in ways {
        let pool = pool(2);
        let (tell, told) = mpsc::channel::<Future<u8>>();
        let (go, gate) = mpsc::channel::<()>();
        let source = pool.spawn(move || gate.recv().map_or(0, |()| 1)).unwrap();
        let (tell_closure, closure_told) = mpsc::channel::<Future<u8>>();
        let (say, said) = mpsc::channel();
        let made = source.map(move |_| {
            let told = wait_for(&closure_told.recv().unwrap());
            say.send(told).unwrap();
            told
        });
        let started = Arc::new(Barrier::new(2));
        let start = Arc::clone(&started);
        let waiting = move || {
            start.wait();
            wait_for(&told.recv().unwrap())
        };
        let task = pool.spawn(waiting).unwrap();
        started.wait();
        tell.send(derive(made)).unwrap();
        tell_closure.send(task.clone()).unwrap();
        drop(go);
        assert_eq!([said.recv().unwrap(), task.result(None).unwrap()], [1, 1]);
    }
}

#[test]
fn a_cycle_through_an_attempt_is_found() {
    let _watched = watched();
    let pool = pool(2);
    let (tell, told) = mpsc::channel::<Future<u8>>();
    let told = Arc::new(std::sync::Mutex::new(told));
    let attempts = Retry::attempts(2);
    let attempt = move || match wait_for(&told.lock().unwrap().recv().unwrap()) {
        1 => Ok(1),
        n => Err(n),
    };
    let retried = attempts.try_submit(&pool, attempt, ());
    let task = pool.spawn(move || u8::from(retried.exception(None).is_err())).unwrap();
    tell.send(task.clone()).unwrap();
    assert_eq!(task.result(None).unwrap(), 1);
}

#[test]
fn every_way_to_wait_finds_it() {
    let _watched = watched();
    let ways: [fn(Future<u8>) -> u8; 3] = [
        |own| u8::try_from(wait([own], None, ReturnWhen::AllCompleted).not_done.len()).unwrap(),
        |own| u8::try_from(wait([own], None, ReturnWhen::FirstCompleted).not_done.len()).unwrap(),
        |own| u8::try_from(as_completed([own], None).filter(Result::is_err).count()).unwrap(),
    ];
    for way in ways {
        let pool = pool(1);
        let (tell, told) = mpsc::channel::<Future<u8>>();
        let own = pool.spawn(move || way(told.recv().unwrap().map(|n| n))).unwrap();
        tell.send(own.clone()).unwrap();
        // It is moved on to the future that is made from it.
        assert!(own.exception(None).unwrap().is_none());
    }
}

#[test]
fn what_may_end_in_another_way_is_no_deadlock() {
    let _watched = watched();
    // A timeout ends it.
    let elapsed = |future: Future<u8>| {
        let exception = future.exception(None).unwrap().unwrap();
        matches!(exception, Exception::Elapsed(_))
    };
    let pool = pool(1);
    let (tell, told) = mpsc::channel::<Future<u8>>();
    let (say, said) = mpsc::channel();
    let own = pool
        .spawn(move || {
            let own: Future<u8> = told.recv().unwrap();
            say.send(elapsed(own.timeout(Duration::from_millis(150)).map(|n| n))).unwrap();
            0
        })
        .unwrap();
    tell.send(own).unwrap();
    assert_eq!(said.recv(), Ok(true));

    // The other one in a race, or the other one's failure, ends it.
    for derive in [|both: [Future<u8, u8>; 2]| race(both), |both| join_all(both).map(|all| all[0])]
    {
        let free: Future<u8, u8> = Future::new();
        let (tell, told) = mpsc::channel::<Future<u8>>();
        let waiting = Arc::new(Barrier::new(2));
        let (begun, other) = (Arc::clone(&waiting), free.clone());
        let (say, said) = mpsc::channel();
        let own = pool
            .spawn(move || {
                let derived = derive([told.recv().unwrap().widen(), other]);
                begun.wait();
                say.send(derived.exception(None).unwrap().is_some()).unwrap();
                0
            })
            .unwrap();
        tell.send(own.clone()).unwrap();
        waiting.wait();
        thread::sleep(Duration::from_millis(200)); // longer than until it is looked at again
        assert!(!own.done());
        free.set_exception(Exception::Error(Arc::new(7))).unwrap();
        assert_eq!(said.recv(), Ok(true));
    }
}

#[test]
fn a_future_keeps_nothing_of_its_source_alive() {
    let _watched = watched();
    let pool = pool(1);
    let counter = Counter::new();
    let value = counter.value();
    let (go, gate) = mpsc::channel::<()>();
    let gated = pool.spawn(move || gate.recv().is_err()).unwrap();
    let source = pool.spawn(move || drop(value)).unwrap();
    let derived = [source.map(|()| ())];
    let joined = join_all(derived);
    assert_eq!(counter.alive(), 1);
    assert!(!joined.done());
    drop(go);
    joined.result(None).unwrap();
    assert_eq!(counter.alive(), 0);
    assert!(gated.result(None).unwrap());
}
