//! THE PYTHON GLUE: the engine of the `manyhands` crate, with Python's objects for jobs and results and
//! Python's threads for workers. The package `python/manyhands` builds on this module, `_core`.
//!
//! The laws of the house:
//! - no Python code runs, and no Python object dies, while a lock of the engine is held;
//! - a Python object is dropped only by a thread that is attached to the interpreter;
//! - whoever waits is detached, and hears Ctrl-C (`park.rs`);
//! - nothing leans on the GIL for its safety.

#![allow(clippy::doc_markdown, reason = "what is documented here for Python is Python's help text")]

mod as_completed;
mod awaited;
mod bell;
mod block;
mod call;
mod derived;
mod errors;
mod fat;
mod fork;
mod future;
mod graph;
mod job;
mod map;
mod nested;
mod park;
mod place;
mod pool;
mod process;
mod source;
mod stdlib;
mod task;
mod wait;
mod waiter;
mod work_queue;
mod worker;
mod workers;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: manyhands_pybuffer::MiMalloc = manyhands_pybuffer::MiMalloc;

#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::as_completed::AsCompleted;
    #[pymodule_export]
    use crate::derived::{call_for, derive, follow, hear_of, take};
    #[pymodule_export]
    use crate::future::{PyFuture, set_future_type};
    #[pymodule_export]
    use crate::graph::{PyGraph, PyNode};
    #[pymodule_export]
    use crate::map::ResultIterator;
    #[pymodule_export]
    use crate::place::{place, submit_at};
    #[pymodule_export]
    use crate::pool::PyThreadPoolExecutor;
    #[pymodule_export]
    use crate::process::{
        Lender, PyCurrentPool, PyManager, PyProcessPoolExecutor, Shared, Tells, open_future,
        open_shared, stop_requested, work,
    };
    #[pymodule_export]
    use crate::wait::wait;
    #[pymodule_export]
    use crate::waiter::Waiter;
    #[pymodule_export]
    use crate::work_queue::{WorkItem, WorkQueue};
    #[pymodule_export]
    use crate::worker::{PyWorker, current_thread_pool};
    #[pymodule_export]
    use crate::workers::interpreter_shutdown;
    #[pymodule_export]
    use manyhands_pybuffer::SharedBuffer;

    #[pymodule_init]
    fn init(module: &super::Bound<'_, super::PyModule>) -> super::PyResult<()> {
        manyhands_pybuffer::give_at_once::<ResultIterator>(module.py());
        crate::fork::notice_forks(module)
    }
}
