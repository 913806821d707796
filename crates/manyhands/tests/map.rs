//! `map` and its kin: order, laziness, chunks, several iterables, unordered results.

#![cfg(not(loom))]

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use common::{Counter, occupy, watched};
use manyhands::{Executor, FutureError, InlineExecutor, ThreadPoolExecutor};

/// An input that counts what has been pulled.
fn counted(pulled: &Cell<usize>) -> impl Iterator<Item = usize> {
    (0..).inspect(|_| pulled.set(pulled.get() + 1))
}

#[test]
fn results_come_in_the_order_of_the_items() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(4).unwrap();
    for (chunksize, buffersize) in [(1, 0), (7, 0), (1, 3), (7, 20), (20, 7), (100_000, 0)] {
        let mut map = pool.map(|n: u64| n * n, 0..1_000).chunksize(chunksize);
        if buffersize > 0 {
            map = map.buffersize(buffersize);
        }
        let results: Result<Vec<_>, _> = map.collect();
        assert!(results.unwrap().into_iter().eq((0..1_000).map(|n| n * n)), "{chunksize}");
    }
}

#[test]
fn the_first_item_may_end_last() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let (last, ended) = mpsc::channel();
    let ended = Mutex::new(ended);
    let first_waits_for_last = move |n: u32| {
        match n {
            0 => ended.lock().unwrap().recv().unwrap(),
            99 => last.send(()).unwrap(),
            _ => (),
        }
        n
    };
    let results = pool.map(first_waits_for_last, 0..100);
    assert!(results.map(Result::unwrap).eq(0..100));
}

#[test]
fn of_nothing_is_empty() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    for chunksize in [1, 5] {
        let mut map = pool.map(|n: u32| n, []).chunksize(chunksize);
        assert!(map.next().is_none() && map.next().is_none());
        assert!(pool.map(|n: u32| n, []).chunksize(chunksize).unordered().next().is_none());
    }
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn nothing_starts_before_the_first_next_or_start() {
    let _watched = watched();
    let pulled = Cell::new(0);
    let inline = InlineExecutor::new();
    let map = inline.map(|n| n, counted(&pulled)).buffersize(3);
    assert_eq!(pulled.get(), 0);
    let mut map = map.start();
    assert_eq!(pulled.get(), 3);
    assert_eq!(map.next().unwrap().unwrap(), 0);

    let pulled = Cell::new(0);
    drop(inline.map(|n| n, counted(&pulled)).buffersize(3));
    assert_eq!(pulled.get(), 0);
}

#[test]
fn start_submits_while_the_caller_does_other_things() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let (sender, ran) = mpsc::channel();
    let map = pool.map(move |n: i32| sender.send(n).unwrap(), 0..3).start();
    let mut seen: Vec<_> = ran.iter().take(3).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
    assert_eq!(map.count(), 3);
}

#[test]
fn a_buffer_pulls_an_endless_input_only_as_needed() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for (buffersize, chunksize) in [(1, 1), (2, 1), (8, 1), (8, 3), (8, 8), (3, 8)] {
        for unordered in [false, true] {
            let pulled = Cell::new(0);
            let mut map =
                pool.map(|n| n, counted(&pulled)).buffersize(buffersize).chunksize(chunksize);
            if unordered {
                map = map.unordered();
            }
            for yielded in 0..200 {
                assert!(pulled.get() <= yielded + buffersize);
                map.next().unwrap().unwrap();
                assert!(pulled.get() > yielded);
            }
            assert!(pulled.get() <= 200 + buffersize);
        }
    }
}

#[test]
fn a_buffer_keeps_the_workers_busy_while_the_caller_uses_a_result() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (sender, ran) = mpsc::channel();
    let mut map = pool.map(move |n: usize| sender.send(n).unwrap(), 0..10).buffersize(2);
    map.next().unwrap().unwrap();
    assert_eq!([ran.recv().unwrap(), ran.recv().unwrap(), ran.recv().unwrap()], [0, 1, 2]);
    drop(map);
    pool.shutdown(true, false);
    assert!(ran.try_recv().is_err());
}

#[test]
fn without_a_buffer_all_is_submitted_at_once() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let map = pool.map(|n: u32| n, 0..100).start();
    assert_eq!(pool.stats().pending, 100);
    drop(busy);
    assert_eq!(map.map(Result::unwrap).sum::<u32>(), 4950);
}

#[test]
fn chunks_are_tasks() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let map = pool.map(|n: u32| n, 0..100).chunksize(30).start();
    assert_eq!(pool.stats().pending, 4);
    drop(busy);
    assert_eq!(map.map(Result::unwrap).sum::<u32>(), 4950);
}

#[test]
fn items_can_be_tuples_of_arguments() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let (a, b, c) = ([1, 2, 3], [10, 20, 30], [100, 200]);
    let triples = a.into_iter().zip(b).zip(c).map(|((a, b), c)| (a, b, c));
    let sums: Result<Vec<i32>, _> =
        pool.starmap(|a: i32, b: i32, c: i32| a + b + c, triples).chunksize(2).collect();
    assert_eq!(sums.unwrap(), [111, 222]);

    let divide = |a: i32, b: i32| a.checked_div(b).ok_or("division by zero");
    let mut quotients = pool.try_starmap(divide, [(6, 3), (1, 0), (4, 2)]);
    assert_eq!(quotients.next().unwrap().unwrap(), 2);
    assert!(quotients.next().unwrap().unwrap_err().to_string().contains("division by zero"));
    assert!(quotients.next().is_none());
}

#[test]
fn unordered_gives_each_as_it_completes() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let (release, hold) = mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let wait_for_zero = move |n: usize| {
        if n == 0 {
            hold.lock().unwrap().recv().unwrap();
        }
        n
    };
    let mut map = pool.map(wait_for_zero, 0..50).unordered();
    let mut seen: Vec<_> = map.by_ref().take(49).map(Result::unwrap).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(1..50));
    release.send(()).unwrap();
    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert!(map.next().is_none());
}

#[test]
fn unordered_loses_nothing_with_any_option() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(3).unwrap();
    for (chunksize, buffersize) in [(1, 1), (1, 10), (4, 10), (4, 1_000), (10, 4)] {
        let map = pool.map(|n: u32| n, 0..1_000).chunksize(chunksize).buffersize(buffersize);
        let mut seen: Vec<_> = map.unordered().map(Result::unwrap).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1_000));
    }
}

#[test]
fn results_not_taken_are_dropped_with_the_iterator() {
    let _watched = watched();
    let counter = Counter::new();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for chunksize in [1, 10] {
        for unordered in [false, true] {
            let made = counter.clone();
            let mut map = pool.map(move |_: u32| made.value(), 0..100).chunksize(chunksize);
            if unordered {
                map = map.unordered();
            }
            let kept: Vec<_> = map.by_ref().take(15).map(Result::unwrap).collect();
            drop(map);
            // Whatever was running then has ended when a later task of every worker has.
            drop(occupy(&pool, 2));
            assert_eq!(counter.alive(), kept.len());
        }
    }
}

#[test]
fn one_function_serves_all_threads() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(3).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&calls);
    let count = move |_: u32| shared.fetch_add(1, Ordering::SeqCst);
    let results: Result<Vec<_>, _> = pool.map(count, 0..500).collect();
    let mut results = results.unwrap();
    results.sort_unstable();
    assert!(results.into_iter().eq(0..500));
    assert_eq!(calls.load(Ordering::SeqCst), 500);
}

#[test]
fn maps_within_maps() {
    let _watched = watched();
    let outer = ThreadPoolExecutor::new(2).unwrap();
    let inner = Arc::new(ThreadPoolExecutor::new(2).unwrap());
    let sum = move |n: u64| inner.map(|m: u64| m, 0..n).map(Result::unwrap).sum::<u64>();
    let sums: Result<Vec<_>, _> = outer.map(sum, 0..50).collect();
    assert!(sums.unwrap().into_iter().eq((0..50_u64).map(|n| n * n.saturating_sub(1) / 2)));
}

#[test]
#[should_panic(expected = "buffersize must be greater than 0")]
fn a_buffer_of_nothing_is_refused() {
    let _ = InlineExecutor::new().map(|n: u32| n, []).buffersize(0);
}

#[test]
#[should_panic(expected = "chunksize must be greater than 0")]
fn a_chunk_of_nothing_is_refused() {
    let _ = InlineExecutor::new().map(|n: u32| n, []).chunksize(0);
}

#[test]
#[should_panic(expected = "must come before the map starts")]
fn unordered_comes_before_the_start() {
    let _ = InlineExecutor::new().map(|n: u32| n, [1]).start().unordered();
}

#[test]
fn it_ends_for_good() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    let mut flaky = 0;
    // An input that goes on after its end is not asked again.
    let input = std::iter::from_fn(move || {
        flaky += 1;
        (flaky % 3 != 0).then_some(flaky)
    });
    let mut map = inline.map(|n: u32| n, input);
    assert_eq!(map.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
    assert!(map.next().is_none());
    let mut map = inline.try_map(|n: u32| if n == 1 { Err("one") } else { Ok(n) }, [0, 1, 2]);
    assert!(map.next().unwrap().is_ok());
    assert!(matches!(map.next(), Some(Err(FutureError::Exception(_)))));
    assert!(map.next().is_none() && map.next().is_none());
}

#[test]
fn every_way_to_take_the_results_gives_the_same() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let inline: Box<dyn Executor> = Box::new(InlineExecutor::new());
    let expected: Vec<_> = (0..3_000_u64).map(|n| n * n).collect();
    for executor in [&inline, &(Box::new(pool) as Box<dyn Executor>)] {
        for (chunksize, buffersize) in [(1, 3_000), (1, 100), (7, 3_000), (7, 500), (400, 300)] {
            let map = || {
                let map = executor.map(|n: u64| n * n, 0..3_000).chunksize(chunksize);
                // A buffer for all is as none, but that it is asked for room.
                if buffersize == 3_000 { map } else { map.buffersize(buffersize) }
            };
            assert_eq!(map().into_vec().unwrap(), expected);
            assert_eq!(map().start().into_vec().unwrap(), expected);
            let mut folded = Vec::new();
            map().for_each(|result| folded.push(result.unwrap()));
            assert_eq!(folded, expected);
            let mut partly = map();
            let mut taken: Vec<_> = partly.by_ref().take(1_001).map(Result::unwrap).collect();
            taken.extend(partly.into_vec().unwrap());
            assert_eq!(taken, expected);
            let mut unordered = map().unordered().into_vec().unwrap();
            unordered.sort_unstable();
            assert_eq!(unordered, expected);
        }
    }
}

#[test]
fn the_size_hint_holds_at_every_step() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    for chunksize in [1, 7] {
        for last in [999, 500] {
            let check = move |n| if n == last { Err("last") } else { Ok(n) };
            let mut map = inline.try_map(check, 0..1_000).chunksize(chunksize);
            let mut left = last + 1;
            loop {
                let (least, most) = map.size_hint();
                assert!(least <= left && left <= most.unwrap(), "{left} of {:?}", map.size_hint());
                if map.next().is_none() {
                    break;
                }
                left -= 1;
            }
            assert_eq!((left, map.size_hint()), (0, (0, Some(0))));
        }
    }
}
