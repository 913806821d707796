//! One task as the Python host has it: its promise with the kinds filled in, and whom it tells.

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use manyhands::promise::{Cancel, Held, Promise, Wake, Watch};
use manyhands::ready::Ready;
use manyhands_pybuffer::{HiddenObject, may_lead_back};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::bell::Bell;
use crate::call::{call, call_one};
use crate::errors;
use crate::fat::Fat;
use crate::fork;
use crate::place::Place;
use crate::process::Sent;
use crate::source::Sources;

/// What a task gives: a value, or what is to be raised (an exception, or a class of exceptions).
pub(crate) type Outcome = Result<Py<PyAny>, Py<PyAny>>;

/// A value that a task has given, or what a worker process has answered, which may turn out to be an
/// exception.
pub(crate) enum Value {
    Here(Py<PyAny>),
    Sent(Arc<Sent>),
}

/// An outcome as a promise holds it.
pub(crate) type Ending = Result<Value, Py<PyAny>>;

/// What it has come to, where nobody can be told of an interrupt but who asks for that.
pub(crate) fn open(py: Python<'_>, ending: Ending) -> Outcome {
    match ending? {
        Value::Here(value) => Ok(value),
        Value::Sent(sent) => {
            let opened = sent.open(py, None);
            opened.unwrap_or_else(|error| Err(error.into_value(py).into_any()))
        }
    }
}

/// A promise whose outcome is Python's.
pub(crate) type Life<J> = Promise<J, Value, Py<PyAny>, Watcher>;

/// What a future and the queue share: the life of the task, until somebody takes the future apart.
pub(crate) struct Core {
    pub(crate) life: Life<Task>,
    pub(crate) fat: OnceLock<Box<Fat>>,
    /// The generation of processes that it was made in; 0 for a future made by hand.
    generation: u32,
    /// Whether it is made from other futures, and not submitted.
    is_derived: bool,
    /// Where it was submitted.
    pub(crate) place: Place,
    /// Whether more than one Python object is a handle on it.
    pub(crate) shared: AtomicBool,
    /// The number of the last bell that this future was asked to ring; see `bell.rs`.
    pub(crate) rings: AtomicU32,
    /// The future, unless the collector of cycles looks at it.
    hidden: HiddenObject,
}

impl Core {
    pub(crate) fn new(task: Option<Task>, submitted_in: u32) -> Self {
        let (fat, shared, rings) = (OnceLock::new(), AtomicBool::new(false), AtomicU32::new(0));
        let (life, hidden) = (Promise::new(task), HiddenObject::default());
        let (generation, is_derived) = (submitted_in, false);
        Self { life, fat, generation, is_derived, place: None, shared, rings, hidden }
    }

    /// For a future that is made from others; `task` says what it holds until they have ended.
    pub(crate) fn derived(task: Task) -> Self {
        Self { is_derived: true, ..Self::new(Some(task), fork::generation()) }
    }

    /// The generation of processes in which it was submitted; 0 for one that was not.
    pub(crate) fn submitted_in(&self) -> u32 {
        if self.is_derived { 0 } else { self.generation }
    }

    /// The generation of processes in which it was made from others; 0 for one that was not.
    pub(crate) fn derived_in(&self) -> u32 {
        if self.is_derived { self.generation } else { 0 }
    }

    /// The future may be part of a cycle from now on.
    pub(crate) fn show(&self, py: Python<'_>) {
        self.hidden.show(py);
    }

    /// To be called before the task ends with this.
    pub(crate) fn show_for(&self, py: Python<'_>, outcome: &Outcome) {
        let (Ok(object) | Err(object)) = outcome;
        if may_lead_back(object.bind(py)) {
            self.show(py);
        }
    }
}

impl AsRef<HiddenObject> for Core {
    fn as_ref(&self) -> &HiddenObject {
        &self.hidden
    }
}

/// A call to make. A context it is to run in is in the function (`context.run`).
pub(crate) struct Task {
    pub(crate) function: Py<PyAny>,
    pub(crate) args: Py<PyTuple>,
    pub(crate) kwargs: Option<Py<PyDict>>,
}

impl Task {
    /// Drops the function and its arguments before anybody sees the outcome.
    pub(crate) fn call(self, py: Python<'_>) -> Outcome {
        let kwargs = self.kwargs.as_ref().map(|kwargs| kwargs.bind(py));
        outcome(py, call(self.function.bind(py), self.args.bind(py), kwargs))
    }
}

/// What a call has come to.
pub(crate) fn outcome(py: Python<'_>, called: PyResult<Bound<'_, PyAny>>) -> Outcome {
    called.map(Bound::unbind).map_err(|error| error.into_value(py).into_any())
}

/// Whom a task tells of its end.
pub(crate) enum Watcher {
    Callback {
        function: Py<PyAny>,
        /// What it is called with, where a worker ends the task, who has only the core. It keeps the
        /// future alive until then, as it must.
        future: Option<Py<PyAny>>,
    },
    /// A queue of completed futures, and the number of this one in it.
    Ready(Arc<Ready>, usize),
    /// A task that waits for this one alone.
    Task(Arc<Ready>),
    /// A bell, and by what it knows this future.
    Bell(Arc<Bell>, usize),
    /// A thread that receives answers of worker processes while it waits.
    Attendant(Waker),
    /// Nobody, but the futures that this one waits for.
    Follows(Box<Sources>),
}

impl Watcher {
    /// Tells one who waits; a callback is not called.
    pub(crate) fn tell_waiting(self) {
        match self {
            Self::Ready(ready, number) => ready.push([number]),
            Self::Task(ready) => ready.push([0]),
            Self::Bell(bell, address) => bell.ring(address),
            Self::Attendant(waker) => waker.wake(),
            Self::Callback { .. } | Self::Follows(_) => (),
        }
    }
}

impl Watch for Watcher {
    fn waits_for_notice(&self) -> bool {
        matches!(self, Self::Ready(..) | Self::Bell(..) | Self::Attendant(_))
    }
}

/// Tells all in `wake` that the task has ended: those who wait, then the callbacks, in order, with
/// `own` where they have no future of their own. What a callback raises is logged; an exception that is
/// no `Exception` is given back when all have run.
pub(crate) fn tell(
    py: Python<'_>,
    wake: Wake<Watcher>,
    own: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let (callbacks, waiting): (Vec<_>, Vec<_>) =
        wake.partition(|watcher| matches!(watcher, Watcher::Callback { .. }));
    waiting.into_iter().for_each(Watcher::tell_waiting);
    call_all(py, callbacks, own)
}

/// Calls the callbacks, in order, as `tell` does.
pub(crate) fn call_all(
    py: Python<'_>,
    callbacks: Vec<Watcher>,
    own: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let mut first = Ok(());
    for watcher in callbacks {
        let Watcher::Callback { function, future } = watcher else { continue };
        let future = future.as_ref().map(|future| future.bind(py)).or(own);
        if let Some(future) = future
            && let Err(error) = call_back(&function, future)
        {
            first = first.and(Err(error));
        }
    }
    first
}

pub(crate) fn call_back(function: &Py<PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    match call_one(function.bind(py), future) {
        Ok(_) => Ok(()),
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyException>(py) => {
            let message = "exception calling callback for %r";
            errors::log_or_raise(py, "error", message, Some(future), &error)
        }
        Err(error) => Err(error),
    }
}

/// Cancels a task that has not started, dropping it. `None`: it is too late.
pub(crate) fn cancel<J>(
    py: Python<'_>,
    life: &Life<J>,
    own: Option<&Bound<'_, PyAny>>,
) -> Option<PyResult<()>> {
    match life.cancel() {
        Cancel::Now(job, wake) => {
            drop(job);
            Some(tell(py, wake, own))
        }
        Cancel::Already => Some(Ok(())),
        Cancel::TooLate(_) => None,
    }
}

/// Shows the garbage collector what a task holds. Only its one owner may: what the queue holds too is
/// in use, however it looks from here.
pub(crate) fn traverse<J>(
    life: &Life<J>,
    visit: &PyVisit<'_>,
    job: impl Fn(&J) -> Result<(), PyTraverseError>,
) -> Result<(), PyTraverseError> {
    life.trace(|held| match held {
        Held::Job(held) => job(held),
        Held::Done(Value::Here(outcome)) | Held::Failed(outcome) => visit.call(outcome),
        Held::Done(Value::Sent(sent)) => sent.traverse(visit),
        Held::Watcher(Watcher::Callback { function, future }) => {
            visit.call(function)?;
            visit.call(future)
        }
        Held::Watcher(
            Watcher::Ready(..)
            | Watcher::Task(_)
            | Watcher::Bell(..)
            | Watcher::Attendant(_)
            | Watcher::Follows(_),
        ) => Ok(()),
    })
}

// With the two counts of its `Arc`, it fills a size of the allocator's; there are many of them.
const _: () = assert!(size_of::<Core>() <= 112, "a future's core has become larger");
