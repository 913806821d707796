//! Futures as arguments of tasks in worker processes.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::processes::{
    Death, Directory, Gate, add, die, eventually, executor, hold, on_both, say, signal, value,
};
use common::{PLANNED, watched};
use manyhands::process::Transport;
use manyhands::{
    Exception, Executor, Future, FutureError, ProcessPoolExecutor, ReturnWhen, ThreadPoolExecutor,
    as_completed, wait,
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize, Serializer};

manyhands::test_worker![
    add,
    broken,
    by_way,
    cancels,
    die,
    hold,
    impatient,
    inner,
    keep,
    made_here,
    passes_back,
    passes_many,
    passes_on,
    passes_what_runs_here,
    runs_here,
    sum,
    told,
    value,
    value_beside,
];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    ProcessPoolExecutor::builder().max_workers(workers).transport(transport).build().unwrap()
}

fn sum(futures: Vec<Future<u64>>, named: BTreeMap<String, Option<Future<u64>>>) -> u64 {
    let futures = futures.iter().chain(named.values().flatten());
    futures.map(|future| future.result(None).unwrap()).sum()
}

fn inner(future: Future<Future<Result<u64, String>>>) -> Result<u64, String> {
    say(say(future.result(None))?.result(None))?
}

fn told(future: Future<u64>) -> String {
    match future.exception(None) {
        Ok(Some(Exception::Panic(panic))) => format!("panic: {panic}"),
        Ok(Some(exception)) => exception.to_string(),
        Ok(None) => "a value".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn by_way(way: u32, future: Future<u64>) -> u64 {
    match way {
        0 => future.result(None).unwrap(),
        1 => future.result(Duration::from_mins(1)).unwrap(),
        2 => future.into_result(None).unwrap(),
        3 => {
            assert!(future.exception(None).unwrap().is_none());
            future.result(None).unwrap()
        }
        4 => {
            let done = wait([future], None, ReturnWhen::AllCompleted).done;
            done.iter().map(|future| future.result(None).unwrap()).sum()
        }
        5 => as_completed([future], None).map(|it| it.unwrap().result(None).unwrap()).sum(),
        6 => {
            let (sender, receiver) = mpsc::channel();
            future.add_done_callback(move |it| sender.send(it.result(None).unwrap()).unwrap());
            drop(future);
            receiver.recv().unwrap()
        }
        7 => future.map(|value| value).result(None).unwrap(),
        _ => common::block_on(future).unwrap(),
    }
}

fn impatient(future: Future<u64>, late: Gate) -> (bool, u64) {
    let hasty = matches!(future.result(Duration::from_millis(30)), Err(FutureError::TimedOut));
    late.arrive();
    (hasty, future.result(None).unwrap())
}

fn cancels(future: Future<u64>, running: bool) -> (bool, bool) {
    let answer = if running { future.cancel_running() } else { future.cancel() };
    (answer, future.cancelled())
}

/// What it was given and what it has submitted, to others.
fn passes_on(future: Future<u64>, depth: u32) -> Result<u64, String> {
    if depth == 0 {
        return value(future);
    }
    let deeper = executor().submit(passes_on, (future, depth - 1)).unwrap();
    say(deeper.result(None))?
}

/// Many are told of their ends while they are on their way to others.
fn passes_many(count: u64) -> u64 {
    let pool = executor();
    let pass = |n| pool.submit(value, (pool.submit(add, (n, n)).unwrap(),)).unwrap();
    let futures: Vec<_> = (0..count).map(pass).collect();
    futures.iter().map(|future| future.result(None).unwrap().unwrap()).sum()
}

/// What has ended here.
fn passes_back(outer: Future<Future<Result<u64, String>>>) -> Result<u64, String> {
    say(executor().submit(inner, (outer,)).unwrap().result(None))?
}

fn made_here() -> (u64, String) {
    let (ended, pending) = (Future::new(), Future::<u64>::new());
    ended.set_result(7).unwrap();
    let pool = executor();
    let ended = pool.submit(value, (ended,)).unwrap().result(None).unwrap().unwrap();
    let error = pool.submit(value, (pending,)).unwrap().exception(None).unwrap().unwrap();
    (ended, error.to_string())
}

fn keep(_: Future<u64>) -> u32 {
    std::process::id()
}

/// A future goes nowhere but into an argument.
fn broken(future: Future<u64>) -> Future<u64> {
    future
}

/// How far `passes_what_runs_here` is.
static STEP: AtomicU32 = AtomicU32::new(0);

fn until_step(step: u32) {
    while STEP.load(Ordering::SeqCst) < step {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Takes its time to be written.
#[derive(Deserialize)]
struct Slow;

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        STEP.store(1, Ordering::SeqCst);
        until_step(2);
        serializer.serialize_unit_struct("Slow")
    }
}

fn runs_here() -> u64 {
    STEP.store(2, Ordering::SeqCst);
    until_step(3);
    // For the parent to ask for the end of this.
    thread::sleep(Duration::from_millis(300));
    3
}

fn value_beside(future: Future<u64>, _: Slow) -> Result<u64, String> {
    value(future)
}

/// Another thread passes a future on, whose task is begun here meanwhile.
fn passes_what_runs_here() -> Result<u64, String> {
    let future = executor().submit(runs_here, ()).unwrap();
    let passed = future.clone();
    let other = thread::spawn(move || {
        let gets_it = executor().submit(value_beside, (passed, Slow)).unwrap();
        STEP.store(3, Ordering::SeqCst);
        gets_it
    });
    until_step(1);
    value(future)?;
    say(other.join().unwrap().result(None))?
}

#[test]
fn futures_of_all_kinds_go_along() {
    let _watch = watched();
    on_both(|transport| {
        let (pool, threads) = (pool(2, transport), ThreadPoolExecutor::new(1).unwrap());
        let bare = Future::new();
        let futures = vec![
            pool.submit(add, (1, 1)).unwrap(),
            threads.spawn(|| 20).unwrap(),
            bare.clone(),
            pool.submit(add, (100, 100)).unwrap().map(|n| n + 1000),
        ];
        let named =
            BTreeMap::from([("bare".to_owned(), Some(bare.clone())), (String::new(), None)]);
        let sum = pool.submit(sum, (futures, named)).unwrap();
        bare.set_result(10_000).unwrap();
        assert_eq!(sum.result(None).unwrap(), 21_222);
    });
}

#[test]
fn every_way_to_collect_works() {
    let _watch = watched();
    let pool = pool(1, Transport::Automatic);
    for way in 0..9 {
        for early in [true, false] {
            let future = Future::new();
            if early {
                future.set_result(5).unwrap();
            }
            let collected = pool.submit(by_way, (way, future.clone())).unwrap();
            if !early {
                eventually("it is begun", || collected.running());
                future.set_result(5).unwrap();
            }
            assert_eq!(collected.result(None).unwrap(), 5, "way {way}");
        }
    }
}

#[test]
fn a_pool_of_one_runs_chains() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        let mut future = pool.submit(add, (1, 1)).unwrap();
        for _ in 0..10 {
            future = pool.submit(value, (future,)).unwrap().map(Result::unwrap);
        }
        assert_eq!(future.result(None).unwrap(), 2);
    });
}

#[test]
fn failures_and_cancellations_arrive() {
    let _watch = watched();
    on_both(|transport| {
        let (pool, threads) = (pool(1, transport), ThreadPoolExecutor::new(1).unwrap());
        let told_of =
            |future: Future<u64>| pool.submit(told, (future,)).unwrap().result(None).unwrap();
        let panics = threads.spawn(|| panic!("{PLANNED}no luck")).unwrap();
        assert!(told_of(panics).starts_with("panic: the task panicked: planned: no luck"));
        let crashed = pool.submit(die, (Death::Abort,)).unwrap();
        assert!(told_of(crashed).contains("SIGABRT"));
        let cancelled = Future::new();
        let told = pool.submit(told, (cancelled.clone(),)).unwrap();
        eventually("it is begun", || told.running());
        assert!(cancelled.cancel());
        assert!(told.result(None).unwrap().contains("cancelled"));
        let taken = Future::new();
        taken.set_result(1).unwrap();
        assert_eq!(taken.clone().into_result(None).unwrap(), 1);
        assert!(told_of(taken).contains("has been moved out"));
    });
}

#[test]
fn a_wait_with_a_timeout_ends() {
    let _watch = watched();
    let (directory, pool) = (Directory::new(), pool(1, Transport::Automatic));
    let (future, late) = (Future::new(), directory.gate("late"));
    let waits = pool.submit(impatient, (future.clone(), late.clone())).unwrap();
    eventually("it is late", || late.arrivals() == 1);
    // And another worker runs in its stead.
    assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
    future.set_result(5).unwrap();
    assert_eq!(waits.result(None).unwrap(), (true, 5));
}

#[test]
fn a_worker_can_cancel_them() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(2, transport));
        let cancel = |future: &Future<u64>, running| {
            pool.submit(cancels, (future.clone(), running)).unwrap().result(None).unwrap()
        };
        let pending = Future::new();
        assert_eq!(cancel(&pending, false), (true, true));
        assert!(pending.cancelled());
        let (sender, receiver) = mpsc::channel::<()>();
        let threads = ThreadPoolExecutor::new(1).unwrap();
        let in_thread = threads.spawn(move || receiver.iter().count() as u64).unwrap();
        eventually("it runs", || in_thread.running());
        assert_eq!(cancel(&in_thread, false), (false, false));
        assert_eq!(cancel(&in_thread, true), (false, false));
        drop(sender);
        assert_eq!(in_thread.result(None).unwrap(), 0);
        let gate = directory.gate("held");
        let held = pool.submit(hold, (gate.clone(),)).unwrap().map(u64::from);
        eventually("it runs", || gate.arrivals() == 1);
        assert_eq!(cancel(&held, true), (true, true));
        assert!(held.cancelled());
        gate.open();
    });
}

#[test]
fn a_future_is_no_result_and_goes_nowhere_else() {
    let _watch = watched();
    let pool = pool(1, Transport::Automatic);
    let future: Future<u64> = Future::new();
    assert!(postcard::to_stdvec(&future).is_err());
    let error = pool.submit(broken, (future,)).unwrap().exception(None).unwrap().unwrap();
    assert!(matches!(error, Exception::NotCrossed(_)), "{error}");
}

#[test]
fn from_a_worker_to_another() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        assert_eq!(pool.submit(passes_many, (300,)).unwrap().result(None).unwrap(), 89_700);
        let future = Future::new();
        let deep = pool.submit(passes_on, (future.clone(), 4)).unwrap();
        eventually("another worker is there", || pool.stats().workers > 1);
        future.set_result(3).unwrap();
        assert_eq!(deep.result(None).unwrap(), Ok(3));
        // And what it has seen the end of.
        assert_eq!(pool.submit(passes_on, (future, 3)).unwrap().result(None).unwrap(), Ok(3));
        let outer = Future::new();
        outer.set_result(pool.submit(passes_on, (deep.map(Result::unwrap), 0)).unwrap()).unwrap();
        assert_eq!(pool.submit(passes_back, (outer,)).unwrap().result(None).unwrap(), Ok(3));
        let (ended, error) = pool.submit(made_here, ()).unwrap().result(None).unwrap();
        assert!(ended == 7 && error.contains("only when it has ended"), "{error}");
    });
}

#[test]
fn a_worker_is_killed_while_it_waits() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(1, transport));
        let (future, late) = (Future::new(), directory.gate("late"));
        let pid = pool.submit(keep, (future.clone(),)).unwrap().result(None).unwrap();
        let waits = pool.submit(impatient, (future.clone(), late.clone())).unwrap();
        eventually("it waits", || late.arrivals() == 1);
        signal(pid, Signal::KILL);
        let crashed = waits.exception(None).unwrap();
        assert!(matches!(crashed, Some(Exception::Crashed(_))), "{crashed:?}");
        let again = pool.submit(value, (future.clone(),)).unwrap();
        future.set_result(2).unwrap();
        assert_eq!(again.result(None).unwrap(), Ok(2));
    });
}

#[test]
fn what_nobody_has_any_more_is_dropped() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        let (sender, receiver) = mpsc::channel::<()>();
        let future: Future<u64> = Future::new();
        future.add_done_callback(move |_| sender.send(()).unwrap());
        for _ in 0..10 {
            pool.submit(keep, (future.clone(),)).unwrap().result(None).unwrap();
        }
        // The callback goes with it.
        drop(future);
        assert!(receiver.recv().is_err());
    });
}

#[test]
fn one_that_a_worker_runs_while_another_thread_passes_it_on() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(1, transport);
        let passes = pool.submit(passes_what_runs_here, ()).unwrap();
        assert_eq!(passes.result(None).unwrap(), Ok(3));
    });
}
