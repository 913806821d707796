//! `Graph`, the native part: named tasks that depend on each other. The engine decides what is run and
//! when (`manyhands::graph::engine`); here are the tasks. The Python class in `python/manyhands/graph.py` says
//! what it runs on.
//!
//! `tasks.rs`: what is kept of them; `node.rs`, `arguments.rs`: a task, and what it is called with; `host.rs`:
//! how it is run; `run.rs`: the thread that waits.

mod arguments;
mod host;
mod node;
mod run;
mod tasks;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use manyhands::NodeState;
use manyhands::graph::engine::{self, Stopper};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

pub(crate) use host::{Ticket, TicketJob};
pub(crate) use node::PyNode;

use crate::pool::PyThreadPoolExecutor;
use host::On;
use node::{Outcome, Work};
use run::Came;
use tasks::Inner;

/// The name of what failed, its exception, and the names of what was not run.
type Failure = (Py<PyString>, Py<PyAny>, Vec<Py<PyString>>);

/// The names from a node to what failed above it, and the exception of that.
type Way = (Vec<Py<PyString>>, Py<PyAny>);

#[pyclass(subclass, frozen, module = "manyhands._core", name = "Graph")]
pub(crate) struct PyGraph {
    number: u32,
    /// The nodes by their names.
    names: Py<PyDict>,
    inner: Mutex<Inner>,
    ended: Condvar,
}

#[pymethods]
impl PyGraph {
    /// Takes any arguments, as those of a subclass come by here too.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(1);
        Self {
            number: MADE.fetch_add(1, Ordering::Relaxed),
            names: PyDict::new(py).unbind(),
            inner: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Add the task `fn(*args, **kwargs)` by this name, and return its node.
    ///
    /// Where a node is an argument, or in a list, a tuple or a dict that is one, the task depends on
    /// it and gets its value.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> parts = [graph.task(f"part {n}", pow, n, 2) for n in range(4)]
    /// >>> total = graph.task("total", sum, parts)
    /// >>> graph.get(total)
    /// 14
    #[pyo3(signature = (name, r#fn, /, *args, **kwargs))]
    fn task<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        r#fn: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyNode>> {
        self.put_with(name, r#fn, args, kwargs, None, false, false)
    }

    /// `task`, or with `anew` `define`, with options.
    #[allow(clippy::too_many_arguments, reason = "called from one place, in Python")]
    #[pyo3(name = "_put", signature = (name, r#fn, args, kwargs, executor, keep, anew))]
    fn put_with<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        r#fn: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        executor: Option<Py<PyAny>>,
        keep: bool,
        anew: bool,
    ) -> PyResult<Bound<'py, PyNode>> {
        let py = name.py();
        if !r#fn.is_callable() {
            let message = format!("a task is something to call, not {}", r#fn.repr()?);
            return Err(PyTypeError::new_err(message));
        }
        let (deps, arguments, kwargs) = arguments::read(self.number, args, kwargs)?;
        let name = match name.cast_exact::<PyNode>() {
            Ok(node) => node.get().name.bind(py).as_any(),
            Err(_) => name,
        };
        let (node, is_new) = self.declare_or_find(name)?;
        let index = node.get().index;
        if !is_new {
            let has_work = self.lock().entries[index as usize].work.is_some();
            if has_work && !anew {
                return Err(PyValueError::new_err(format!(
                    "there is a task of the name {} already: choose another name, or define() it anew",
                    node.get().name.bind(py).repr()?
                )));
            }
            self.check_cycle(py, index, &deps)?;
        }
        let work = Work { function: r#fn.clone().unbind(), arguments, kwargs, executor };
        self.put(py, index, &deps, work)?;
        if !is_new {
            self.invalidate(node.as_any())?;
        }
        if keep {
            self.lock().entries[index as usize].keep();
        }
        Ok(node)
    }

    /// The node of this name: that others may depend on before `define` or `set` says what it is, if it
    /// is not there yet.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> double = graph.task("double", lambda n: 2 * n, graph.declare("n"))
    /// >>> graph.set("n", 21)
    /// >>> graph.get(double)
    /// 42
    fn declare<'py>(&self, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyNode>> {
        Ok(self.declare_or_find(name)?.0)
    }

    /// Give a node a value from outside, in the place of what it would compute; what depends on it
    /// is to be computed again.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> n = graph.input("n", 1)
    /// >>> more = graph.task("more", lambda n: n + 1, n)
    /// >>> graph.get(more)
    /// 2
    /// >>> graph.set(n, 10)
    /// >>> graph.get(more)
    /// 11
    fn set(&self, node: &Bound<'_, PyAny>, value: Py<PyAny>) -> PyResult<()> {
        let index = self.index(node)?;
        let garbage = self.change(node.py(), |inner| {
            let garbage = Self::forget_all_of(inner, index);
            let entry = &inner.entries[index as usize];
            entry.keep();
            let done = Outcome::done(value, Duration::ZERO);
            let before = std::mem::replace(&mut *entry.outcome(), done);
            Ok((garbage, before))
        })?;
        drop(garbage);
        Ok(())
    }

    /// Forget what a node and all that depend on it have come to, so that they are run again: after a
    /// change in what it reads, say. An input keeps its value.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph, read = Graph(), iter("abc")
    /// >>> letter = graph.task("letter", next, read)
    /// >>> graph.get(letter), graph.get(letter)
    /// ('a', 'a')
    /// >>> graph.invalidate(letter)
    /// >>> graph.get(letter)
    /// 'b'
    fn invalidate(&self, node: &Bound<'_, PyAny>) -> PyResult<()> {
        let index = self.index(node)?;
        let garbage = self.change(node.py(), |inner| Ok(Self::forget_all_of(inner, index)))?;
        drop(garbage);
        Ok(())
    }

    /// Have the value of this node kept once it is computed, though nothing needs it any more.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> two = graph.task("two", int, "2")
    /// >>> four = graph.task("four", pow, two, two)
    /// >>> graph.keep(two)
    /// >>> graph.run()
    /// >>> graph.value(two), graph.value(four)
    /// (2, 4)
    fn keep(&self, node: &Bound<'_, PyAny>) -> PyResult<()> {
        let index = self.index(node)?;
        self.lock().entries[index as usize].keep();
        Ok(())
    }

    /// The value of a node if it is there, else `default`. Nothing is computed.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> two = graph.task("two", int, "2")
    /// >>> graph.value(two, "not yet")
    /// 'not yet'
    #[pyo3(signature = (node, default=None))]
    fn value(&self, node: &Bound<'_, PyAny>, default: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let (py, index) = (node.py(), self.index(node)?);
        let value = self.lock().entries[index as usize].value(py);
        Ok(value.or(default).unwrap_or_else(|| py.None()))
    }

    /// Where a node stands: "waiting", "done", "failed", or "not run", because something that it needs
    /// failed or the run was cancelled.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> graph.state(graph.task("two", int, "2"))
    /// 'waiting'
    fn state(&self, node: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        let index = self.index(node)?;
        let state = self.lock().entries[index as usize].outcome().state;
        Ok(match state {
            NodeState::Waiting => "waiting",
            NodeState::Done => "done",
            NodeState::Failed => "failed",
            NodeState::NotRun => "not run",
        })
    }

    /// How many seconds a task took when it was run last; on an executor of its own, with its time in the
    /// queue.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> two = graph.task("two", int, "2")
    /// >>> graph.run()
    /// >>> 0 < graph.took(two) < 60
    /// True
    fn took(&self, node: &Bound<'_, PyAny>) -> PyResult<f64> {
        let index = self.index(node)?;
        let took = self.lock().entries[index as usize].outcome().took;
        Ok(took.as_secs_f64())
    }

    /// The chain of tasks that the graph could not have been faster than, by the times of the last
    /// runs: their names, in order, and their seconds together.
    ///
    /// >>> import time
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> slow = graph.task("slow", time.sleep, 0.01)
    /// >>> quick = graph.task("quick", int)
    /// >>> end = graph.task("end", print, slow, quick)
    /// >>> graph.run()
    /// None 0
    /// >>> path, seconds = graph.critical_path()
    /// >>> " ".join(path), seconds > 0.01
    /// ('slow end', True)
    fn critical_path(&self, py: Python<'_>) -> (Vec<Py<PyString>>, f64) {
        let inner = self.lock();
        let took = |index: u32| inner.entries[index as usize].outcome().took;
        let (path, time) = inner.edges.critical_path(took);
        (path.into_iter().map(|at| inner.name(py, at)).collect(), time.as_secs_f64())
    }

    /// A picture for Graphviz, with states and times; the critical path in bold.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> two = graph.task("two", int, "2")
    /// >>> four = graph.task("four", pow, two, two)
    /// >>> "n0 -> n1" in graph.to_dot()
    /// True
    fn to_dot(&self, py: Python<'_>) -> String {
        let inner = self.lock();
        engine::dot(&inner.edges, &inner.shown(py))
    }

    /// A picture for Mermaid, with states and times; the critical path in bold.
    ///
    /// >>> from manyhands import Graph
    /// >>> graph = Graph()
    /// >>> two = graph.task("two", int, "2")
    /// >>> four = graph.task("four", pow, two, two)
    /// >>> "n0 --> n1" in graph.to_mermaid()
    /// True
    fn to_mermaid(&self, py: Python<'_>) -> String {
        let inner = self.lock();
        engine::mermaid(&inner.edges, &inner.shown(py))
    }

    /// Have nothing begun any more by the thread that runs the graph, which then raises
    /// CancelledError; what is done is kept. Returns whether the graph was being run.
    ///
    /// >>> from manyhands import Graph
    /// >>> Graph().cancel()
    /// False
    fn cancel(&self) -> bool {
        let inner = self.lock();
        inner.stopper.as_ref().map(Stopper::stop).is_some()
    }

    fn __len__(&self) -> usize {
        self.lock().entries.len()
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.names.bind(name.py()).contains(name)
    }

    /// The names, in the order in which the tasks were added.
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.names.bind(py).keys().try_iter()?.into_any())
    }

    /// Runs all that is not done, or what is needed for these nodes, whose values are kept.
    fn _run(
        &self,
        py: Python<'_>,
        executor: Option<Bound<'_, PyAny>>,
        is_ours: bool,
        nodes: Option<Vec<Bound<'_, PyAny>>>,
    ) -> PyResult<Option<Failure>> {
        let on = match executor {
            None => On::Here,
            Some(executor) if is_ours => {
                let pool = executor.cast::<PyThreadPoolExecutor>()?.get();
                On::threads(py, pool)?
            }
            Some(executor) => On::Executor(executor.unbind()),
        };
        let wanted = match nodes {
            None => None,
            Some(nodes) => {
                for node in &nodes {
                    self.keep(node)?;
                }
                Some(nodes.iter().map(|node| self.index(node)).collect::<PyResult<Vec<u32>>>()?)
            }
        };
        let Came::ToNothing { failed, not_run } = self.run(py, on, wanted)? else {
            return Ok(None);
        };
        let inner = self.lock();
        let exception =
            inner.entries[failed as usize].outcome().exception.as_ref().map(|it| it.clone_ref(py));
        let not_run = not_run.into_iter().map(|at| inner.name(py, at)).collect();
        Ok(Some((inner.name(py, failed), exception.unwrap_or_else(|| py.None()), not_run)))
    }

    /// The way from a node to what failed above it, and the exception of that; `None`: all is well.
    fn _failure(&self, node: &Bound<'_, PyAny>) -> PyResult<Option<Way>> {
        let (py, index) = (node.py(), self.index(node)?);
        Ok(self.lock().way_to_failure(py, index))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.names)?;
        let Ok(inner) = self.inner.try_lock() else { return Ok(()) };
        // What a run knows too is in use.
        if Arc::strong_count(&inner.entries) == 1 {
            inner.entries.iter().try_for_each(|entry| entry.traverse(&visit))?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let mut inner = self.lock();
        let (entries, left) = (std::mem::take(&mut inner.entries), inner.left.take());
        inner.edges = Arc::default();
        inner.dependants = None;
        drop(inner);
        drop((entries, left));
    }
}
