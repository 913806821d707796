//! An outcome that has come from a worker as bytes, or the loss of one: made into an object of Python's
//! when somebody asks for it, once, for all who ask.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use manyhands::process::host::{Kind, Loss};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::message::Received;
use super::task::Call;
use crate::task::Outcome;
use crate::{fork, park, stdlib};

/// Its lock is never held while the interpreter may change threads: so a fork finds it free.
pub(crate) struct Sent(Mutex<Stage>);

enum Stage {
    /// With what errors tell of the task, which is kept until then: it is to be dropped by a thread that
    /// is attached.
    Closed(Closed, Option<Box<Call>>),
    /// By this thread, of a process of this generation.
    Opening(ThreadId, u32),
    Opened(Outcome),
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
        Self(Mutex::new(Stage::Closed(closed, call)))
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome; while another thread makes it, waits until the deadline.
    ///
    /// # Errors
    /// Ctrl-C meanwhile, or what a signal handler raises while it waits: who is interrupted can ask again. A
    /// timeout; and that nobody will open it, or the calling thread itself is at it further out.
    pub(crate) fn open(&self, py: Python<'_>, deadline: Option<Instant>) -> PyResult<Outcome> {
        const FIRST_PAUSE: Duration = Duration::from_micros(50);
        const LONGEST_PAUSE: Duration = Duration::from_millis(5);
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(outcome) = self.open_unless_others_do(py)? {
                return Ok(outcome);
            }
            // Looks again now and then: what could wake it up would have a lock for a fork to find held.
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(stdlib::TIMEOUT_ERROR.bare_error(py));
            }
            py.detach(|| thread::sleep(pause));
            py.check_signals()?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// `None`: another thread does.
    fn open_unless_others_do(&self, py: Python<'_>) -> PyResult<Option<Outcome>> {
        let this = (thread::current().id(), fork::generation());
        let mut stage = self.stage();
        match &*stage {
            Stage::Opened(Ok(value)) => return Ok(Some(Ok(value.clone_ref(py)))),
            Stage::Opened(Err(exception)) => return Ok(Some(Err(exception.clone_ref(py)))),
            Stage::Opening(thread, generation) if (*thread, *generation) == this => {
                let why = "the result of this future is being unpickled by this very thread, which cannot \
                           wait for it there";
                return Err(PyRuntimeError::new_err(why));
            }
            Stage::Opening(_, generation) => {
                fork::check(*generation, "the thread that unpickles the result of this future")?;
                return Ok(None);
            }
            Stage::Closed(..) => (),
        }
        let (thread, generation) = this;
        let Stage::Closed(closed, call) =
            std::mem::replace(&mut *stage, Stage::Opening(thread, generation))
        else {
            return Ok(None);
        };
        drop(stage);
        self.open_here(py, closed, call).map(Some)
    }

    fn open_here(
        &self,
        py: Python<'_>,
        closed: Closed,
        call: Option<Box<Call>>,
    ) -> PyResult<Outcome> {
        // Also if something panics.
        let mut opens = Opens { sent: self, left: Some((closed, call)) };
        let Some((closed, call)) = &mut opens.left else { unreachable!("it was put there") };
        let outcome = open(py, closed, call.as_deref())?;
        let left = opens.left.take();
        let copy = match &outcome {
            Ok(value) => Ok(value.clone_ref(py)),
            Err(exception) => Err(exception.clone_ref(py)),
        };
        *self.stage() = Stage::Opened(outcome);
        if let Some((Closed::Value(mut received) | Closed::Exception(mut received), _)) = left {
            received.let_passes_go(py);
        }
        Ok(copy)
    }

    /// As it came, for another process, if nobody has opened it and all of it is here.
    pub(super) fn unopened(&self) -> Option<(Kind, Vec<u8>)> {
        match &*self.stage() {
            Stage::Closed(Closed::Value(received), _) => Some((Kind::One, received.again()?)),
            Stage::Closed(Closed::Exception(received), _) => {
                Some((Kind::Failed, received.again()?))
            }
            _ => None,
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What is not shown to the collector stays.
        match self.0.try_lock().as_deref() {
            Ok(Stage::Opened(Ok(object) | Err(object))) => visit.call(object),
            _ => Ok(()),
        }
    }
}

/// Puts back what is left, for the next who asks.
struct Opens<'a> {
    sent: &'a Sent,
    left: Option<(Closed, Option<Box<Call>>)>,
}

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        if let Some((closed, call)) = self.left.take() {
            *self.sent.stage() = Stage::Closed(closed, call);
        }
    }
}

/// Whether that is Ctrl-C, which the main thread alone hears of, and not of what is unpickled. What other handlers
/// raise cannot be told apart from what an object raises: an exit in `__setstate__`, say.
fn is_for_who_asks(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.is_instance_of::<PyKeyboardInterrupt>(py) && park::on_main_thread(py)?)
}

/// The outcome; an error is for who asks.
fn open(py: Python<'_>, closed: &mut Closed, call: Option<&Call>) -> PyResult<Outcome> {
    let made = match closed {
        Closed::Value(received) => match open_value(py, received) {
            Ok(value) => return Ok(Ok(value)),
            Err(error) if is_for_who_asks(py, &error)? => return Err(error),
            Err(error) => error_of(py, intern!(py, "unread_result"), (error.into_value(py),)),
        },
        Closed::Exception(received) => match open_value(py, received) {
            Ok(exception) => error_of(py, intern!(py, "raised"), (exception, &received.note)),
            Err(error) if is_for_who_asks(py, &error)? => return Err(error),
            Err(error) => {
                let about = (error.into_value(py), &received.note);
                error_of(py, intern!(py, "unread_exception"), about)
            }
        },
        Closed::Torn(why) => error_of(py, intern!(py, "torn"), (&*why,)),
        Closed::Lost(loss) => lost(py, loss, call),
    };
    match made {
        Ok(exception) => Ok(Err(exception)),
        Err(error) if is_for_who_asks(py, &error)? => Err(error),
        Err(error) => Ok(Err(error.into_value(py).into_any())),
    }
}

fn open_value(py: Python<'_>, received: &mut Received) -> PyResult<Py<PyAny>> {
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

fn lost(py: Python<'_>, loss: &Loss, call: Option<&Call>) -> PyResult<Py<PyAny>> {
    let call = call.map(|call| call.to_tuple(py)).transpose()?;
    match loss {
        Loss::Crashed { pid, exit, ran, attempts, .. } => {
            let code = super::launch::exit_code(*exit);
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
        Loss::Refused(reason) => Ok(super::pool::refused(py, reason).into_value(py).into_any()),
        // Its future was cancelled, and shows nothing of this.
        Loss::Cancelled => error_of(py, intern!(py, "broken"), ("it was cancelled", py.None())),
    }
}
