//! The initializer of a pool's threads, and the pool that its failure breaks.

#![cfg(not(loom))]

mod common;

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use common::{PLANNED, logged, occupy, watched};
use manyhands::{
    BrokenThreadPool, Exception, Executor, Future, FutureError, Reason, ThreadPoolExecutor,
};

thread_local! {
    static MINE: Cell<u32> = const { Cell::new(0) };
}

/// An argument that counts how often it was cloned.
struct Argument(Arc<AtomicUsize>);

impl Clone for Argument {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

#[test]
fn runs_once_in_each_thread_with_its_own_arguments() {
    let _watched = watched();
    let clones = Arc::new(AtomicUsize::new(0));
    let (sender, threads) = mpsc::channel();
    let init = move |number: u32, argument: Argument| {
        drop(argument);
        MINE.set(MINE.get() + number);
        sender.send(thread::current().id()).unwrap();
    };
    let pool = ThreadPoolExecutor::builder()
        .max_workers(3)
        .initializer(init, (7, Argument(Arc::clone(&clones))))
        .build()
        .unwrap();
    assert!(threads.try_recv().is_err());
    drop(occupy(&pool, 3));
    for _ in 0..100 {
        assert_eq!(pool.spawn(|| MINE.get()).unwrap().result(None).unwrap(), 7);
    }
    pool.shutdown(true, false);
    drop(pool);
    let threads: Vec<_> = threads.iter().collect();
    assert_eq!(threads.len(), 3);
    assert_eq!(threads.into_iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!(clones.load(Ordering::SeqCst), 3);
}

#[test]
fn a_pool_without_work_runs_no_initializer() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::builder()
        .initializer(|| panic!("{PLANNED}never called"), ())
        .build()
        .unwrap();
    pool.shutdown(true, false);
    assert!(logged("never called").is_empty());
}

/// A pool of one worker whose initializer waits, and then fails in the way that is asked for.
fn breaking(panics: bool, text: &'static str) -> (ThreadPoolExecutor, mpsc::Sender<()>) {
    let (sender, go) = mpsc::channel::<()>();
    let go = Arc::new(Mutex::new(go));
    let init = move || {
        let _ = go.lock().unwrap().recv();
        if panics { panic!("{PLANNED}{text}") } else { Err(text) }
    };
    let builder = ThreadPoolExecutor::builder().max_workers(1);
    (builder.try_initializer(init, ()).build().unwrap(), sender)
}

fn why(future: &Future<i32>) -> BrokenThreadPool {
    match future.result(None) {
        Err(FutureError::Exception(Exception::Broken(broken))) => {
            let manyhands::BrokenExecutor::ThreadPool(broken) = broken else { panic!("{broken}") };
            broken
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn its_failure_breaks_what_is_pending_and_says_why() {
    let _watched = watched();
    for (panics, text) in [(false, "no database 1"), (true, "no database 2")] {
        let (pool, go) = breaking(panics, text);
        let ran = Arc::new(AtomicUsize::new(0));
        let (sender, told) = mpsc::channel();
        let futures: Vec<_> = (0..100)
            .map(|_| {
                let ran = Arc::clone(&ran);
                let future = pool.spawn(move || {
                    ran.fetch_add(1, Ordering::SeqCst);
                    1
                });
                let (future, sender) = (future.unwrap(), sender.clone());
                future.add_done_callback(move |future| sender.send(future.done()).unwrap());
                future
            })
            .collect();
        drop(sender);
        assert!(futures[50].cancel());
        drop(go);
        for (n, future) in futures.iter().enumerate() {
            if n == 50 {
                assert!(future.cancelled());
            } else {
                let broken = why(future);
                assert!(broken.reason.contains(text), "{broken}");
                assert!(
                    broken.to_string().starts_with("the thread pool cannot run the task: "),
                    "{broken}"
                );
            }
        }
        assert_eq!(told.iter().count(), 100);
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        assert_eq!(logged(text).len(), 1);
        pool.shutdown(true, false);
        assert_eq!((pool.stats().workers, pool.stats().completed), (0, 0));
    }
}

#[test]
fn a_broken_pool_gives_later_tasks_back_and_says_why() {
    let _watched = watched();
    for panics in [false, true] {
        let (pool, go) = breaking(panics, "no config");
        let first = pool.spawn(|| 1).unwrap();
        drop(go);
        let broken = why(&first);
        let refused = pool.spawn(|| 2).unwrap_err();
        assert!(matches!(&refused.reason, Reason::Broken(reason) if *reason == broken.into()));
        assert!(refused.to_string().contains("no config"), "{refused}");
        assert_eq!((refused.task)(), 2);
        let refused = pool.submit(i32::pow, (2, 5)).unwrap_err();
        assert_eq!((refused.task.0)(refused.task.1.0, refused.task.1.1), 32);
        // Broken it stays, also after a shutdown.
        pool.shutdown(true, false);
        assert!(matches!(pool.spawn(|| 3).unwrap_err().reason, Reason::Broken(_)));
    }
}

#[test]
fn the_failure_of_one_thread_leaves_what_others_run_alone() {
    let _watched = watched();
    let started = Arc::new(AtomicUsize::new(0));
    let init = move || {
        let before = started.fetch_add(1, Ordering::SeqCst);
        if before == 0 { Ok(()) } else { Err("the second one fails") }
    };
    let pool =
        ThreadPoolExecutor::builder().max_workers(2).try_initializer(init, ()).build().unwrap();
    let (end, ended) = mpsc::channel::<()>();
    let (start, running) = mpsc::channel();
    let first = pool.spawn(move || {
        start.send(()).unwrap();
        ended.recv().is_err()
    });
    let first = first.unwrap();
    running.recv().unwrap();
    let second = pool.spawn(|| 2).unwrap();
    assert!(why(&second).reason.contains("the second one fails"));
    drop(end);
    assert!(first.result(None).unwrap());
}

#[test]
fn a_callback_of_a_broken_task_may_use_the_pool() {
    let _watched = watched();
    let (pool, go) = breaking(false, "no luck");
    let pool = Arc::new(pool);
    let (sender, refused) = mpsc::channel();
    let again = Arc::clone(&pool);
    pool.spawn(|| 1).unwrap().add_done_callback(move |_| {
        sender.send(again.spawn(|| 2).unwrap_err().reason).unwrap();
        again.shutdown(true, true);
    });
    drop(go);
    assert!(matches!(refused.recv().unwrap(), Reason::Broken(_)));
}

/// A worker that is still starting is nobody's help: a job goes to the one that sleeps.
#[test]
fn a_thread_that_takes_long_to_start_keeps_no_job_from_an_idle_one() {
    let _watched = watched();
    let (sender, receiver) = mpsc::channel::<()>();
    let held = Mutex::new(Some(receiver));
    let threads = AtomicUsize::new(0);
    let initializer = Arc::new(move || {
        if threads.fetch_add(1, Ordering::SeqCst) == 1 {
            let receiver = held.lock().unwrap().take().unwrap();
            let _ = receiver.recv();
        }
    });
    let pool = ThreadPoolExecutor::builder()
        .max_workers(2)
        .initializer(move || initializer(), ())
        .build()
        .unwrap();
    let (release, wait) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let first = pool.spawn(move || {
        started.send(()).unwrap();
        let _ = wait.recv();
    });
    start.recv().unwrap();
    // Starts the second thread, which gets no further than its initializer.
    let second = pool.spawn(|| 2).unwrap();
    drop(release);
    first.unwrap().result(None).unwrap();
    assert_eq!(second.result(None).unwrap(), 2);
    for n in 0..1_000 {
        assert_eq!(pool.spawn(move || n).unwrap().result(None).unwrap(), n);
    }
    drop(sender);
}
