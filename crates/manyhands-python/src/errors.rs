//! What the package raises and logs, in the words of the standard library.

use manyhands::thread::pool::Rejection;
use manyhands_pybuffer::{Exclusive, Held};
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::stdlib;

/// Why a task was not accepted.
pub(crate) fn rejected(py: Python<'_>, rejection: Rejection, at_exit: bool) -> PyErr {
    match rejection {
        Rejection::Broken(reason) => stdlib::BROKEN_THREAD_POOL.error(py, reason.as_str()),
        Rejection::Full { max_pending } => stdlib::QUEUE_FULL.error(
            py,
            format!(
                "{max_pending} tasks are pending, which is this executor's max_pending: submit \
                 later, or use when_full='block' or 'caller'"
            ),
        ),
        Rejection::Closed if at_exit => after_interpreter_shutdown(),
        Rejection::Closed => PyRuntimeError::new_err("cannot schedule new futures after shutdown"),
    }
}

pub(crate) fn after_interpreter_shutdown() -> PyErr {
    PyRuntimeError::new_err("cannot schedule new futures after interpreter shutdown")
}

/// Logs an exception that nobody can be given, at `level`, as the standard library does, where nothing can be
/// raised.
pub(crate) fn log(
    py: Python<'_>,
    level: &str,
    message: &str,
    about: Option<&Bound<'_, PyAny>>,
    error: &PyErr,
) {
    if let Err(failed) = log_or_raise(py, level, message, about, error) {
        failed.write_unraisable(py, None);
    }
}

/// The same where something can be raised: Ctrl-C. An error of the logger itself goes where Python sends what it
/// cannot raise.
pub(crate) fn log_or_raise(
    py: Python<'_>,
    level: &str,
    message: &str,
    about: Option<&Bound<'_, PyAny>>,
    error: &PyErr,
) -> PyResult<()> {
    let logged = (|| {
        let kwargs = PyDict::new(py);
        kwargs.set_item("exc_info", error.value(py))?;
        let logger = stdlib::LOGGER.get(py)?;
        match about {
            Some(about) => logger.call_method(level, (message, about), Some(&kwargs)),
            None => logger.call_method(level, (message,), Some(&kwargs)),
        }
    })();
    match logged {
        Err(failed) if failed.is_instance_of::<PyException>(py) => {
            failed.write_unraisable(py, None);
            Ok(())
        }
        logged => logged.map(drop),
    }
}

/// Logs what a worker has met with and can tell nobody.
pub(crate) fn report(py: Python<'_>, done: PyResult<()>) {
    if let Err(error) = done {
        log(py, "critical", "Exception in worker", None, &error);
    }
}

/// What an iterator of ours holds, unless it is at work already: then the error that a generator gives.
pub(crate) fn not_waited_in<'a, 'py, T>(
    rest: &'a Exclusive<T>,
    py: Python<'py>,
) -> PyResult<Held<'a, 'py, T>> {
    let taken = rest.take(py);
    taken.ok_or_else(|| PyValueError::new_err("another thread is waiting in this iterator"))
}
