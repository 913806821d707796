//! Pools of processes in hard times: memory that a worker has torn, a wait that is slow to read its
//! result, tasks cancelled at odd moments.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::processes::{Directory, add, eventually, sleep};
use common::watched;
use manyhands::process::{Buffer, TaskOptions, stop_requested};
use manyhands::{Exception, Executor, ProcessPoolExecutor};
use serde::{Deserialize, Deserializer, Serialize};

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

manyhands::test_worker![add, tear, slow, sleep, touch, look_on];

#[test]
fn a_worker_that_tears_its_memory_is_ended_and_replaced() {
    let _watch = watched();
    init_worker();
    let directory = Directory::new();
    let pool = ProcessPoolExecutor::new(1).unwrap();
    // A worker that has been quick is given tasks ahead.
    pool.submit(add, (1, 1)).unwrap().result(None).unwrap();
    let torn = pool.submit(tear, (directory.path().join("mark"),)).unwrap();
    wait_for(&directory.path().join("mark"));
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
    let directory = Directory::new();
    let grace = Duration::from_secs(1);
    let pool = ProcessPoolExecutor::builder().max_workers(1).grace(grace).build().unwrap();
    pool.submit(add, (1, 2)).unwrap().result(None).unwrap();
    let options = TaskOptions::new().timeout(Duration::from_secs(1));
    let first = pool.with(options).submit(sleep, (60_000,)).unwrap();
    let second = pool.submit(touch, (directory.path().join("second"),)).unwrap();
    eventually("it lies in the lane", || second.running());
    assert!(first.result(None).is_err());
    assert!(second.cancel_running());
    pool.submit(add, (1, 2)).unwrap().result(None).unwrap();
    assert!(!directory.path().join("second").exists(), "it was run all the same");
}

#[test]
fn the_arguments_of_a_cancelled_task_stay_while_it_runs() {
    const LEN: usize = 100_000;
    let _watch = watched();
    init_worker();
    let directory = Directory::new();
    let [begun, go, changed] = ["begun", "go", "changed"].map(|name| directory.path().join(name));
    let grace = Duration::from_secs(30);
    let pool = ProcessPoolExecutor::builder().max_workers(1).grace(grace).build().unwrap();
    // The manager is held up in a callback, and does not see the answer of the task after it.
    let test = thread::current().id();
    let hold = loop {
        let (hold, let_go) = mpsc::channel::<()>();
        let (reached, is_reached) = mpsc::channel();
        // Short ones, so that the worker is given tasks ahead; the last of many has not ended yet.
        let short: Vec<_> = (0..200).map(|n| pool.submit(add, (n, 1)).unwrap()).collect();
        short[199].add_done_callback(move |_| {
            let is_manager = thread::current().id() != test;
            reached.send(is_manager).unwrap();
            if is_manager {
                let _ = let_go.recv();
            }
        });
        if is_reached.recv().unwrap() {
            break hold;
        }
    };
    let second = pool.submit(sleep, (300,)).unwrap();
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
