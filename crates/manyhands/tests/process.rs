//! Tasks on worker processes: what threads give, and what only processes can.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::time::Duration;

use common::{PLANNED, watched};
use manyhands::process::TaskOptions;
use manyhands::{Exception, Executor, Exit, FutureError, ProcessPoolExecutor, Reason};

fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn parse(text: String) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn give_up(why: String) -> u8 {
    panic!("{PLANNED}{why}")
}

fn die(code: i32) {
    std::process::exit(code)
}

fn pid() -> u32 {
    std::process::id()
}

fn sleep(millis: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(millis));
    millis
}

manyhands::test_worker![add, parse, give_up, die, pid, sleep];

fn pool(workers: usize) -> ProcessPoolExecutor {
    init_worker();
    ProcessPoolExecutor::new(workers).unwrap()
}

#[test]
fn a_function_is_called_in_another_process() {
    let _watch = watched();
    let pool = pool(1);
    let there = pool.submit(pid, ()).unwrap().result(None).unwrap();
    assert_ne!(there, std::process::id());
    assert_eq!(pool.submit(add, (2, 3)).unwrap().result(None).unwrap(), 5);
}

#[test]
fn the_error_a_function_returns_is_its_exception() {
    let _watch = watched();
    let pool = pool(1);
    assert_eq!(pool.try_submit(parse, ("17".to_owned(),)).unwrap().result(None).unwrap(), 17);
    let error = pool.try_submit(parse, ("x".to_owned(),)).unwrap().result(None).unwrap_err();
    let FutureError::Exception(Exception::Error(error)) = error else { panic!("{error:?}") };
    assert_eq!(*error, "x is no number");
}

#[test]
fn a_panic_brings_its_message_place_and_way() {
    let _watch = watched();
    let future = pool(1).submit(give_up, ("no luck".to_owned(),)).unwrap();
    let Some(Exception::Panic(panic)) = future.exception(None).unwrap() else { panic!() };
    assert!(panic.message().ends_with("no luck"), "{panic}");
    assert!(panic.location().unwrap().contains("tests/process.rs:"), "{panic}");
    assert!(panic.backtrace().unwrap().contains("give_up"), "{:?}", panic.backtrace());
}

#[test]
fn a_map_keeps_the_order_and_chunks_cross() {
    let _watch = watched();
    let pool = pool(2);
    let sums = pool.starmap(add, (0..1000).map(|n| (n, n))).into_vec().unwrap();
    assert_eq!(sums, (0..1000).map(|n| 2 * n).collect::<Vec<_>>());
    let sums = pool.starmap(add, (0..1000).map(|n| (n, n))).chunksize(64).into_vec().unwrap();
    assert_eq!(sums, (0..1000).map(|n| 2 * n).collect::<Vec<_>>());
    let texts = ["1", "2", "x", "4"].map(str::to_owned);
    let numbers: Vec<_> = pool.try_map(parse, texts).chunksize(4).collect();
    assert!(matches!(numbers[..], [Ok(1), Ok(2), Err(_)]), "{numbers:?}");
}

#[test]
fn a_closure_is_refused_by_its_name() {
    let _watch = watched();
    let pool = pool(1);
    let refused = pool.spawn(|| 5).unwrap_err();
    let Reason::NotDeclared { function } = refused.reason else { panic!("{refused:?}") };
    assert!(function.contains("a_closure_is_refused"), "{function}");
    assert_eq!((refused.task)(), 5);
}

#[test]
fn a_death_costs_the_task_that_ran_and_no_other() {
    let _watch = watched();
    let pool = pool(2);
    let before: Vec<_> = (0..100).map(|n| pool.submit(add, (n, 1)).unwrap()).collect();
    let dead = pool.submit(die, (3,)).unwrap();
    let after: Vec<_> = (0..100).map(|n| pool.submit(add, (n, 2)).unwrap()).collect();
    let Some(Exception::Crashed(crash)) = dead.exception(None).unwrap() else { panic!("{dead:?}") };
    assert_eq!(crash.exit, Exit::Code(3));
    assert!(crash.task.function.ends_with("die"), "{crash}");
    assert_eq!(crash.task.arguments, "(3,)");
    assert!(crash.to_string().contains("tests/process.rs:"), "{crash}");
    for (n, (before, after)) in (0..).zip(before.into_iter().zip(after)) {
        assert_eq!((before.result(None).unwrap(), after.result(None).unwrap()), (n + 1, n + 2));
    }
}

#[test]
fn a_task_that_takes_too_long_is_stopped() {
    let _watch = watched();
    let pool = pool(1);
    let hasty = pool.with(TaskOptions::new().timeout(Duration::from_millis(50)));
    let slow = hasty.submit(sleep, (60_000,)).unwrap();
    let Some(Exception::TimedOut(overrun)) = slow.exception(None).unwrap() else { panic!() };
    assert!(overrun.ran >= Duration::from_millis(50), "{overrun}");
    assert_eq!(pool.submit(add, (1, 1)).unwrap().result(None).unwrap(), 2);
}

#[test]
fn a_running_task_can_be_cancelled() {
    let _watch = watched();
    let pool = pool(1);
    let slow = pool.submit(sleep, (60_000,)).unwrap();
    while !slow.running() {
        std::thread::yield_now();
    }
    assert!(!slow.cancel(), "as in CPython");
    assert!(slow.cancel_running());
    assert!(matches!(slow.result(None), Err(FutureError::Cancelled)));
    assert_eq!(pool.submit(add, (1, 1)).unwrap().result(None).unwrap(), 2);
}
