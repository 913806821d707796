//! Callbacks that wait, in the thread that would hear of the deaths of workers.

#![cfg(not(loom))]

mod common;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::processes::{Death, Directory, add, die, eventually, hold, on_both};
use common::watched;
use manyhands::process::Transport;
use manyhands::{Exception, Executor, FutureError, ProcessPoolExecutor, ReturnWhen, wait};

manyhands::test_worker![add, die, hold];

fn pool(transport: Transport) -> Arc<ProcessPoolExecutor> {
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(1).transport(transport);
    Arc::new(builder.build().unwrap())
}

/// A pool that calls this callback in the thread that manages it. The task has its gate in the directory.
fn called_back(
    transport: Transport,
    callback: impl FnOnce(&ProcessPoolExecutor) + Send + 'static,
) -> (Arc<ProcessPoolExecutor>, Directory) {
    let (pool, directory) = (pool(transport), Directory::new());
    let (gate, other) = (directory.gate("called back"), Arc::clone(&pool));
    let first = pool.submit(hold, (gate.clone(),)).unwrap();
    first.add_done_callback(move |_| callback(&other));
    gate.open();
    (pool, directory)
}

/// What a callback gives that is called with the pool, in the thread that manages it.
fn in_callback<R: Send + 'static>(
    transport: Transport,
    callback: impl FnOnce(&ProcessPoolExecutor) -> R + Send + 'static,
) -> R {
    let (sender, told) = mpsc::channel();
    let (pool, _directory) =
        called_back(transport, move |pool| sender.send(callback(pool)).unwrap());
    let result = told.recv().unwrap();
    assert_eq!(pool.submit(add, (3, 4)).unwrap().result(None).unwrap(), 7, "it goes on");
    pool.shutdown(true, false);
    result
}

#[test]
fn one_that_waits_for_a_task_whose_worker_dies_is_told() {
    let _watch = watched();
    on_both(|transport| {
        let lost = in_callback(transport, |pool| {
            pool.submit(die, (Death::Kill,)).unwrap().exception(None).unwrap()
        });
        assert!(matches!(lost, Some(Exception::Crashed(_))), "{lost:?}");
    });
}

#[test]
fn one_that_waits_for_what_other_callbacks_bring_about_gets_it() {
    let _watch = watched();
    on_both(|transport| {
        let made = in_callback(transport, |pool| {
            let five = pool.submit(add, (2, 3)).unwrap().map(|five| five * 2);
            let seven = pool.submit(add, (3, 4)).unwrap().map(|seven| seven * 2);
            wait([five.clone(), seven.clone()], None, ReturnWhen::AllCompleted);
            (five.result(None), seven.result(None))
        });
        assert!(matches!(made, (Ok(10), Ok(14))), "{made:?}");
    });
}

#[test]
fn one_in_another_can_wait_too() {
    let _watch = watched();
    on_both(|transport| {
        let lost = in_callback(transport, |pool| {
            let (sender, told) = mpsc::channel();
            let inner = pool.submit(add, (1, 1)).unwrap();
            inner.add_done_callback({
                let dies = pool.submit(die, (Death::Exit(3),)).unwrap();
                move |_| sender.send(dies.result(None)).unwrap()
            });
            inner.result(None).unwrap();
            told.recv().unwrap()
        });
        assert!(matches!(lost, Err(FutureError::Exception(Exception::Crashed(_)))), "{lost:?}");
    });
}

#[test]
fn one_of_a_task_that_was_lost_can_wait_for_its_successor() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(transport);
        let (sender, told) = mpsc::channel();
        let other = Arc::clone(&pool);
        let lost = pool.submit(die, (Death::Kill,)).unwrap();
        lost.add_done_callback(move |_| {
            sender.send(other.submit(add, (2, 3)).unwrap().result(None)).unwrap();
        });
        assert_eq!(told.recv().unwrap().unwrap(), 5);
    });
}

#[test]
fn one_of_what_is_cancelled_finds_the_others_cancelled() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(transport));
        let gate = directory.gate("held");
        let held = pool.submit(hold, (gate.clone(),)).unwrap();
        eventually("it runs", || gate.arrivals() == 1);
        // The last of them are on their way to no worker.
        let queued: Vec<_> = (0..5_000).map(|n| pool.submit(add, (n, n)).unwrap()).collect();
        let [.., one, other] = &queued[..] else { unreachable!() };
        let (sender, told) = mpsc::channel();
        for (one, other) in [(one, other), (other, one)] {
            let (other, sender) = (other.clone(), sender.clone());
            one.add_done_callback(move |_| sender.send(other.result(None).is_err()).unwrap());
        }
        pool.shutdown(false, true);
        assert_eq!([told.recv(), told.recv()], [Ok(true), Ok(true)]);
        gate.open();
        pool.shutdown(true, false);
        assert!(held.done());
    });
}

#[test]
fn a_shutdown_that_waits_for_so_long_does_not_wait_longer_for_one() {
    let _watch = watched();
    on_both(|transport| {
        let (sender, told) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let (pool, _directory) = called_back(transport, move |pool| {
            // From here on another thread manages the pool, to its end.
            pool.submit(add, (2, 3)).unwrap().result(None).unwrap();
            sender.send(()).unwrap();
            let _ = gone.recv();
        });
        told.recv().unwrap();
        assert!(!pool.shutdown_timeout(Duration::from_millis(200), false));
        go.send(()).unwrap();
        assert!(pool.shutdown_timeout(Duration::MAX, false));
    });
}
