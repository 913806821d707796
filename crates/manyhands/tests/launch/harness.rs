//! The least of a test harness: lists tests, runs those that are asked for, one after the other.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// A test and its name.
pub(crate) type Test = (&'static str, fn());

/// Makes the list of a file's tests.
macro_rules! tests {
    ($($test:ident,)*) => {
        pub(crate) const TESTS: &[crate::harness::Test] = &[$((stringify!($test), $test),)*];
    };
}
pub(crate) use tests;

const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn run(tests: &[Test]) -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has("--list") {
        let none_is_ignored = !has("--ignored");
        for (name, _) in tests.iter().filter(|_| none_is_ignored) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_asked_for = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|filter| {
                if has("--exact") { name == **filter } else { name.contains(filter.as_str()) }
            })
    };
    let mut failed = Vec::new();
    for (name, test) in tests.iter().filter(|(name, _)| is_asked_for(name)) {
        println!("test {name} ...");
        if !passes(name, *test) {
            failed.push(name);
        }
    }
    println!("test result: {} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Under a watchdog: a test that hangs ends the whole.
fn passes(name: &'static str, test: fn()) -> bool {
    let (ends, ended) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("WATCHDOG: {name} hangs: it has not ended within {LIMIT:?}");
            std::process::abort();
        }
    });
    let passed = catch_unwind(test).is_ok();
    drop(ends);
    watchdog.join().unwrap();
    passed
}
