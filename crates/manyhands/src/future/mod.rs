//! `Future`: the Rust handle on a task's [`Promise`].

mod block_on;
mod continuation;
mod poll;
mod source;
mod task;

use std::convert::Infallible;
use std::fmt;
use std::hash::{Hash, Hasher};
#[cfg(all(target_os = "linux", not(loom)))]
use std::num::NonZeroU32;
use std::sync::Arc;
#[cfg(all(target_os = "linux", not(loom)))]
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::errors::{Deadlock, Exception, FutureError, InvalidState};
use crate::job;
use crate::nested::graph::{How, TaskId};
use crate::nested::{self, Waiting, Woken};
use crate::promise::{Promise, State, Turn, View};
use crate::ready::Ready;
use crate::spin;
use task::Handle;

#[cfg(all(test, loom))]
pub(crate) use block_on::Blocked;
pub use block_on::block_on;
pub(crate) use continuation::{Continuation, Continue};
pub(crate) use source::targets;
pub(crate) use task::{Core, DERIVED, Watcher, tell};

/// How long a task sees to the answers of worker processes for one of which it waits.
const ATTENDS: Duration = Duration::from_millis(20);

/// A handle on a task: what it will return, when it has.
///
/// `T` is the value and `E` the error of a task that can fail (`Infallible` for one that cannot but
/// by panicking). A handle is as cheap to clone as an `Arc`, compares and hashes by the task it
/// stands for, and may be dropped at any time: the task runs all the same.
///
/// A future is also a [`std::future::Future`], so any async runtime can `.await` it. In a task it is best
/// awaited by [`block_on`], which ends also where tasks await each other.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let future = pool.spawn(|| 6 * 7)?;
/// assert_eq!(future.result(None)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Future<T, E = Infallible>(Inner<T, E>);

enum Inner<T, E> {
    /// The job, if there is one, lies elsewhere.
    Bare(Arc<Core<(), T, E>>),
    /// One allocation holds the promise and the job.
    Task(Arc<dyn Handle<T, E>>),
}

impl<T: Send, E: Send + Sync> Future<T, E> {
    /// A pending future of no executor, for those who write one and for tests. Whoever makes it has
    /// to end it: by [`set_result`](Self::set_result), [`set_exception`](Self::set_exception), or
    /// [`set_running_or_notify_cancel`](Self::set_running_or_notify_cancel) once it is cancelled.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<i32> = Future::new();
    /// assert!(future.set_running_or_notify_cancel()?);
    /// future.set_result(5)?;
    /// assert_eq!(future.result(None)?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::new_without_default, reason = "a future nobody ends is no sensible default")]
    pub fn new() -> Self {
        Self::bare(Arc::new(Promise::new(None)))
    }

    pub(crate) fn bare(core: Arc<Core<(), T, E>>) -> Self {
        Self(Inner::Bare(core))
    }

    pub(crate) fn task(handle: Arc<dyn Handle<T, E>>) -> Self {
        Self(Inner::Task(handle))
    }

    /// The value, once the task has ended: blocks until then, `timeout` at the longest (`None`: for
    /// as long as it takes). May be called any number of times, from any thread; each call clones
    /// the value, with the future's lock held, so its `Clone` must not use this very future. Where
    /// there is no `Clone`, [`into_result`](Self::into_result) moves the value out.
    ///
    /// # Errors
    /// [`FutureError::TimedOut`], [`FutureError::Cancelled`], [`FutureError::Exception`] with the
    /// task's own error or its panic, [`FutureError::Taken`].
    ///
    /// ```
    /// use manyhands::{Exception, Executor, FutureError, InlineExecutor};
    ///
    /// let future = InlineExecutor::new().try_spawn(|| "x".parse::<u8>())?;
    /// let Err(FutureError::Exception(Exception::Error(error))) = future.result(None) else {
    ///     panic!("not a number");
    /// };
    /// assert_eq!(error.to_string(), "invalid digit found in string");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn result(&self, timeout: impl Into<Option<Duration>>) -> Result<T, FutureError<E>>
    where
        T: Clone,
    {
        self.wait(timeout.into())?;
        self.look(|view| match view {
            View::Done(value) => Ok(value.clone()),
            View::Failed(exception) => Err(FutureError::Exception(exception.clone())),
            View::Cancelled => Err(FutureError::Cancelled),
            View::Taken => Err(FutureError::Taken),
            View::Unfinished(_) => Err(FutureError::TimedOut),
        })
    }

    /// As [`result`](Self::result), and moves the value out: other handles on the same task get
    /// [`FutureError::Taken`] from then on.
    ///
    /// # Errors
    /// As [`result`](Self::result). After [`FutureError::TimedOut`] this handle is gone; keep a
    /// clone to ask again.
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// struct NotClone(u8);
    /// let future = InlineExecutor::new().spawn(|| NotClone(7))?;
    /// assert_eq!(future.into_result(None)?.0, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_result(self, timeout: impl Into<Option<Duration>>) -> Result<T, FutureError<E>> {
        self.wait(timeout.into())?;
        match self.0 {
            Inner::Task(task) if task.state() == State::Finished => task
                .into_outcome()
                .map_or(Err(FutureError::Taken), |outcome| outcome.map_err(FutureError::Exception)),
            other => Self(other).take(),
        }
    }

    /// The task's exception, or `None` when it returned a value: blocks as
    /// [`result`](Self::result) does.
    ///
    /// # Errors
    /// [`FutureError::TimedOut`] and [`FutureError::Cancelled`].
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let inline = InlineExecutor::new();
    /// assert!(inline.spawn(|| 1)?.exception(None)?.is_none());
    /// let exception = inline.spawn(|| panic!("no luck"))?.exception(None)?.unwrap();
    /// assert!(exception.to_string().starts_with("the task panicked: no luck"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exception(
        &self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Exception<E>>, FutureError<E>> {
        self.wait(timeout.into())?;
        self.look(|view| match view {
            View::Failed(exception) => Ok(Some(exception.clone())),
            View::Cancelled => Err(FutureError::Cancelled),
            View::Done(_) | View::Taken | View::Unfinished(_) => Ok(None),
        })
    }

    /// Cancels the task if it has not started. `true`: it is cancelled, now or before, and will
    /// never run; `false`: it is running or has ended. Callbacks run in this thread.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<()> = Future::new();
    /// assert!(future.cancel() && future.cancelled());
    /// ```
    pub fn cancel(&self) -> bool {
        match self.handle().cancel() {
            Ok(Some(wake)) => {
                tell(wake, || self.clone());
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// As [`cancel`](Self::cancel), and cancels the task even if it is running, where its executor can
    /// stop one: a [`ProcessPoolExecutor`](crate::ProcessPoolExecutor). The future ends at once; the
    /// task is asked to stop (see [`process::stop_requested`](crate::process::stop_requested)), and if
    /// it does not, its worker is ended and replaced. `false`: it runs where nobody can stop it, or has
    /// ended.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<()> = Future::new();
    /// assert!(future.cancel_running() && future.cancelled());
    /// ```
    pub fn cancel_running(&self) -> bool {
        match self.handle().cancel_running() {
            Ok(Some(wake)) => {
                tell(wake, || self.clone());
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Where the task stands at this moment.
    ///
    /// ```
    /// use manyhands::{Future, State};
    ///
    /// let future: Future<()> = Future::new();
    /// assert_eq!(future.state(), State::Pending);
    /// future.cancel();
    /// assert_eq!(future.state(), State::Cancelled);
    /// ```
    pub fn state(&self) -> State {
        self.handle().state()
    }

    /// Whether the task was cancelled.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<()> = Future::new();
    /// assert!(!future.cancelled());
    /// future.cancel();
    /// assert!(future.cancelled());
    /// ```
    pub fn cancelled(&self) -> bool {
        matches!(self.state(), State::Cancelled | State::CancelledAndNotified)
    }

    /// Whether the task is running at this moment.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<()> = Future::new();
    /// assert!(!future.running());
    /// future.set_running_or_notify_cancel()?;
    /// assert!(future.running());
    /// # Ok::<(), manyhands::InvalidState>(())
    /// ```
    pub fn running(&self) -> bool {
        self.state() == State::Running
    }

    /// Whether the task was cancelled or has ended.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<i32> = Future::new();
    /// assert!(!future.done());
    /// future.set_result(5)?;
    /// assert!(future.done());
    /// # Ok::<(), manyhands::InvalidState>(())
    /// ```
    pub fn done(&self) -> bool {
        self.state().is_done()
    }

    /// Calls `callback` with this future when the task has ended or is cancelled: in the thread
    /// that ends or cancels it, or here and now if it is done already. Callbacks run in the order
    /// in which they were added. One that panics is reported by `log::error!`, and the others still
    /// run.
    ///
    /// Of a task in a worker process, that is the thread which manages the pool. While a callback holds it up
    /// it sees no worker die and starts none. Should the callback wait for a future, another thread manages the
    /// pool from then on.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    /// use std::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// pool.spawn(|| 2 + 2)?.add_done_callback(move |future| {
    ///     sender.send(future.result(None)).unwrap();
    /// });
    /// assert_eq!(receiver.recv()??, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static) {
        if let Err(watcher) = self.handle().watch(Watcher::Callback(Box::new(callback))) {
            watcher.tell(|| self.clone());
        }
    }

    /// For executors: the task's turn has come. `true`: it is running now, run it; `false`: it was
    /// cancelled, and those who wait for it have been told.
    ///
    /// # Errors
    /// [`InvalidState`] when it is running or has ended.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<i32> = Future::new();
    /// future.cancel();
    /// if future.set_running_or_notify_cancel()? {
    ///     future.set_result(5)?;
    /// }
    /// assert!(future.cancelled());
    /// # Ok::<(), manyhands::InvalidState>(())
    /// ```
    pub fn set_running_or_notify_cancel(&self) -> Result<bool, InvalidState> {
        match self.handle().set_running_or_notify_cancel() {
            Ok(Turn::Run) => Ok(true),
            Ok(Turn::Skip(wake)) => {
                tell(wake, || self.clone());
                Ok(false)
            }
            Err(state) => Err(InvalidState { state, attempt: "set_running_or_notify_cancel" }),
        }
    }

    /// For executors: ends the task with a value.
    ///
    /// # Errors
    /// [`InvalidState`] when it has ended or is cancelled.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<i32> = Future::new();
    /// future.set_result(5)?;
    /// assert_eq!(future.result(None)?, 5);
    /// assert!(future.set_result(6).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_result(&self, value: T) -> Result<(), InvalidState> {
        self.finish(Ok(value), "set_result")
    }

    /// For executors: ends the task with its exception.
    ///
    /// # Errors
    /// [`InvalidState`] when it has ended or is cancelled.
    ///
    /// ```
    /// use manyhands::{Exception, Future};
    /// use std::sync::Arc;
    ///
    /// let future: Future<(), String> = Future::new();
    /// future.set_exception(Exception::Error(Arc::new("no luck".to_owned())))?;
    /// assert!(future.exception(None)?.is_some());
    /// assert!(future.set_result(()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_exception(&self, exception: Exception<E>) -> Result<(), InvalidState> {
        self.finish(Err(exception), "set_exception")
    }

    fn finish(
        &self,
        outcome: Result<T, Exception<E>>,
        attempt: &'static str,
    ) -> Result<(), InvalidState> {
        match self.handle().finish(outcome) {
            Ok(wake) => {
                tell(wake, || self.clone());
                Ok(())
            }
            Err(state) => Err(InvalidState { state, attempt }),
        }
    }

    /// Whether the task has ended with an exception.
    pub(crate) fn has_failed(&self) -> bool {
        self.done() && self.look(|view| matches!(view, View::Failed(_)))
    }

    pub(crate) fn watch(&self, watcher: Watcher<T, E>) -> Result<(), Watcher<T, E>> {
        self.handle().watch(watcher)
    }

    /// Has `next` go on when the task has ended, or here and now if it has.
    pub(crate) fn go_on_with(&self, next: Arc<dyn Continue<T, E>>) {
        if let Err(watcher) = self.watch(Watcher::Next(Continuation::new(next))) {
            watcher.tell(|| self.clone());
        }
    }

    /// Takes back what [`watch`](Self::watch) registered with `ready`.
    pub(crate) fn forget(&self, ready: &Arc<Ready>) {
        drop(
            self.handle().unwatch(
                &mut |w| matches!(w, Watcher::Ready(other, _) if Arc::ptr_eq(other, ready)),
            ),
        );
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<(), FutureError<E>> {
        match self.wait_before(deadline(timeout)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(FutureError::TimedOut),
            Err(deadlock) => Err(FutureError::Deadlock(deadlock)),
        }
    }

    /// As long as the caller waits for it, for as long as it takes: may run it.
    pub(crate) fn run_if_parents(&self) {
        self.handle().run_if_parents();
    }

    /// Whether the task is done, or was before `deadline`; an error if it never will be.
    pub(crate) fn wait_before(&self, deadline: Option<Instant>) -> Result<bool, Deadlock> {
        if self.done() {
            return Ok(true);
        }
        if nested::in_task() {
            return self.wait_in_task(deadline);
        }
        self.handle().wait(deadline)
    }

    /// As `wait_before`, in a task; see [`nested`].
    #[cold]
    fn wait_in_task(&self, deadline: Option<Instant>) -> Result<bool, Deadlock> {
        if deadline.is_none() && self.run_in_place() {
            return Ok(true);
        }
        if self.handle().is_away() {
            // Others see to its answer from then on.
            let attended = deadline.unwrap_or_else(|| Instant::now() + ATTENDS);
            let wait = |until| self.handle().wait(until);
            let ended = Waiting::begin(false).wait_by(Some(attended), wait)?;
            if ended || deadline.is_some() {
                return Ok(ended);
            }
        }
        if deadline.is_none() && spin::for_caller(|| self.done()) {
            return Ok(true);
        }
        let ready = Arc::new(Ready::new());
        if self.watch(Watcher::Task(Arc::clone(&ready))).is_err() {
            return Ok(true);
        }
        let for_this = || targets(std::iter::once(self), How::All);
        let own = nested::is_own(self.pool());
        let woken = nested::sleep_here(&ready, 1, own, &for_this, deadline);
        if !self.done() {
            let is_it = |watcher: &Watcher<T, E>| matches!(watcher, Watcher::Task(other) if Arc::ptr_eq(other, &ready));
            drop(self.handle().unwatch(&mut { is_it }));
        }
        match woken {
            Woken::Deadlock(deadlock) => Err(deadlock),
            Woken::Ended | Woken::TimeIsUp => Ok(self.done()),
        }
    }

    /// The number of the executor that it was sent away by, to another process.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn executor(&self) -> Option<NonZeroU32> {
        self.handle().executor()
    }

    /// Has the waker of this party woken when it has ended; `false`: it has.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn wake_when_done(&self, party: usize, waker: Waker) -> bool {
        self.watch(Watcher::Waker(party, waker)).is_ok()
    }

    /// Takes that back.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn forget_waker(&self, party: usize) {
        let is_it = |watcher: &Watcher<T, E>| matches!(watcher, Watcher::Waker(other, _) if *other == party);
        drop(self.handle().unwatch(&mut { is_it }));
    }

    /// The number of the pool that it is of, or that what it was made from is of.
    pub(crate) fn pool(&self) -> u32 {
        self.handle().pool()
    }

    /// Runs the task if the calling thread works for the pool in which it is pending; whether it has ended.
    pub(crate) fn run_in_place(&self) -> bool {
        let Inner::Task(handle) = &self.0 else { return false };
        if handle.state() != State::Pending || !nested::runs_in_place(handle.pool()) {
            return false;
        }
        if !nested::run_recent(self.address().addr())
            && let Some(task) = Arc::clone(handle).as_run()
        {
            job::run_in_place(task);
        }
        self.done()
    }

    /// The outcome of a task that is done, its value moved out.
    pub(crate) fn take(&self) -> Result<T, FutureError<E>> {
        if let Some(value) = self.handle().take() {
            return Ok(value);
        }
        self.look(|view| {
            Err(match view {
                View::Failed(exception) => FutureError::Exception(exception.clone()),
                View::Cancelled => FutureError::Cancelled,
                View::Done(_) | View::Taken => FutureError::Taken,
                View::Unfinished(_) => FutureError::TimedOut,
            })
        })
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(View<'_, T, Exception<E>>) -> R) -> R {
        let mut look = Some(look);
        let mut seen = None;
        self.handle().look(&mut |view| seen = look.take().map(|look| look(view)));
        seen.expect("a promise shows itself exactly once")
    }

    fn handle(&self) -> &(dyn Handle<T, E> + '_) {
        match &self.0 {
            Inner::Bare(core) => &**core,
            Inner::Task(handle) => &**handle,
        }
    }
}

/// The moment at which `timeout` is up; `None` also for one too far away to be a moment.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

impl<T, E> Clone for Future<T, E> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Inner::Bare(core) => Inner::Bare(Arc::clone(core)),
            Inner::Task(handle) => Inner::Task(Arc::clone(handle)),
        })
    }
}

impl<T, E> Future<T, E> {
    /// What tells one task from another, as long as a handle on it lives.
    pub(crate) fn address(&self) -> *const () {
        match &self.0 {
            Inner::Bare(core) => Arc::as_ptr(core).cast(),
            Inner::Task(handle) => Arc::as_ptr(handle).cast(),
        }
    }

    /// Whether nobody else has a handle, the executor of the task included.
    pub(crate) fn is_only_handle(&self) -> bool {
        let handles = match &self.0 {
            Inner::Bare(core) => Arc::strong_count(core),
            Inner::Task(handle) => Arc::strong_count(handle),
        };
        handles == 1
    }

    /// Its address, as the wait-for graph knows it.
    pub(crate) fn id(&self) -> TaskId {
        self.address().addr()
    }
}

impl<T, E> PartialEq for Future<T, E> {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl<T, E> Eq for Future<T, E> {}

impl<T, E> Hash for Future<T, E> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.address().hash(hasher);
    }
}

impl<T: Send, E: Send + Sync> fmt::Debug for Future<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Future at {:p} state={}>", self.address(), self.state())
    }
}
