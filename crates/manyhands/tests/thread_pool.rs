//! The thread pool: its making, its threads, the order of tasks, its numbers.

#![cfg(not(loom))]

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use common::{PLANNED, occupy, watched};
use manyhands::{ConfigError, Executor, Future, ReturnWhen, ThreadPoolExecutor, WhenFull, wait};

fn my_name() -> String {
    thread::current().name().unwrap().to_owned()
}

fn wait_for_all<T: Send>(futures: impl IntoIterator<Item = Future<T>>) {
    assert!(wait(futures, None, ReturnWhen::AllCompleted).not_done.is_empty());
}

#[test]
fn impossible_options_are_refused() {
    let _watched = watched();
    let none = ThreadPoolExecutor::new(0).unwrap_err();
    assert_eq!(none, ConfigError::NoWorkers);
    assert_eq!(none.to_string(), "max_workers must be greater than 0");
    let no_room = ThreadPoolExecutor::builder().max_pending(0, WhenFull::Block).build();
    assert_eq!(no_room.unwrap_err(), ConfigError::NoRoom);
}

#[test]
fn by_default_there_are_some_more_workers_than_cpus() {
    let _watched = watched();
    let cpus = thread::available_parallelism().unwrap().get();
    let pool = ThreadPoolExecutor::builder().build().unwrap();
    assert_eq!(pool.max_workers(), (cpus + 4).min(32));
    assert_eq!(ThreadPoolExecutor::new(3).unwrap().max_workers(), 3);
}

#[test]
fn threads_are_named_and_numbered() {
    let _watched = watched();
    let pool =
        ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("io").build().unwrap();
    assert_eq!(pool.spawn(my_name).unwrap().result(None).unwrap(), "io_0");
    let busy = occupy(&pool, 1);
    let second = pool.spawn(my_name).unwrap().result(None).unwrap();
    drop(busy);
    assert!(second == "io_0" || second == "io_1", "{second}");

    let names: HashSet<_> = (0..3)
        .map(|_| {
            let pool = ThreadPoolExecutor::new(1).unwrap();
            let name = pool.spawn(my_name).unwrap().result(None).unwrap();
            assert!(name.starts_with("ThreadPoolExecutor-") && name.ends_with("_0"), "{name}");
            name
        })
        .collect();
    assert_eq!(names.len(), 3);
}

#[test]
fn a_task_is_a_function_with_arguments_or_a_closure() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let sum = |one: u8, two: i16, three: u32, four: f32, five: char, six: String| {
        format!("{one}{two}{three}{four}{five}{six}")
    };
    let future = pool.submit(sum, (1, -2, 3, 4.5, '5', "6".to_owned())).unwrap();
    assert_eq!(future.result(None).unwrap(), "1-234.556");
    assert_eq!(pool.submit(my_name, ()).unwrap().result(None).unwrap(), my_name_of(&pool));
    let parsed = pool.try_submit(str::parse::<u8>, ("12",)).unwrap();
    assert_eq!(parsed.result(None).unwrap(), 12);
    let failed = pool.try_spawn(|| "x".parse::<u8>()).unwrap();
    assert!(failed.exception(None).unwrap().is_some());
}

fn my_name_of(pool: &ThreadPoolExecutor) -> String {
    pool.spawn(my_name).unwrap().result(None).unwrap()
}

#[test]
fn threads_start_on_demand() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(4).unwrap();
    assert_eq!(pool.stats().workers, 0);
    let mut all_busy = Vec::new();
    for workers in 1..=4 {
        all_busy.push(occupy(&pool, 1));
        assert_eq!(pool.stats().workers, workers);
    }
    let fifth = pool.spawn(|| ()).unwrap();
    assert_eq!(pool.stats().workers, 4);
    drop(all_busy);
    fifth.result(None).unwrap();
}

#[test]
fn an_idle_thread_is_used_before_a_new_one_is_started() {
    let _watched = watched();
    for _ in 0..20 {
        let pool = ThreadPoolExecutor::new(4).unwrap();
        for n in 0..100 {
            assert_eq!(pool.spawn(move || n).unwrap().result(None).unwrap(), n);
        }
        let stats = pool.stats();
        assert_eq!((stats.workers, stats.completed), (1, 100));
    }
}

#[test]
fn one_worker_starts_tasks_in_the_order_of_their_submission() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    for held_back in [true, false] {
        let busy = held_back.then(|| occupy(&pool, 1));
        let started = Arc::new(Mutex::new(Vec::new()));
        let futures: Vec<_> = (0..10_000)
            .map(|n| {
                let started = Arc::clone(&started);
                pool.spawn(move || started.lock().unwrap().push(n)).unwrap()
            })
            .collect();
        drop(busy);
        wait_for_all(futures);
        assert!(started.lock().unwrap().drain(..).eq(0..10_000));
    }
}

/// Only those that a worker has taken at once can be overtaken: 256 at the most, with the one it
/// runs (`MAX_BATCH` of the pool).
#[test]
fn several_workers_start_tasks_nearly_in_order() {
    const TASKS: usize = 20_000;
    let _watched = watched();
    for workers in [2, 4] {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        let busy = occupy(&pool, workers);
        let started = Arc::new(Mutex::new(Vec::with_capacity(TASKS)));
        let futures: Vec<_> = (0..TASKS)
            .map(|n| {
                let started = Arc::clone(&started);
                pool.spawn(move || started.lock().unwrap().push(n)).unwrap()
            })
            .collect();
        drop(busy);
        wait_for_all(futures);
        let (mut have, mut all_below, mut most) = (vec![false; TASKS], 0, 0);
        for &n in &*started.lock().unwrap() {
            assert!(!have[n], "task {n} ran twice");
            let overtaken = have[all_below..n].iter().filter(|started| !**started).count();
            most = most.max(overtaken);
            have[n] = true;
            while all_below < TASKS && have[all_below] {
                all_below += 1;
            }
        }
        assert_eq!(all_below, TASKS);
        assert!(most <= 256 * workers, "a task overtook {most} others");
    }
}

#[test]
fn stats_tell_what_goes_on() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let numbers = |pool: &ThreadPoolExecutor| {
        let stats = pool.stats();
        (stats.pending, stats.running, stats.completed, stats.workers, stats.idle)
    };
    assert_eq!(numbers(&pool), (0, 0, 0, 0, 0));
    let one = occupy(&pool, 1);
    assert_eq!(numbers(&pool), (0, 1, 0, 1, 0));
    let other = occupy(&pool, 1);
    assert_eq!(numbers(&pool), (0, 2, 0, 2, 0));
    let pending: Vec<_> = (0..5).map(|_| pool.spawn(|| ()).unwrap()).collect();
    assert_eq!(numbers(&pool), (5, 2, 0, 2, 0));
    // A cancelled one counts until a worker has passed it by, and never as completed.
    assert!(pending[4].cancel());
    assert_eq!(numbers(&pool), (5, 2, 0, 2, 0));
    drop(one);
    wait_for_all(pending);
    drop(occupy(&pool, 1));
    drop(other);
    pool.shutdown(true, false);
    assert_eq!(numbers(&pool), (0, 0, 7, 0, 0));
    assert!(format!("{pool:?}").contains("completed: 7"), "{pool:?}");
}

#[test]
fn a_result_that_can_be_seen_is_counted() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for n in 1..=2_000 {
        pool.spawn(|| ()).unwrap().result(None).unwrap();
        let stats = pool.stats();
        assert_eq!((stats.completed, stats.pending, stats.running), (n, 0, 0));
    }
}

#[test]
fn panics_kill_no_worker() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let busy = occupy(&pool, 2);
    let futures: Vec<_> =
        (0..1_000).map(|n| pool.spawn(move || panic!("{PLANNED}{n}")).unwrap()).collect();
    drop(busy);
    for future in futures {
        let future: Future<()> = future;
        assert!(future.exception(None).unwrap().is_some());
    }
    assert_eq!(pool.spawn(|| 1).unwrap().result(None).unwrap(), 1);
    assert_eq!(pool.stats().workers, 2);
    // A replacement for a dead worker would have a higher number.
    let name = my_name_of(&pool);
    assert!(name.ends_with("_0") || name.ends_with("_1"), "{name}");
}

#[test]
fn tasks_may_submit_tasks() {
    fn grow(pool: &Arc<ThreadPoolExecutor>, depth: u32, sender: &mpsc::Sender<u32>) {
        if depth == 0 {
            sender.send(1).unwrap();
            return;
        }
        for _ in 0..2 {
            let (inner, sender) = (Arc::clone(pool), sender.clone());
            pool.spawn(move || grow(&inner, depth - 1, &sender)).unwrap();
        }
    }
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
    let (sender, leaves) = mpsc::channel();
    grow(&pool, 10, &sender);
    drop(sender);
    assert_eq!(leaves.iter().sum::<u32>(), 1024);
}

#[test]
fn a_task_may_wait_for_one_it_submitted_while_a_worker_is_left() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
    for n in 0..1_000 {
        let inner = Arc::clone(&pool);
        let outer = pool.spawn(move || inner.spawn(move || n).unwrap().result(None).unwrap());
        assert_eq!(outer.unwrap().result(None).unwrap(), n);
    }
}
