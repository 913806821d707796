//! `as_completed` and `CompletionQueue`: the order of completion, time limits, and letting go.

#![cfg(not(loom))]

mod common;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Counter, occupy, watched};
use manyhands::{
    CompletionQueue, Exception, Executor, Future, InlineExecutor, State, ThreadPoolExecutor,
    Unfinished, as_completed,
};

const SHORT: Duration = Duration::from_millis(5);

fn bare(count: usize) -> Vec<Future<usize>> {
    (0..count).map(|_| Future::new()).collect()
}

#[test]
fn yields_in_the_order_of_completion() {
    let _watched = watched();
    let futures = bare(5);
    futures[3].set_result(3).unwrap();
    let mut completed = as_completed(futures.clone(), None);
    for n in [4, 0, 2, 1] {
        futures[n].set_result(n).unwrap();
    }
    for n in [3, 4, 0, 2, 1] {
        assert_eq!(completed.next().unwrap().unwrap(), futures[n]);
    }
    assert!(completed.next().is_none());
    assert!(completed.next().is_none());
}

#[test]
fn yields_those_already_done_first_in_their_order() {
    let _watched = watched();
    let futures = bare(4);
    for n in [2, 1] {
        futures[n].set_result(n).unwrap();
    }
    assert!(futures[3].cancel());
    assert!(!futures[3].set_running_or_notify_cancel().unwrap());
    let mut completed = as_completed(futures.clone(), None);
    futures[0].set_result(0).unwrap();
    for n in [1, 2, 3, 0] {
        assert_eq!(completed.next().unwrap().unwrap(), futures[n]);
    }
}

#[test]
fn yields_failed_and_cancelled_ones_too() {
    let _watched = watched();
    let futures: Vec<Future<(), String>> = (0..3).map(|_| Future::new()).collect();
    let mut completed = as_completed(futures.clone(), None);
    futures[0].set_exception(Exception::Error(Arc::new("no".to_owned()))).unwrap();
    assert_eq!(completed.next().unwrap().unwrap(), futures[0]);
    assert!(futures[1].cancel());
    assert_eq!(futures[1].state(), State::Cancelled);
    futures[2].set_result(()).unwrap();
    assert_eq!(completed.next().unwrap().unwrap(), futures[2]);
    // The cancelled one has not been yielded: its executor has not been told yet.
    assert!(!futures[1].set_running_or_notify_cancel().unwrap());
    assert_eq!(completed.next().unwrap().unwrap(), futures[1]);
    assert!(completed.next().is_none());
}

#[test]
fn of_nothing_ends_at_once() {
    let _watched = watched();
    assert!(as_completed(bare(0), None).next().is_none());
    assert!(as_completed(bare(0), Duration::ZERO).next().is_none());
}

#[test]
fn one_given_twice_is_yielded_once() {
    let _watched = watched();
    let futures = bare(2);
    let twice = futures.iter().chain(&futures).cloned();
    let mut completed = as_completed(twice, Duration::MAX);
    assert_eq!(completed.size_hint(), (0, Some(2)));
    for future in &futures {
        future.set_result(0).unwrap();
        assert_eq!(completed.next().unwrap().unwrap(), *future);
    }
    assert!(completed.next().is_none());
}

#[test]
fn a_timeout_is_said_once_with_what_is_left() {
    let _watched = watched();
    let futures = bare(3);
    futures[1].set_result(1).unwrap();
    for timeout in [Duration::ZERO, SHORT] {
        let before = Instant::now();
        let mut completed = as_completed(futures.clone(), timeout);
        assert_eq!(completed.next().unwrap().unwrap(), futures[1]);
        let unfinished = completed.next().unwrap().unwrap_err();
        assert!(before.elapsed() >= timeout);
        assert_eq!(unfinished, Unfinished { unfinished: 2, total: 3 });
        assert_eq!(unfinished.to_string(), "2 (of 3) futures unfinished");
        assert!(completed.next().is_none());
    }
    assert!(!futures[0].done() && !futures[2].done());
}

#[test]
fn what_is_done_is_yielded_though_the_time_is_up() {
    let _watched = watched();
    let futures = bare(3);
    let mut completed = as_completed(futures.clone(), Duration::ZERO);
    for future in &futures {
        future.set_result(0).unwrap();
    }
    assert_eq!(completed.by_ref().map(Result::unwrap).count(), 3);
    assert!(completed.next().is_none());
}

#[test]
fn futures_of_several_executors_come_together() {
    let _watched = watched();
    let (one, two) = (ThreadPoolExecutor::new(1).unwrap(), ThreadPoolExecutor::new(1).unwrap());
    let busy = occupy(&two, 1);
    let futures = [
        two.spawn(|| 2).unwrap(),
        one.spawn(|| 1).unwrap(),
        InlineExecutor::new().spawn(|| 3).unwrap(),
    ];
    let mut completed = as_completed(futures.clone(), None);
    let mut early = [completed.next().unwrap().unwrap(), completed.next().unwrap().unwrap()];
    early.sort_by_key(|future| future.result(None).unwrap());
    assert_eq!(early, [futures[1].clone(), futures[2].clone()]);
    drop(busy);
    assert_eq!(completed.next().unwrap().unwrap(), futures[0]);
}

#[test]
fn a_cancelled_pool_task_comes_though_all_workers_are_busy() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let _busy = occupy(&pool, 1);
    let future = pool.spawn(|| 1).unwrap();
    let mut completed = as_completed([future.clone()], None);
    let next = thread::spawn(move || completed.next());
    assert!(future.cancel());
    assert_eq!(next.join().unwrap().unwrap().unwrap(), future);
}

#[test]
fn lets_go_of_each_as_it_is_yielded() {
    let _watched = watched();
    let counter = Counter::new();
    let inline = InlineExecutor::new();
    let futures: Vec<_> = (0..100)
        .map(|_| {
            let value = counter.value();
            inline.spawn(move || value).unwrap()
        })
        .collect();
    let mut left = 100;
    for future in as_completed(futures, None) {
        assert_eq!(counter.alive(), left);
        drop(future.unwrap());
        left -= 1;
        assert_eq!(counter.alive(), left);
    }
    assert_eq!(left, 0);
}

#[test]
fn lets_go_of_all_when_it_times_out_or_is_dropped() {
    let _watched = watched();
    let counter = Counter::new();
    let unended = |counter: &Counter| {
        let (future, value) = (Future::<()>::new(), counter.value());
        future.add_done_callback(move |_| drop(value));
        future
    };
    let mut completed = as_completed([unended(&counter), unended(&counter)], Duration::ZERO);
    assert_eq!(counter.alive(), 2);
    assert!(completed.next().unwrap().is_err());
    assert_eq!(counter.alive(), 0);
    drop(completed);

    let completed = as_completed([unended(&counter), unended(&counter)], None);
    drop(completed);
    assert_eq!(counter.alive(), 0);
}

#[test]
fn a_queue_takes_more_while_it_is_emptied() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let mut queue = CompletionQueue::new();
    queue.push(pool.spawn(|| 0_u32).unwrap());
    let mut seen = Vec::new();
    while let Some(future) = queue.next(None).unwrap() {
        let n = future.into_result(None).unwrap();
        seen.push(n);
        if n < 127 {
            queue.push(pool.spawn(move || 2 * n + 1).unwrap());
            queue.extend([pool.spawn(move || 2 * n + 2).unwrap()]);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..255).collect::<Vec<_>>());
}

#[test]
fn a_queue_keeps_what_has_not_ended_when_the_time_is_up() {
    let _watched = watched();
    let mut queue = CompletionQueue::default();
    assert!(queue.next(Duration::ZERO).unwrap().is_none());
    let futures = bare(2);
    queue.extend(futures.clone());
    for timeout in [Duration::ZERO, SHORT] {
        let unfinished = queue.next(timeout).unwrap_err();
        assert_eq!(unfinished, Unfinished { unfinished: 2, total: 2 });
    }
    futures[1].set_result(1).unwrap();
    assert_eq!(queue.next(None).unwrap().unwrap(), futures[1]);
    assert_eq!(queue.len(), 1);
    futures[0].set_result(0).unwrap();
    assert_eq!(queue.next(Duration::ZERO).unwrap().unwrap(), futures[0]);
    assert!(queue.next(None).unwrap().is_none());
}

#[test]
fn a_queue_hands_out_a_future_as_often_as_it_was_pushed() {
    let _watched = watched();
    let future: Future<i32> = Future::new();
    let mut queue = CompletionQueue::new();
    queue.extend([future.clone(), future.clone()]);
    future.set_result(1).unwrap();
    queue.push(future.clone());
    for left in [2, 1, 0] {
        assert_eq!(queue.next(None).unwrap().unwrap(), future);
        assert_eq!(queue.len(), left);
    }
    assert!(queue.next(None).unwrap().is_none());
}

#[test]
fn a_queue_keeps_the_order_of_completion_when_a_done_one_is_added() {
    let _watched = watched();
    let futures = bare(3);
    let mut queue = CompletionQueue::new();
    queue.push(futures[0].clone());
    futures[0].set_result(0).unwrap();
    futures[1].set_result(1).unwrap();
    queue.push(futures[1].clone());
    queue.push(futures[2].clone());
    futures[2].set_result(2).unwrap();
    for future in futures {
        assert_eq!(queue.next(None).unwrap().unwrap(), future);
    }
}

/// However many done ones are added, one that completed before them has its turn.
#[test]
fn a_queue_starves_none() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    let late: Future<u32> = Future::new();
    let mut queue = CompletionQueue::new();
    queue.push(late.clone());
    late.set_result(0).unwrap();
    let next = |n| {
        queue.push(inline.spawn(move || n).unwrap());
        queue.next(None).unwrap().unwrap()
    };
    assert!((0..1_000).map(next).any(|future| future == late));
}

/// An endless stream through one queue: what has been handed out takes no room.
#[test]
fn a_queue_serves_a_long_stream() {
    let _watched = watched();
    let counter = Counter::new();
    let inline = InlineExecutor::new();
    let mut queue = CompletionQueue::new();
    for n in 0..50_000 {
        let value = counter.value();
        queue.push(inline.spawn(move || (n, value)).unwrap());
        if n >= 10 {
            let (oldest, _value) = queue.next(None).unwrap().unwrap().into_result(None).unwrap();
            assert_eq!(oldest, n - 10);
        }
        assert!(counter.alive() <= 11);
    }
    drop(queue);
    assert_eq!(counter.alive(), 0);
}

#[test]
fn no_end_is_lost_in_a_race() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for _ in 0..1_000 {
        let (sender, sent) = mpsc::channel();
        let futures: Vec<_> = (0..5).map(|n| pool.spawn(move || n).unwrap()).collect();
        for future in as_completed(futures, None) {
            sender.send(future.unwrap().result(None).unwrap()).unwrap();
        }
        drop(sender);
        let mut seen: Vec<i32> = sent.iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}
