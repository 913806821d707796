//! Futures as arguments of tasks of a process pool, and the futures that their workers have instead.
//!
//! Pickling one as part of a task leaves its place among those that go along. Unpickling it, in the worker,
//! makes a future that ends as the one here does; its outcome is sent only then, if there is one, or when
//! there is. Pickling it anywhere else is an error, as ever.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use manyhands::nested::Targets;
use manyhands::process::host::{
    self, Answered, Ends, Kind, Outlet, PARENTS, PassedFuture, PassedOn, Upward,
};
use manyhands::promise::View;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::pickle::{self, Room};
use super::pool::refused;
use super::shared::{self, FIRST_PASSED};
use super::task::{ProcessTask, attached};
use crate::future::{self, PyFuture};
use crate::task::{Core, Task, Value, Watcher};
use crate::{fork, source, stdlib, waiter};

/// What a future is pickled as.
pub(crate) fn reduce<'py>(
    future: &Bound<'py, PyFuture>,
) -> PyResult<(Bound<'py, PyAny>, (usize,))> {
    let py = future.py();
    if let Some(place) = shared::pass(future) {
        return Ok((stdlib::OPEN_FUTURE.get(py)?.clone(), (place,)));
    }
    Err(PyTypeError::new_err(format!(
        "cannot pickle '{}' object: a future goes to another process only as an argument of a task of a \
         ProcessPoolExecutor, or in the result of such an argument",
        future.get_type().name()?
    )))
}

/// What the pickle of a future calls in a worker: one that ends as the one with this place does.
#[pyfunction]
#[pyo3(name = "_open_future")]
pub(crate) fn open_future(py: Python<'_>, place: u64) -> PyResult<Bound<'_, PyAny>> {
    let elsewhere = || PyTypeError::new_err("a future was unpickled elsewhere than in a worker");
    let first = FIRST_PASSED.with_borrow(|all| all.last().copied()).ok_or_else(elsewhere)?;
    let upward = Upward::current().ok_or_else(elsewhere)?;
    // It is like the future of a task that it has submitted to the parent's pool.
    let nothing = Task { function: py.None(), args: PyTuple::empty(py).unbind(), kwargs: None };
    let core = Arc::new(Core::new(Some(nothing), fork::generation()));
    drop(core.life.send_away(Some(PARENTS)));
    core.life.begin();
    let future = future::make(py, Arc::clone(&core))?;
    let task = ProcessTask::new(core, None);
    py.detach(|| upward.receive(first + place, task)).map_err(|reason| refused(py, &reason))?;
    Ok(future)
}

/// Nobody in this worker has this future any more, which has not ended.
pub(crate) fn forget(core: &Core) {
    host::forget(std::ptr::from_ref(core).addr());
}

/// How a future has ended, as the body of an answer. The futures in it go to the `pool`, if there is one.
struct Told {
    kind: Kind,
    body: Vec<u8>,
    futures: Vec<Py<PyAny>>,
}

/// `None`: it was cancelled.
fn told(
    future: &Bound<'_, PyAny>,
    pickler: &Bound<'_, PyAny>,
    pool: Option<NonZeroU32>,
) -> PyResult<Option<Told>> {
    let py = future.py();
    if let Ok(ours) = future.cast::<PyFuture>()
        && let Some((kind, body)) = unopened(&ours.get().core)
    {
        return Ok(Some(Told { kind, body, futures: Vec::new() }));
    }
    if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
        return Ok(None);
    }
    let exception = future.call_method0(intern!(py, "exception"))?;
    if exception.is_none() {
        let value = future.call_method0(intern!(py, "result"))?;
        let packed = pickle::pack(py, &value, pickler, Room::Of(None, pool));
        return packed.map(|packed| Some(Told::new(Kind::One, packed, "")));
    }
    let shown = super::errors(py)?.call_method1(intern!(py, "shown_here"), (&exception,))?;
    let note: String = shown.extract()?;
    let packed = pickle::pack(py, &exception, pickler, Room::Of(None, pool))?;
    Ok(Some(Told::new(Kind::Failed, packed, &note)))
}

impl Told {
    fn new(kind: Kind, packed: super::message::Packed, note: &str) -> Self {
        let mut body = Vec::new();
        packed.write(note, &mut body);
        Self { kind, body, futures: packed.passes }
    }

    /// That it could not be pickled.
    fn failed(py: Python<'_>, error: PyErr) -> Self {
        let (note, value) = (error.to_string(), error.into_value(py).into_any());
        let packed = pickle::pack(py, value.bind(py), &py.None().into_bound(py), Room::NONE);
        // Whoever reads it finds no exception there, and has the note.
        Self::new(Kind::Failed, packed.unwrap_or_default(), &note)
    }
}

/// An answer of a worker process that nobody has opened.
fn unopened(core: &Core) -> Option<(Kind, Vec<u8>)> {
    let sent = core.life.look(|view| match view {
        View::Done(Value::Sent(sent)) => Some(Arc::clone(sent)),
        _ => None,
    });
    sent?.unopened()
}

/// A future of this process that goes along with a task of a pool of its own.
pub(super) struct Passing {
    core: Arc<Core>,
    /// With how its outcome is pickled; there until this is dropped.
    held: Option<(Py<PyAny>, Py<PyAny>)>,
    /// The pool that it goes to.
    to: NonZeroU32,
}

impl Passing {
    pub(super) fn of(
        future: &Bound<'_, PyAny>,
        pickler: &Bound<'_, PyAny>,
        to: NonZeroU32,
    ) -> PyResult<Arc<dyn PassedFuture>> {
        let core = Arc::clone(&future.cast::<PyFuture>()?.get().core);
        let held = Some((future.clone().unbind(), pickler.clone().unbind()));
        Ok(Arc::new(Self { core, held, to }))
    }

    /// With the future and the pickler. Not any more when the interpreter has ended.
    fn with(&self, run: impl FnOnce(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()>) {
        attached(|py| match &self.held {
            Some((future, pickler)) => run(future.bind(py), pickler.bind(py)),
            None => Ok(()),
        });
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let held = self.held.take();
        Python::try_attach(|_| drop(held));
    }
}

impl PassedFuture for Passing {
    fn id(&self) -> usize {
        Arc::as_ptr(&self.core).addr()
    }

    fn add_to(&self, targets: &mut Targets) {
        source::add_to(targets, &self.core);
    }

    fn pool(&self) -> Option<NonZeroU32> {
        self.core.life.executor()
    }

    fn watch(&self, outlet: &Outlet) {
        self.with(|future, pickler| {
            let (outlet, pickler) = (outlet.clone(), pickler.clone().unbind());
            let tells = Tells { outlet, pickler, to: self.to };
            future.call_method1(intern!(future.py(), "add_done_callback"), (tells,)).map(drop)
        });
    }

    fn unwatch(&self, outlet: &Outlet) {
        self.with(|future, _| {
            let py = future.py();
            let is_its = |callback: &Bound<'_, PyAny>| {
                callback.cast::<Tells>().is_ok_and(|it| it.get().outlet == *outlet)
            };
            drop(self.core.life.unwatch(|watcher| match watcher {
                Watcher::Callback { function, .. } => is_its(function.bind(py)),
                _ => false,
            }));
            if self.core.fat.get().is_none() {
                return Ok(());
            }
            waiter::hold(future, || {
                let all = future.getattr(intern!(py, "_done_callbacks"))?.cast_into::<PyList>()?;
                for index in (0..all.len()).rev() {
                    if is_its(&all.get_item(index)?) {
                        all.del_item(index)?;
                    }
                }
                Ok(())
            })
        });
    }

    fn cancel(&self, running: bool) -> bool {
        let mut cancelled = false;
        self.with(|future, _| {
            let how = if running { "cancel_running" } else { "cancel" };
            cancelled = future.call_method0(how)?.is_truthy()?;
            Ok(())
        });
        cancelled
    }
}

/// The callback that tells a worker how a future has ended.
#[pyclass(frozen, module = "manyhands._core", name = "_Tells")]
pub(crate) struct Tells {
    outlet: Outlet,
    pickler: Py<PyAny>,
    to: NonZeroU32,
}

#[pymethods]
impl Tells {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if !self.outlet.is_wanted() {
            return Ok(());
        }
        let py = future.py();
        let pickler = self.pickler.bind(py);
        let told = match told(future, pickler, Some(self.to)) {
            Ok(None) => {
                py.detach(|| self.outlet.cancel());
                return Ok(());
            }
            Ok(Some(told)) => told,
            Err(error) => Told::failed(py, error),
        };
        let futures = told.futures.iter().map(|it| Passing::of(it.bind(py), pickler, self.to));
        let futures = futures.collect::<PyResult<Vec<_>>>()?;
        py.detach(|| self.outlet.answer(told.kind, &told.body, futures));
        Ok(())
    }
}

fn is_done(future: &Bound<'_, PyAny>) -> bool {
    future
        .call_method0(intern!(future.py(), "done"))
        .is_ok_and(|it| it.is_truthy().unwrap_or(false))
}

/// In a worker: a future that goes on with a task that it submits.
pub(super) fn pass_on(
    py: Python<'_>,
    upward: &Upward,
    future: Py<PyAny>,
    pickler: &Bound<'_, PyAny>,
) -> PyResult<PassedOn> {
    let core = Arc::clone(&future.bind(py).cast::<PyFuture>()?.get().core);
    let address = Arc::as_ptr(&core).addr();
    let asked = future.clone_ref(py);
    let ends = EndsAs(Some((future, pickler.clone().unbind())));
    let wait = |until: Instant| {
        // In this order: it may end at this moment.
        let ends = core.life.executor() == Some(PARENTS);
        ends && core.life.wait(Some(until)) || Python::attach(|py| is_done(asked.bind(py)))
    };
    py.detach(|| upward.pass_on(address, Box::new(ends), wait)).ok_or_else(|| {
        PyRuntimeError::new_err(
            "a future that was made in a worker process, and is no task's, can be passed to other tasks \
             only when it has ended",
        )
    })
}

/// How one has ended, and the futures in that, which go on too.
fn in_worker(
    py: Python<'_>,
    future: &Bound<'_, PyAny>,
    pickler: &Bound<'_, PyAny>,
) -> PyResult<Option<Answered>> {
    /// One may be in its own result.
    const DEEPEST: u32 = 20;
    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }
    if DEPTH.get() >= DEEPEST {
        let why =
            "futures that are in the results of each other cannot be passed on by a worker process";
        return Err(PyRuntimeError::new_err(why));
    }
    DEPTH.set(DEPTH.get() + 1);
    let upward = Upward::current();
    let outcome = told(future, pickler, upward.map(|_| PARENTS)).and_then(|told| {
        let Some(Told { kind, body, futures }) = told else { return Ok(None) };
        let futures = upward.into_iter().flat_map(|upward| {
            let futures = futures.iter().map(|it| it.clone_ref(py));
            futures.map(|it| pass_on(py, upward, it, pickler)).collect::<Vec<_>>()
        });
        Ok(Some((kind, body, futures.collect::<PyResult<_>>()?)))
    });
    DEPTH.set(DEPTH.get() - 1);
    outcome
}

struct EndsAs(Option<(Py<PyAny>, Py<PyAny>)>);

impl Ends for EndsAs {
    fn is_done(&self) -> bool {
        Python::attach(|py| self.0.as_ref().is_some_and(|(future, _)| is_done(future.bind(py))))
    }

    fn outcome(&self) -> Option<Answered> {
        Python::attach(|py| {
            let (future, pickler) = self.0.as_ref()?;
            match in_worker(py, future.bind(py), pickler.bind(py)) {
                Ok(outcome) => outcome,
                Err(error) => {
                    let Told { kind, body, .. } = Told::failed(py, error);
                    Some((kind, body, Vec::new()))
                }
            }
        })
    }
}

impl Drop for EndsAs {
    fn drop(&mut self) {
        let held = self.0.take();
        Python::try_attach(|_| drop(held));
    }
}
