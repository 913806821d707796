//! The options of a thread pool.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::ThreadPoolExecutor;
use super::pool::Pool;
use super::scope::{self, Scope};
use super::worker_loop::Workers;
use crate::errors::ConfigError;
use crate::function::Function;
use crate::panic;

/// What a submit does when a bounded queue is full.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor, WhenFull};
/// use std::sync::mpsc;
///
/// let pool =
///     ThreadPoolExecutor::builder().max_workers(1).max_pending(1, WhenFull::RunInCaller).build()?;
/// let (done, wait) = mpsc::channel::<()>();
/// let (started, start) = mpsc::channel::<()>();
/// pool.spawn(move || { started.send(()).unwrap(); wait.recv() })?;
/// start.recv()?;
/// pool.spawn(|| "pending")?; // the queue is full now
/// let thread = pool.spawn(|| std::thread::current().id())?.result(None)?;
/// assert_eq!(thread, std::thread::current().id());
/// drop(done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Waits for room. A task of the pool itself does not wait, which might be for ever: it runs
    /// the new task in its own thread, nested on its stack.
    #[default]
    Block,
    /// Waits for room so long, then refuses, giving the task back.
    BlockFor(Duration),
    /// Refuses, giving the task back.
    Refuse,
    /// Runs the task in the thread that submits it.
    RunInCaller,
}

impl WhenFull {
    /// What this means for a submit that comes from one of the pool's own workers: one that blocked
    /// would wait for room that perhaps only it could make, so it runs the task itself.
    ///
    /// ```
    /// use manyhands::WhenFull;
    ///
    /// assert_eq!(WhenFull::Block.in_worker(), WhenFull::RunInCaller);
    /// assert_eq!(WhenFull::Refuse.in_worker(), WhenFull::Refuse);
    /// ```
    pub fn in_worker(self) -> Self {
        match self {
            Self::Block => Self::RunInCaller,
            other => other,
        }
    }
}

/// The options of a [`ThreadPoolExecutor`]; made by [`ThreadPoolExecutor::builder`].
#[must_use = "a builder makes nothing until `build` or `scope`"]
pub struct ThreadPoolBuilder {
    max_workers: usize,
    max_pending: Option<(usize, WhenFull)>,
    name_prefix: Option<String>,
    initializer: Option<Initializer>,
}

pub(super) type Initializer = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_workers: default_workers(),
            max_pending: None,
            name_prefix: None,
            initializer: None,
        }
    }

    /// The most threads there may be. Default: four more than the CPUs this process may use, and 32
    /// at the most, as in CPython 3.13.
    ///
    /// ```
    /// use manyhands::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(3).build()?;
    /// assert_eq!(pool.max_workers(), 3);
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = max_workers;
        self
    }

    /// The first part of the threads' names, which go on `_0`, `_1`…. Default:
    /// `ThreadPoolExecutor-N` with a count of the pools made.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().thread_name_prefix("io").build()?;
    /// let name = pool.spawn(|| std::thread::current().name().map(str::to_owned))?.result(None)?;
    /// assert_eq!(name.as_deref(), Some("io_0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.name_prefix = Some(prefix.into());
        self
    }

    /// Called in each thread before its first task, with its own clone of `args`. If it panics, the
    /// pool is broken: what is pending and whatever is submitted later fails with
    /// [`BrokenThreadPool`](crate::BrokenThreadPool), which says why.
    ///
    /// ```
    /// use manyhands::{Exception, Executor, FutureError, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .initializer(|limit: u32| assert!(limit > 10, "{limit} is not enough"), (5,))
    ///     .build()?;
    /// match pool.spawn(|| ())?.result(None) {
    ///     Err(FutureError::Exception(Exception::Broken(broken))) => {
    ///         assert!(broken.to_string().contains("5 is not enough"));
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn initializer<F, A>(self, function: F, args: A) -> Self
    where
        F: Function<A, Output = ()> + Clone + Send + Sync + 'static,
        A: Clone + Send + Sync + 'static,
    {
        self.call_first(move || {
            function.clone().call(args.clone());
            Ok(())
        })
    }

    /// As [`initializer`](Self::initializer), for a function that returns a `Result`: its `Err`
    /// breaks the pool too.
    ///
    /// ```
    /// use manyhands::{Exception, Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder()
    ///     .try_initializer(|path| std::fs::read(path).map(drop), ("no such file",))
    ///     .build()?;
    /// let exception = pool.spawn(|| ())?.exception(None)?;
    /// assert!(matches!(exception, Some(Exception::Broken(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_initializer<F, A, E>(self, function: F, args: A) -> Self
    where
        F: Function<A, Output = Result<(), E>> + Clone + Send + Sync + 'static,
        A: Clone + Send + Sync + 'static,
        E: fmt::Display,
    {
        self.call_first(move || {
            function.clone().call(args.clone()).map_err(|error| error.to_string())
        })
    }

    fn call_first(mut self, call: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(move || {
            panic::catch(&call).unwrap_or_else(|panic| Err(panic.to_string()))
        }));
        self
    }

    /// Bounds the queue: no more than `max_pending` tasks wait to be run. Default: no bound.
    /// A task that was cancelled keeps its place until a worker passes it by.
    ///
    /// ```
    /// use manyhands::{Executor, Reason, ThreadPoolExecutor, WhenFull};
    /// use std::sync::mpsc;
    ///
    /// let pool =
    ///     ThreadPoolExecutor::builder().max_workers(1).max_pending(1, WhenFull::Refuse).build()?;
    /// let (done, wait) = mpsc::channel::<()>();
    /// let (started, start) = mpsc::channel::<()>();
    /// let first = pool.spawn(move || { started.send(()).unwrap(); wait.recv() })?;
    /// start.recv()?;
    /// let second = pool.spawn(|| 2)?;
    /// assert_eq!(pool.spawn(|| 3).unwrap_err().reason, Reason::Full { max_pending: 1 });
    /// drop(done);
    /// assert_eq!(second.result(None)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_pending(mut self, max_pending: usize, when_full: WhenFull) -> Self {
        self.max_pending = Some((max_pending, when_full));
        self
    }

    /// Makes the pool. No thread starts before the first task.
    ///
    /// # Errors
    /// [`ConfigError`] for `max_workers` or `max_pending` of 0.
    ///
    /// ```
    /// use manyhands::{ConfigError, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().build()?;
    /// assert_eq!(pool.stats().workers, 0);
    /// let none = ThreadPoolExecutor::builder().max_workers(0).build();
    /// assert_eq!(none.unwrap_err(), ConfigError::NoWorkers);
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn build(self) -> Result<ThreadPoolExecutor, ConfigError> {
        Ok(ThreadPoolExecutor::with(self.check()?.workers()))
    }

    /// Makes a pool for as long as `f` runs, whose tasks may borrow what lives longer, as those of
    /// [`std::thread::scope`] may. Returns when `f` has returned and all tasks have ended.
    ///
    /// # Errors
    /// [`ConfigError`] for `max_workers` or `max_pending` of 0; `f` is not called then.
    ///
    /// # Panics
    /// If `f` panics, after all tasks have ended. A task's panic is its future's.
    ///
    /// ```
    /// use manyhands::ThreadPoolExecutor;
    ///
    /// let words = ["one", "three", "eleven"];
    /// let longest = ThreadPoolExecutor::builder().scope(|scope| {
    ///     let future = scope.spawn(|| words.iter().max_by_key(|word| word.len())).unwrap();
    ///     future.result(None).unwrap()
    /// })?;
    /// assert_eq!(longest, Some(&"eleven"));
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    pub fn scope<'env, R>(
        self,
        f: impl for<'scope> FnOnce(&Scope<'scope, 'env>) -> R,
    ) -> Result<R, ConfigError> {
        Ok(scope::run(self.check()?, f))
    }

    fn check(self) -> Result<Options, ConfigError> {
        let max_workers = NonZeroUsize::new(self.max_workers).ok_or(ConfigError::NoWorkers)?;
        let (max_pending, when_full) = match self.max_pending {
            None => (None, WhenFull::default()),
            Some((most, when_full)) => {
                (Some(NonZeroUsize::new(most).ok_or(ConfigError::NoRoom)?), when_full)
            }
        };
        let Self { name_prefix, initializer, .. } = self;
        Ok(Options { max_workers, max_pending, when_full, name_prefix, initializer })
    }
}

/// Options that can be.
pub(super) struct Options {
    max_workers: NonZeroUsize,
    max_pending: Option<NonZeroUsize>,
    when_full: WhenFull,
    name_prefix: Option<String>,
    initializer: Option<Initializer>,
}

impl Options {
    pub(super) fn workers<'env>(self) -> Workers<'env> {
        let pool = Pool::new(self.max_workers, self.max_pending);
        Workers::new(pool, self.when_full, self.name_prefix, self.initializer)
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("max_pending", &self.max_pending)
            .finish_non_exhaustive()
    }
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).saturating_add(4).min(32)
}
