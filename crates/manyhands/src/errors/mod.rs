//! What can go wrong, as types: of a future, of a submission, of an executor's making.

mod compose;
mod deadlock;
mod graph;
mod process;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::panic::Panic;
use crate::promise::State;

pub use compose::{DependencyFailed, ScopeFailed};
pub use deadlock::{Deadlock, WaitingTask};
pub use graph::{Cycle, GraphError, GraphFailed};
pub use process::{BrokenProcessPool, Crash, Exit, NoWorkerLeft, NotCrossed, Overrun, TaskInfo};

/// A task's exception: how it failed.
///
/// A task that returned `Err` and a task that panicked have both failed, and the variants tell them
/// apart. Cloning is cheap: the error itself is shared.
///
/// ```
/// use manyhands::{Exception, Executor, InlineExecutor};
///
/// let inline = InlineExecutor::new();
/// let error = inline.try_spawn(|| "x".parse::<u8>())?.exception(None)?;
/// assert!(matches!(error, Some(Exception::Error(_))));
/// let panic = inline.spawn(|| panic!("no luck"))?.exception(None)?;
/// assert!(matches!(panic, Some(Exception::Panic(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Exception<E> {
    /// The task returned this as its `Err`.
    #[error("{0}")]
    Error(Arc<E>),
    /// The task panicked.
    #[error("{0}")]
    Panic(Panic),
    /// The executor broke before the task could run.
    #[error("{0}")]
    Broken(BrokenExecutor),
    /// The worker process that ran the task died.
    #[error("{0}")]
    Crashed(Arc<Crash>),
    /// The task ran for longer than its timeout allowed, and was stopped.
    #[error("{0}")]
    TimedOut(Arc<Overrun>),
    /// Every worker process runs a task that waits for another, so none was left for this one.
    #[error("{0}")]
    NoWorkerLeft(NoWorkerLeft),
    /// The task's arguments or its result could not be carried to or from a worker process.
    #[error("{0}")]
    NotCrossed(Arc<NotCrossed>),
    /// A future made by [`Future::timeout`](crate::Future::timeout): the other has not ended in this
    /// time. The task itself goes on.
    #[error("the task has not ended within {0:?}, and nobody waits for it here any more")]
    Elapsed(Duration),
    /// A task that this one depends on failed, so it was not run.
    #[error("{0}")]
    Dependency(DependencyFailed),
    /// The task was to be submitted later, and then the executor did not accept it.
    #[error("the executor did not accept the task: {0}")]
    Refused(Reason),
    /// A future made from another: the value of that one had been moved out by somebody else.
    #[error(
        "the value of the future that this one was made from has been moved out, by `into_result`, \
         `.await` or a second future made from it; share it in an `Arc`"
    )]
    Taken,
}

impl<E> Exception<E> {
    pub(crate) fn not_crossed(what: &'static str, why: String) -> Self {
        Self::NotCrossed(Arc::new(NotCrossed { what, why }))
    }

    /// The same, of a task with another type of error; `error` does it for the error itself.
    pub(crate) fn retyped<F>(self, error: impl FnOnce(Arc<E>) -> Exception<F>) -> Exception<F> {
        match self {
            Self::Error(own) => error(own),
            Self::Panic(panic) => Exception::Panic(panic),
            Self::Broken(broken) => Exception::Broken(broken),
            Self::Crashed(crash) => Exception::Crashed(crash),
            Self::TimedOut(overrun) => Exception::TimedOut(overrun),
            Self::NoWorkerLeft(error) => Exception::NoWorkerLeft(error),
            Self::NotCrossed(error) => Exception::NotCrossed(error),
            Self::Elapsed(time) => Exception::Elapsed(time),
            Self::Dependency(failed) => Exception::Dependency(failed),
            Self::Refused(reason) => Exception::Refused(reason),
            Self::Taken => Exception::Taken,
        }
    }
}

impl Exception<std::convert::Infallible> {
    /// The same, of a task that may return an error, though this one did not.
    pub(crate) fn widen<E>(self) -> Exception<E> {
        self.retyped(|error| match *error {})
    }
}

impl<E> Clone for Exception<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Error(error) => Self::Error(Arc::clone(error)),
            Self::Panic(panic) => Self::Panic(panic.clone()),
            Self::Broken(broken) => Self::Broken(broken.clone()),
            Self::Crashed(crash) => Self::Crashed(Arc::clone(crash)),
            Self::TimedOut(overrun) => Self::TimedOut(Arc::clone(overrun)),
            Self::NoWorkerLeft(error) => Self::NoWorkerLeft(*error),
            Self::NotCrossed(error) => Self::NotCrossed(Arc::clone(error)),
            Self::Elapsed(time) => Self::Elapsed(*time),
            Self::Dependency(failed) => Self::Dependency(failed.clone()),
            Self::Refused(reason) => Self::Refused(reason.clone()),
            Self::Taken => Self::Taken,
        }
    }
}

/// Why a future gave no result.
///
/// ```
/// use manyhands::{Future, FutureError};
/// use std::time::Duration;
///
/// let future: Future<i32> = Future::new();
/// assert!(matches!(future.result(Duration::ZERO), Err(FutureError::TimedOut)));
/// future.cancel();
/// assert!(matches!(future.result(None), Err(FutureError::Cancelled)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FutureError<E = std::convert::Infallible> {
    /// The time was up before the task had ended. The task goes on.
    #[error("the task has not ended within the time given")]
    TimedOut,
    /// The task was cancelled.
    #[error("the task was cancelled")]
    Cancelled,
    /// The task that asked and the one it asked for wait for each other.
    #[error("{0}")]
    Deadlock(Deadlock),
    /// The task failed.
    #[error("{0}")]
    Exception(Exception<E>),
    /// The result was there, and `into_result` or `.await` on another handle has moved it out.
    #[error(
        "the result has been moved out by `into_result` or `.await` on another handle; use \
         `result` there to leave a copy"
    )]
    Taken,
    /// A step of a `map` was not accepted by the executor.
    #[error("the executor did not accept the task: {0}")]
    Refused(Reason),
}

impl<E> Clone for FutureError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::TimedOut => Self::TimedOut,
            Self::Cancelled => Self::Cancelled,
            Self::Deadlock(deadlock) => Self::Deadlock(deadlock.clone()),
            Self::Exception(exception) => Self::Exception(exception.clone()),
            Self::Taken => Self::Taken,
            Self::Refused(reason) => Self::Refused(reason.clone()),
        }
    }
}

/// A transition that the state of the future does not allow (CPython's `InvalidStateError`).
///
/// ```
/// use manyhands::{Future, State};
///
/// let future: Future<i32> = Future::new();
/// future.set_result(1)?;
/// let invalid = future.set_result(2).unwrap_err();
/// assert_eq!((invalid.state, invalid.attempt), (State::Finished, "set_result"));
/// # Ok::<(), manyhands::InvalidState>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{attempt} is not possible: the future is {state}")]
pub struct InvalidState {
    /// Where the future stands.
    pub state: State,
    /// What was attempted.
    pub attempt: &'static str,
}

/// An executor that can run nothing any more, or could not run this task.
///
/// ```
/// use manyhands::{BrokenExecutor, BrokenThreadPool};
/// use std::sync::Arc;
///
/// let broken = BrokenThreadPool { reason: Arc::new("no threads".to_owned()) };
/// assert_eq!(BrokenExecutor::from(broken.clone()), BrokenExecutor::ThreadPool(broken));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenExecutor {
    /// A thread pool.
    #[error(transparent)]
    ThreadPool(#[from] BrokenThreadPool),
    /// A pool of processes.
    #[error(transparent)]
    ProcessPool(#[from] BrokenProcessPool),
}

/// A thread pool that can run nothing any more, or could not run this task.
///
/// ```
/// use manyhands::{BrokenExecutor, Exception, Executor, ThreadPoolExecutor};
///
/// let pool =
///     ThreadPoolExecutor::builder().try_initializer(|| Err("no licence"), ()).build()?;
/// let exception = pool.spawn(|| ())?.exception(None)?;
/// let Some(Exception::Broken(BrokenExecutor::ThreadPool(broken))) = exception else {
///     panic!("{exception:?}");
/// };
/// assert!(broken.reason.contains("no licence"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread pool cannot run the task: {reason}")]
pub struct BrokenThreadPool {
    /// What broke it: the initializer's failure, or the system's refusal to start a thread.
    pub reason: Arc<String>,
}

/// Why an executor did not accept a task.
///
/// ```
/// use manyhands::{Executor, InlineExecutor, Reason};
///
/// let inline = InlineExecutor::new();
/// inline.shutdown(true, false);
/// assert_eq!(inline.spawn(|| 5).unwrap_err().reason, Reason::Shutdown);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It has been shut down.
    #[error("cannot schedule new futures after shutdown")]
    Shutdown,
    /// Its queue is full.
    #[error("the queue is full: {max_pending} tasks are pending")]
    Full {
        /// The most tasks that may be pending.
        max_pending: usize,
    },
    /// It is broken.
    #[error(transparent)]
    Broken(#[from] BrokenExecutor),
    /// A [`task_scope`](crate::task_scope), which has failed, was cancelled or has been left.
    #[error("the scope has failed, was cancelled or has been left")]
    ScopeOver,
    /// It belongs to the process that this one was forked from: its workers and its manager are not
    /// here.
    #[error("this pool belongs to the process that this one was forked from; make one here")]
    Forked,
    /// It runs tasks in other processes, and this function was not declared there.
    #[error(
        "`{function}` cannot be called in another process: it is not among the functions that \
         `process::init` was given (add it to `tasks![...]` there; a closure cannot cross, write a \
         function)"
    )]
    NotDeclared {
        /// The function's path, or the closure's.
        function: &'static str,
    },
}

/// A task that was not accepted, given back.
///
/// ```
/// use manyhands::{Executor, InlineExecutor};
///
/// let inline = InlineExecutor::new();
/// inline.shutdown(true, false);
/// let refused = inline.spawn(|| 6 * 7).unwrap_err();
/// assert_eq!((refused.task)(), 42); // the closure is here again
/// ```
pub struct Refused<T> {
    /// Why.
    pub reason: Reason,
    /// What was not accepted: the function and its arguments, or the job.
    pub task: T,
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task refused: {}", self.reason)
    }
}

impl<T> std::error::Error for Refused<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Options that cannot be: the executor was not made.
///
/// ```
/// use manyhands::{ConfigError, ThreadPoolExecutor, WhenFull};
///
/// let none = ThreadPoolExecutor::builder().max_pending(0, WhenFull::Refuse).build();
/// assert_eq!(none.unwrap_err(), ConfigError::NoRoom);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// As CPython's `ValueError`.
    #[error("max_workers must be greater than 0")]
    NoWorkers,
    /// A queue without room accepts nothing.
    #[error("max_pending must be greater than 0; leave it out for an unbounded queue")]
    NoRoom,
    /// Worker processes are this program started again, and would not know that they are workers.
    #[error(
        "worker processes need `manyhands::process::init(tasks![...])` as the first line of `main` \
         (in tests, `manyhands::test_worker!`)"
    )]
    NotInitialised,
    /// A function that runs in the workers has to be declared like a task's.
    #[error(
        "the initializer `{function}` is not among the functions that `process::init` was given; add \
         it to `tasks![...]` there"
    )]
    InitializerNotDeclared {
        /// The function's path.
        function: &'static str,
    },
    /// The initializer's arguments cannot cross.
    #[error("the arguments of the initializer `{function}` could not be written as bytes")]
    InitializerArguments {
        /// The function's path.
        function: &'static str,
    },
    /// The system has no descriptor left.
    #[error("the system gave no descriptor for the pool: {error}")]
    NoDoorbell {
        /// What it said.
        error: std::io::ErrorKind,
    },
    /// A worker would have to be replaced before its first task.
    #[error("max_tasks_per_child must be greater than 0")]
    NoTasksPerChild,
}
