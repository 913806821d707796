//! `ThreadPoolExecutor`, the native part: how a task gets into the pool. The Python class in
//! `python/manyhands/thread.py` starts the threads.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use manyhands::WhenFull;
use manyhands::thread::pool::{self, Pool, Rejection, Worker};
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyWeakrefReference};

use crate::task::{Core, Task};
use crate::work_queue::WorkQueue;
use crate::worker::{self, Job, PyWorker};
use crate::{errors, fork, future, park, stdlib};

#[pyclass(subclass, frozen, module = "manyhands._core", name = "ThreadPoolExecutor")]
pub(crate) struct PyThreadPoolExecutor {
    /// Filled by `_open`, which a subclass calls by way of `__init__` with what it thinks fit.
    workers: OnceLock<Arc<Workers>>,
}

/// A pool and what its threads have to know. It does not know the executor, which is collected while
/// its workers run on.
pub(crate) struct Workers {
    pub(crate) pool: Pool<Job>,
    /// Those for which a thread is to be started.
    unstarted: Mutex<Vec<Worker<Job>>>,
    when_full: WhenFull,
    copy_context: bool,
    /// Tells the pools of this process apart.
    pub(crate) number: usize,
    made_in: u32,
    /// Whether the program has shut it down, and not only the end of the interpreter.
    shut_down: AtomicBool,
    /// How many threads are being started at this moment.
    starting: AtomicUsize,
    executor: OnceLock<Py<PyWeakrefReference>>,
}

thread_local! {
    /// The number of the pool for which this thread is starting a worker; 0 for none.
    static STARTING: Cell<usize> = const { Cell::new(0) };
}

/// What the pool says to a job.
type Submitted = Result<Option<Worker<Job>>, (Job, Rejection)>;

static AT_EXIT: AtomicBool = AtomicBool::new(false);

/// Called by the package when the interpreter begins to shut down: nothing is accepted any more.
#[pyfunction]
#[pyo3(name = "_interpreter_shutdown")]
pub(crate) fn interpreter_shutdown() {
    AT_EXIT.store(true, Ordering::Release);
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

impl Workers {
    /// Puts a job into the pool, as its options say.
    fn add(&self, py: Python<'_>, job: Job) -> PyResult<()> {
        if self.is_over() && self.pool.broken().is_none() {
            return Err(errors::after_interpreter_shutdown());
        }
        let mut submitted = self.pool.submit(job, pool::WhenFull::Refuse);
        while let Err((job, rejection @ Rejection::Full { .. })) = submitted {
            let mut when_full = self.when_full;
            if worker::is_current(self.number) {
                when_full = when_full.in_worker();
            }
            submitted = match when_full {
                WhenFull::RunInCaller => return worker::run_here(py, job),
                WhenFull::Block => self.submit_when_there_is_room(py, job)?,
                WhenFull::BlockFor(_) | WhenFull::Refuse => {
                    drop(job);
                    return Err(errors::rejected(py, rejection, false));
                }
            };
        }
        match submitted {
            Ok(None) => Ok(()),
            Ok(Some(worker)) => self.start(py, worker),
            Err((job, rejection)) => {
                drop(job);
                Err(errors::rejected(py, rejection, self.is_over()))
            }
        }
    }

    /// Puts many jobs into the pool, oldest first.
    pub(crate) fn add_all(&self, py: Python<'_>, mut jobs: VecDeque<Job>) -> PyResult<()> {
        if self.is_over() && self.pool.broken().is_none() {
            return Err(errors::after_interpreter_shutdown());
        }
        while !jobs.is_empty() {
            match self.pool.submit_all(&mut jobs) {
                Ok(None) => (),
                Ok(Some(worker)) => self.start(py, worker)?,
                Err(Rejection::Full { .. }) => {
                    if let Some(job) = jobs.pop_front() {
                        self.add(py, job)?;
                    }
                }
                Err(rejection) => {
                    drop(jobs);
                    return Err(errors::rejected(py, rejection, self.is_over()));
                }
            }
        }
        Ok(())
    }

    fn submit_when_there_is_room(&self, py: Python<'_>, job: Job) -> PyResult<Submitted> {
        let waiting = Mutex::new((Some(job), None));
        park::wait(py, None, |until| {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(job) = waiting.0.take() else { return true };
            match self.pool.submit(job, pool::WhenFull::WaitUntil(until)) {
                Err((job, Rejection::Full { .. })) => {
                    waiting.0 = Some(job);
                    false
                }
                submitted => {
                    waiting.1 = Some(submitted);
                    true
                }
            }
        })?;
        let (_, submitted) = waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
        submitted.ok_or_else(|| PyRuntimeError::new_err("the task was not submitted"))
    }

    fn unstarted(&self) -> std::sync::MutexGuard<'_, Vec<Worker<Job>>> {
        self.unstarted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels what has not started.
    pub(crate) fn abandon(&self, py: Python<'_>) {
        if self.is_from_before_fork() {
            return;
        }
        // Not closed: those that sleep need not wake for the end.
        for job in self.pool.drain() {
            worker::cancel(py, job);
        }
    }

    /// Whether the end of the interpreter has ended it.
    fn is_over(&self) -> bool {
        AT_EXIT.load(Ordering::Acquire) && !self.shut_down.load(Ordering::Acquire)
    }

    /// Whether its threads are in another process.
    pub(crate) fn is_from_before_fork(&self) -> bool {
        self.made_in != fork::generation()
    }

    /// Accepts nothing any more; gives back what has not started, with `drain` all of it, else what
    /// nobody will come for.
    pub(crate) fn close(&self, drain: bool) -> Vec<Job> {
        if self.is_from_before_fork() {
            return Vec::new(); // its lock may be held by a thread that is not there
        }
        let mut jobs = self.pool.close(drain);
        if self.starting.load(Ordering::Acquire) == 0 {
            // Nobody has started threads for these, and nobody will.
            self.unstarted().clear();
            jobs.extend(self.pool.drain_if_no_workers());
        }
        jobs
    }

    /// Has the executor start a thread for a worker that the pool has given out.
    pub(crate) fn start(&self, py: Python<'_>, worker: Worker<Job>) -> PyResult<()> {
        let Some(executor) = self.executor.get().and_then(|weak| weak.bind(py).upgrade()) else {
            // Nobody submits any more, and nobody starts threads: those there are do the rest.
            return Ok(());
        };
        self.unstarted().push(worker);
        self.starting.fetch_add(1, Ordering::AcqRel);
        let outside = STARTING.replace(self.number);
        let started = executor.call_method0(intern!(py, "_adjust_thread_count"));
        STARTING.set(outside);
        self.starting.fetch_sub(1, Ordering::AcqRel);
        let Err(error) = started else { return Ok(()) };
        drop(self.unstarted().pop());
        let left = self.pool.drain_if_no_workers();
        if left.is_empty() && error.is_instance_of::<PyException>(py) {
            // The others will do the work.
            errors::log(py, "warning", "could not start a worker thread", None, &error);
            return Ok(());
        }
        for job in left {
            worker::cancel(py, job);
        }
        Err(error)
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
        static MADE: AtomicUsize = AtomicUsize::new(1);
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
        let core = Arc::new(Core::new(Some(task), workers.made_in));
        let future = future::make(py, Arc::clone(&core))?;
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
        for job in workers.close(cancel_futures) {
            worker::cancel(py, job);
        }
        Ok(())
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
            Python::attach(|py| unwanted.into_iter().for_each(|job| worker::cancel(py, job)));
        }
        if workers.is_from_before_fork() {
            std::mem::forget(workers); // what is in it would ask for the lock
        }
    }
}
