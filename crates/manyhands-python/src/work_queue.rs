//! `executor._work_queue`, as far as programs use it: they ask how much is pending, they drain it to
//! cancel what has not started, and at exit the interpreter puts None into it to end the workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use crate::block::{Block, Claimed, Function};
use crate::job::{self, Job};
use crate::task::Core;
use crate::workers::Workers;
use crate::{future, stdlib};

#[pyclass(frozen, module = "manyhands._core", name = "_WorkQueue")]
pub(crate) struct WorkQueue {
    workers: Arc<Workers>,
}

impl WorkQueue {
    pub(crate) fn new(workers: Arc<Workers>) -> Self {
        Self { workers }
    }
}

#[pymethods]
impl WorkQueue {
    /// How many tasks are pending.
    fn qsize(&self) -> usize {
        if self.workers.is_from_before_fork() { 0 } else { self.workers.pool.stats().pending }
    }

    /// Whether no task is pending.
    fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// The oldest pending task, taken away from the workers. Raises `queue.Empty`.
    fn get_nowait(&self, py: Python<'_>) -> PyResult<WorkItem> {
        while !self.workers.is_from_before_fork()
            && let Some(job) = self.workers.pool.take_one()
        {
            if let Some(item) = WorkItem::new(py, job)? {
                return Ok(item);
            }
        }
        Err(stdlib::QUEUE_EMPTY.bare_error(py))
    }

    /// Cancel what has not started, and have the interpreter exit without what is running.
    fn _abandon(&self, py: Python<'_>) -> PyResult<()> {
        self.workers.abandon(py)
    }

    /// Whatever is put, the workers end when all that is pending has been done: in the standard
    /// library, only None is ever put here by others than the executor.
    #[pyo3(signature = (item, block=true, timeout=None))]
    fn put(&self, item: &Bound<'_, PyAny>, block: bool, timeout: Option<f64>) -> PyResult<()> {
        let _ = (block, timeout);
        job::cancel_all(item.py(), self.workers.close(false))
    }
}

/// A task taken out of the queue.
#[pyclass(frozen, module = "manyhands._core", name = "_WorkItem")]
pub(crate) struct WorkItem(Taken);

enum Taken {
    Task(Arc<Core>, Py<PyAny>),
    Item { block: Arc<Block>, pending: Mutex<Option<(Claimed, Function)>>, cancelled: AtomicBool },
}

impl WorkItem {
    /// `None`: nothing is left of the job.
    fn new(py: Python<'_>, job: Job) -> PyResult<Option<Self>> {
        Ok(match job {
            Job::Task(core) => {
                core.shared.store(true, Ordering::Relaxed);
                let future = future::make(py, Arc::clone(&core))?.unbind();
                Some(Self(Taken::Task(core, future)))
            }
            Job::Items(block) => block.claim(py).map(|claimed| {
                let (pending, cancelled) = (Mutex::new(Some(claimed)), AtomicBool::new(false));
                Self(Taken::Item { block, pending, cancelled })
            }),
            // It stands for no task of its own: the graph is cancelled.
            Job::Ticket(_) => None,
        })
    }
}

#[pymethods]
impl WorkItem {
    /// A future that shares its life with the one that `submit` returned; for an item of `map`, which
    /// has none, this object itself, which can be cancelled too.
    #[getter]
    fn future(slf: &Bound<'_, Self>) -> Py<PyAny> {
        match &slf.get().0 {
            Taken::Task(_, future) => future.clone_ref(slf.py()),
            Taken::Item { .. } => slf.clone().into_any().unbind(),
        }
    }

    /// Cancel the task if it has not started. Returns whether it is cancelled.
    fn cancel(&self, py: Python<'_>) -> PyResult<bool> {
        match &self.0 {
            Taken::Task(_, future) => future.call_method0(py, "cancel")?.extract(py),
            Taken::Item { block, pending, cancelled } => {
                if let Some((item, _)) = take(pending) {
                    cancelled.store(true, Ordering::Relaxed);
                    block.items.withdraw(py.into(), item.index);
                }
                Ok(cancelled.load(Ordering::Relaxed))
            }
        }
    }

    /// Runs the task here.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        match &self.0 {
            Taken::Task(core, _) => job::run_here(py, Job::Task(Arc::clone(core))),
            Taken::Item { block, pending, .. } => {
                if let Some((item, function)) = take(pending) {
                    function.run_here(py, block, item);
                }
                Ok(())
            }
        }
    }
}

fn take<T>(of: &Mutex<Option<T>>) -> Option<T> {
    of.lock().unwrap_or_else(PoisonError::into_inner).take()
}
