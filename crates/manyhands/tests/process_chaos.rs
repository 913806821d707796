//! CHAOS: a pool under a storm of tasks of all kinds, while its workers are killed and stopped at
//! random. Every task ends once, with what it may end with, and the pool works when the storm is over.
//!
//! `MANYHANDS_CHAOS_SECONDS` says how long it lasts, `MANYHANDS_CHAOS_SEED` which dice are thrown.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Debug, Display};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::processes::{Death, add, children_of, die, eventually, pid, signal, sleep};
use common::{PLANNED, watched_for};
use manyhands::process::{Output, TaskOptions, Transport, stop_requested};
use manyhands::{Exception, Executor, Future, FutureError, ProcessPoolExecutor};
use rustix::process::Signal;

/// How many tasks a thread has open at most.
const OPEN: usize = 200;

fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn fail(n: u64) -> Result<u64, String> {
    Err(n.to_string())
}

fn panics(n: u64) -> u64 {
    panic!("{PLANNED}{n}")
}

fn busy(micros: u64) -> u64 {
    let end = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    micros
}

fn polite(millis: u64) -> u64 {
    let end = Instant::now() + Duration::from_millis(millis);
    while Instant::now() < end && !stop_requested() {
        thread::sleep(Duration::from_millis(1));
    }
    millis
}

manyhands::test_worker![add, busy, die, echo, fail, panics, pid, polite, sleep];

/// Random enough, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }
}

/// How tasks have ended, and how often each way.
#[derive(Default)]
struct Account {
    ends: Mutex<BTreeMap<&'static str, u64>>,
    callbacks: AtomicU64,
    tasks: AtomicU64,
    signals: AtomicU64,
}

impl Account {
    fn note(&self, end: &'static str) {
        *self.ends.lock().unwrap().entry(end).or_default() += 1;
    }
}

/// One task, and how it may end.
struct Open {
    check: Box<dyn FnOnce(&Account) + Send>,
    cancel: Box<dyn Fn(bool) -> bool + Send>,
    ended: Arc<AtomicU32>,
}

/// What is true of a task besides its value.
#[derive(Clone, Copy, Default)]
struct May {
    time_out: bool,
    panic: bool,
}

impl Open {
    fn new<T, E>(
        account: &Arc<Account>,
        future: Future<T, E>,
        may: May,
        is_right: impl FnOnce(Result<T, String>) -> bool + Send + 'static,
    ) -> Self
    where
        T: Clone + Send + Debug + 'static,
        E: Send + Sync + Debug + Display + 'static,
    {
        let ended = Arc::new(AtomicU32::new(0));
        let (counts, told) = (Arc::clone(&ended), Arc::clone(account));
        future.add_done_callback(move |future| {
            assert!(future.done());
            counts.fetch_add(1, Ordering::SeqCst);
            told.callbacks.fetch_add(1, Ordering::SeqCst);
        });
        let other = future.clone();
        let cancelled = Arc::new(AtomicBool::new(false));
        let was_cancelled = Arc::clone(&cancelled);
        let check = move |account: &Account| {
            let result = future.result(Duration::from_secs(50));
            account.note(match result {
                Ok(value) => {
                    assert!(is_right(Ok(value)), "{future:?}");
                    "value"
                }
                Err(FutureError::Cancelled) => {
                    assert!(
                        was_cancelled.load(Ordering::SeqCst),
                        "cancelled by nobody: {future:?}"
                    );
                    "cancelled"
                }
                Err(FutureError::Exception(Exception::Error(error))) => {
                    assert!(is_right(Err(error.to_string())), "{future:?}");
                    "error"
                }
                Err(FutureError::Exception(Exception::Panic(panic))) => {
                    assert!(may.panic, "{panic}");
                    "panic"
                }
                Err(FutureError::Exception(Exception::TimedOut(overrun))) => {
                    assert!(may.time_out && overrun.ran >= overrun.timeout, "{overrun}");
                    "timed out"
                }
                Err(FutureError::Exception(Exception::Crashed(crash))) => {
                    assert!(crash.pid > 0 && crash.attempts > 0, "{crash}");
                    assert!(!crash.task.arguments.is_empty(), "{crash}");
                    "crashed"
                }
                Err(other) => panic!("a task may not end so: {other}"),
            });
        };
        let cancel = move |running: bool| {
            // Before, for the future may be looked at in between.
            cancelled.store(true, Ordering::SeqCst);
            if running { other.cancel_running() } else { other.cancel() }
        };
        Self { check: Box::new(check), cancel: Box::new(cancel), ended }
    }
}

fn submit(pool: &ProcessPoolExecutor, dice: &mut Dice, account: &Arc<Account>) -> Open {
    let n = dice.roll(1 << 40);
    let mut options = TaskOptions::new();
    if dice.roll(8) == 0 {
        options = options.retries(2);
    }
    let none = May::default();
    macro_rules! task {
        ($may:expr, $function:ident($($argument:expr),+), $right:expr) => {{
            let future = pool.with(options).submit($function, ($($argument,)+)).unwrap();
            Open::new(account, future, $may, $right)
        }};
    }
    match dice.roll(40) {
        0 => {
            let micros = dice.roll(3000);
            task!(none, sleep(micros / 1000), move |value| value == Ok(micros / 1000))
        }
        1 => task!(none, busy(n % 3000), move |value| value == Ok(n % 3000)),
        2..=4 => {
            let length = usize::try_from(dice.roll(300_000)).unwrap();
            let bytes = vec![n.to_le_bytes()[0]; length];
            task!(none, echo(bytes.clone()), move |value| value.is_ok_and(|value| value == bytes))
        }
        5 | 6 => {
            let future = pool.with(options).try_submit(fail, (n,)).unwrap();
            Open::new(account, future, none, move |value| value == Err(n.to_string()))
        }
        7 => task!(May { panic: true, ..none }, panics(n), |_| false),
        8 => {
            let ways = [Death::Exit(3), Death::Kill, Death::Exit(0)];
            let way = ways[usize::try_from(dice.roll(3)).unwrap()];
            task!(none, die(way), |_| false)
        }
        9 => {
            options = options.timeout(Duration::from_millis(dice.roll(20)));
            task!(May { time_out: true, ..none }, polite(n % 30), move |value| value == Ok(n % 30))
        }
        10 => {
            options = options.timeout(Duration::from_millis(dice.roll(20)));
            task!(May { time_out: true, ..none }, sleep(n % 30), move |value| value == Ok(n % 30))
        }
        _ => task!(none, add(n, 1), move |value| value == Ok(n + 1)),
    }
}

/// Submits, cancels now and then, and checks what has ended.
fn submitter(pool: &ProcessPoolExecutor, seed: u64, end: Instant, account: &Arc<Account>) {
    let mut dice = Dice(seed);
    let mut open = VecDeque::new();
    while Instant::now() < end {
        for _ in 0..=dice.roll(20) {
            open.push_back(submit(pool, &mut dice, account));
            account.tasks.fetch_add(1, Ordering::SeqCst);
        }
        if dice.roll(4) == 0 {
            let one: &Open = &open[usize::try_from(dice.roll(open.len() as u64)).unwrap()];
            (one.cancel)(dice.roll(2) == 0);
        }
        while open.len() > OPEN {
            open.pop_front().unwrap().close(account);
        }
    }
    for open in open {
        open.close(account);
    }
}

impl Open {
    fn close(self, account: &Account) {
        (self.check)(account);
        // Who waits may know before those who are called back.
        eventually("a callback is called", || self.ended.load(Ordering::SeqCst) > 0);
        assert_eq!(self.ended.load(Ordering::SeqCst), 1);
    }
}

/// Kills workers, and stops them for a while or for good, until the end and no longer.
fn strike(pool: &ProcessPoolExecutor, seed: u64, end: Instant, account: &Account) -> Vec<u32> {
    let mut dice = Dice(seed);
    let mut known = Vec::new();
    let mut stopped: Vec<(Instant, u32, Signal)> = Vec::new();
    while Instant::now() < end || !stopped.is_empty() {
        thread::sleep(Duration::from_millis(dice.roll(30)));
        stopped.retain(|(until, pid, then)| {
            let is_over = *until <= Instant::now();
            if is_over {
                signal(*pid, *then);
            }
            !is_over
        });
        let pids = pool.worker_pids();
        known.extend(&pids);
        // A pool breaks when nobody is born any more: that is another test's affair.
        let is_safe = pool.stats().starting == 0 && pool.stats().workers > 1;
        if pids.is_empty() || !is_safe || Instant::now() >= end {
            continue;
        }
        let pid = pids[usize::try_from(dice.roll(pids.len() as u64)).unwrap()];
        account.signals.fetch_add(1, Ordering::SeqCst);
        match dice.roll(6) {
            0 | 1 => signal(pid, Signal::KILL),
            2 => signal(pid, Signal::TERM),
            3 => {
                signal(pid, Signal::STOP);
                signal(pid, Signal::CONT);
            }
            sides => {
                signal(pid, Signal::STOP);
                let until = Instant::now() + Duration::from_millis(dice.roll(200));
                stopped.push((until, pid, if sides == 4 { Signal::CONT } else { Signal::KILL }));
            }
        }
    }
    known.extend(pool.worker_pids());
    known.sort_unstable();
    known.dedup();
    known
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn storm(transport: Transport) {
    let seconds = number("MANYHANDS_CHAOS_SECONDS").unwrap_or(10);
    let seed = number("MANYHANDS_CHAOS_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        now.as_nanos().try_into().unwrap_or(1)
    });
    eprintln!("MANYHANDS_CHAOS_SEED={seed}");
    let _watch = watched_for(Duration::from_secs(seconds + 100));
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(4).transport(transport);
    let builder = builder.stderr(Output::Null).grace(Duration::from_millis(20));
    let pool = builder.build().unwrap();
    let account = Arc::new(Account::default());
    let end = Instant::now() + Duration::from_secs(seconds);
    let known = thread::scope(|scope| {
        for thread in 1..=4 {
            let (pool, account) = (&pool, &account);
            scope.spawn(move || submitter(pool, seed.wrapping_mul(thread) | 1, end, account));
        }
        let striker = scope.spawn(|| strike(&pool, seed.wrapping_mul(7) | 1, end, &account));
        striker.join().unwrap()
    });
    let tasks = account.tasks.load(Ordering::SeqCst);
    let ends = account.ends.lock().unwrap().clone();
    eprintln!(
        "{tasks} tasks, {} signals, {} workers: {ends:?}, {:?}",
        account.signals.load(Ordering::SeqCst),
        known.len(),
        pool.stats()
    );
    assert_eq!(ends.values().sum::<u64>(), tasks);
    assert_eq!(account.callbacks.load(Ordering::SeqCst), tasks);
    let after: Vec<_> = (0..500).map(|n| pool.submit(add, (n, n)).unwrap()).collect();
    for (n, future) in (0..).zip(after) {
        // One that was told to end is still leaving.
        match future.result(None) {
            Ok(sum) => assert_eq!(sum, 2 * n),
            Err(FutureError::Exception(Exception::Crashed(_))) => (),
            Err(other) => panic!("{other}"),
        }
    }
    eventually("all is done", || (pool.stats().pending, pool.stats().running) == (0, 0));
    let last = pool.worker_pids();
    assert!(pool.shutdown_timeout(Duration::from_mins(1), false), "{:?}", pool.stats());
    // Of this parent: meanwhile others may have been given the numbers of those that are gone.
    let left = children_of(std::process::id());
    assert!(known.iter().chain(&last).all(|pid| !left.contains(pid)), "{left:?} are left");
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn over_shared_memory() {
    storm(Transport::Automatic);
}

#[test]
fn over_sockets() {
    storm(Transport::Socket);
}
