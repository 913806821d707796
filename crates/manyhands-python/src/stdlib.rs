//! The objects of the standard library that the glue hands out, raises or calls.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// An object of a module, looked up once.
pub(crate) struct Named {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyAny>>,
}

impl Named {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, found: PyOnceLock::new() }
    }

    pub(crate) fn get<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<&'a Bound<'py, PyAny>> {
        self.found
            .get_or_try_init(py, || Ok(py.import(self.module)?.getattr(self.name)?.unbind()))
            .map(|found| found.bind(py))
    }

    fn class<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<&'a Bound<'py, PyType>> {
        Ok(self.get(py)?.cast::<PyType>()?)
    }

    /// A new exception of this class.
    pub(crate) fn error(&self, py: Python<'_>, message: impl Into<String>) -> PyErr {
        match self.class(py) {
            Ok(class) => PyErr::from_type(class.clone(), (message.into(),)),
            Err(error) => error,
        }
    }

    /// A new exception of this class, without a message.
    pub(crate) fn bare_error(&self, py: Python<'_>) -> PyErr {
        match self.class(py) {
            Ok(class) => PyErr::from_type(class.clone(), ()),
            Err(error) => error,
        }
    }
}

const BASE: &str = "concurrent.futures._base";

// Kept here from before `manyhands.install()` puts its own in place: the package imports this
// module's users first, and calls `Future` below by way of the real class.
pub(crate) static CANCELLED_ERROR: Named = Named::new(BASE, "CancelledError");
pub(crate) static TIMEOUT_ERROR: Named = Named::new(BASE, "TimeoutError");
pub(crate) static INVALID_STATE_ERROR: Named = Named::new(BASE, "InvalidStateError");
pub(crate) static DONE_AND_NOT_DONE: Named = Named::new(BASE, "DoneAndNotDoneFutures");
pub(crate) static LOGGER: Named = Named::new(BASE, "LOGGER");
/// The standard library's own `Future`, whatever `install` has put in its place since.
pub(crate) static FUTURE: Named = Named::new("manyhands._stdlib", "Future");
pub(crate) static BROKEN_THREAD_POOL: Named =
    Named::new("concurrent.futures.thread", "BrokenThreadPool");
pub(crate) static BROKEN_PROCESS_POOL: Named =
    Named::new("concurrent.futures.process", "BrokenProcessPool");
pub(crate) static DEADLOCK_ERROR: Named = Named::new("manyhands._deadlock", "DeadlockError");
pub(crate) static DUMPS: Named = Named::new("pickle", "dumps");
pub(crate) static LOADS: Named = Named::new("pickle", "loads");
pub(crate) static PICKLE_ANYTHING: Named = Named::new("manyhands._pickling", "dumps");
pub(crate) static MAIN_CAN_BE_IMPORTED: Named =
    Named::new("manyhands._pickling", "main_can_be_imported");
pub(crate) static OPEN_FUTURE: Named = Named::new("manyhands._core", "_open_future");
pub(crate) static OPEN_SHARED: Named = Named::new("manyhands._core", "_open_shared");
pub(crate) static TOLD: Named = Named::new("manyhands._process_worker", "told");
pub(crate) static UNREAD_ARGUMENTS: Named =
    Named::new("manyhands._process_worker", "unread_arguments");
pub(crate) static GET_FRAME: Named = Named::new("sys", "_getframe");
pub(crate) static CONDITION: Named = Named::new("threading", "Condition");
pub(crate) static COPY_CONTEXT: Named = Named::new("contextvars", "copy_context");
pub(crate) static CYCLE_ERROR: Named = Named::new("graphlib", "CycleError");
pub(crate) static QUEUE_EMPTY: Named = Named::new("queue", "Empty");
pub(crate) static QUEUE_FULL: Named = Named::new("queue", "Full");
