//! `ThreadPoolExecutor`, the native part: how a task gets into the pool. The Python class in
//! `python/manyhands/thread.py` starts the threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use manyhands::WhenFull;
use manyhands::thread::pool::Pool;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyWeakrefReference};

use crate::future::PyFuture;
use crate::job::{self, Job};
use crate::task::{Core, Task};
use crate::work_queue::WorkQueue;
use crate::worker::{self, PyWorker};
use crate::workers::{STARTING, Workers};
use crate::{errors, fork, future, park, place, stdlib};

#[pyclass(subclass, frozen, module = "manyhands._core", name = "ThreadPoolExecutor")]
pub(crate) struct PyThreadPoolExecutor {
    /// Filled by `_open`, which a subclass calls by way of `__init__` with what it thinks fit.
    workers: OnceLock<Arc<Workers>>,
}

impl PyThreadPoolExecutor {
    /// The workers, also those of another process.
    fn any_workers(&self) -> PyResult<&Arc<Workers>> {
        self.workers.get().ok_or_else(|| {
            PyRuntimeError::new_err("ThreadPoolExecutor.__init__ has not been called")
        })
    }

    pub(crate) fn workers(&self) -> PyResult<&Arc<Workers>> {
        let workers = self.any_workers()?;
        fork::check(workers.made_in, "this ThreadPoolExecutor")?;
        Ok(workers)
    }
}

#[pymethods]
impl PyThreadPoolExecutor {
    /// Takes any arguments, as those of a subclass come by here too.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { workers: OnceLock::new() }
    }

    /// What `__init__` calls when it has looked at the options.
    fn _open(
        slf: &Bound<'_, Self>,
        max_workers: NonZeroUsize,
        max_pending: Option<NonZeroUsize>,
        when_full: &str,
        copy_context: bool,
    ) -> PyResult<()> {
        static MADE: AtomicU32 = AtomicU32::new(1);
        place::keep_on();
        let when_full = match when_full {
            "block" => WhenFull::Block,
            "raise" => WhenFull::Refuse,
            "caller" => WhenFull::RunInCaller,
            other => {
                return Err(PyValueError::new_err(format!(
                    "when_full must be 'block', 'raise' or 'caller', not {other:?}"
                )));
            }
        };
        let executor = OnceLock::new();
        let _ = executor.set(PyWeakrefReference::new(slf.as_any())?.unbind());
        let workers = Workers {
            pool: Pool::new(max_workers, max_pending),
            unstarted: Mutex::new(Vec::new()),
            when_full,
            copy_context,
            number: MADE.fetch_add(1, Ordering::Relaxed),
            made_in: fork::generation(),
            shut_down: AtomicBool::new(false),
            starting: AtomicUsize::new(0),
            executor,
        };
        slf.get().workers.set(Arc::new(workers)).map_err(|_| {
            PyRuntimeError::new_err("ThreadPoolExecutor.__init__ has been called before")
        })
    }

    /// Schedule `fn(*args, **kwargs)` and return its Future.
    ///
    /// >>> from manyhands import ThreadPoolExecutor
    /// >>> with ThreadPoolExecutor(max_workers=1) as executor:
    /// ...     print(executor.submit(pow, 2, 10).result())
    /// 1024
    #[pyo3(signature = (r#fn, /, *args, **kwargs))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Py<PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let workers = slf.get().workers()?;
        let (function, args) = if workers.copy_context {
            let run = stdlib::COPY_CONTEXT.get(py)?.call0()?.getattr(intern!(py, "run"))?;
            let all = std::iter::once(r#fn.into_bound(py)).chain(args.iter()).collect::<Vec<_>>();
            (run.unbind(), PyTuple::new(py, all)?.unbind())
        } else {
            (r#fn, args.clone().unbind())
        };
        let task = Task { function, args, kwargs: kwargs.map(|it| it.clone().unbind()) };
        let mut core = Core::new(Some(task), workers.made_in);
        core.place = place::current(py);
        let core = Arc::new(core);
        let future = future::make(py, Arc::clone(&core))?;
        future.cast::<PyFuture>()?.get().core.hide(&future);
        workers.add(py, Job::Task(core))?;
        Ok(future)
    }

    /// The native part of `map`.
    #[pyo3(signature = (r#fn, iterables, timeout, buffersize))]
    fn _map<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Bound<'py, PyAny>,
        iterables: &Bound<'py, PyTuple>,
        timeout: Option<f64>,
        buffersize: Option<NonZeroUsize>,
    ) -> PyResult<crate::map::ResultIterator> {
        let copy_context = slf.get().workers()?.copy_context;
        crate::map::start(slf, r#fn, iterables, park::deadline(timeout), buffersize, copy_context)
    }

    /// The next worker for which a thread is to be started.
    fn _take_worker(&self) -> PyResult<Option<PyWorker>> {
        let workers = self.workers()?;
        let worker = workers.unstarted().pop();
        Ok(worker.map(|worker| PyWorker::new(worker, Arc::clone(workers))))
    }

    /// Accept nothing any more; with `cancel_futures`, cancel what has not started.
    #[pyo3(name = "_close")]
    fn close(&self, py: Python<'_>, cancel_futures: bool) -> PyResult<()> {
        let workers = self.any_workers()?;
        workers.shut_down.store(true, Ordering::Release);
        job::cancel_all(py, workers.close(cancel_futures))
    }

    /// Whether its threads are in another process.
    #[getter]
    fn _is_from_before_fork(&self) -> PyResult<bool> {
        Ok(self.any_workers()?.is_from_before_fork())
    }

    /// Wait until no worker is left; whether none is left.
    fn _wait_for_workers(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let workers = self.workers()?;
        if worker::is_current(workers.number) {
            return Err(PyRuntimeError::new_err(
                "cannot join current thread: shutdown(wait=True) was called by one of the \
                 executor's own tasks; use shutdown(wait=False)",
            ));
        }
        if STARTING.get() == workers.number {
            // A signal handler has come while this thread was starting a worker: it is this thread
            // that one would wait for.
            return Ok(false);
        }
        park::wait(py, park::deadline(timeout), |until| workers.pool.wait_for_workers(until))
    }

    /// (pending, running, completed, workers, idle)
    fn _stats(&self) -> PyResult<(usize, usize, u64, usize, usize)> {
        let stats = self.workers()?.pool.stats();
        Ok((stats.pending, stats.running, stats.completed, stats.workers, stats.idle))
    }

    fn _make_work_queue(&self) -> PyResult<WorkQueue> {
        Ok(WorkQueue::new(Arc::clone(self.workers()?)))
    }

    #[getter]
    fn _max_workers(&self) -> PyResult<usize> {
        Ok(self.workers()?.pool.max_workers())
    }

    #[setter(_max_workers)]
    fn set_max_workers(&self, max_workers: NonZeroUsize) -> PyResult<()> {
        self.workers()?.pool.set_max_workers(max_workers);
        Ok(())
    }

    /// False, or why the pool is broken.
    #[getter]
    fn _broken(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self.workers()?.pool.broken() {
            Some(reason) => reason.as_str().into_pyobject(py)?.into_any().unbind(),
            None => false.into_pyobject(py)?.to_owned().into_any().unbind(),
        })
    }

    #[getter]
    fn _shutdown(&self) -> PyResult<bool> {
        let pool = &self.workers()?.pool;
        Ok(!pool.is_open() && pool.broken().is_none())
    }

    /// Some programs shut a pool down by this.
    #[setter(_shutdown)]
    fn set_shutdown(&self, py: Python<'_>, shutdown: bool) -> PyResult<()> {
        if shutdown { self.close(py, false) } else { Ok(()) }
    }
}

/// An executor that is collected is shut down: its workers do what is pending, and leave.
impl Drop for PyThreadPoolExecutor {
    fn drop(&mut self) {
        let Some(workers) = self.workers.take() else { return };
        let unwanted = workers.close(false);
        if !unwanted.is_empty() {
            Python::attach(|py| errors::report(py, job::cancel_all(py, unwanted)));
        }
        if workers.is_from_before_fork() {
            std::mem::forget(workers); // what is in it would ask for the lock
        }
    }
}
