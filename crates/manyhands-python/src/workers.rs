//! A pool and what its threads have to know: how a job gets in, and who is started for it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use manyhands::WhenFull;
use manyhands::thread::pool::{self, Pool, Rejection, Worker};
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use crate::block::Block;
use crate::job::{self, Job};
use crate::worker;
use crate::{errors, fork, park};

/// A pool and what its threads have to know. It does not know the executor, which is collected while
/// its workers run on.
pub(crate) struct Workers {
    pub(crate) pool: Pool<Job>,
    /// Those for which a thread is to be started.
    pub(crate) unstarted: Mutex<Vec<Worker<Job>>>,
    pub(crate) when_full: WhenFull,
    pub(crate) copy_context: bool,
    /// Tells the pools of this process apart.
    pub(crate) number: u32,
    pub(crate) made_in: u32,
    /// Whether the program has shut it down, and not only the end of the interpreter.
    pub(crate) shut_down: AtomicBool,
    /// How many threads are being started at this moment.
    pub(crate) starting: AtomicUsize,
    pub(crate) executor: OnceLock<Py<PyWeakrefReference>>,
}

thread_local! {
    /// The number of the pool for which this thread is starting a worker; 0 for none.
    pub(crate) static STARTING: Cell<u32> = const { Cell::new(0) };
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

/// Whether the interpreter has begun to shut down.
pub(crate) fn at_exit() -> bool {
    AT_EXIT.load(Ordering::Acquire)
}

impl Workers {
    /// Puts a job into the pool, as its options say.
    pub(crate) fn add(&self, py: Python<'_>, job: Job) -> PyResult<()> {
        if self.is_over() && self.pool.broken().is_none() {
            return Err(errors::after_interpreter_shutdown());
        }
        match &job {
            Job::Task(core) => core.life.set_pool(self.number),
            Job::Items(block) => block.set_pool(self.number),
            Job::Ticket(_) => (),
        }
        let mut submitted = self.pool.submit(job, pool::WhenFull::Refuse);
        while let Err((job, rejection @ Rejection::Full { .. })) = submitted {
            let mut when_full = self.when_full;
            if worker::is_current(self.number) {
                when_full = when_full.in_worker();
            }
            submitted = match when_full {
                WhenFull::RunInCaller => return job::run_in_caller(py, job),
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

    /// Puts the items of a block into the pool.
    pub(crate) fn add_block(&self, py: Python<'_>, block: Arc<Block>) -> PyResult<()> {
        if block.items.len() == 1 {
            return self.add(py, Job::Items(block));
        }
        if self.is_over() && self.pool.broken().is_none() {
            return Err(errors::after_interpreter_shutdown());
        }
        block.set_pool(self.number);
        let submitted = self.pool.submit_joint(block);
        let mut added =
            submitted.map_err(|rejection| errors::rejected(py, rejection, self.is_over()))?;
        while let Some(worker) = added {
            self.start(py, worker)?;
            added = self.pool.add_worker();
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

    pub(crate) fn unstarted(&self) -> MutexGuard<'_, Vec<Worker<Job>>> {
        self.unstarted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels what has not started.
    pub(crate) fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_from_before_fork() {
            return Ok(());
        }
        // Not closed: those that sleep need not wake for the end.
        job::cancel_all(py, self.pool.drain())
    }

    /// Whether the end of the interpreter has ended it.
    fn is_over(&self) -> bool {
        at_exit() && !self.shut_down.load(Ordering::Acquire)
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
        // Not interned: the first who asks for an interned name makes it, and a child that is forked
        // meanwhile would wait for it for ever.
        let started = executor.call_method0("_adjust_thread_count");
        STARTING.set(outside);
        self.starting.fetch_sub(1, Ordering::AcqRel);
        let Err(error) = started else { return Ok(()) };
        drop(self.unstarted().pop());
        let left = self.pool.drain_if_no_workers();
        // One of those others may be this thread, whose task is about to wait for the new one.
        let others = left.is_empty() && !worker::is_current(self.number) && !self.is_over();
        if others && error.is_instance_of::<PyException>(py) {
            // The others will do the work.
            errors::log(py, "warning", "could not start a worker thread", None, &error);
            return Ok(());
        }
        errors::report(py, job::cancel_all(py, left));
        Err(error)
    }
}
