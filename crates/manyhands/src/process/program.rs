//! What a program has said of itself: which functions its workers can be asked to call, and how it is
//! started again to be one.

use std::cell::RefCell;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use super::worker;
use crate::crossing::{Registry, Tasks};

/// A program that can be started as a worker.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) registry: Arc<Registry>,
    /// What it is started with to get to `init`.
    pub(super) arguments: Vec<OsString>,
}

/// One, and of a test program one for each module with workers; the one declared last comes last.
static DECLARED: Mutex<Vec<Program>> = Mutex::new(Vec::new());

thread_local! {
    /// That of the test which this thread runs, while others run those of other modules.
    static OF_THIS_TEST: RefCell<Option<Program>> = const { RefCell::new(None) };
}

/// What this program has declared; `None` if it has not called `init`.
pub(super) fn declared() -> Option<Program> {
    let last = || DECLARED.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
    OF_THIS_TEST.with_borrow(Clone::clone).or_else(last)
}

/// Declares the functions that worker processes can be asked to call. The first line of `main`: a
/// worker is this program started again, and becomes one here. There, this never returns; whatever
/// stands before it is done by each worker too.
///
/// ```
/// use manyhands::{Executor, ProcessPoolExecutor, process, tasks};
///
/// fn cube(n: u64) -> u64 {
///     n * n * n
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init(tasks![cube]);
///     let pool = ProcessPoolExecutor::new(2)?;
///     let cubes: Result<Vec<_>, _> = pool.map(cube, 1..=3).collect();
///     assert_eq!(cubes?, [1, 8, 27]);
///     Ok(())
/// }
/// ```
///
/// In tests there is no `main` of one's own: see [`test_worker!`](crate::test_worker).
///
/// # Panics
/// If it is called a second time: a worker becomes one in the first, and would know nothing of what comes
/// after it.
pub fn init(tasks: Tasks) {
    let is_first = DECLARED.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    assert!(
        is_first,
        "`process::init` is called once, with all the functions that workers may call"
    );
    init_with(tasks, Vec::new());
}

/// For [`test_worker!`](crate::test_worker): as [`init`], where libtest has to be told the way.
#[doc(hidden)]
pub fn init_test(tasks: Tasks, module: &str) {
    // libtest names tests by their path below the crate.
    let path = module
        .split_once("::")
        .map_or("manyhands_worker".to_owned(), |(_, module)| format!("{module}::manyhands_worker"));
    let options = ["--exact", "--nocapture", "--test-threads=1"].map(OsString::from);
    let program = init_with(tasks, [OsString::from(path)].into_iter().chain(options).collect());
    OF_THIS_TEST.set(Some(program));
}

fn init_with(tasks: Tasks, arguments: Vec<OsString>) -> Program {
    let mut declared = DECLARED.lock().unwrap_or_else(PoisonError::into_inner);
    let at = declared.iter().position(|program| program.arguments == arguments);
    let before = at.map(|at| declared.remove(at));
    let mut registry = before.map_or_else(Registry::default, |before| (*before.registry).clone());
    registry.add(tasks);
    let program = Program { registry: Arc::new(registry), arguments };
    declared.push(program.clone());
    drop(declared);
    worker::become_one_if_started_so(&program);
    program
}

/// Lets the tests of a file use worker processes: a line at the top of the file, and the function that
/// it makes, `init_worker()`, as the first line of each test that makes a pool.
///
/// A worker is the test program started again, and libtest runs tests, no `main`. So this makes a
/// test, `manyhands_worker`, which is where a worker comes to life; otherwise it does nothing.
///
/// ```text
/// mod tests {
///     use manyhands::{Executor, ProcessPoolExecutor};
///
///     fn double(n: u64) -> u64 {
///         2 * n
///     }
///
///     manyhands::test_worker![double];
///
///     #[test]
///     fn doubles() {
///         init_worker();
///         let pool = ProcessPoolExecutor::new(1).unwrap();
///         assert_eq!(pool.submit(double, (4,)).unwrap().result(None).unwrap(), 8);
///     }
/// }
/// ```
#[macro_export]
macro_rules! test_worker {
    ($($function:expr),* $(,)?) => {
        fn init_worker() {
            $crate::process::init_test($crate::tasks![$($function),*], module_path!());
        }

        #[test]
        fn manyhands_worker() {
            init_worker();
        }
    };
}
