//! `map` when something goes wrong: failures, panics, time limits, refusals, and the rest's end.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use common::{PLANNED, occupy, watched};
use manyhands::{
    Exception, Executor, FutureError, InlineExecutor, Reason, ThreadPoolExecutor, WhenFull,
};

#[derive(Debug, PartialEq)]
struct Bad(u32);

/// What a map gave: its values, and how it failed.
type Given = (Vec<u32>, Option<u32>);

/// Fails at each of `bad`, with what was given before, and that nothing came after.
fn given(results: impl Iterator<Item = Result<u32, FutureError<Bad>>>) -> Given {
    let (mut values, mut failure) = (Vec::new(), None);
    for result in results {
        assert_eq!(failure, None, "a failure is the last thing");
        match result {
            Ok(value) => values.push(value),
            Err(FutureError::Exception(Exception::Error(bad))) => failure = Some(bad.0),
            Err(other) => panic!("{other:?}"),
        }
    }
    (values, failure)
}

#[test]
fn the_first_failure_ends_it_wherever_in_a_chunk_it_is() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let inline = InlineExecutor::new();
    for bad in [0, 3, 4, 5, 7, 8, 19] {
        for chunksize in [1, 4, 20, 100] {
            let check = move |n| if n >= bad { Err(Bad(n)) } else { Ok(n) };
            let expected = ((0..bad).collect::<Vec<_>>(), Some(bad));
            let map = pool.try_map(check, 0..20).chunksize(chunksize);
            assert_eq!(given(map), expected, "chunks of {chunksize}");
            let map = pool.try_map(check, 0..20).chunksize(chunksize).buffersize(6);
            assert_eq!(given(map), expected, "chunks of {chunksize}, buffered");
            let map = inline.try_map(check, 0..20).chunksize(chunksize).unordered();
            assert_eq!(given(map), expected, "chunks of {chunksize}, unordered");
        }
    }
}

#[test]
fn a_failure_met_while_more_is_submitted_costs_no_result_before_it() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    // Every task of this one has ended before the next is submitted.
    let inline = InlineExecutor::new();
    for bad in [0, 31, 32, 33, 700, 999] {
        for chunksize in [1, 3, 10] {
            let check = move |n| if n == bad { Err(Bad(n)) } else { Ok(n) };
            let expected = ((0..bad).collect::<Vec<_>>(), Some(bad));
            let map = || inline.try_map(check, 0..1_000).chunksize(chunksize);
            assert_eq!(given(map()), expected, "chunks of {chunksize}");
            assert_eq!(given(map().start()), expected, "chunks of {chunksize}, started");
            assert_eq!(given(map().buffersize(500)), expected, "chunks of {chunksize}, buffered");
            let failed = map().into_vec().unwrap_err();
            assert!(matches!(failed, FutureError::Exception(Exception::Error(e)) if e.0 == bad));
            let map = pool.try_map(check, 0..1_000).chunksize(chunksize);
            assert_eq!(given(map), expected, "chunks of {chunksize}, in a pool");
        }
    }
}

#[test]
fn a_failure_is_that_of_the_earliest_item_though_a_later_one_fails_first() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let (failed, first) = mpsc::channel::<()>();
    let first = Mutex::new(first);
    let failed = Mutex::new(Some(failed));
    let check = move |n: u32| {
        if n == 0 {
            let _ = first.lock().unwrap().recv();
        } else {
            drop(failed.lock().unwrap().take());
        }
        Err::<u32, _>(Bad(n))
    };
    assert_eq!(given(pool.try_map(check, [0, 1])), (vec![], Some(0)));
}

#[test]
fn a_panic_is_the_exception_of_its_item() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let check = |n: u32| if n == 5 { panic!("{PLANNED}five") } else { n };
    for chunksize in [1, 4, 10] {
        let mut map = pool.map(check, 0..10).chunksize(chunksize);
        for n in 0..5 {
            assert_eq!(map.next().unwrap().unwrap(), n);
        }
        let Some(Err(FutureError::Exception(Exception::Panic(panic)))) = map.next() else {
            panic!("no panic")
        };
        assert_eq!(panic.message(), format!("{PLANNED}five"));
        assert!(panic.location().unwrap().contains("map_failures.rs"));
        assert!(map.next().is_none());
    }
}

/// With the only worker busy, all but what it runs is pending, and so can be counted.
#[test]
fn the_rest_is_cancelled_at_a_failure_at_the_timeout_and_on_drop() {
    let _watched = watched();
    for unordered in [false, true] {
        for end in ["failure", "timeout", "drop"] {
            let pool = ThreadPoolExecutor::new(1).unwrap();
            let busy = occupy(&pool, 1);
            let ran = Arc::new(AtomicUsize::new(0));
            let (sender, inside) = mpsc::channel::<()>();
            let (start, started) = mpsc::channel();
            let (count, inside) = (Arc::clone(&ran), Mutex::new(inside));
            let check = move |n: u32| {
                count.fetch_add(1, Ordering::SeqCst);
                if n == 3 {
                    return Err(Bad(3));
                }
                if n == 4 {
                    start.send(()).unwrap();
                    let _ = inside.lock().unwrap().recv();
                }
                Ok(n)
            };
            let items = if end == "failure" { 0..1_000 } else { 4..1_000 };
            let mut map = pool.try_map(check, items);
            if unordered {
                map = map.unordered();
            }
            match end {
                "failure" => {
                    // Item 4 blocks the only worker, so nothing after it has been run by then.
                    let map = map.start();
                    drop(busy);
                    started.recv().unwrap();
                    assert_eq!(given(map), (vec![0, 1, 2], Some(3)));
                }
                "timeout" => {
                    let mut map = map.timeout(Duration::from_millis(5));
                    assert!(matches!(map.next(), Some(Err(FutureError::TimedOut))));
                    assert!(map.next().is_none());
                    drop(busy);
                }
                _ => {
                    drop(map.start());
                    drop(busy);
                }
            }
            drop(sender);
            pool.shutdown(true, false);
            let expected = if end == "failure" { 5 } else { 0 };
            assert_eq!(ran.load(Ordering::SeqCst), expected, "items ran before the {end}");
        }
    }
}

#[test]
fn the_timeout_counts_from_the_call_of_map() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let timeout = Duration::from_millis(20);
    let called = Instant::now();
    let mut early = pool.map(|n: u32| n, [1]).timeout(timeout);
    let mut late = pool.map(|n: u32| n, [1]).timeout(timeout);
    assert!(matches!(early.next(), Some(Err(FutureError::TimedOut))));
    assert!(called.elapsed() >= timeout);
    // The time of the other is up as well, so it does not wait at all; if it did, then for ever.
    while called.elapsed() < 2 * timeout {
        std::thread::yield_now();
    }
    assert!(matches!(late.next(), Some(Err(FutureError::TimedOut))));
    assert!(late.next().is_none());
    drop(busy);
    let none = pool.map(|n: u32| n, [1]).timeout(Duration::MAX);
    assert_eq!(none.map(Result::unwrap).sum::<u32>(), 1);
}

#[test]
fn what_is_there_is_given_though_the_time_is_up() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    for unordered in [false, true] {
        let (sender, over) = mpsc::channel::<()>();
        let mut map = inline.map(|n: u32| n, 0..10).timeout(Duration::from_millis(500));
        if unordered {
            map = map.unordered();
        }
        let map = map.start();
        assert!(over.recv_timeout(Duration::from_millis(600)).is_err());
        drop(sender);
        assert!(map.map(Result::unwrap).eq(0..10));
    }
}

#[test]
fn nothing_is_submitted_when_the_time_is_up() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    for unordered in [false, true] {
        let mut map = inline.map(|n: u32| n, 0..).timeout(Duration::ZERO);
        if unordered {
            map = map.unordered();
        }
        assert!(matches!(map.next(), Some(Err(FutureError::TimedOut))));
        assert!(map.next().is_none());
    }
}

#[test]
fn a_full_queue_that_refuses_loses_no_item() {
    let _watched = watched();
    for (workers, max_pending, chunksize) in
        [(1, 1, 1), (1, 1, 3), (1, 7, 1), (3, 1, 3), (3, 2, 1), (3, 7, 3)]
    {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(workers)
            .max_pending(max_pending, WhenFull::Refuse)
            .build()
            .unwrap();
        let map = pool.map(|n: u32| n, 0..2_000).chunksize(chunksize);
        assert!(map.map(Result::unwrap).eq(0..2_000));
        let map = pool.map(|n: u32| n, 0..2_000).chunksize(chunksize).unordered();
        let mut seen: Vec<_> = map.map(Result::unwrap).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..2_000));
        let map = pool.map(|n: u32| n, 0..).chunksize(chunksize).buffersize(100);
        assert!(map.take(2_000).map(Result::unwrap).eq(0..2_000));
    }
}

#[test]
fn a_full_queue_with_the_other_policies_loses_no_item() {
    let _watched = watched();
    let day = Duration::from_hours(24);
    for when_full in [WhenFull::Block, WhenFull::BlockFor(day), WhenFull::RunInCaller] {
        let pool =
            ThreadPoolExecutor::builder().max_workers(2).max_pending(3, when_full).build().unwrap();
        assert!(pool.map(|n: u32| n, 0..2_000).map(Result::unwrap).eq(0..2_000));
    }
}

#[test]
fn a_queue_filled_by_others_is_an_error() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .max_pending(1, WhenFull::Refuse)
        .build()
        .unwrap();
    let busy = occupy(&pool, 1);
    let other = pool.spawn(|| 1).unwrap();
    let mut map = pool.map(|n: u32| n, 0..3);
    let full = Reason::Full { max_pending: 1 };
    assert!(matches!(map.next(), Some(Err(FutureError::Refused(reason))) if reason == full));
    assert!(map.next().is_none());
    drop(busy);
    assert_eq!(other.result(None).unwrap(), 1);
}

#[test]
fn a_shutdown_executor_refuses_the_first_step() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    pool.shutdown(true, false);
    for unordered in [false, true] {
        let mut map = pool.map(|n: u32| n, 0..3);
        if unordered {
            map = map.unordered();
        }
        assert!(matches!(map.next(), Some(Err(FutureError::Refused(Reason::Shutdown)))));
        assert!(map.next().is_none());
    }
}

#[test]
fn a_shutdown_on_the_way_costs_no_result_already_submitted() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for unordered in [false, true] {
        let pool = if unordered { &ThreadPoolExecutor::new(2).unwrap() } else { &pool };
        let mut map = pool.map(|n: u32| n, 0..).buffersize(4);
        if unordered {
            map = map.unordered();
        }
        let mut seen = vec![map.next().unwrap().unwrap()];
        pool.shutdown(true, false);
        let error = loop {
            match map.next().unwrap() {
                Ok(n) => seen.push(n),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, FutureError::Refused(Reason::Shutdown)), "{error}");
        assert!(map.next().is_none());
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_shutdown_that_cancels_is_seen_as_cancelled() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let mut map = pool.map(|n: u32| n, 0..10).start();
    pool.shutdown(false, true);
    assert!(matches!(map.next(), Some(Err(FutureError::Cancelled))));
    assert!(map.next().is_none());
    drop(busy);
}

#[test]
fn an_input_that_panics_harms_only_its_caller() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let input = (0..10_u32).inspect(|n| assert!(*n < 5, "{PLANNED}input"));
    let mut map = pool.map(|n| n, input).buffersize(2);
    let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        map.by_ref().for_each(drop);
    }));
    assert!(taken.is_err());
    drop(map);
    assert_eq!(pool.spawn(|| 1).unwrap().result(None).unwrap(), 1);
}
