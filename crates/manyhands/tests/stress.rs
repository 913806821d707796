//! Many threads against small pools: every task ends once, and nothing is lost.
//!
//! A few seconds in all; `MANYHANDS_STRESS_SECONDS` makes each test go on for so long.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Counter, PLANNED, Watchdog, block_on, watched_for};
use manyhands::{
    CompletionQueue, Executor, Future, FutureError, ReturnWhen, State, ThreadPoolBuilder,
    ThreadPoolExecutor, WhenFull, as_completed, wait,
};

fn seconds() -> Option<Duration> {
    let seconds = std::env::var("MANYHANDS_STRESS_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("a whole number of seconds")))
}

fn watched() -> Watchdog {
    watched_for(seconds().unwrap_or_default() + Duration::from_mins(1))
}

/// The numbers of the rounds to be made.
fn rounds(usually: usize) -> impl Iterator<Item = usize> {
    let start = Instant::now();
    let seconds = seconds();
    (0..).take_while(move |round| {
        seconds.map_or(*round < usually, |seconds| start.elapsed() < seconds)
    })
}

/// What has happened to one task.
#[derive(Default)]
struct Fate {
    ran: AtomicU8,
    finished: AtomicU8,
    cancelled: AtomicU8,
    refused: AtomicU8,
}

struct Fates {
    all: Vec<Fate>,
    next: AtomicUsize,
    captives: Counter,
}

const PRODUCERS: usize = 3;
const EACH: usize = 120;

impl Fates {
    fn new() -> Self {
        // Every third task makes another one.
        let all = (0..2 * PRODUCERS * EACH).map(|_| Fate::default()).collect();
        Self { all, next: AtomicUsize::new(0), captives: Counter::new() }
    }

    /// All that was begun has come to exactly one end, and ran if that end says so.
    fn check(&self) {
        let begun = self.next.load(Ordering::SeqCst);
        for (number, fate) in self.all[..begun].iter().enumerate() {
            let [ran, finished, cancelled, refused] =
                [&fate.ran, &fate.finished, &fate.cancelled, &fate.refused]
                    .map(|count| count.load(Ordering::SeqCst));
            assert_eq!(finished + cancelled + refused, 1, "the ends of task {number}");
            assert_eq!(ran, finished, "task {number} ran {ran} times, {cancelled} cancelled");
        }
        assert_eq!(self.captives.alive(), 0);
    }
}

/// Submits the next task: one that returns, fails, panics, or submits another one.
fn submit(
    pool: &Arc<ThreadPoolExecutor>,
    fates: &Arc<Fates>,
    watchers: &mpsc::Sender<Future<usize, usize>>,
) -> bool {
    let number = fates.next.fetch_add(1, Ordering::SeqCst);
    let captive = fates.captives.value();
    let (mine, inner, again) = (Arc::clone(fates), Arc::downgrade(pool), watchers.clone());
    let task = move || {
        mine.all[number].ran.fetch_add(1, Ordering::SeqCst);
        drop(captive);
        match number % 6 {
            0 | 3 if number < PRODUCERS * EACH => {
                if let Some(pool) = inner.upgrade() {
                    submit(&pool, &mine, &again);
                }
                Ok(number)
            }
            1 => Err(number),
            2 => panic!("{PLANNED}{number}"),
            _ => Ok(number),
        }
    };
    match pool.try_spawn(task) {
        Ok(future) => {
            let fates = Arc::clone(fates);
            future.add_done_callback(move |future| {
                let fate = &fates.all[number];
                let end = if future.cancelled() { &fate.cancelled } else { &fate.finished };
                end.fetch_add(1, Ordering::SeqCst);
            });
            watchers.send(future).unwrap();
            true
        }
        Err(refused) => {
            fates.all[number].refused.fetch_add(1, Ordering::SeqCst);
            drop(refused);
            false
        }
    }
}

/// Cancels some, waits for each in one way or the other, and returns when no more can come.
fn watch(futures: &mpsc::Receiver<Future<usize, usize>>) {
    let mut queue = CompletionQueue::new();
    let mut group = Vec::new();
    for (n, future) in futures.iter().enumerate() {
        match n % 5 {
            0 => _ = future.cancel(),
            1 => _ = future.exception(Duration::ZERO),
            _ => (),
        }
        match n % 4 {
            0 => queue.push(future),
            1 => group.push(future),
            2 if n % 8 == 2 => {
                let outcome = manyhands::block_on(future);
                assert!(!matches!(outcome, Err(FutureError::TimedOut)));
            }
            2 => assert!(!matches!(block_on(future), Err(FutureError::TimedOut))),
            _ => assert!(!matches!(future.result(None), Err(FutureError::TimedOut))),
        }
        if group.len() == 8 {
            let first = wait(group.drain(..), None, ReturnWhen::FirstCompleted);
            assert!(!first.done.is_empty());
            group.extend(first.not_done);
        }
    }
    while let Some(future) = queue.next(None).unwrap() {
        assert!(future.done());
    }
    let all = as_completed(group.clone(), None).map(Result::unwrap).count();
    assert_eq!(all, group.len());
    assert!(wait(group, None, ReturnWhen::AllCompleted).not_done.is_empty());
}

/// `shutdown`: whether to wait and to cancel, when there is to be one in the middle.
fn storm(builder: ThreadPoolBuilder, shutdown: Option<(bool, bool)>) {
    let pool = Arc::new(builder.build().unwrap());
    let fates = Arc::new(Fates::new());
    let (watchers, watched) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || watch(&watched));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| {
                let (pool, fates, watchers) = (&pool, &fates, watchers.clone());
                scope.spawn(move || {
                    for _ in 0..EACH {
                        submit(pool, fates, &watchers);
                    }
                })
            })
            .collect();
        drop(watchers);
        if let Some((wait, cancel)) = shutdown {
            while fates.next.load(Ordering::SeqCst) < EACH {
                thread::yield_now();
            }
            pool.shutdown(wait, cancel);
        }
        for producer in producers {
            producer.join().unwrap();
        }
    });
    pool.shutdown(true, false);
    fates.check();
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn every_task_ends_once_whatever_the_pool_and_its_end() {
    let _watched = watched();
    let bounds = [
        None,
        Some((1, WhenFull::Block)),
        Some((8, WhenFull::Block)),
        Some((2, WhenFull::Refuse)),
        Some((3, WhenFull::BlockFor(Duration::from_micros(50)))),
        Some((3, WhenFull::RunInCaller)),
    ];
    let shutdowns =
        [None, Some((false, false)), Some((false, true)), Some((true, false)), Some((true, true))];
    for round in rounds(8) {
        for (number, bound) in bounds.into_iter().enumerate() {
            for shutdown in shutdowns {
                let builder = ThreadPoolExecutor::builder().max_workers(1 + (round + number) % 3);
                let builder = match bound {
                    None => builder,
                    Some((most, when_full)) => builder.max_pending(most, when_full),
                };
                storm(builder, shutdown);
            }
        }
    }
}

#[test]
fn cancel_and_start_agree_on_who_came_first() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for _ in rounds(2_000) {
        let ran = Arc::new(AtomicUsize::new(0));
        let futures: Vec<_> = (0..8)
            .map(|_| {
                let ran = Arc::clone(&ran);
                pool.spawn(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap()
            })
            .collect();
        let cancelled = thread::scope(|scope| {
            let other = scope.spawn(|| futures.iter().filter(|future| future.cancel()).count());
            let mine = futures.iter().rev().filter(|future| future.cancel()).count();
            (mine, other.join().unwrap())
        });
        assert!(wait(futures.clone(), None, ReturnWhen::AllCompleted).not_done.is_empty());
        let ended = futures.iter().filter(|future| future.state() == State::Finished).count();
        assert_eq!(ended, ran.load(Ordering::SeqCst));
        let all = 8 - ended;
        assert!(cancelled.0 <= all && cancelled.1 <= all && cancelled.0.max(cancelled.1) == all);
    }
}

#[test]
fn several_maps_share_a_pool() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(3).unwrap();
    for round in rounds(100) {
        let (buffersize, chunksize) = (1 + round % 17, 1 + round % 5);
        thread::scope(|scope| {
            scope.spawn(|| {
                let map = pool.map(|n: u64| n, 0..500).buffersize(buffersize);
                assert!(map.chunksize(chunksize).map(Result::unwrap).eq(0..500));
            });
            scope.spawn(|| {
                let map = pool.map(|n: u64| n, 0..500).chunksize(chunksize).unordered();
                assert_eq!(map.map(Result::unwrap).sum::<u64>(), 124_750);
            });
            scope.spawn(|| {
                let check = |n: u64| if n == 99 { Err(n) } else { Ok(n) };
                let mut map = pool.try_map(check, 0..).chunksize(chunksize).buffersize(buffersize);
                assert_eq!(map.by_ref().take_while(Result::is_ok).count(), 99);
                assert!(map.next().is_none());
            });
            assert_eq!(pool.map(|n: u64| n, 0..).buffersize(buffersize).take(50).count(), 50);
        });
    }
    pool.shutdown(true, true);
    assert_eq!(pool.stats().pending, 0);
}

#[test]
fn pools_come_and_go() {
    let _watched = watched();
    for round in rounds(500) {
        let pool = ThreadPoolExecutor::new(1 + round % 3).unwrap();
        let futures: Vec<_> = (0..round % 20).map(|n| pool.spawn(move || n).unwrap()).collect();
        if round % 2 == 0 {
            drop(pool);
            assert!(futures.iter().all(Future::done));
        } else {
            pool.shutdown(false, false);
            let sum: usize = futures.into_iter().map(|f| f.into_result(None).unwrap()).sum();
            assert_eq!(sum, (0..round % 20).sum());
        }
    }
}

/// A thread whose time is up takes itself from the list in which the others still wait.
#[test]
fn those_whose_time_is_up_leave_the_others_asleep() {
    let _watched = watched();
    for round in rounds(300) {
        let future: Future<usize> = Future::new();
        let cancelled = round % 5 == 0;
        thread::scope(|scope| {
            let patient: Vec<_> = (0..2).map(|_| scope.spawn(|| future.result(None))).collect();
            let hasty: Vec<_> = (0..4_u64)
                .map(|n| Duration::from_micros(20 * n + round as u64 % 60))
                .map(|time| {
                    scope.spawn({
                        let future = &future;
                        move || future.result(time)
                    })
                })
                .collect();
            thread::sleep(Duration::from_micros(round as u64 % 200));
            if cancelled {
                assert!(future.cancel());
            } else {
                future.set_result(round).unwrap();
            }
            for waiter in patient {
                match waiter.join().unwrap() {
                    Ok(value) => assert!(!cancelled && value == round),
                    Err(error) => assert!(cancelled && matches!(error, FutureError::Cancelled)),
                }
            }
            for waiter in hasty {
                match waiter.join().unwrap() {
                    Ok(value) => assert!(!cancelled && value == round),
                    Err(FutureError::Cancelled) => assert!(cancelled),
                    Err(error) => assert!(matches!(error, FutureError::TimedOut), "{error}"),
                }
            }
        });
    }
}
