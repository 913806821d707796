//! Callbacks: when they run, in which order, in which thread, and what they may do.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use common::{Counter, PLANNED, logged, occupy, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, State, ThreadPoolExecutor,
};

/// A log, and what makes callbacks that write to it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<usize>>>);

impl Log {
    fn callback<T: Send, E: Send + Sync>(&self, n: usize) -> impl FnOnce(&Future<T, E>) + 'static {
        let log = Arc::clone(&self.0);
        move |future| {
            assert!(future.done());
            log.lock().unwrap().push(n);
        }
    }

    fn lines(&self) -> Vec<usize> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn run_in_the_order_in_which_they_were_added() {
    let _watched = watched();
    let ends: [fn(&Future<i32, String>); 3] = [
        |future| future.set_result(1).unwrap(),
        |future| future.set_exception(Exception::Error(Arc::new("no".to_owned()))).unwrap(),
        |future| assert!(future.cancel()),
    ];
    for end in ends {
        let log = Log::default();
        let future = Future::new();
        for n in 0..100 {
            future.add_done_callback(log.callback(n));
        }
        assert_eq!(log.lines(), []);
        end(&future);
        assert_eq!(log.lines(), (0..100).collect::<Vec<_>>());
        future.add_done_callback(log.callback(100));
        assert_eq!(log.lines().len(), 101);
    }
}

#[test]
fn run_once_though_a_cancelled_future_is_notified_later() {
    let _watched = watched();
    let log = Log::default();
    let future: Future<i32> = Future::new();
    future.add_done_callback(log.callback(0));
    assert!(future.cancel());
    assert_eq!(log.lines(), [0]);
    future.add_done_callback(log.callback(1));
    assert!(!future.set_running_or_notify_cancel().unwrap());
    assert_eq!(log.lines(), [0, 1]);
}

#[test]
fn run_in_the_worker_or_where_the_future_is_done_already() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::builder().thread_name_prefix("cb").build().unwrap();
    let (sender, names) = mpsc::channel();
    let send_name = move |_: &Future<()>| {
        sender.send(thread::current().name().map(str::to_owned)).unwrap();
    };
    let busy = occupy(&pool, pool.max_workers());
    let future = pool.spawn(|| ()).unwrap();
    future.add_done_callback(send_name.clone());
    drop(busy);
    assert!(names.recv().unwrap().unwrap().starts_with("cb_"));
    future.add_done_callback(send_name);
    assert_eq!(names.try_recv().unwrap().as_deref(), thread::current().name());
}

#[test]
fn get_the_future_they_were_added_to() {
    let _watched = watched();
    let bare: Future<i32> = Future::new();
    let task = InlineExecutor::new().spawn(|| 5).unwrap();
    for future in [bare, task] {
        let (sender, futures) = mpsc::channel();
        future.add_done_callback(move |future| sender.send(future.clone()).unwrap());
        if !future.done() {
            future.set_result(5).unwrap();
        }
        assert_eq!(futures.recv().unwrap(), future);
    }
}

#[test]
fn a_panic_in_one_is_logged_and_the_others_run() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let log = Log::default();
    let future = pool.spawn(|| 1).unwrap();
    future.add_done_callback(log.callback(0));
    future.add_done_callback(|_| panic!("{PLANNED}callback 7281"));
    future.add_done_callback(log.callback(2));
    drop(busy);
    pool.spawn(|| ()).unwrap().result(None).unwrap();
    assert_eq!(log.lines(), [0, 2]);
    assert_eq!(future.result(None).unwrap(), 1);

    future.add_done_callback(|_| panic!("{PLANNED}callback 7281"));
    let lines = logged("callback 7281");
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(line.starts_with("ERROR: "), "{line}");
        assert!(line.contains("state=FINISHED") && line.contains("callbacks.rs:"), "{line}");
    }
}

#[test]
fn may_use_the_future_they_are_called_with() {
    let _watched = watched();
    for cancelled in [false, true] {
        let future: Future<i32> = Future::new();
        let (sender, answers) = mpsc::channel();
        future.add_done_callback(move |future| {
            let again = sender.clone();
            future.add_done_callback(move |future| again.send(future.done()).unwrap());
            sender.send(future.cancel() == future.cancelled()).unwrap();
            sender.send(future.set_result(6).is_err()).unwrap();
            sender
                .send(match future.result(None) {
                    Ok(value) => value == 5,
                    Err(FutureError::Cancelled) => future.exception(None).is_err(),
                    Err(_) => false,
                })
                .unwrap();
            drop(future.clone().into_result(None));
        });
        if cancelled {
            assert!(future.cancel());
        } else {
            future.set_result(5).unwrap();
        }
        assert_eq!(answers.iter().collect::<Vec<_>>(), [true; 4]);
        assert_eq!(future.result(None).is_err_and(|e| matches!(e, FutureError::Taken)), !cancelled);
    }
}

#[test]
fn may_notify_the_cancelled_future_they_are_called_with() {
    let _watched = watched();
    let future: Future<i32> = Future::new();
    future.add_done_callback(|future| assert!(!future.set_running_or_notify_cancel().unwrap()));
    assert!(future.cancel());
    assert_eq!(future.state(), State::CancelledAndNotified);
}

#[test]
fn may_submit_to_the_pool_that_calls_them() {
    let _watched = watched();
    let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
    let (sender, results) = mpsc::channel();
    let busy = occupy(&pool, 1);
    let first = pool.spawn(|| 1).unwrap();
    let again = Arc::clone(&pool);
    first.add_done_callback(move |first| {
        let first = first.result(None).unwrap();
        let second = again.spawn(move || first + 1).unwrap();
        second.add_done_callback(move |second| sender.send(second.result(None)).unwrap());
    });
    drop(busy);
    assert_eq!(results.recv().unwrap().unwrap(), 2);
}

#[test]
fn a_blocked_one_holds_up_no_other_task() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let barrier = Arc::new(Barrier::new(2));
    for _ in 0..200 {
        let busy = occupy(&pool, 2);
        let future = pool.spawn(|| ()).unwrap();
        let inside = Arc::clone(&barrier);
        future.add_done_callback(move |_| {
            inside.wait();
        });
        let outside = Arc::clone(&barrier);
        drop(busy);
        pool.spawn(move || outside.wait().is_leader()).unwrap().result(None).unwrap();
    }
}

#[test]
fn are_dropped_uncalled_with_a_future_that_never_ends() {
    let _watched = watched();
    let counter = Counter::new();
    let future: Future<i32> = Future::new();
    for _ in 0..100_000 {
        let value = counter.value();
        future.add_done_callback(move |_| drop(value));
    }
    assert_eq!(counter.alive(), 100_000);
    drop(future);
    assert_eq!(counter.alive(), 0);
}

#[test]
fn none_is_lost_or_called_twice_in_a_race_with_the_end() {
    let _watched = watched();
    for _ in 0..500 {
        let calls = Arc::new(AtomicUsize::new(0));
        let future: Future<i32> = Future::new();
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..20 {
                        let calls = Arc::clone(&calls);
                        future.add_done_callback(move |_| {
                            calls.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                });
            }
            barrier.wait();
            future.set_result(1).unwrap();
        });
        assert_eq!(calls.load(Ordering::SeqCst), 40);
    }
}
