//! How a future that keeps its waiters in a list, as the standard library's does, tells a queue of
//! ours.

use std::sync::Arc;

use manyhands::ready::Ready;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Stands in a future's `_waiters`.
#[pyclass(frozen, module = "manyhands._core", name = "_Waiter")]
pub(crate) struct Waiter {
    ready: Arc<Ready>,
    number: usize,
}

impl Waiter {
    pub(crate) fn new(ready: Arc<Ready>, number: usize) -> Self {
        Self { ready, number }
    }

    fn told(&self) {
        self.ready.push([self.number]);
    }
}

/// The protocol of `concurrent.futures._base._Waiter`.
#[pymethods]
impl Waiter {
    fn add_result(&self, _future: &Bound<'_, PyAny>) {
        self.told();
    }

    fn add_exception(&self, _future: &Bound<'_, PyAny>) {
        self.told();
    }

    fn add_cancelled(&self, _future: &Bound<'_, PyAny>) {
        self.told();
    }
}

/// Runs `look` while the state of a future of the standard library's kind cannot change.
pub(crate) fn hold<R>(
    future: &Bound<'_, PyAny>,
    look: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let py = future.py();
    let condition = future.getattr(intern!(py, "_condition"))?;
    condition.call_method0(intern!(py, "acquire"))?;
    let looked = look();
    condition.call_method0(intern!(py, "release"))?;
    looked
}

/// Whether `wait` counts such a future as done.
pub(crate) fn is_notified(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    let state = future.getattr(intern!(future.py(), "_state"))?;
    Ok(state.eq("FINISHED")? || state.eq("CANCELLED_AND_NOTIFIED")?)
}

/// Asks such a future to tell the queue; `false`: it has ended already.
pub(crate) fn watch(
    future: &Bound<'_, PyAny>,
    ready: &Arc<Ready>,
    number: usize,
) -> PyResult<bool> {
    hold(future, || {
        if is_notified(future)? {
            return Ok(false);
        }
        let waiter = Py::new(future.py(), Waiter::new(Arc::clone(ready), number))?;
        future.getattr(intern!(future.py(), "_waiters"))?.call_method1("append", (waiter,))?;
        Ok(true)
    })
}

/// Takes back all that `watch` has asked for this queue.
pub(crate) fn forget(future: &Bound<'_, PyAny>, ready: &Arc<Ready>) -> PyResult<()> {
    hold(future, || {
        let waiters = future.getattr(intern!(future.py(), "_waiters"))?.cast_into::<PyList>()?;
        for index in (0..waiters.len()).rev() {
            let waiter = waiters.get_item(index)?;
            if waiter.cast::<Waiter>().is_ok_and(|waiter| Arc::ptr_eq(&waiter.get().ready, ready)) {
                waiters.del_item(index)?;
            }
        }
        Ok(())
    })
}
