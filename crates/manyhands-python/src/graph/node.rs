//! `Node`, a handle on a task of a graph, and what the graph keeps of each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use manyhands::NodeState;
use manyhands::graph::engine::{Shown, Standing};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::arguments::{Arguments, Kwargs};

/// A handle on a task of a `Graph`: what others can be given as an argument to depend on it, and what
/// the graph's methods take beside a name.
///
/// >>> from manyhands import Graph
/// >>> graph = Graph()
/// >>> two = graph.task("two", int, "2")
/// >>> two
/// <Node 'two'>
/// >>> two.name
/// 'two'
#[pyclass(frozen, module = "manyhands", name = "Node")]
pub(crate) struct PyNode {
    #[pyo3(get)]
    pub(super) name: Py<PyString>,
    /// The number of its graph, which it does not keep alive.
    pub(super) graph: u32,
    pub(super) index: u32,
}

impl PyNode {
    pub(super) fn new(name: Py<PyString>, graph: u32, index: u32) -> Self {
        Self { name, graph, index }
    }
}

#[pymethods]
impl PyNode {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Node {}>", self.name.bind(py).repr()?))
    }

    /// `Node[T]` is a node whose value is a `T`.
    #[classmethod]
    #[pyo3(signature = (item, /))]
    fn __class_getitem__(
        class: &Bound<'_, PyType>,
        item: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let alias = class.py().import("types")?.getattr("GenericAlias")?;
        Ok(alias.call1((class, item))?.unbind())
    }
}

/// What a graph keeps of a task.
pub(super) struct Entry {
    pub(super) name: Py<PyString>,
    /// `None`: its value comes from outside, or it has only been declared.
    pub(super) work: Option<Work>,
    /// Whether its value is kept when nothing needs it any more.
    keep: AtomicBool,
    outcome: Mutex<Outcome>,
}

/// What a task does.
pub(super) struct Work {
    pub(super) function: Py<PyAny>,
    pub(super) arguments: Arguments,
    pub(super) kwargs: Option<Box<Kwargs>>,
    /// The executor it runs on, whichever the graph runs on.
    pub(super) executor: Option<Py<PyAny>>,
}

pub(super) struct Outcome {
    pub(super) state: NodeState,
    pub(super) value: Option<Py<PyAny>>,
    pub(super) exception: Option<Py<PyAny>>,
    pub(super) took: Duration,
}

impl Outcome {
    pub(super) fn waiting() -> Self {
        Self { state: NodeState::Waiting, value: None, exception: None, took: Duration::ZERO }
    }

    pub(super) fn done(value: Py<PyAny>, took: Duration) -> Self {
        Self { state: NodeState::Done, value: Some(value), exception: None, took }
    }

    pub(super) fn failed(exception: Py<PyAny>, took: Duration) -> Self {
        Self { state: NodeState::Failed, value: None, exception: Some(exception), took }
    }
}

impl Entry {
    pub(super) fn new(name: Py<PyString>) -> Self {
        let (keep, outcome) = (AtomicBool::new(false), Mutex::new(Outcome::waiting()));
        Self { name, work: None, keep, outcome }
    }

    pub(super) fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what it has come to before.
    pub(super) fn set(&self, outcome: Outcome) {
        let before = std::mem::replace(&mut *self.outcome(), outcome);
        drop(before);
    }

    pub(super) fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    pub(super) fn forget(&self) {
        if !self.keep.load(Ordering::Relaxed) {
            let value = self.outcome().value.take();
            drop(value);
        }
    }

    pub(super) fn value(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.outcome().value.as_ref().map(|value| value.clone_ref(py))
    }

    pub(super) fn standing(&self) -> Standing {
        let outcome = self.outcome();
        Standing {
            is_done: outcome.state == NodeState::Done,
            has_value: outcome.value.is_some(),
            has_work: self.work.is_some(),
        }
    }

    pub(super) fn shown(&self, py: Python<'_>) -> Shown<'static> {
        let outcome = self.outcome();
        let name = self.name.bind(py).to_string_lossy().into_owned().into();
        Shown { name, state: outcome.state, took: outcome.took }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(work) = &self.work {
            visit.call(&work.function)?;
            visit.call(&work.executor)?;
            work.arguments.traverse(visit)?;
            if let Some(kwargs) = &work.kwargs {
                kwargs.traverse(visit)?;
            }
        }
        let outcome = self.outcome();
        visit.call(&outcome.value)?;
        visit.call(&outcome.exception)
    }
}
