//! The executor's face: what tasks on threads can do, tasks on processes can.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::processes::{Directory, Gate, add, hold, keep_busy, on_both, pid, sleep};
use common::{PLANNED, block_on, watched};
use manyhands::process::Transport;
use manyhands::{
    CompletionQueue, Exception, Executor, Future, FutureError, ProcessPoolExecutor, Reason,
    ReturnWhen, ThreadPoolExecutor, as_completed, wait,
};

fn square(n: u64) -> u64 {
    n * n
}

/// Some take longer than those behind them.
fn square_late(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(if n.is_multiple_of(7) { 5 } else { 0 }));
    n * n
}

fn checked(n: u64) -> Result<u64, String> {
    if n == 13 { Err("unlucky".to_owned()) } else { Ok(n) }
}

fn panics(n: u64) -> u64 {
    assert_ne!(n, 13, "{PLANNED}unlucky");
    n
}

fn wait_at(gate: Gate) -> u64 {
    hold(gate);
    0
}

fn unlucky() -> Result<u64, String> {
    checked(13)
}

manyhands::test_worker![
    add,
    checked,
    hold,
    panics,
    pid,
    sleep,
    square,
    square_late,
    u32::pow,
    unlucky,
    wait_at
];

fn pool(workers: usize, transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(workers).transport(transport);
    builder.build().unwrap()
}

/// What every executor has in common, with functions in the place of closures.
fn common_behaviour(executor: &impl Executor) {
    let power = executor.submit(u32::pow, (2, 5)).unwrap();
    let unlucky = executor.try_submit(checked, (13,)).unwrap();
    let panicked = executor.submit(panics, (13,)).unwrap();
    let (sender, told) = mpsc::channel();
    power.add_done_callback(move |power| sender.send(power.result(None).unwrap()).unwrap());
    let later: Vec<_> = (0..20).map(|n| executor.submit(square, (n,)).unwrap()).collect();

    assert_eq!(power.result(None).unwrap(), 32);
    assert_eq!(told.recv().unwrap(), 32);
    assert!(matches!(unlucky.exception(None).unwrap(), Some(Exception::Error(_))));
    let Some(Exception::Panic(panic)) = panicked.exception(None).unwrap() else { panic!() };
    assert!(panic.message().contains("unlucky"));
    let taken = executor.submit(add, (1, 2)).unwrap();
    assert_eq!(taken.clone().into_result(None).unwrap(), 3);
    assert!(matches!(taken.result(None), Err(FutureError::Taken)));
    assert_eq!(block_on(executor.submit(add, (2, 2)).unwrap()).unwrap(), 4);
    assert!(!power.cancel());
    let early = later[..10].to_vec();
    assert!(wait(early.clone(), None, ReturnWhen::AllCompleted).not_done.is_empty());
    assert_eq!(as_completed(early, None).map(Result::unwrap).count(), 10);

    executor.shutdown(true, false);
    assert!(later.iter().map(|f| f.result(None).unwrap()).eq((0..20).map(|n| n * n)));
    let refused = executor.submit(u32::pow, (2, 5)).unwrap_err();
    assert_eq!((refused.reason, refused.task.1), (Reason::Shutdown, (2, 5)));
    let mut map = executor.map(square, [1]);
    assert!(matches!(map.next(), Some(Err(FutureError::Refused(Reason::Shutdown)))));
    executor.shutdown(true, true);
}

#[test]
fn processes_behave_as_threads_do() {
    let _watch = watched();
    common_behaviour(&ThreadPoolExecutor::new(2).unwrap());
    on_both(|transport| {
        common_behaviour(&pool(2, transport));
        let options = manyhands::process::TaskOptions::new();
        let pool = pool(1, transport);
        common_behaviour(&pool.with(options.timeout(Duration::from_mins(5))));
    });
}

#[test]
fn maps_in_all_their_ways() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(3, transport);
        let squares: Vec<_> = (0..200).map(|n| n * n).collect();
        let map = || pool.map(square_late, 0..200);
        assert_eq!(map().into_vec().unwrap(), squares);
        assert_eq!(map().buffersize(5).into_vec().unwrap(), squares);
        assert_eq!(map().chunksize(16).into_vec().unwrap(), squares);
        assert_eq!(map().chunksize(16).buffersize(2).into_vec().unwrap(), squares);
        for mut all in [
            map().unordered().collect::<Result<Vec<_>, _>>().unwrap(),
            map().chunksize(16).unordered().collect::<Result<_, _>>().unwrap(),
            map().buffersize(4).unordered().collect::<Result<_, _>>().unwrap(),
        ] {
            all.sort_unstable();
            assert_eq!(all, squares);
        }
        assert_eq!(pool.map(square, 0..0).into_vec().unwrap(), []);
        assert_eq!(pool.starmap(add, [(1, 2), (3, 4)]).into_vec().unwrap(), [3, 7]);
    });
}

#[test]
fn a_map_ends_with_its_first_failure() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(2, transport);
        for chunk in [1, 4, 50] {
            let results: Vec<_> = pool.try_map(checked, 0..40).chunksize(chunk).collect();
            assert_eq!(results.len(), 14);
            assert!(
                results[..13].iter().zip(0..).all(|(result, n)| *result.as_ref().unwrap() == n)
            );
            let error = results[13].as_ref().unwrap_err();
            assert!(error.to_string().contains("unlucky"), "{error}");
            let results: Vec<_> = pool.map(panics, 0..40).chunksize(chunk).collect();
            assert_eq!(results.len(), 14);
            let error = results[13].as_ref().unwrap_err();
            assert!(matches!(error, FutureError::Exception(Exception::Panic(_))), "{error}");
        }
    });
}

#[test]
fn a_map_has_a_timeout_and_its_tasks_end_with_it() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(1, transport));
        let gate = directory.gate("closed");
        let mut map = pool.map(wait_at, vec![gate.clone(); 3]).timeout(Duration::from_millis(20));
        assert!(matches!(map.next(), Some(Err(FutureError::TimedOut))));
        assert!(map.next().is_none());
        gate.open();
        assert_eq!(pool.submit(add, (1, 1)).unwrap().result(None).unwrap(), 2);
    });
}

#[test]
fn futures_of_threads_and_processes_side_by_side() {
    let _watch = watched();
    on_both(|transport| {
        let (pool, threads) = (pool(2, transport), ThreadPoolExecutor::new(2).unwrap());
        let futures: Vec<_> = (0..100)
            .flat_map(|n| {
                let here = threads.submit(square, (n,)).unwrap();
                [pool.submit(square, (n,)).unwrap(), here]
            })
            .collect();
        let mut values: Vec<_> = as_completed(futures.clone(), None)
            .map(|future| future.unwrap().result(None).unwrap())
            .collect();
        values.sort_unstable();
        assert!(values.iter().copied().eq((0..100).flat_map(|n| [n * n, n * n])));
        let mut queue = CompletionQueue::new();
        queue.extend(futures.clone());
        while let Ok(Some(_)) = queue.next(Duration::from_secs(30)) {}
        assert!(queue.is_empty());
        assert_eq!(wait(futures, None, ReturnWhen::AllCompleted).done.len(), 200);
    });
}

#[test]
fn wait_for_the_first_for_all_and_for_a_failure() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(3, transport));
        let gate = directory.gate("slow");
        let slow = keep_busy(&pool, &gate);
        let quick = pool.submit(pid, ()).unwrap();
        let both = [slow.clone(), quick.clone()];
        let first = wait(both.clone(), None, ReturnWhen::FirstCompleted);
        assert_eq!((&first.done[..], &first.not_done[..]), (&[quick][..], &[slow.clone()][..]));
        let late = wait(both.clone(), Duration::from_millis(5), ReturnWhen::AllCompleted);
        assert_eq!(late.not_done, [slow]);
        let stuck = pool.submit(wait_at, (gate.clone(),)).unwrap();
        let more = [stuck, pool.submit(panics, (13,)).unwrap()];
        let failed = wait(more, None, ReturnWhen::FirstException);
        assert_eq!((failed.done.len(), failed.not_done.len()), (1, 1));
        gate.open();
        assert_eq!(wait(both, None, ReturnWhen::AllCompleted).done.len(), 2);
    });
}

#[test]
fn callbacks_come_in_their_order_and_a_panic_stops_none() {
    let _watch = watched();
    on_both(|transport| {
        let (directory, pool) = (Directory::new(), pool(1, transport));
        let gate = directory.gate("slow");
        let slow = keep_busy(&pool, &gate);
        let called = Arc::new(Mutex::new(Vec::new()));
        let (sender, all) = mpsc::channel();
        for n in 0..10 {
            let (called, sender) = (Arc::clone(&called), sender.clone());
            slow.add_done_callback(move |future: &Future<u32>| {
                called.lock().unwrap().push((n, future.done()));
                sender.send(()).unwrap();
                assert_ne!(n, 4, "{PLANNED}in a callback");
            });
        }
        gate.open();
        (0..10).for_each(|_| all.recv().unwrap());
        assert!(called.lock().unwrap().iter().copied().eq((0..10).map(|n| (n, true))));
        assert_eq!(pool.submit(add, (1, 1)).unwrap().result(None).unwrap(), 2);
    });
}

#[test]
fn the_lists_of_the_proposal() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(2, transport);
        let calls = [unlucky, unlucky];
        let list = pool.run_to_futures(calls, None, ReturnWhen::AllCompleted).unwrap();
        assert_eq!((list.len(), list.exception_futures().count()), (2, 2));
        let mut results = pool.run_to_results([unlucky], None).unwrap();
        assert!(results.next().unwrap().is_err());
    });
}
