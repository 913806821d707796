//! Blocks of shared memory that are kept, lent again, or given back, one or very many: none is others'
//! too early, and none is kept for ever.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use common::processes::{add, sleep};
use common::watched;
use manyhands::process::Buffer;
use manyhands::{Executor, ProcessPoolExecutor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn zeros(len: usize) -> Buffer<u64> {
    Buffer::filled(0, len)
}

fn many(count: usize, len: usize) -> Vec<Buffer<u64>> {
    (0..count).map(|_| Buffer::filled(0, len)).collect()
}

/// How much memory lies behind the arenas that this process has.
fn arenas() -> u64 {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().map(|file| file.unwrap().path());
    let is_arena = |file: &PathBuf| {
        std::fs::read_link(file)
            .is_ok_and(|name| name.to_string_lossy().contains("manyhands-arena"))
    };
    files.filter(is_arena).map(|file| std::fs::metadata(file).unwrap().blocks() * 512).sum()
}

static KEPT: Mutex<Vec<Buffer<u64>>> = Mutex::new(Vec::new());

fn keep(numbers: Buffer<u64>) {
    KEPT.lock().unwrap().push(numbers);
}

fn let_go() -> usize {
    std::mem::take(&mut *KEPT.lock().unwrap()).len()
}

static CACHE: Mutex<Option<Buffer<u64>>> = Mutex::new(None);

/// In a worker: what is in its cache.
struct Cached(Buffer<u64>);

impl Serialize for Cached {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CACHE.lock().unwrap().as_ref().unwrap().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cached {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Buffer::deserialize(deserializer).map(Self)
    }
}

/// Late, from a cache that it fills.
fn cached(len: usize) -> Cached {
    thread::sleep(Duration::from_millis(100));
    CACHE.lock().unwrap().get_or_insert_with(|| Buffer::filled(1, len));
    Cached(Buffer::default())
}

fn sum_of_the_cache() -> u64 {
    CACHE.lock().unwrap().as_ref().unwrap().iter().sum()
}

/// Empties the cache, and puts others where it was.
fn empty_the_cache(len: usize) {
    CACHE.lock().unwrap().take();
    *KEPT.lock().unwrap() = (0..4).map(|_| Buffer::filled(2, len)).collect();
}

static ASIDE: OnceLock<ProcessPoolExecutor> = OnceLock::new();

/// Has another task run while it is written.
struct Eager(Buffer<u64>);

impl Serialize for Eager {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pool = ASIDE.get_or_init(|| ProcessPoolExecutor::new(1).unwrap());
        pool.submit(add, (1, 2)).unwrap().result(None).unwrap();
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Eager {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Buffer::deserialize(deserializer).map(Self)
    }
}

fn sum(numbers: Eager) -> u64 {
    numbers.0.iter().sum()
}

manyhands::test_worker![
    add,
    sleep,
    zeros,
    many,
    arenas,
    keep,
    let_go,
    cached,
    sum_of_the_cache,
    empty_the_cache,
    sum
];

#[test]
fn any_number_of_results_can_be_given_back_at_once() {
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let results: Vec<_> = (0..20_000).map(|_| pool.submit(zeros, (512,)).unwrap()).collect();
    let results: Vec<_> = results.into_iter().map(|it| it.into_result(None).unwrap()).collect();
    drop(results);
    assert_eq!(pool.submit(add, (2, 3)).unwrap().result(None).unwrap(), 5);
}

#[test]
fn any_number_of_arguments_can_be_given_back_at_once() {
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let kept = 40_000;
    let tasks: Vec<_> =
        (0..kept).map(|_| pool.submit(keep, (pool.buffer(&[0_u64; 512]),)).unwrap()).collect();
    for task in tasks {
        task.result(None).unwrap();
    }
    assert_eq!(pool.submit(let_go, ()).unwrap().result(None).unwrap(), kept);
    assert_eq!(pool.submit(add, (2, 3)).unwrap().result(None).unwrap(), 5);
}

#[test]
fn a_result_of_very_many_buffers_does_not_cost_its_worker() {
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let task = pool.submit(many, (40_000, 512)).unwrap();
    assert_eq!(task.into_result(None).unwrap().len(), 40_000);
}

#[test]
fn a_block_that_was_lent_twice_is_kept_until_it_is_given_back_twice() {
    const LEN: usize = 100_000;
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let first = pool.submit(cached, (LEN,)).unwrap().into_result(None).unwrap();
    let second = pool.submit(cached, (LEN,)).unwrap();
    drop(first);
    let second = second.into_result(None).unwrap();
    pool.submit(empty_the_cache, (LEN,)).unwrap().result(None).unwrap();
    assert!(second.0.iter().all(|number| *number == 1), "others lie where it lay");
}

#[test]
fn a_value_may_have_a_task_run_while_it_is_written() {
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    for len in [10, 10_000] {
        let task = pool.submit(sum, (Eager(Buffer::from(vec![3; len])),)).unwrap();
        assert_eq!(task.result(None).unwrap(), 3 * len as u64);
    }
}

#[test]
fn what_a_worker_keeps_of_its_result_stays_as_it_was() {
    const LEN: usize = 100_000;
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let mut ours = pool.submit(cached, (LEN,)).unwrap().into_result(None).unwrap();
    ours.0.fill(5);
    let theirs = pool.submit(sum_of_the_cache, ()).unwrap().result(None).unwrap();
    assert_eq!(theirs, LEN as u64);
}

#[test]
fn a_block_can_be_in_several_results_at_the_same_time() {
    const LEN: usize = 100_000;
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let mut results: Vec<_> =
        (0..3).map(|_| pool.submit(cached, (LEN,)).unwrap().into_result(None).unwrap()).collect();
    results[0].0.fill(5);
    assert!(results[1..].iter().all(|result| result.0.iter().all(|number| *number == 1)));
}

#[test]
fn what_is_given_back_with_a_task_that_is_cancelled_is_given_back() {
    const LEN: usize = 1_000_000;
    let _watch = watched();
    init_worker();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    for _ in 0..50 {
        let result = pool.submit(zeros, (LEN,)).unwrap().into_result(None).unwrap();
        let first = pool.submit(sleep, (5,)).unwrap();
        drop(result);
        let second = pool.submit(add, (1, 2)).unwrap();
        second.cancel_running();
        first.result(None).unwrap();
    }
    let there = pool.submit(arenas, ()).unwrap().result(None).unwrap();
    assert!(there < 20 * 8 * LEN as u64, "{there} bytes");
}
