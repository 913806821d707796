//! Composition and scopes over worker processes.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::processes::{Directory, add, on_both, sleep};
use common::{PLANNED, watched};
use manyhands::process::Transport;
use manyhands::{
    Exception, Executor, Future, FutureError, Graph, GraphError, ProcessPoolExecutor, Retry,
    ThreadPoolExecutor, join_all, task_scope,
};

fn fail(luck: bool) -> Result<(), String> {
    if luck { Ok(()) } else { Err(format!("{PLANNED}no luck")) }
}

fn die_once(path: String) -> u8 {
    if std::fs::create_dir(path).is_ok() {
        std::process::abort();
    }
    7
}

manyhands::test_worker![add, die_once, fail, sleep];

fn pool(transport: Transport) -> Arc<ProcessPoolExecutor> {
    init_worker();
    let builder = ProcessPoolExecutor::builder().transport(transport);
    Arc::new(builder.max_workers(2).grace(Duration::from_millis(100)).build().unwrap())
}

#[test]
fn tasks_wait_for_futures_of_any_executor() {
    let _watched = watched();
    on_both(|transport| {
        let (pool, threads) = (pool(transport), ThreadPoolExecutor::new(1).unwrap());
        let local = threads.spawn(|| 40).unwrap();
        let sum = pool.submit_after(add, (local, Future::<u64>::ready(1)));
        let more = pool.submit_after(add, (sum.map(|n| n + 1), pool.submit(add, (0, 0)).unwrap()));
        assert_eq!(more.result(None).unwrap(), 42);
        let sums = (0..100).map(|n| pool.submit(add, (n, n)).unwrap().map(|n| n / 2));
        assert_eq!(join_all(sums).result(None).unwrap(), (0..100).collect::<Vec<u64>>());
    });
}

#[test]
fn a_function_that_was_not_declared_is_refused_when_its_turn_comes() {
    let _watched = watched();
    let pool = pool(Transport::Automatic);
    let task = pool.submit_after(|n: u64| n, (Future::<u64>::ready(1),));
    assert!(matches!(task.exception(None).unwrap(), Some(Exception::Refused(_))));
}

#[test]
fn a_crash_is_retried() {
    let _watched = watched();
    on_both(|transport| {
        let directory = Directory::new();
        let path = directory.path().join("crashed").to_str().unwrap().to_owned();
        let retry = Retry::attempts(2).first_delay(Duration::from_millis(1));
        let future = retry.submit(&pool(transport), die_once, (path,));
        assert_eq!(future.result(None).unwrap(), 7);
    });
}

#[test]
fn a_failure_ends_the_running_tasks_of_its_scope() {
    let _watched = watched();
    on_both(|transport| {
        let pool = pool(transport);
        let mut running = None;
        let failed = task_scope(&*pool, |scope| {
            let sleeping = scope.submit(sleep, (600_000,)).unwrap();
            scope.try_submit(fail, (false,)).unwrap();
            assert!(matches!(sleeping.result(None), Err(FutureError::Cancelled)));
            running = Some(sleeping);
        });
        assert!(failed.unwrap_err().to_string().contains("no luck"));
        assert!(running.unwrap().cancelled());
        assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
    });
}

#[test]
fn a_graph_cannot_cross() {
    let _watched = watched();
    let mut graph = Graph::new();
    let one = graph.task("one", || 1);
    let error = graph.get(&pool(Transport::Automatic), one).unwrap_err();
    assert!(matches!(error, GraphError::Refused(_)), "{error}");
}

#[test]
fn a_graph_has_nodes_on_threads_and_on_processes() {
    let _watched = watched();
    on_both(|transport| {
        let (processes, threads) = (pool(transport), Arc::new(ThreadPoolExecutor::new(2).unwrap()));
        let mut graph = Graph::new();
        let parts: Vec<_> = (0..50_u64)
            .map(|n| {
                let n = graph.task("part", move || n);
                let processes = Arc::clone(&processes);
                graph.future_with("more", n, move |n| processes.submit(add, (*n, 1)))
            })
            .collect();
        let sum = graph.task_with("sum", parts, |parts| parts.into_iter().sum::<u64>());
        assert_eq!(*graph.get(&threads, sum).unwrap(), 1_275);
        let fails = Arc::clone(&processes);
        let fails = graph.future_with("fails", (), move |()| fails.try_submit(fail, (false,)));
        let lost = graph.task_with("lost", (fails, sum), |_| ());
        let error = graph.get(&threads, lost).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`fails` failed: planned: no luck; so these were not run: `lost`"
        );
    });
}
