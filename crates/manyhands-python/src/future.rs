//! `Future`, the native part: the Python class in `python/manyhands/_future.py` brings the standard
//! library's `Future` as its other base, and with it a dictionary and weak references.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use manyhands::State;
use manyhands::process::host;
use manyhands::promise::{Cancel, Turn, View};
use manyhands_pybuffer::Hidden;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFloat, PyString, PyTuple, PyType};

use crate::process;
use crate::task::{self, Core, Outcome, Value, Watcher};
use crate::{fat, fork, nested, park, stdlib};

#[pyclass(subclass, frozen, module = "manyhands._core", name = "Future")]
pub(crate) struct PyFuture {
    pub(crate) core: Hidden<Core>,
}

static FUTURE_TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

thread_local! {
    /// The core of the future that this thread is about to make. Without a destructor, which every
    /// access would have to ask for.
    static NEXT: Cell<Option<ManuallyDrop<Arc<Core>>>> = const { Cell::new(None) };
}

/// Takes the core that `make` has left for `PyFuture::new`.
fn take_next() -> Option<Arc<Core>> {
    NEXT.take().map(ManuallyDrop::into_inner)
}

/// Tells this module the class of the futures that it makes.
#[pyfunction]
#[pyo3(name = "_set_future_type")]
pub(crate) fn set_future_type(py: Python<'_>, class: Py<PyType>) {
    // A second import of the package finds the first one's class, which serves as well.
    let _ = FUTURE_TYPE.set(py, class);
}

/// A new future for this core.
pub(crate) fn make(py: Python<'_>, core: Arc<Core>) -> PyResult<Bound<'_, PyAny>> {
    match FUTURE_TYPE.get(py) {
        Some(class) => make_of(class.bind(py), core),
        None => make_of(import_class(py)?.bind(py), core),
    }
}

/// A worker process does without it until a task gets or makes a future.
#[cold]
fn import_class(py: Python<'_>) -> PyResult<&Py<PyType>> {
    py.import("manyhands._future")?;
    let missing =
        || PyRuntimeError::new_err("manyhands._future has not said which class is Future");
    FUTURE_TYPE.get(py).ok_or_else(missing)
}

/// A new future of this class for this core.
pub(crate) fn make_of<'py>(
    class: &Bound<'py, PyType>,
    core: Arc<Core>,
) -> PyResult<Bound<'py, PyAny>> {
    NEXT.set(Some(ManuallyDrop::new(core)));
    // With a tuple: without one, the interpreter goes a longer way to the class.
    let made = class.call1(PyTuple::empty(class.py()));
    if made.is_err() {
        drop(take_next());
    }
    made
}

enum Seen {
    Value(Py<PyAny>),
    Exception(Py<PyAny>),
    Cancelled,
    Fat,
    Unfinished,
}

impl PyFuture {
    /// What there is; while another thread unpickles it, waits until the deadline.
    fn look(&self, py: Python<'_>, deadline: Option<Instant>) -> PyResult<Seen> {
        let mut sent = None;
        let seen = self.core.life.look(|view| match view {
            View::Done(Value::Here(value)) => Seen::Value(value.clone_ref(py)),
            View::Done(Value::Sent(its)) => {
                sent = Some(Arc::clone(its));
                Seen::Unfinished
            }
            View::Failed(exception) => Seen::Exception(exception.clone_ref(py)),
            View::Cancelled => Seen::Cancelled,
            View::Taken => Seen::Fat,
            View::Unfinished(_) => Seen::Unfinished,
        });
        // Not while the promise is locked: it may run code of the program's.
        Ok(match sent.map(|sent| sent.open(py, deadline)).transpose()? {
            Some(Ok(value)) => Seen::Value(value),
            Some(Err(exception)) => Seen::Exception(exception),
            None => seen,
        })
    }

    /// Whether it has ended with an exception.
    pub(crate) fn has_failed(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(matches!(self.look(py, None)?, Seen::Exception(_)))
    }

    /// What there is when the task has ended, waiting for it.
    fn ended(&self, py: Python<'_>, deadline: Option<Instant>) -> PyResult<Seen> {
        self.check_lock()?;
        let seen = self.look(py, deadline)?;
        if !matches!(seen, Seen::Unfinished) {
            return Ok(seen);
        }
        self.check_process()?;
        let ended = if nested::in_task() {
            nested::wait_in_task(py, &self.core, deadline)?
        } else {
            let _waits = process::begin_wait(py, &self.core, deadline);
            park::wait(py, deadline, |until| self.wait(until))?
        };
        if !ended {
            return Err(stdlib::TIMEOUT_ERROR.bare_error(py));
        }
        // As in CPython, whose wait is over before its handlers run: a Ctrl-C that the task has heard too
        // is raised here, not in whoever handles the task's own.
        py.check_signals()?;
        self.look(py, deadline)
    }

    /// Waits, detached, until the task has ended or the time is over; whether it has ended.
    fn wait(&self, until: Option<Instant>) -> bool {
        process::attend(&self.core, until);
        self.core.life.wait(until)
    }

    /// An error if a thread that is not in this process held it when the process forked.
    pub(crate) fn check_lock(&self) -> PyResult<()> {
        if self.is_from_before_fork() && !self.core.life.is_free() {
            return self.check_process();
        }
        Ok(())
    }

    fn is_from_before_fork(&self) -> bool {
        ![0, fork::generation()].contains(&self.core.submitted_in())
    }

    /// An error if the workers that would end it are in another process.
    pub(crate) fn check_process(&self) -> PyResult<()> {
        match (self.core.submitted_in(), self.core.derived_in()) {
            (0, 0) => Ok(()),
            (0, generation) => fork::check(generation, "this future, or what it is made from,"),
            (generation, _) => fork::check(generation, "the executor of this future"),
        }
    }

    /// What the fields of a fat future say, by this method with what is left of the time.
    fn ask_fields<'py>(
        slf: &Bound<'py, Self>,
        method: &str,
        deadline: Option<Instant>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().state().is_none() && !Self::done(slf)? {
            slf.get().check_process()?;
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| PyFloat::new(slf.py(), left.as_secs_f64()).into_any().unbind());
        fat::call(slf, method, left)
    }

    /// Whether the state is to be asked of the fields.
    fn is_fat(&self) -> bool {
        self.core.fat.get().is_some()
    }

    /// The state if it is kept here.
    pub(crate) fn state(&self) -> Option<State> {
        let state = self.core.life.state();
        // In this order: a fat future's promise has ended since it was handed over, not before.
        if state == State::Finished && self.is_fat() { None } else { Some(state) }
    }

    /// In a worker: has the parent cancel it, also if it is `running`; whether it is cancelled.
    fn withdraw(slf: &Bound<'_, Self>, running: bool) -> PyResult<bool> {
        let (py, core) = (slf.py(), &slf.get().core);
        let Some(_withdrawn) = py.detach(|| process::withdraw(core, running)) else {
            // One that has come here may have been told of that before the answer.
            return Ok(core.life.state() == State::CancelledAndNotified);
        };
        match core.life.cancel_running().0 {
            Cancel::Now(_, wake) => task::tell(py, wake, Some(slf)).map(|()| true),
            Cancel::Already => Ok(true),
            Cancel::TooLate(_) => Ok(false),
        }
    }

    fn finish(slf: &Bound<'_, Self>, outcome: Outcome) -> PyResult<()> {
        let py = slf.py();
        slf.get().check_lock()?;
        slf.get().core.show(py);
        match slf.get().core.life.finish(outcome.map(Value::Here), |_| ()) {
            Ok(wake) => task::tell(py, wake, Some(slf)),
            Err((ending, _)) if slf.get().is_fat() => {
                fat::set(slf.as_any(), task::open(py, ending))
            }
            Err((_, state)) => {
                let message = format!("{state}: {}", slf.repr()?);
                Err(stdlib::INVALID_STATE_ERROR.error(py, message))
            }
        }
    }
}

#[pymethods]
impl PyFuture {
    /// Takes any arguments, as those of a subclass come by here too.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { core: Hidden::new(take_next().unwrap_or_else(|| Arc::new(Core::new(None, 0)))) }
    }

    /// Cancel the task if it has not started. Returns whether it is cancelled.
    ///
    /// >>> from manyhands import Future
    /// >>> Future().cancel()
    /// True
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let future = slf.get();
        future.check_lock()?;
        match task::cancel(slf.py(), &future.core.life, Some(slf)) {
            Some(told) => told.map(|()| true),
            None if future.is_fat() => fat::call(slf, "cancel", None)?.is_truthy(),
            None => Self::withdraw(slf, false),
        }
    }

    /// Cancel the task, also if it is running in a worker process: the worker is asked to stop it, and
    /// ended if it does not. Returns whether it is cancelled; a task that runs in a thread is not.
    ///
    /// >>> from manyhands import Future
    /// >>> Future().cancel_running()
    /// True
    fn cancel_running(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        let future = slf.get();
        future.check_lock()?;
        if process::is_passed(&future.core) {
            return Self::withdraw(slf, true);
        }
        match future.core.life.cancel_running() {
            (Cancel::Now(job, wake), executor) => {
                drop(job);
                if let Some(executor) = executor {
                    let address = Arc::as_ptr(&future.core).addr();
                    py.detach(|| host::stop(executor, address));
                }
                task::tell(py, wake, Some(slf)).map(|()| true)
            }
            (Cancel::Already, _) => Ok(true),
            (Cancel::TooLate(_), _) => Self::cancel(slf),
        }
    }

    /// Whether the task was cancelled.
    ///
    /// >>> from manyhands import Future
    /// >>> Future().cancelled()
    /// False
    fn cancelled(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match slf.get().state() {
            Some(state) => Ok(matches!(state, State::Cancelled | State::CancelledAndNotified)),
            None => fat::call(slf, "cancelled", None)?.is_truthy(),
        }
    }

    /// Whether a worker is running the task.
    ///
    /// >>> from manyhands import Future
    /// >>> Future().running()
    /// False
    fn running(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match slf.get().state() {
            Some(state) => Ok(state == State::Running),
            None => fat::call(slf, "running", None)?.is_truthy(),
        }
    }

    /// Whether the task has ended or was cancelled.
    ///
    /// >>> from manyhands import Future
    /// >>> Future().done()
    /// False
    fn done(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match slf.get().state() {
            Some(state) => Ok(state.is_done()),
            None => fat::call(slf, "done", None)?.is_truthy(),
        }
    }

    /// Wait for the task to end, `timeout` seconds at the longest, and return its value or raise its
    /// exception. Raises CancelledError if it was cancelled, TimeoutError if the time is up.
    ///
    /// >>> from manyhands import Future
    /// >>> future = Future()
    /// >>> future.set_result(42)
    /// >>> future.result()
    /// 42
    #[pyo3(signature = (timeout=None))]
    fn result<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let deadline = park::deadline(timeout);
        match slf.get().ended(py, deadline)? {
            Seen::Value(value) => Ok(value.into_bound(py)),
            Seen::Exception(exception) => Err(PyErr::from_value(exception.into_bound(py))),
            Seen::Cancelled => Err(stdlib::CANCELLED_ERROR.bare_error(py)),
            Seen::Fat | Seen::Unfinished => {
                // Not by the standard library's `result`, which before 3.14 takes an exception that
                // is false for none.
                let exception = Self::ask_fields(slf, "exception", deadline)?;
                if exception.is_none() {
                    fat::field(slf, intern!(py, "_result"))
                } else {
                    Err(PyErr::from_value(exception))
                }
            }
        }
    }

    /// Wait for the task to end, `timeout` seconds at the longest, and return its exception, or None.
    /// Raises CancelledError if it was cancelled, TimeoutError if the time is up.
    ///
    /// >>> from manyhands import Future
    /// >>> future = Future()
    /// >>> future.set_exception(ValueError("no"))
    /// >>> future.exception()
    /// ValueError('no')
    #[pyo3(signature = (timeout=None))]
    fn exception<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let deadline = park::deadline(timeout);
        match slf.get().ended(py, deadline)? {
            Seen::Value(_) => Ok(py.None().into_bound(py)),
            Seen::Exception(exception) => Ok(exception.into_bound(py)),
            Seen::Cancelled => Err(stdlib::CANCELLED_ERROR.bare_error(py)),
            Seen::Fat | Seen::Unfinished => Self::ask_fields(slf, "exception", deadline),
        }
    }

    /// Call `fn(future)` when the task has ended or is cancelled: in the order added, in the thread
    /// that ends it; now and here if it has ended.
    ///
    /// >>> from manyhands import Future
    /// >>> future = Future()
    /// >>> future.add_done_callback(lambda future: print(future.result()))
    /// >>> future.set_result("ended")
    /// ended
    fn add_done_callback(slf: &Bound<'_, Self>, r#fn: Py<PyAny>) -> PyResult<()> {
        slf.get().check_lock()?;
        slf.get().core.show(slf.py());
        let submitted = slf.get().core.submitted_in() > 0;
        let future = submitted.then(|| slf.clone().into_any().unbind());
        match slf.get().core.life.watch(Watcher::Callback { function: r#fn, future }) {
            Err(Watcher::Callback { function, .. }) if slf.get().is_fat() => {
                fat::call(slf, "add_done_callback", Some(function)).map(drop)
            }
            Err(Watcher::Callback { function, .. }) => task::call_back(&function, slf),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// For executors: mark the task as running. False: it was cancelled, and must not run.
    ///
    /// >>> from manyhands import Future
    /// >>> future = Future()
    /// >>> future.set_running_or_notify_cancel(), future.running()
    /// (True, True)
    fn set_running_or_notify_cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        slf.get().check_lock()?;
        match slf.get().core.life.set_running_or_notify_cancel() {
            Ok(Turn::Run) => Ok(true),
            Ok(Turn::Skip(wake)) => task::tell(py, wake, Some(slf)).map(|()| false),
            Err(_) if slf.get().is_fat() => {
                fat::call(slf, "set_running_or_notify_cancel", None)?.is_truthy()
            }
            Err(state) => {
                let message = "Future %s in unexpected state: %s";
                let about = (message, slf.as_ptr().addr(), state.to_string());
                stdlib::LOGGER.get(py)?.call_method1("critical", about)?;
                Err(PyRuntimeError::new_err("Future in unexpected state"))
            }
        }
    }

    /// For executors and tests: end the task with this value. Raises InvalidStateError if it has
    /// ended.
    ///
    /// >>> from manyhands import Future
    /// >>> future = Future()
    /// >>> future.set_result(42)
    /// >>> future.set_result(43)
    /// Traceback (most recent call last):
    /// concurrent.futures._base.InvalidStateError: FINISHED: <Future at ... state=finished returned int>
    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        Self::finish(slf, Ok(result))
    }

    /// For executors and tests: end the task with this exception. Raises InvalidStateError if it has
    /// ended.
    ///
    /// >>> from manyhands import Future
    /// >>> future = Future()
    /// >>> future.set_exception(ValueError("no"))
    /// >>> future.done()
    /// True
    fn set_exception(slf: &Bound<'_, Self>, exception: Option<Py<PyAny>>) -> PyResult<()> {
        // As in CPython, None is no exception: the task ends with the result None.
        let outcome = exception.map_or_else(|| Ok(slf.py().None()), Err);
        Self::finish(slf, outcome)
    }

    /// The state of a future that is perhaps done: (done, cancelled, result, exception). As in
    /// CPython 3.15.
    fn _get_snapshot(slf: &Bound<'_, Self>) -> PyResult<(bool, bool, Py<PyAny>, Py<PyAny>)> {
        let py = slf.py();
        slf.get().check_lock()?;
        Ok(match slf.get().look(py, None)? {
            Seen::Value(value) => (true, false, value, py.None()),
            Seen::Exception(exception) => (true, false, py.None(), exception),
            Seen::Cancelled => (true, true, py.None(), py.None()),
            Seen::Unfinished => (false, false, py.None(), py.None()),
            Seen::Fat => {
                let state = Self::_state(slf)?.to_string();
                let cancelled = state.starts_with("CANCELLED");
                let (mut result, mut exception) = (py.None(), py.None());
                if state == "FINISHED" {
                    result = Self::_result(slf)?.unbind();
                    exception = Self::_exception(slf)?.unbind();
                }
                (cancelled || state == "FINISHED", cancelled, result, exception)
            }
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        slf.get().check_lock()?;
        let seen = match slf.get().look(py, None) {
            // It cannot be told what it has come to, in a handler of a signal, say: it is being unpickled.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => None,
            seen => Some(seen?),
        };
        let (state, exception, result) = match seen {
            None => ("FINISHED".to_owned(), None, None),
            Some(Seen::Value(value)) => ("FINISHED".to_owned(), None, Some(value.into_bound(py))),
            Some(Seen::Exception(exception)) => {
                ("FINISHED".to_owned(), Some(exception.into_bound(py)), None)
            }
            Some(Seen::Cancelled | Seen::Unfinished) => {
                (slf.get().core.life.state().to_string(), None, None)
            }
            Some(Seen::Fat) => {
                let exception = Some(Self::_exception(slf)?).filter(|it| !it.is_none());
                (Self::_state(slf)?.to_string(), exception, Some(Self::_result(slf)?))
            }
        };
        let outcome = match (state.as_str(), exception, result) {
            ("FINISHED", Some(exception), _) => {
                format!("finished raised {}", exception.get_type().name()?)
            }
            ("FINISHED", None, Some(result)) => {
                format!("finished returned {}", result.get_type().name()?)
            }
            ("CANCELLED_AND_NOTIFIED", ..) => "cancelled".to_owned(),
            (other, ..) => other.to_lowercase(),
        };
        Ok(format!("<{} at {:#x} state={outcome}>", slf.get_type().name()?, slf.as_ptr().addr()))
    }

    #[getter]
    fn _state<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match slf.get().state() {
            Some(state) => Ok(PyString::new(py, &state.to_string()).into_any()),
            None => fat::field(slf, intern!(py, "_state")),
        }
    }

    #[setter(_state)]
    fn set_state(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        fat::set_field(slf, intern!(slf.py(), "_state"), value)
    }

    #[getter]
    fn _result<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().check_lock()?;
        match slf.get().look(py, None)? {
            Seen::Value(value) => Ok(value.into_bound(py)),
            Seen::Fat => fat::field(slf, intern!(py, "_result")),
            _ => Ok(py.None().into_bound(py)),
        }
    }

    #[setter(_result)]
    fn set_result_field(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        fat::set_field(slf, intern!(slf.py(), "_result"), value)
    }

    #[getter]
    fn _exception<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().check_lock()?;
        match slf.get().look(py, None)? {
            Seen::Exception(exception) => Ok(exception.into_bound(py)),
            Seen::Fat => fat::field(slf, intern!(py, "_exception")),
            _ => Ok(py.None().into_bound(py)),
        }
    }

    #[setter(_exception)]
    fn set_exception_field(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        fat::set_field(slf, intern!(slf.py(), "_exception"), value)
    }

    #[getter]
    fn _condition<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        fat::fatten(slf)?;
        fat::field(slf, intern!(slf.py(), "_condition"))
    }

    #[setter(_condition)]
    fn set_condition(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        fat::set_field(slf, intern!(slf.py(), "_condition"), value)
    }

    #[getter]
    fn _waiters<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        fat::fatten(slf)?;
        fat::field(slf, intern!(slf.py(), "_waiters"))
    }

    #[setter(_waiters)]
    fn set_waiters(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        fat::set_field(slf, intern!(slf.py(), "_waiters"), value)
    }

    #[getter]
    fn _done_callbacks<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        fat::fatten(slf)?;
        fat::field(slf, intern!(slf.py(), "_done_callbacks"))
    }

    #[setter(_done_callbacks)]
    fn set_done_callbacks(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        fat::set_field(slf, intern!(slf.py(), "_done_callbacks"), value)
    }

    /// It may be part of a cycle from now on.
    fn _show(slf: &Bound<'_, Self>) {
        slf.get().core.show(slf.py());
    }

    /// Part of a task of a process pool it can be, and of nothing else.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (usize,))> {
        process::reduce(slf)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // In a forked child a lock may be held by a thread that is not there.
        let from_before = fork::generation() > 1 && self.core.submitted_in() != fork::generation();
        if Arc::strong_count(&self.core) > 1 || from_before {
            return Ok(());
        }
        task::traverse(&self.core.life, &visit, |task| {
            visit.call(&task.function)?;
            visit.call(&task.args)?;
            visit.call(&task.kwargs)
        })?;
        match self.core.fat.get() {
            Some(fat) => visit.call(&fat.condition),
            None => Ok(()),
        }
    }

    fn __clear__(&self) {
        if Arc::strong_count(&self.core) == 1 {
            drop(self.core.life.hand_over());
        }
    }
}

/// A future that has ended takes its outcome along: a worker that is about to let go of the task finds
/// nothing in it that may run code as it dies.
impl Drop for PyFuture {
    fn drop(&mut self) {
        let core = &self.core;
        if self.is_from_before_fork() {
            return;
        }
        let last = Arc::strong_count(core) == 1 || core.shared.load(Ordering::Relaxed);
        if last {
            return;
        }
        if core.life.state().is_done() && core.fat.get().is_none() {
            drop(core.life.hand_over());
        } else if core.submitted_in() > 0 {
            process::forget(core);
        }
    }
}
