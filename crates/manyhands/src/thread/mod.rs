//! `ThreadPoolExecutor`: tasks on a pool of threads.

mod builder;
mod join;
pub mod pool;
mod scope;
mod standby;
mod worker_loop;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use manyhands_join::Deque;

use crate::errors::{ConfigError, Refused};
use crate::executor::Executor;
use crate::future::deadline;
use crate::job::Job;
use crate::nested::Compensate;
use crate::nested::graph::TaskId;
use join::Call;
use pool::{Lender, Moving, Seat, Stats, Worker};
use worker_loop::Workers;

pub use builder::{ThreadPoolBuilder, WhenFull};
pub use join::{join, map_slice};
pub use scope::Scope;

/// Runs tasks on a pool of threads.
///
/// Threads start on demand, up to `max_workers`, and an idle one is used before a new one is
/// started. Tasks start in the order in which they were submitted; where they are so short that
/// coming for each costs more than running it, a worker takes several at once, and two that stand
/// close together may change places. A task that panics ends with that exception and harms no
/// other.
///
/// Dropping the executor waits for all its tasks, as the end of a `with` block does in Python; so
/// does the end of [`scope`](ThreadPoolBuilder::scope), whose tasks may borrow from the stack.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).thread_name_prefix("answer").build()?;
/// let future = pool.spawn(|| std::thread::current().name().map(str::to_owned))?;
/// assert_eq!(future.result(None)?.as_deref(), Some("answer_0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadPoolExecutor(Arc<Inner>);

/// What the executor shares with its threads.
struct Inner {
    workers: Workers<'static>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` threads.
    ///
    /// # Errors
    /// [`ConfigError::NoWorkers`] when that is 0.
    ///
    /// ```
    /// use manyhands::{ConfigError, ThreadPoolExecutor};
    ///
    /// assert_eq!(ThreadPoolExecutor::new(0).unwrap_err(), ConfigError::NoWorkers);
    /// ```
    pub fn new(max_workers: usize) -> Result<Self, ConfigError> {
        Self::builder().max_workers(max_workers).build()
    }

    /// A pool with more options.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("io").build()?;
    /// assert_eq!(pool.spawn(|| 6 * 7)?.result(None)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    fn with(workers: Workers<'static>) -> Self {
        Self(Arc::new(Inner { workers, threads: Mutex::default() }))
    }

    /// Calls a function in this thread, and lets workers take over what it lends: in it, [`join`] and [`map_slice`]
    /// do what they do in a task of this pool.
    ///
    /// So a computation may borrow what is on this stack, needs no future, and uses this thread beside the workers,
    /// where a task would leave it asleep. It is no task: it does not wait in the queue, [`Stats`] do not count it, and
    /// [`shutdown`](Executor::shutdown) does not wait for it. When the pool is shut down meanwhile, or broken, this
    /// thread does alone what is left. In a task of this pool it is a plain call.
    ///
    /// rayon's `ThreadPool::install` moves the function to a worker; this stays here, so it need not be `Send`.
    ///
    /// # Panics
    /// If the function does.
    ///
    /// ```
    /// use manyhands::{ThreadPoolExecutor, map_slice};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let words = vec![String::from("one"), String::from("three")];
    /// assert_eq!(pool.install(|| map_slice(&words, |word| word.len())), [3, 5]);
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    pub fn install<F, R>(&self, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        if self.0.workers.is_current() {
            return f();
        }
        let _lends = join::lend_to(&self.0.workers.pool, |lender| Outside {
            inner: Arc::clone(&self.0),
            lender,
        });
        f()
    }

    /// What goes on in the pool at this moment.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// pool.spawn(|| ())?.result(None)?;
    /// let stats = pool.stats();
    /// assert_eq!((stats.completed, stats.pending, stats.workers), (1, 0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.0.workers.pool.stats()
    }

    /// The most threads there may be.
    ///
    /// ```
    /// use manyhands::ThreadPoolExecutor;
    ///
    /// assert_eq!(ThreadPoolExecutor::new(2)?.max_workers(), 2);
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    pub fn max_workers(&self) -> usize {
        self.0.workers.pool.max_workers()
    }

    /// Shuts down as [`Executor::shutdown`] does and waits for the tasks, `timeout` at the longest;
    /// whether all have ended. A task of the pool itself cannot wait for its own end: called from
    /// one, this returns `false` at once, and `shutdown` returns without waiting. Dropping the pool
    /// later still waits for its tasks.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let (done, wait) = mpsc::channel::<()>();
    /// pool.spawn(move || wait.recv().is_err())?;
    /// assert!(!pool.shutdown_timeout(Duration::from_millis(1), false)); // it runs on
    /// drop(done);
    /// assert!(pool.shutdown_timeout(Duration::MAX, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown_timeout(&self, timeout: Duration, cancel_futures: bool) -> bool {
        self.0.workers.close(cancel_futures);
        self.join(deadline(Some(timeout)))
    }

    fn join(&self, deadline: Option<Instant>) -> bool {
        let workers = &self.0.workers;
        if workers.is_current()
            || !workers.pool.wait_for_workers(deadline)
            || !workers.wait_for_cancels(deadline)
        {
            return false;
        }
        // All have left the pool, so what is left of their threads ends at once.
        let threads =
            std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        threads.into_iter().for_each(see_off);
        true
    }
}

impl Inner {
    fn start(self: &Arc<Self>, added: Option<Worker<Job<'static>>>) {
        if let Some(worker) = added {
            self.workers.start(worker, &|worker| self.start_thread(worker));
        }
    }

    fn start_thread(self: &Arc<Self>, worker: Worker<Job<'static>>) -> io::Result<()> {
        let inner = Arc::clone(self);
        let thread = self.workers.thread(worker.index()).spawn(move || {
            let compensate = Arc::new(InStead { inner: Arc::clone(&inner), seat: worker.seat() });
            inner.workers.work(worker, compensate, &|worker| inner.start_thread(worker));
        })?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that worked in the stead of others come and go.
        threads.extract_if(.., |thread| thread.is_finished()).for_each(see_off);
        threads.push(thread);
        Ok(())
    }
}

fn see_off(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        log::error!("a worker thread has panicked outside of any task");
    }
}

/// Has others work in the stead of a worker whose task waits.
struct InStead {
    inner: Arc<Inner>,
    seat: Seat<Job<'static>>,
}

impl Compensate for InStead {
    fn begin_wait(&self, own: bool) -> bool {
        self.inner.start(self.seat.begin_wait(own));
        own
    }

    fn relieve(&self) -> bool {
        match self.seat.relieve() {
            Ok(added) => self.inner.start(added),
            Err(Moving) => return false,
        }
        true
    }

    fn end_wait(&self, relieved: bool) {
        self.seat.end_wait(relieved);
    }

    fn is_exhausted(&self) -> bool {
        self.seat.is_last()
    }

    fn run_recent(&self, task: TaskId) -> bool {
        let job = self.seat.take_recent(|job| job.id() == Some(task));
        job.map(Job::run).is_some()
    }
}

impl Call for InStead {
    fn call(&self, lent: &Arc<Deque>) {
        self.inner.start(self.seat.call(Arc::clone(lent) as _));
    }
}

/// Calls workers for a thread that is none of them.
struct Outside {
    inner: Arc<Inner>,
    lender: Lender<Job<'static>>,
}

impl Call for Outside {
    fn call(&self, _lent: &Arc<Deque>) {
        self.inner.start(self.lender.call());
    }
}

impl Executor for ThreadPoolExecutor {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        self.0.workers.execute(job, &|worker| self.0.start_thread(worker))
    }

    fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.0.workers.close(cancel_futures);
        if wait {
            self.join(None);
        }
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.shutdown(true, false);
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &self.max_workers())
            .field("stats", &self.stats())
            .finish()
    }
}
