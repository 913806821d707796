//! `map_slice`: every value in its place, wherever it was computed; and what becomes of values after a panic.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use common::{PLANNED, occupy, watched};
use manyhands::{Exception, Executor, InlineExecutor, ThreadPoolExecutor, map_slice};

fn on<T: Send + 'static>(workers: usize, task: impl FnOnce() -> T + Send + 'static) -> T {
    ThreadPoolExecutor::new(workers).unwrap().spawn(task).unwrap().into_result(None).unwrap()
}

#[test]
fn the_values_are_in_the_order_of_the_items() {
    let _watched = watched();
    let check = || {
        for len in [0, 1, 2, 1_023, 1_024, 1_025, 5_000, 100_000] {
            let items: Vec<u32> = (0..len).collect();
            let text = String::from("borrowed");
            let values = map_slice(&items, |item| (item + 1, text.as_str()));
            assert!(values.iter().map(|value| value.0).eq(1..=len), "{len} items");
            assert!(values.iter().all(|value| value.1 == text));
        }
    };
    check();
    InlineExecutor::new().spawn(check).unwrap().into_result(None).unwrap();
    for workers in [1, 2, 8] {
        on(workers, check);
    }
}

#[test]
fn free_workers_take_their_share() {
    let _watched = watched();
    for workers in [2, 4] {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        // A worker that has not been started is added for what is lent next, which here may be nothing.
        drop(occupy(&pool, workers));
        let mapped = pool.spawn(move || {
            // No item ends before each worker has one.
            let all_here = Barrier::new(workers);
            let items: Vec<usize> = (0..workers).collect();
            map_slice(&items, |_| {
                all_here.wait();
                thread::current().id()
            })
        });
        let threads = mapped.unwrap().into_result(None).unwrap();
        for (n, thread) in threads.iter().enumerate() {
            assert!(!threads[..n].contains(thread), "each worker has one");
        }
    }
}

/// Counts those there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(there: &Arc<AtomicUsize>) -> Self {
        there.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(there))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn the_first_panic_goes_on_and_no_value_stays_behind() {
    let _watched = watched();
    for (workers, len) in [(1, 10), (3, 10), (3, 10_000)] {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        let [there, called] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let (counted, calls) = (Arc::clone(&there), Arc::clone(&called));
        let future = pool.spawn(move || {
            let items: Vec<usize> = (0..len).collect();
            let values = map_slice(&items, |item| {
                calls.fetch_add(1, Ordering::SeqCst);
                assert!(![3, 7].contains(item), "{PLANNED}{item}");
                Counted::new(&counted)
            });
            values.len()
        });
        let exception = future.unwrap().exception(None).unwrap();
        let Some(Exception::Panic(panic)) = exception else { panic!("{exception:?}") };
        assert_eq!(panic.message(), format!("{PLANNED}3"));
        assert!(panic.location().is_some_and(|at| at.contains("map_slice.rs")), "{panic}");
        assert_eq!(there.load(Ordering::SeqCst), 0);
        // All but those of the same part, of which there are 64 at the least.
        assert!(called.load(Ordering::SeqCst) >= len - len.div_ceil(64), "others go on");
    }
}
