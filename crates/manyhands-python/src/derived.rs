//! What a future needs that is made from others; `python/manyhands/_compose.py` makes them.
//!
//! Its promise holds what is to be done when the others have ended, as a task's holds its call: so
//! cancelling it lets go of that, and needs no notice.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;

use manyhands::promise::Held;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::call::call_one;
use crate::future::{self, PyFuture};
use crate::source::Sources;
use crate::task::{Core, Task, Watcher};
use crate::{fat, nested};

/// The number that stands for the executor of such a future: no pool has it. It can be cancelled while
/// it runs, for all that is lost is the outcome.
const DERIVED: NonZeroU32 = NonZeroU32::MAX;

/// A pending future of this class that holds `job` until somebody takes it, or until it is cancelled. It
/// does not end before one of `sources` has; with none of them, it may end at any moment.
#[pyfunction]
#[pyo3(name = "_derive")]
pub(crate) fn derive<'py>(
    class: &Bound<'py, PyType>,
    job: Py<PyAny>,
    sources: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let args = PyTuple::empty(class.py()).unbind();
    let task = Task { function: job, args, kwargs: None };
    let core = Core::derived(task);
    // A task that makes one and waits for it has most likely made it from tasks of its own pool.
    core.life.set_pool(manyhands::nested::pool());
    if !sources.is_empty() {
        wait_for(&core, sources.iter());
    }
    future::make_of(class, Arc::new(core))
}

fn wait_for<'py>(core: &Core, sources: impl Iterator<Item = Bound<'py, PyAny>>) {
    // One that has ended meanwhile waits for nobody.
    drop(core.life.watch(Watcher::Follows(Box::new(Sources::new(sources)))));
}

/// The future goes on to wait for this one alone.
#[pyfunction]
#[pyo3(name = "_follow")]
pub(crate) fn follow<'py>(future: &Bound<'py, PyFuture>, source: &Bound<'py, PyAny>) {
    let core = &future.get().core;
    stop_waiting(core);
    wait_for(core, std::iter::once(source.clone()));
}

/// It has heard of all that it needs.
fn stop_waiting(core: &Core) {
    drop(core.life.unwatch(|watcher| matches!(watcher, Watcher::Follows(_))));
}

/// The future has heard of the end of its source of this number, and waits for it no more.
#[pyfunction]
#[pyo3(name = "_hear_of")]
pub(crate) fn hear_of(future: &Bound<'_, PyFuture>, index: usize) {
    let Ok(()) = future.get().core.life.trace(|held| {
        if let Held::Watcher(Watcher::Follows(sources)) = held {
            sources.remove(index);
        }
        Ok::<_, Infallible>(())
    });
}

/// `function(arg)`, which gives the future its outcome: if it waits, the future waits.
#[pyfunction]
#[pyo3(name = "_call_for")]
pub(crate) fn call_for<'py>(
    future: &Bound<'py, PyFuture>,
    function: &Bound<'py, PyAny>,
    arg: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    nested::run_function(nested::id(&future.get().core), function, || call_one(function, arg))
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
        Some(task) if !begin || core.life.begin() => {
            stop_waiting(core);
            Ok(Some(task.function))
        }
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
