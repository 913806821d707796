//! Pools of processes in hard times: memory that a worker has torn, a wait that is slow to read its
//! result, tasks cancelled at odd moments, blocks that many frames refer to.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use common::watched;
use manyhands::process::{Buffer, TaskOptions, stop_requested};
use manyhands::{Exception, Executor, ProcessPoolExecutor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn add(a: u64, b: u64) -> u64 {
    a + b
}

/// Writes over the word that says how far there are answers, and goes on for long.
fn tear(mark: PathBuf) {
    const TAIL: u64 = 512;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem").unwrap();
    for line in maps.lines().filter(|line| line.contains("memfd:") && line.contains("rw-s")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        // The arena is far larger.
        if end - start < 1 << 20 {
            memory.seek(SeekFrom::Start(start + TAIL)).unwrap();
            memory.write_all(&(1_u64 << 40).to_le_bytes()).unwrap();
        }
    }
    std::fs::write(mark, "").unwrap();
    thread::sleep(Duration::from_mins(10));
}

static READING: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);

/// Says when it is read, and takes its time.
#[derive(Clone, Serialize)]
struct Slow(u64);

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = u64::deserialize(deserializer)?;
        if let Some(reading) = READING.lock().unwrap().take() {
            reading.send(()).unwrap();
            thread::sleep(Duration::from_millis(500));
        }
        Ok(Self(read))
    }
}

fn slow() -> Slow {
    Slow(7)
}

/// Obeys no request.
fn occupy(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

fn touch(path: PathBuf) {
    std::fs::write(path, "").unwrap();
}

fn wait_for(path: &Path) {
    while !path.exists() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Looks at the numbers once it is told to, by when it is asked to stop; says whether they changed.
fn look_on(numbers: Buffer<u64>, begun: PathBuf, go: PathBuf, changed: PathBuf) {
    std::fs::write(begun, "").unwrap();
    wait_for(&go);
    assert!(stop_requested());
    let is_changed = std::hint::black_box(&numbers).iter().any(|number| *number != 1);
    std::fs::write(changed, if is_changed { "changed" } else { "as it was" }).unwrap();
}

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
    tear,
    slow,
    occupy,
    touch,
    look_on,
    zeros,
    many,
    keep,
    let_go,
    cached,
    empty_the_cache,
    sum,
    sum_of_the_cache,
    arenas
];

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("manyhands-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_worker_that_tears_its_memory_is_ended_and_replaced() {
    let _watch = watched();
    init_worker();
    let directory = Directory::new("tear");
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let torn = pool.submit(tear, (directory.file("mark"),)).unwrap();
    wait_for(&directory.file("mark"));
    // No thread attends: the manager has to see it.
    let (told, tells) = mpsc::channel();
    pool.submit(add, (2, 3)).unwrap().add_done_callback(move |next| {
        told.send(next.result(None)).unwrap();
    });
    assert_eq!(tells.recv().unwrap().unwrap(), 5);
    assert!(matches!(torn.exception(None), Ok(Some(Exception::Broken(_)))));
}

#[test]
fn a_shutdown_waits_for_a_result_that_its_waiter_still_reads() {
    let _watch = watched();
    init_worker();
    let (reading, is_read) = mpsc::channel();
    *READING.lock().unwrap() = Some(reading);
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let future = pool.submit(slow, ()).unwrap();
    let told = Arc::new(AtomicBool::new(false));
    let teller = Arc::clone(&told);
    future.add_done_callback(move |_| teller.store(true, Ordering::SeqCst));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| future.result(None).unwrap().0);
        is_read.recv().unwrap();
        pool.shutdown(true, false);
        assert!(future.done(), "a pool has ended that has a task");
        assert_eq!(waiter.join().unwrap(), 7);
    });
    assert!(told.load(Ordering::SeqCst), "the callback was not called");
}

#[test]
fn a_begun_task_that_was_taken_back_can_be_cancelled() {
    let _watch = watched();
    init_worker();
    let directory = Directory::new("taken-back");
    let grace = Duration::from_secs(1);
    let pool = ProcessPoolExecutor::builder().max_workers(1).grace(grace).build().unwrap();
    pool.submit(add, (1, 2)).unwrap().result(None).unwrap();
    let options = TaskOptions::new().timeout(Duration::from_millis(100));
    let first = pool.with(options).submit(occupy, (60_000,)).unwrap();
    let second = pool.submit(touch, (directory.file("second"),)).unwrap();
    assert!(second.running(), "it lies in the lane");
    assert!(first.result(None).is_err());
    assert!(second.cancel_running());
    pool.submit(add, (1, 2)).unwrap().result(None).unwrap();
    assert!(!directory.file("second").exists(), "it was run all the same");
}

#[test]
fn the_arguments_of_a_cancelled_task_stay_while_it_runs() {
    const LEN: usize = 100_000;
    let _watch = watched();
    init_worker();
    let directory = Directory::new("look-on");
    let [begun, go, changed] = ["begun", "go", "changed"].map(|name| directory.file(name));
    let grace = Duration::from_secs(30);
    let pool = ProcessPoolExecutor::builder().max_workers(1).grace(grace).build().unwrap();
    // The manager is held up in a callback, and does not see the answer of the task after it.
    let (hold, let_go) = mpsc::channel::<()>();
    let (reached, is_reached) = mpsc::channel();
    let first = pool.submit(occupy, (100,)).unwrap();
    let second = pool.submit(occupy, (300,)).unwrap();
    first.add_done_callback(move |_| {
        reached.send(()).unwrap();
        let _ = let_go.recv();
    });
    is_reached.recv().unwrap();
    let task = (pool.buffer(&vec![1_u64; LEN]), begun.clone(), go.clone(), changed.clone());
    let looker = pool.submit(look_on, task).unwrap();
    wait_for(&begun);
    assert!(looker.cancel_running());
    drop(hold);
    second.result(None).unwrap();
    // What is allocated now must lie elsewhere.
    let others: Vec<_> = (0..4).map(|_| pool.buffer(&vec![2_u64; LEN])).collect();
    std::fs::write(&go, "").unwrap();
    pool.submit(add, (1, 2)).unwrap().result(None).unwrap();
    assert_eq!(std::fs::read_to_string(&changed).unwrap(), "as it was");
    drop(others);
}

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
        let first = pool.submit(occupy, (5,)).unwrap();
        drop(result);
        let second = pool.submit(add, (1, 2)).unwrap();
        second.cancel_running();
        first.result(None).unwrap();
    }
    let there = pool.submit(arenas, ()).unwrap().result(None).unwrap();
    assert!(there < 20 * 8 * LEN as u64, "{there} bytes");
}
