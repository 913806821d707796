//! An outcome that has come from a worker as bytes, or the loss of one: made into an object of Python's
//! when somebody asks for it, once, for all who ask.

use std::sync::{Mutex, OnceLock, PoisonError};

use manyhands::process::host::{Kind, Loss};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::OnceLockExt;
use pyo3::types::PyTuple;

use super::message::Received;
use super::task::Call;
use crate::stdlib;
use crate::task::Outcome;

pub(crate) struct Sent {
    /// With what errors tell of the task, which is kept until then: it is to be dropped by a thread that
    /// is attached.
    closed: Mutex<Option<(Closed, Option<Box<Call>>)>>,
    opened: OnceLock<Outcome>,
}

pub(super) enum Closed {
    Value(Received),
    /// The note is its traceback.
    Exception(Received),
    /// The worker's message cannot be read.
    Torn(String),
    Lost(Loss),
}

impl Sent {
    pub(super) fn new(closed: Closed, call: Option<Box<Call>>) -> Self {
        Self { closed: Mutex::new(Some((closed, call))), opened: OnceLock::new() }
    }

    /// The outcome.
    pub(crate) fn open(&self, py: Python<'_>) -> Outcome {
        let outcome = self.opened.get_or_init_py_attached(py, || {
            let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner).take();
            closed.map_or_else(|| Ok(py.None()), |(closed, call)| open(py, closed, call))
        });
        match outcome {
            Ok(value) => Ok(value.clone_ref(py)),
            Err(exception) => Err(exception.clone_ref(py)),
        }
    }

    /// As it came, for another process, if nobody has opened it and all of it is here.
    pub(super) fn unopened(&self) -> Option<(Kind, Vec<u8>)> {
        match &self.closed.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.0 {
            Closed::Value(received) => Some((Kind::One, received.again()?)),
            Closed::Exception(received) => Some((Kind::Failed, received.again()?)),
            Closed::Torn(_) | Closed::Lost(_) => None,
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.opened.get() {
            Some(Ok(object) | Err(object)) => visit.call(object),
            None => Ok(()),
        }
    }
}

fn open(py: Python<'_>, closed: Closed, call: Option<Box<Call>>) -> Outcome {
    // Ctrl-C, which is for whoever asks.
    let interrupts = |error: &PyErr| error.is_instance_of::<PyKeyboardInterrupt>(py);
    let made = match closed {
        Closed::Value(received) => match open_value(py, received) {
            Ok(value) => return Ok(value),
            Err(error) if interrupts(&error) => Err(error),
            Err(error) => error_of(py, intern!(py, "unread_result"), (error.into_value(py),)),
        },
        Closed::Exception(mut received) => {
            let note = std::mem::take(&mut received.note);
            match open_value(py, received) {
                Ok(exception) => error_of(py, intern!(py, "raised"), (exception, note)),
                Err(error) if interrupts(&error) => Err(error),
                Err(error) => {
                    error_of(py, intern!(py, "unread_exception"), (error.into_value(py), note))
                }
            }
        }
        Closed::Torn(why) => error_of(py, intern!(py, "torn"), (why,)),
        Closed::Lost(loss) => lost(py, loss, call),
    };
    Err(made.unwrap_or_else(|error| error.into_value(py).into_any()))
}

fn open_value(py: Python<'_>, received: Received) -> PyResult<Py<PyAny>> {
    Ok(received.open(py, stdlib::LOADS.get(py)?)?.unbind())
}

/// An exception as `python/manyhands/_process_errors.py` makes it.
fn error_of<'py>(
    py: Python<'py>,
    name: &Bound<'py, pyo3::types::PyString>,
    about: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
) -> PyResult<Py<PyAny>> {
    let errors = super::errors(py)?;
    Ok(errors.call_method1(name, about.into_pyobject(py)?)?.unbind())
}

fn lost(py: Python<'_>, loss: Loss, call: Option<Box<Call>>) -> PyResult<Py<PyAny>> {
    let call = call.map(|call| call.into_tuple(py)).transpose()?;
    match loss {
        Loss::Crashed { pid, exit, ran, attempts, .. } => {
            let code = super::launch::exit_code(exit);
            let about = (pid, code, ran.as_secs_f64(), attempts, call);
            error_of(py, intern!(py, "crashed"), about)
        }
        Loss::TimedOut { timeout, ran, .. } => {
            let about = (timeout.as_secs_f64(), ran.as_secs_f64(), call);
            error_of(py, intern!(py, "timed_out"), about)
        }
        Loss::Broken { reason, by } => {
            let by = by.map(|(pid, exit)| (pid, super::launch::exit_code(exit)));
            error_of(py, intern!(py, "broken"), (reason.as_str(), by))
        }
        Loss::NoWorkerLeft { workers } => error_of(py, intern!(py, "no_worker_left"), (workers,)),
        Loss::Refused(reason) => Ok(super::pool::refused(py, &reason).into_value(py).into_any()),
        // Its future was cancelled, and shows nothing of this.
        Loss::Cancelled => error_of(py, intern!(py, "broken"), ("it was cancelled", py.None())),
    }
}
