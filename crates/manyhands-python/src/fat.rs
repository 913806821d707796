//! A future whose insides somebody has touched.
//!
//! The standard library's `wait` and `as_completed`, CPython's tests and some programs take a future's
//! `_condition`, set its `_state`, or look into its `_waiters`. Such a future turns *fat*: the promise
//! hands over all it has, the fields appear in the instance's dictionary as the standard library would
//! have put them there, and from then on the standard library's own methods keep them. It never turns
//! back.
//!
//! Who meets a fat future finds it out by `Core::fat`, which is set before the promise hands over; the
//! condition is held until all fields are in place.

use std::sync::{Arc, Mutex, PoisonError};

use manyhands::State;
use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::bell;
use crate::future::PyFuture;
use crate::stdlib;
use crate::task::{self, Core, Outcome, Task, Watcher};
use crate::waiter::Waiter;

pub(crate) struct Fat {
    pub(crate) condition: Py<PyAny>,
    /// What a worker needs that comes for this task, or that is running it: the future, and the task
    /// unless it has begun.
    for_worker: Mutex<Option<(Py<PyAny>, Option<Task>)>>,
}

impl Fat {
    /// What a worker needs, once it is there: the condition is held until then.
    fn take(&self, py: Python<'_>) -> PyResult<Option<(Py<PyAny>, Option<Task>)>> {
        self.condition.call_method0(py, intern!(py, "acquire"))?;
        let taken = self.for_worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.condition.call_method0(py, intern!(py, "release"))?;
        Ok(taken)
    }

    fn put(&self, future: Py<PyAny>, task: Option<Task>) {
        let before =
            self.for_worker.lock().unwrap_or_else(PoisonError::into_inner).replace((future, task));
        drop(before);
    }
}

/// Makes a future fat.
pub(crate) fn fatten(future: &Bound<'_, PyFuture>) -> PyResult<()> {
    let py = future.py();
    let core = &future.get().core;
    if core.fat.get().is_some() {
        return Ok(());
    }
    future.get().check_lock()?;
    core.show(py);
    let condition = stdlib::CONDITION.get(py)?.call0()?;
    condition.call_method0(intern!(py, "acquire"))?;
    let fat = Fat { condition: condition.clone().unbind(), for_worker: Mutex::new(None) };
    if core.fat.set(Box::new(fat)).is_err() {
        return Ok(()); // another thread was quicker
    }
    let filled = fill(future);
    condition.call_method0(intern!(py, "release"))?;
    filled
}

fn fill(future: &Bound<'_, PyFuture>) -> PyResult<()> {
    let py = future.py();
    let core = &future.get().core;
    let parts = core.life.hand_over();
    let awaited = matches!(parts.state, State::Pending | State::Running);
    let fields = fields(future)?;
    if core.submitted_in() == 0 {
        if let Some(job) = parts.job {
            fields.set_item(intern!(py, JOB), job.function)?;
        }
    } else if awaited && let Some(fat) = core.fat.get() {
        fat.put(future.clone().into_any().unbind(), parts.job);
    }
    fields.set_item(intern!(py, "_condition"), core.fat.get().map(|fat| &fat.condition))?;
    fields.set_item(intern!(py, "_state"), parts.state.to_string())?;
    let (result, exception) = match parts.outcome {
        None => (None, None),
        Some(ending) => match task::open(py, ending) {
            Ok(value) => (Some(value), None),
            Err(exception) => (None, Some(exception)),
        },
    };
    fields.set_item(intern!(py, "_result"), result)?;
    fields.set_item(intern!(py, "_exception"), exception)?;
    let (waiters, callbacks) = (PyList::empty(py), PyList::empty(py));
    for watcher in parts.watchers {
        match watcher {
            Watcher::Bell(bell, _) => {
                let rung = Arc::clone(bell.rung());
                waiters.append(Py::new(py, Waiter::new(rung, bell::BY_ANOTHER))?)?;
            }
            Watcher::Callback { function, .. } => callbacks.append(function)?,
            // It looks again, and finds that it is to wait for another.
            Watcher::Attendant(waker) => waker.wake(),
            Watcher::Task(ready) => ready.push([0]),
            Watcher::Follows(_) => (),
            Watcher::Ready(ready, number) => {
                waiters.append(Py::new(py, Waiter::new(ready, number))?)?;
            }
        }
    }
    fields.set_item(intern!(py, "_waiters"), waiters)?;
    fields.set_item(intern!(py, "_done_callbacks"), callbacks)?;
    Ok(())
}

fn fields<'py>(future: &Bound<'py, PyFuture>) -> PyResult<Bound<'py, PyDict>> {
    Ok(future.as_any().getattr(intern!(future.py(), "__dict__"))?.cast_into::<PyDict>()?)
}

/// One of the fields of a fat future.
pub(crate) fn field<'py>(
    future: &Bound<'py, PyFuture>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(value) = fields(future)?.get_item(name)? {
        return Ok(value);
    }
    // Another thread is filling them in.
    if let Some(fat) = future.get().core.fat.get() {
        let py = future.py();
        fat.condition.call_method0(py, intern!(py, "acquire"))?;
        fat.condition.call_method0(py, intern!(py, "release"))?;
    }
    fields(future)?.get_item(name)?.ok_or_else(|| PyAttributeError::new_err(name.clone().unbind()))
}

pub(crate) fn set_field<'py>(
    future: &Bound<'py, PyFuture>,
    name: &Bound<'py, PyString>,
    value: &Bound<'py, PyAny>,
) -> PyResult<()> {
    fatten(future)?;
    fields(future)?.set_item(name, value)
}

/// The field of a fat future that is made from others: what it holds until these have ended.
const JOB: &str = "_job";

/// Takes what a fat future holds that is made from others, if it is still pending. One that was
/// cancelled is told to those who wait for it.
pub(crate) fn take_job(future: &Bound<'_, PyFuture>, begin: bool) -> PyResult<Option<Py<PyAny>>> {
    let py = future.py();
    let condition = field(future, intern!(py, "_condition"))?;
    condition.call_method0(intern!(py, "acquire"))?;
    let taken = take_job_locked(future, begin);
    condition.call_method0(intern!(py, "release"))?;
    taken
}

fn take_job_locked(future: &Bound<'_, PyFuture>, begin: bool) -> PyResult<Option<Py<PyAny>>> {
    let py = future.py();
    let state = field(future, intern!(py, "_state"))?;
    let is_pending = state.eq("PENDING")?;
    if state.eq("CANCELLED")? || is_pending && begin {
        call(future, "set_running_or_notify_cancel", None)?;
    }
    let fields = fields(future)?;
    let job = fields.get_item(intern!(py, JOB))?;
    if job.is_some() {
        fields.del_item(intern!(py, JOB))?;
    }
    Ok(job.filter(|_| is_pending).map(Bound::unbind))
}

/// Calls a method of the standard library's `Future` on a fat future.
pub(crate) fn call<'py>(
    future: &Bound<'py, PyAny>,
    method: &str,
    arg: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = stdlib::FUTURE.get(future.py())?;
    match arg {
        None => class.call_method1(method, (future,)),
        Some(arg) => class.call_method1(method, (future, arg)),
    }
}

/// Ends a fat future.
pub(crate) fn set(future: &Bound<'_, PyAny>, outcome: Outcome) -> PyResult<()> {
    let (method, value) = match outcome {
        Ok(value) => ("set_result", value),
        Err(exception) => ("set_exception", exception),
    };
    call(future, method, Some(value)).map(drop)
}

fn take(py: Python<'_>, core: &Core) -> PyResult<Option<(Py<PyAny>, Option<Task>)>> {
    core.fat.get().map_or(Ok(None), |fat| fat.take(py))
}

/// What a worker does that comes for the task of a fat future.
pub(crate) fn run(py: Python<'_>, core: &Core) -> PyResult<()> {
    let Some((future, Some(task))) = take(py, core)? else { return Ok(()) };
    let bound = future.bind(py);
    if call(bound, "set_running_or_notify_cancel", None)?.is_truthy()? {
        let outcome = task.call(py);
        set(bound, outcome)?;
    }
    Ok(())
}

/// What a worker does that has run a task whose future has turned fat meanwhile.
pub(crate) fn finish(py: Python<'_>, core: &Core, outcome: Outcome) -> PyResult<()> {
    match take(py, core)? {
        Some((future, _)) => set(future.bind(py), outcome),
        None => Ok(()), // ended by somebody else
    }
}

/// Ends the task of a fat future that a worker process has answered.
pub(crate) fn answer(py: Python<'_>, core: &Core, outcome: Outcome) -> PyResult<()> {
    let Some((future, _)) = take(py, core)? else { return Ok(()) };
    let future = future.bind(py);
    let state = field(future.cast::<PyFuture>()?, intern!(py, "_state"))?;
    let runs =
        state.eq("RUNNING")? || call(future, "set_running_or_notify_cancel", None)?.is_truthy()?;
    if runs { set(future, outcome) } else { Ok(()) }
}

/// Cancels the task of a fat future that no worker will come for any more.
pub(crate) fn cancel(py: Python<'_>, core: &Core) -> PyResult<()> {
    let Some((future, task)) = take(py, core)? else { return Ok(()) };
    drop(task);
    let future = future.bind(py);
    call(future, "cancel", None)?;
    if field(future.cast::<PyFuture>()?, intern!(py, "_state"))?.eq("CANCELLED")? {
        call(future, "set_running_or_notify_cancel", None)?;
    }
    Ok(())
}

/// Ends the task of a fat future that no worker will run, with this exception; if it has been
/// cancelled, those who wait for it are told that.
pub(crate) fn fail(py: Python<'_>, core: &Core, exception: Py<PyAny>) -> PyResult<()> {
    let Some((future, task)) = take(py, core)? else { return Ok(()) };
    drop(task);
    let future = future.bind(py);
    if call(future, "set_running_or_notify_cancel", None)?.is_truthy()? {
        set(future, Err(exception))?;
    }
    Ok(())
}
