//! `ProcessPoolExecutor`: tasks on a pool of worker processes.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::buffer::Buffer;
use super::builder::ProcessPoolBuilder;
use super::lending::{Carrier, carrying, with_carrier};
use super::options::TaskOptions;
use super::passing::Passing;
use super::pool::Pool;
use super::request::Request;
use super::supervisor::{Event, Rules, Stats};
use super::task::RustTask;
use crate::crossing::{Body, Registry};
use crate::errors::{ConfigError, Exception, Reason, Refused};
use crate::executor::Executor;
use crate::job::Job;
use manyhands_shm::Number;

thread_local! {
    /// Memory in which arguments are written: short ones leave it for the next.
    static WRITTEN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// More of it is not kept.
const MOST_KEPT: usize = 4 << 10;

/// Runs tasks on a pool of worker processes.
///
/// A worker that dies, by whatever cause, costs the task that it ran and no other, and is replaced. A
/// task can have a timeout, and can be cancelled while it runs: its worker is ended then. See
/// [the module](super) for what can be a task.
///
/// Workers start on demand, up to `max_workers`. Dropping the executor waits for all its tasks.
///
/// ```
/// use manyhands::{Executor, ProcessPoolExecutor, process, tasks};
///
/// fn greet(name: String) -> String {
///     format!("hello {name} from {}", std::process::id())
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init(tasks![greet]);
///     let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
///     let greeting = pool.submit(greet, ("you".to_owned(),))?.result(None)?;
///     assert!(greeting.starts_with("hello you from "));
///     assert!(!greeting.ends_with(&std::process::id().to_string()));
///     Ok(())
/// }
/// ```
pub struct ProcessPoolExecutor {
    pool: Arc<Pool<RustTask>>,
    registry: Arc<Registry>,
    max_workers: usize,
}

impl ProcessPoolExecutor {
    /// A pool of at most `max_workers` processes.
    ///
    /// # Errors
    /// [`ConfigError`] when that is 0, and if the program has not called [`init`](super::init).
    pub fn new(max_workers: usize) -> Result<Self, ConfigError> {
        Self::builder().max_workers(max_workers).build()
    }

    /// A pool with more options.
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::new()
    }

    pub(super) fn with_pool(
        pool: Arc<Pool<RustTask>>,
        registry: Arc<Registry>,
        max_workers: usize,
    ) -> Self {
        pool.know();
        Self { pool, registry, max_workers }
    }

    /// The same pool, for tasks with options of their own: an executor to submit to.
    ///
    /// ```no_run
    /// # use manyhands::{Executor, ProcessPoolExecutor, process::TaskOptions};
    /// # use std::time::Duration;
    /// # fn work(n: u64) -> u64 { n }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = ProcessPoolExecutor::new(2)?;
    /// let limited = pool.with(TaskOptions::new().timeout(Duration::from_secs(5)));
    /// let future = limited.submit(work, (7,))?;
    /// # Ok(()) }
    /// ```
    pub fn with(&self, options: TaskOptions) -> WithOptions<'_> {
        WithOptions { executor: self, options }
    }

    /// A copy of `numbers` in shared memory, for a task of this pool: the only copy that is made of them
    /// on their way to it. (A [`Buffer`] that was made otherwise is copied when it is submitted.)
    ///
    /// ```no_run
    /// # use manyhands::{Executor, ProcessPoolExecutor, process::Buffer};
    /// # fn sum(numbers: Buffer<f64>) -> f64 { numbers.iter().sum() }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = ProcessPoolExecutor::new(2)?;
    /// # let measured = vec![1.5; 1_000_000];
    /// let future = pool.submit(sum, (pool.buffer(&measured),))?;
    /// # Ok(()) }
    /// ```
    pub fn buffer<T: Number>(&self, numbers: &[T]) -> Buffer<T> {
        Buffer::copied(numbers, self.pool.arena())
    }

    /// What goes on in the pool at this moment.
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    /// The most worker processes there may be.
    pub fn max_workers(&self) -> usize {
        self.max_workers
    }

    /// The process numbers of the workers there are.
    pub fn worker_pids(&self) -> Vec<u32> {
        self.pool.pids()
    }

    /// Shuts down as [`Executor::shutdown`] does and waits for the tasks, `timeout` at the longest;
    /// whether all have ended and all workers have left. A callback that the pool calls cannot wait for
    /// it: called from one, this returns `false` at once.
    pub fn shutdown_timeout(&self, timeout: Duration, cancel_futures: bool) -> bool {
        self.pool.close(cancel_futures);
        self.pool.join(Some(timeout))
    }

    /// Ends all workers by SIGTERM, which they may handle, and by SIGKILL those that have not obeyed
    /// within the grace. All tasks that have not ended fail as broken, and nothing more is accepted.
    /// (As in CPython 3.14.)
    pub fn terminate_workers(&self) {
        self.pool.tell(Event::Terminate);
    }

    /// Ends all workers by SIGKILL, as [`terminate_workers`](Self::terminate_workers) does otherwise.
    pub fn kill_workers(&self) {
        self.pool.tell(Event::Kill);
    }

    fn accept(&self, job: Job<'static>, options: TaskOptions) -> Result<(), Refused<Job<'static>>> {
        let function = job.function();
        let Some(declared) = function.and_then(|function| self.registry.of_type(function)) else {
            let function = function.map_or("a scoped task", |function| function.name);
            return Err(Refused { reason: Reason::NotDeclared { function }, task: job });
        };
        let reserved = match self.pool.reserve() {
            Ok(reserved) => reserved,
            Err(reason) => return Err(Refused { reason, task: job }),
        };
        let Some(task) = job.into_remote() else { return Ok(()) };
        let mut body = Body::after(WRITTEN.try_with(Cell::take).unwrap_or_default());
        body.bytes.clear();
        let mut pack = || task.pack(self.pool.number(), declared, &mut body);
        // Within arguments that are written themselves, what goes beside those is not to be touched either.
        let carries = declared.takes_owners() || with_carrier(|_| ()).is_some();
        let (packed, lent, passing) = if carries {
            let arena = self.pool.arena().cloned();
            let passing = Some(Passing::Out(Vec::new()));
            let with = Carrier { arena, passing, ..Carrier::default() };
            let (packed, Carrier { lent, passing, .. }) = carrying(with, pack);
            (packed, lent, passing)
        } else {
            (pack(), Vec::new(), None)
        };
        let request = match packed {
            None => return Ok(()), // Cancelled, or ended by somebody else.
            Some(packed) => packed.map_err(|error| error.0).and_then(|()| {
                Request::new(declared.id(), body.kind, &mut body.bytes, lent, self.pool.arena())
            }),
        };
        if body.bytes.capacity() <= MOST_KEPT {
            let _ = WRITTEN.try_with(|written| written.set(body.bytes));
        }
        let mut request = match request {
            Ok(request) => request,
            Err(why) => {
                task.lose(Exception::not_crossed("the arguments", why));
                return Ok(());
            }
        };
        if let Some(Passing::Out(futures)) = passing {
            request.pass(futures);
        }
        let rules = Rules { timeout: options.timeout, retries: options.retries };
        let task = RustTask::new(task, declared);
        reserved.submit(task, request, rules);
        Ok(())
    }
}

impl Executor for ProcessPoolExecutor {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        self.accept(job, TaskOptions::new())
    }

    fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.pool.close(cancel_futures);
        if wait {
            self.pool.join(None);
        }
    }
}

impl Drop for ProcessPoolExecutor {
    fn drop(&mut self) {
        self.shutdown(true, false);
    }
}

impl fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolExecutor")
            .field("max_workers", &self.max_workers)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A [`ProcessPoolExecutor`] for tasks with options of their own; made by
/// [`ProcessPoolExecutor::with`].
#[derive(Clone, Copy, Debug)]
pub struct WithOptions<'a> {
    executor: &'a ProcessPoolExecutor,
    options: TaskOptions,
}

impl Executor for WithOptions<'_> {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        self.executor.accept(job, self.options)
    }

    fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.executor.shutdown(wait, cancel_futures);
    }
}
