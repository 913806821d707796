//! What a future needs that is made from others; `python/manyhands/_compose.py` makes them.
//!
//! Its promise holds what is to be done when the others have ended, as a task's holds its call: so
//! cancelling it lets go of that, and needs no notice.

use std::num::NonZeroU32;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::future::{self, PyFuture};
use crate::task::{Core, Task};
use crate::{fat, fork};

/// The number that stands for the executor of such a future: no pool has it. It can be cancelled while
/// it runs, for all that is lost is the outcome.
const DERIVED: NonZeroU32 = NonZeroU32::MAX;

/// A pending future of this class that holds `job` until somebody takes it, or until it is cancelled.
#[pyfunction]
#[pyo3(name = "_derive")]
pub(crate) fn derive<'py>(
    class: &Bound<'py, PyType>,
    job: Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let args = PyTuple::empty(class.py()).unbind();
    let task = Task { function: job, args, kwargs: None };
    let core = Core { derived_in: fork::generation(), ..Core::new(Some(task), 0) };
    // A task that makes one and waits for it has most likely made it from tasks of its own pool.
    core.life.set_pool(manyhands::nested::pool());
    future::make_of(class, Arc::new(core))
}

/// Takes what the future holds; with `begin`, it is running from then on. None: it was cancelled, or
/// ended by somebody else.
#[pyfunction]
#[pyo3(name = "_take")]
pub(crate) fn take(future: &Bound<'_, PyFuture>, begin: bool) -> PyResult<Option<Py<PyAny>>> {
    let core = &future.get().core;
    future.get().check_lock()?;
    match core.life.send_away(Some(DERIVED)) {
        // Cancelled at this very moment, it is only dropped.
        Some(task) if !begin || core.life.begin() => Ok(Some(task.function)),
        // Turned fat at this very moment, it is begun by its fields.
        Some(task) if core.fat.get().is_some() => {
            fat::take_job(future, begin)?;
            Ok((!future_is_done(future)?).then_some(task.function))
        }
        None if core.fat.get().is_some() => fat::take_job(future, begin),
        _ => Ok(None),
    }
}

fn future_is_done(future: &Bound<'_, PyFuture>) -> PyResult<bool> {
    future.call_method0("done")?.is_truthy()
}
