//! What a graph keeps, and who may change it when.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use manyhands::NodeState;
use manyhands::graph::engine::{self, Dependants, Edges, Plan, Shown, Standing, Stopper};
use pyo3::exceptions::{PyKeyError, PyLookupError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::host::{self, On};
use super::node::{Entry, Outcome, PyNode, Work};
use super::run::{self, Attendant, Came};
use super::{PyGraph, Way, arguments};
use crate::{fork, park, stdlib};

/// What is under a graph's lock.
#[derive(Default)]
pub(super) struct Inner {
    /// Shared with a run, as long as there is one.
    pub(super) entries: Arc<Vec<Entry>>,
    pub(super) edges: Arc<Edges>,
    /// Who depends on whom, until another task is added.
    pub(super) dependants: Option<Arc<Dependants>>,
    /// Whether a thread runs it: the generation of processes in which that thread is.
    pub(super) busy_in: Option<u32>,
    pub(super) stopper: Option<Stopper>,
    /// A run that was left by Ctrl-C, whose last tasks may not have ended.
    pub(super) left: Option<Attendant>,
}

/// What a change has left over, to be dropped without the lock.
pub(super) type Garbage = Vec<Outcome>;

impl PyGraph {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the graph for itself for a change, which must not wait.
    pub(super) fn change<R>(
        &self,
        py: Python<'_>,
        change: impl FnOnce(&mut Inner) -> PyResult<R>,
    ) -> PyResult<R> {
        self.settle(py)?;
        let mut inner = self.lock();
        if inner.busy_in.is_some() {
            return Err(PyRuntimeError::new_err(
                "the graph is being run: it can be changed when that has ended",
            ));
        }
        change(&mut inner)
    }

    /// Waits for what Ctrl-C has left at work.
    pub(super) fn settle(&self, py: Python<'_>) -> PyResult<()> {
        let Some(mut left) = self.lock().left.take() else { return Ok(()) };
        let attended = run::attend(py, &mut left);
        if attended.is_err() {
            self.lock().left = Some(left);
        } else {
            drop(run::finish(py, left));
        }
        attended
    }

    /// The number of a node, given by itself or by its name.
    pub(super) fn index(&self, key: &Bound<'_, PyAny>) -> PyResult<u32> {
        if let Ok(node) = key.cast_exact::<PyNode>() {
            return arguments::own(self.number, node);
        }
        if !key.is_instance_of::<PyString>() {
            let message = format!("a node or a name is wanted, not {}", key.repr()?);
            return Err(PyTypeError::new_err(message));
        }
        match self.names.bind(key.py()).get_item(key)? {
            Some(node) => Ok(node.cast_exact::<PyNode>()?.get().index),
            None => Err(PyKeyError::new_err(key.clone().unbind())),
        }
    }

    /// The node of this name, and whether it is new.
    pub(super) fn declare_or_find<'py>(
        &self,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyNode>, bool)> {
        let py = name.py();
        let names = self.names.bind(py);
        let Ok(name) = name.cast::<PyString>() else {
            let message = format!("the name of a task is a str, not {}", name.repr()?);
            return Err(PyTypeError::new_err(message));
        };
        if let Some(node) = names.get_item(name)? {
            return Ok((node.cast_into_exact::<PyNode>()?, false));
        }
        let exact = match name.cast_exact::<PyString>() {
            Ok(exact) => exact.clone(),
            Err(_) => PyString::new(py, name.to_str()?),
        };
        let name = exact.unbind();
        let index = self.change(py, |inner| {
            let (entries, edges) = inner.parts();
            entries.push(Entry::new(name.clone_ref(py)));
            Ok(edges.add())
        })?;
        let node = Bound::new(py, PyNode::new(name.clone_ref(py), self.number, index))?;
        names.set_item(name, &node)?;
        Ok((node, true))
    }

    /// Says what a node does.
    pub(super) fn put(&self, py: Python<'_>, index: u32, deps: &[u32], work: Work) -> PyResult<()> {
        let before = self.change(py, |inner| {
            let (entries, edges) = inner.parts();
            edges.set(index, deps);
            Ok(entries[index as usize].work.replace(work))
        })?;
        drop(before);
        Ok(())
    }

    pub(super) fn forget_all_of(inner: &mut Inner, index: u32) -> Garbage {
        let mut garbage = Vec::new();
        for stale in inner.dependants().all_of(index) {
            let entry = &inner.entries[stale as usize];
            // An input has nothing to be computed from.
            if entry.work.is_some() || stale != index {
                garbage.push(std::mem::replace(&mut *entry.outcome(), Outcome::waiting()));
            }
        }
        garbage
    }

    /// Raises graphlib's error if `index` must not depend on `deps`.
    pub(super) fn check_cycle(&self, py: Python<'_>, index: u32, deps: &[u32]) -> PyResult<()> {
        let inner = self.lock();
        let Some(way) = inner.edges.cycle(index, deps) else { return Ok(()) };
        let names: Vec<_> = way.iter().map(|&at| inner.name(py, at)).collect();
        drop(inner);
        let shown: PyResult<Vec<_>> =
            names.iter().map(|name| Ok(name.bind(py).repr()?.to_string())).collect();
        let shown = shown?;
        let message = format!("{} would depend on itself: {}", shown[0], shown.join(" needs "));
        // As graphlib has it: each is needed by the next.
        let names = PyList::new(py, names.into_iter().rev())?;
        Err(PyErr::from_value(stdlib::CYCLE_ERROR.get(py)?.call1((message, names))?))
    }

    pub(super) fn begin(&self, py: Python<'_>) -> PyResult<Busy<'_>> {
        if host::is_performing(self.number) {
            return Err(PyRuntimeError::new_err(
                "a task cannot run the graph that it is part of: have it depend on what it needs",
            ));
        }
        if let Some(generation) = self.lock().busy_in {
            fork::check(generation, "this run of a graph")?;
        }
        park::wait(py, None, |until| {
            let mut inner = self.lock();
            while inner.busy_in.is_some() {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    return false;
                }
                let left = left.unwrap_or(Duration::from_mins(1));
                let woken = self.ended.wait_timeout(inner, left);
                inner = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
            inner.busy_in = Some(fork::generation());
            true
        })?;
        Ok(Busy(self))
    }

    pub(super) fn run(&self, py: Python<'_>, on: On, wanted: Option<Vec<u32>>) -> PyResult<Came> {
        let _busy = self.begin(py)?;
        self.settle(py)?;
        let mut inner = self.lock();
        let dependants = inner.dependants();
        let stands: Vec<Standing> = inner.entries.iter().map(Entry::standing).collect();
        let wanted = wanted.unwrap_or_else(|| engine::not_done(&stands));
        let plan = match Plan::new(&inner.edges, &dependants, &stands, wanted) {
            Ok(plan) => plan,
            Err(index) => {
                let name = inner.name(py, index);
                drop(inner);
                let message = format!(
                    "{} is needed and was only declared: say what it does by define(), or set() it",
                    name.bind(py).repr()?
                );
                return Err(PyLookupError::new_err(message));
            }
        };
        drop(stands);
        let (entries, edges) = (Arc::clone(&inner.entries), Arc::clone(&inner.edges));
        drop(inner);
        let mut attendant = run::prepare(self.number, entries, edges, dependants, on, plan);
        // Before the first task begins, which may be what somebody waits for to cancel the graph.
        self.lock().stopper = Some(attendant.run().stopper());
        attendant.start();
        let attended = run::attend(py, &mut attendant);
        let mut inner = self.lock();
        inner.stopper = None;
        if let Err(error) = attended {
            inner.left = Some(attendant);
            return Err(error);
        }
        drop(inner);
        run::finish(py, attendant)
    }
}

impl Inner {
    /// To be changed, while there is no run.
    pub(super) fn parts(&mut self) -> (&mut Vec<Entry>, &mut Edges) {
        self.dependants = None;
        let entries = Arc::get_mut(&mut self.entries);
        let edges = Arc::get_mut(&mut self.edges);
        (entries.expect("no run is left"), edges.expect("no run is left"))
    }

    pub(super) fn dependants(&mut self) -> Arc<Dependants> {
        let edges = &self.edges;
        Arc::clone(self.dependants.get_or_insert_with(|| Arc::new(Dependants::of(edges))))
    }

    pub(super) fn name(&self, py: Python<'_>, index: u32) -> Py<PyString> {
        self.entries[index as usize].name.clone_ref(py)
    }

    /// The names from a node to what failed above it, and the exception of that.
    pub(super) fn way_to_failure(&self, py: Python<'_>, index: u32) -> Option<Way> {
        let state = |at: u32| self.entries[at as usize].outcome().state;
        let lost = |at: &&u32| matches!(state(**at), NodeState::Failed | NodeState::NotRun);
        let mut way = vec![index];
        let mut at = index;
        while state(at) == NodeState::NotRun {
            at = *self.edges.of(at).iter().find(lost)?;
            way.push(at);
        }
        let outcome = self.entries[at as usize].outcome();
        let exception = outcome.exception.as_ref()?.clone_ref(py);
        Some((way.iter().map(|&at| self.name(py, at)).collect(), exception))
    }

    pub(super) fn shown(&self, py: Python<'_>) -> Vec<Shown<'static>> {
        self.entries.iter().map(|entry| entry.shown(py)).collect()
    }
}

/// The graph is run, or was until this is dropped.
pub(super) struct Busy<'a>(&'a PyGraph);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy_in = None;
        self.0.ended.notify_one();
    }
}
