//! `executor._work_queue`, as far as programs use it: they ask how much is pending, they drain it to
//! cancel what has not started, and at exit the interpreter puts None into it to end the workers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use crate::worker::{self, Job};
use crate::workers::Workers;
use crate::{future, stdlib, task};

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
        let here = !self.workers.is_from_before_fork();
        match here.then(|| self.workers.pool.take_one()).flatten() {
            Some(job) => WorkItem::new(py, job),
            None => Err(stdlib::QUEUE_EMPTY.bare_error(py)),
        }
    }

    /// Cancel what has not started, and have the interpreter exit without what is running.
    fn _abandon(&self, py: Python<'_>) {
        self.workers.abandon(py);
    }

    /// Whatever is put, the workers end when all that is pending has been done: in the standard
    /// library, only None is ever put here by others than the executor.
    #[pyo3(signature = (item, block=true, timeout=None))]
    fn put(&self, item: &Bound<'_, PyAny>, block: bool, timeout: Option<f64>) {
        let _ = (block, timeout);
        for job in self.workers.close(false) {
            worker::cancel(item.py(), job);
        }
    }
}

/// A task taken out of the queue.
#[pyclass(frozen, module = "manyhands._core", name = "_WorkItem")]
pub(crate) struct WorkItem {
    job: Job,
    future: Option<Py<PyAny>>,
}

impl WorkItem {
    fn new(py: Python<'_>, job: Job) -> PyResult<Self> {
        let future = match &job {
            Job::Task(core) => {
                core.shared.store(true, Ordering::Relaxed);
                Some(future::make(py, Arc::clone(core))?.unbind())
            }
            Job::Item(_) => None,
        };
        Ok(Self { job, future })
    }
}

#[pymethods]
impl WorkItem {
    /// A future that shares its life with the one that `submit` returned; for an item of `map`, which
    /// has none, this object itself, which can be cancelled too.
    #[getter]
    fn future(slf: &Bound<'_, Self>) -> Py<PyAny> {
        match &slf.get().future {
            Some(future) => future.clone_ref(slf.py()),
            None => slf.clone().into_any().unbind(),
        }
    }

    /// Cancel the task if it has not started. Returns whether it is cancelled.
    fn cancel(&self, py: Python<'_>) -> PyResult<bool> {
        match (&self.future, &self.job) {
            (Some(future), _) => future.call_method0(py, "cancel")?.extract(py),
            (None, Job::Item(item)) => {
                task::cancel(py, item.life(), None).map_or(Ok(false), |told| told.map(|()| true))
            }
            (None, Job::Task(_)) => Ok(false),
        }
    }

    /// Runs the task here.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        worker::run_here(py, self.job.clone())
    }
}
