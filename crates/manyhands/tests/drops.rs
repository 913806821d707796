//! Values whose `Drop` panics or blocks: it runs in the threads of the pool, and must harm no other
//! task.

#![cfg(not(loom))]

mod common;

use std::sync::{Mutex, mpsc};
use std::thread;

use common::{PLANNED, logged, occupy, watched};
use manyhands::{
    Exception, Executor, Future, FutureError, InlineExecutor, State, ThreadPoolExecutor,
};

/// Panics when it is dropped, with this text.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(thread::panicking(), "{PLANNED}{}", self.0);
    }
}

#[test]
fn a_value_that_nobody_wants_and_that_panics_kills_no_worker() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    for _ in 0..100 {
        drop(pool.spawn(|| Bomb("unwanted 4410")).unwrap());
    }
    drop(busy);
    assert_eq!(pool.spawn(|| 1).unwrap().result(None).unwrap(), 1);
    assert_eq!(pool.stats().workers, 1);
    let lines = logged("unwanted 4410");
    assert_eq!(lines.len(), 100);
    assert!(lines[0].starts_with("ERROR: ") && lines[0].contains("drops.rs"), "{}", lines[0]);
    pool.shutdown(true, false);
    assert_eq!(pool.stats().completed, 102);
}

#[test]
fn an_argument_that_panics_when_dropped_is_the_tasks_panic() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let bomb = Bomb("argument");
    let future = pool.spawn(move || drop(bomb)).unwrap();
    let Some(Exception::Panic(panic)) = future.exception(None).unwrap() else { panic!() };
    assert_eq!(panic.message(), format!("{PLANNED}argument"));
}

#[test]
fn an_argument_that_panics_when_its_task_is_cancelled_is_logged() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let armed = |text| {
        let bomb = Bomb(text);
        pool.spawn(move || drop(bomb)).unwrap()
    };
    let one = armed("cancelled 8812");
    let (sender, told) = mpsc::channel();
    one.add_done_callback(move |future| sender.send(future.cancelled()).unwrap());
    assert!(one.cancel());
    assert!(told.recv().unwrap());
    assert_eq!(logged("cancelled 8812").len(), 1);

    let futures = [armed("shutdown 8812"), armed("shutdown 8812"), armed("shutdown 8812")];
    pool.shutdown(false, true);
    for future in futures {
        assert!(matches!(future.result(None), Err(FutureError::Cancelled)));
    }
    assert_eq!(logged("shutdown 8812").len(), 3);
    drop(busy);
}

#[test]
fn a_broken_pool_fails_all_its_tasks_though_their_arguments_panic() {
    let _watched = watched();
    let (sender, go) = mpsc::channel::<()>();
    let go = Mutex::new(go);
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .try_initializer(
            {
                let go = std::sync::Arc::new(go);
                move || {
                    let _ = go.lock().unwrap().recv();
                    Err("no licence")
                }
            },
            (),
        )
        .build()
        .unwrap();
    let futures: Vec<_> = (0..3)
        .map(|_| {
            let bomb = Bomb("broken 6031");
            pool.spawn(move || drop(bomb)).unwrap()
        })
        .collect();
    drop(sender);
    for future in futures {
        let exception = future.exception(None).unwrap().unwrap();
        assert!(matches!(exception, Exception::Broken(_)), "{exception}");
    }
}

/// The thread that ends a pending task from outside drops its job; those who wait for the task must
/// be told even if that panics.
#[test]
fn a_task_ended_from_outside_wakes_those_who_wait_though_its_argument_panics() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let bomb = Bomb("outside");
    let future: Future<i32> = pool
        .spawn(move || {
            drop(bomb);
            1
        })
        .unwrap();
    let (sender, told) = mpsc::channel();
    let waiter = thread::spawn({
        let future = future.clone();
        move || future.result(None)
    });
    future.add_done_callback(move |future| sender.send(future.state()).unwrap());
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.set_result(5)));
    assert_eq!(told.recv(), Ok(State::Finished));
    assert_eq!(waiter.join().unwrap().unwrap(), 5);
    drop(busy);
}

/// The value of a task whose future is gone is dropped by the worker, and that may take as long as
/// it likes: the worker is not free meanwhile.
#[test]
fn a_value_whose_drop_waits_for_a_later_task_holds_up_no_other() {
    struct Waits(mpsc::Receiver<()>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }
    let _watched = watched();
    for workers in [2, 3] {
        let pool = ThreadPoolExecutor::new(workers).unwrap();
        for _ in 0..100 {
            let (sender, receiver) = mpsc::channel();
            let (gone, go) = mpsc::channel::<()>();
            let (ending, end) = mpsc::channel();
            let task = move || {
                let _ = go.recv();
                ending.send(()).unwrap();
                Waits(receiver)
            };
            drop(pool.spawn(task).unwrap());
            drop(gone);
            end.recv().unwrap();
            // Whether the drop has begun or will begin soon: this must find another worker.
            pool.spawn(move || sender.send(()).unwrap()).unwrap().result(None).unwrap();
        }
    }
}

/// Whatever the value ends by its drop, a channel here, the next task may wait for.
#[test]
fn a_value_that_nobody_wants_is_gone_before_its_worker_runs_the_next_task() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    for _ in 0..20_000 {
        let (sender, receiver) = mpsc::channel::<()>();
        drop(pool.spawn(move || sender).unwrap());
        let ended = pool.spawn(move || receiver.recv().is_err()).unwrap();
        assert!(ended.result(None).unwrap());
    }
}

#[test]
fn a_scoped_task_that_was_cancelled_and_panics_when_dropped_is_logged() {
    let _watched = watched();
    let builder = ThreadPoolExecutor::builder().max_workers(1);
    let ran = builder.scope(|scope| {
        let (sender, receiver) = mpsc::channel::<()>();
        scope.spawn(move || receiver.recv()).unwrap();
        let bomb = Bomb("scoped 2274");
        assert!(scope.spawn(move || drop(bomb)).unwrap().cancel());
        let next = scope.spawn(|| 1).unwrap();
        drop(sender);
        (next.result(None).unwrap(), scope.stats().workers)
    });
    assert_eq!(ran.unwrap(), (1, 1));
    assert_eq!(logged("scoped 2274").len(), 1);
}

#[test]
fn a_callback_whose_captive_panics_when_dropped_is_logged() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let future = pool.spawn(|| 1).unwrap();
    let (bomb, (sender, told)) = (Bomb("captive 3307"), mpsc::channel());
    future.add_done_callback(move |_| drop(bomb));
    future.add_done_callback(move |_| sender.send(()).unwrap());
    drop(busy);
    told.recv().unwrap();
    assert_eq!(logged("captive 3307").len(), 1);
    assert_eq!(pool.spawn(|| 1).unwrap().result(None).unwrap(), 1);
    assert_eq!(pool.stats().workers, 1);
}

#[test]
fn an_error_that_nobody_wants_and_that_panics_kills_no_worker() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (gone, go) = mpsc::channel::<()>();
    let task = move || -> Result<(), Bomb> {
        let _ = go.recv();
        Err(Bomb("error 7310"))
    };
    drop(pool.try_spawn(task).unwrap());
    drop(gone);
    assert_eq!(pool.spawn(|| 2).unwrap().result(None).unwrap(), 2);
    assert_eq!(pool.stats().workers, 1);
}

#[test]
fn an_outcome_that_comes_too_late_and_panics_kills_no_worker() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (sender, receiver) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let task = move || -> Result<u8, Bomb> {
        started.send(()).unwrap();
        let _ = receiver.recv();
        Err(Bomb("late 7311"))
    };
    let future = pool.try_spawn(task).unwrap();
    start.recv().unwrap();
    future.set_result(5).unwrap();
    drop(sender);
    assert_eq!(pool.spawn(|| 2).unwrap().result(None).unwrap(), 2);
    assert_eq!(future.into_result(None).ok(), Some(5));
    assert_eq!((pool.stats().workers, pool.stats().completed), (1, 2));
}

#[test]
fn a_scoped_task_that_is_cancelled_and_panics_when_dropped_kills_no_worker() {
    let _watched = watched();
    let last = ThreadPoolExecutor::builder().max_workers(1).scope(|scope| {
        let (sender, receiver) = mpsc::channel::<()>();
        scope.spawn(move || receiver.recv().is_err()).unwrap();
        let bomb = Bomb("scoped 7312");
        let cancelled = scope.spawn(move || drop(bomb)).unwrap();
        assert!(cancelled.cancel());
        let last = scope.spawn(|| 5).unwrap();
        drop(sender);
        last.result(None).unwrap()
    });
    assert_eq!(last.unwrap(), 5);
}

#[test]
fn a_task_can_be_submitted_while_the_thread_panics() {
    struct Submits(mpsc::Sender<i32>);
    impl Drop for Submits {
        fn drop(&mut self) {
            let future = InlineExecutor::new().spawn(|| 7).unwrap();
            self.0.send(future.result(None).unwrap()).unwrap();
        }
    }
    let _watched = watched();
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _submits = Submits(sender);
        panic!("{PLANNED}while it unwinds");
    });
    assert!(thread.join().is_err());
    assert_eq!(receiver.recv().unwrap(), 7);
}
