//! `ProcessPoolExecutor`, the native part: the engine's pools of worker processes, with Python's pickles
//! for requests and answers and `multiprocessing`'s processes for workers. The classes are in
//! `python/manyhands/process.py`.
//!
//! | for | see |
//! |---|---|
//! | a task gets into the pool | `pool.rs` |
//! | what becomes of it there | `task.rs` |
//! | objects as bytes, and large data beside them | `pickle.rs`, `message.rs` |
//! | an object that many tasks get | `shared.rs` |
//! | futures among a task's arguments | `passed.rs` |
//! | an outcome that is read when somebody asks for it | `sent.rs` |
//! | starting a worker, and seeing it end | `launch.rs` |
//! | the worker's part | `worker.rs` |
//! | what its tasks submit to their own pool | `current.rs` |
//!
//! A task's answer is received without the interpreter's lock, by the manager's thread or by one that
//! waits, and is kept as bytes. Whoever asks for the result first reads it.

mod current;
mod launch;
mod manager;
mod message;
mod passed;
mod pickle;
mod pool;
mod sent;
mod shared;
mod task;
mod worker;

use pyo3::intern;
use pyo3::prelude::*;

/// Parent and worker are of the same package, which the worker imports anew. What they say to each other
/// is told apart from what the Rust face says.
const BUILD: u64 = u64::from_le_bytes(*b"python 1");

/// What is raised for tasks. A worker imports it only when something goes wrong with one, as that takes
/// longer than all else that it needs.
fn errors(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "manyhands._process_errors"))
}

pub(crate) use current::PyCurrentPool;
pub(crate) use manager::PyManager;
pub(crate) use passed::{Tells, forget, open_future, reduce};
pub(crate) use pickle::Lender;
pub(crate) use pool::PyProcessPoolExecutor;
pub(crate) use sent::Sent;
pub(crate) use shared::{Shared, open_shared};
pub(crate) use task::{attend, begin_wait, begin_waits, is_passed, run_in_place, withdraw};
pub(crate) use worker::{stop_requested, work};
