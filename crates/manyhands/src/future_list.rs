//! The list of futures of the 2009 proposal: what `run_to_futures` and `run_to_results` return.

use std::ops::Index;
use std::time::{Duration, Instant};

use crate::errors::{FutureError, Refused};
use crate::executor::Executor;
use crate::future::{Future, deadline};
use crate::promise::State;
use crate::wait::{ReturnWhen, wait};

/// The futures of several calls, in the order of the calls.
///
/// ```
/// use manyhands::{Executor, InlineExecutor, ReturnWhen};
///
/// let calls = ["1", "two"].map(|word| move || word.parse::<u8>());
/// let list = InlineExecutor::new().run_to_futures(calls, None, ReturnWhen::AllCompleted)?;
/// assert_eq!((list.len(), list.is_empty(), list.contains(&list[0])), (2, false, true));
/// assert!(list.iter().eq(list.done_futures()) && list.has_done_futures());
///
/// assert!(list.has_successful_futures() && list.has_exception_futures());
/// assert_eq!(list.successful_futures().collect::<Vec<_>>(), [&list[0]]);
/// assert_eq!(list.exception_futures().collect::<Vec<_>>(), [&list[1]]);
///
/// assert!(!list.has_running_futures() && !list.has_cancelled_futures());
/// assert_eq!(list.running_futures().chain(list.cancelled_futures()).count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FutureList<T: Send, E: Send + Sync> {
    futures: Vec<Future<T, E>>,
}

impl<T: Send + 'static, E: Send + Sync + 'static> FutureList<T, E> {
    /// Submits all of `calls`; when one is refused, those before it are cancelled.
    #[track_caller]
    pub(crate) fn submit<X, C>(
        executor: &X,
        calls: impl IntoIterator<Item = C>,
    ) -> Result<Self, Refused<C>>
    where
        X: Executor,
        C: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let mut futures = Vec::new();
        for call in calls {
            match executor.try_spawn(call) {
                Ok(future) => futures.push(future),
                Err(refused) => {
                    for future in futures.iter().rev() {
                        future.cancel();
                    }
                    return Err(refused);
                }
            }
        }
        Ok(Self { futures })
    }
}

impl<T: Send, E: Send + Sync> FutureList<T, E> {
    /// Waits until the condition holds, `timeout` at the longest; whether all have ended.
    ///
    /// ```
    /// use manyhands::{Executor, ReturnWhen, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let calls = ["1", "2"].map(|word| move || word.parse::<u8>());
    /// let list = pool.run_to_futures(calls, None, ReturnWhen::Immediately)?;
    /// assert!(list.wait(None, ReturnWhen::AllCompleted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(&self, timeout: impl Into<Option<Duration>>, return_when: ReturnWhen) -> bool {
        wait(self.futures.iter().cloned(), timeout, return_when).not_done.is_empty()
    }

    /// Cancels all that have not started, and waits for those that are running, `timeout` at the
    /// longest.
    ///
    /// # Errors
    /// [`FutureError::TimedOut`] when some are still running then.
    ///
    /// ```
    /// use manyhands::{Executor, ReturnWhen, ThreadPoolExecutor};
    /// use std::sync::mpsc;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let (done, wait) = mpsc::channel::<()>();
    /// pool.spawn(move || wait.recv())?; // keeps the only worker
    /// let calls = ["1", "2"].map(|word| move || word.parse::<u8>());
    /// let list = pool.run_to_futures(calls, None, ReturnWhen::Immediately)?;
    /// list.cancel(None)?;
    /// assert_eq!(list.cancelled_futures().count(), 2);
    /// drop(done);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self, timeout: impl Into<Option<Duration>>) -> Result<(), FutureError> {
        // The last first: a worker that gets free does not begin one in between.
        for future in self.futures.iter().rev() {
            future.cancel();
        }
        if self.wait(timeout, ReturnWhen::AllCompleted) {
            Ok(())
        } else {
            Err(FutureError::TimedOut)
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.futures.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    /// All of them, in the order of the calls.
    pub fn iter(&self) -> std::slice::Iter<'_, Future<T, E>> {
        self.futures.iter()
    }

    /// Whether the list has this future.
    pub fn contains(&self, future: &Future<T, E>) -> bool {
        self.futures.contains(future)
    }

    /// Whether any is running.
    pub fn has_running_futures(&self) -> bool {
        self.running_futures().next().is_some()
    }

    /// Whether any was cancelled.
    pub fn has_cancelled_futures(&self) -> bool {
        self.cancelled_futures().next().is_some()
    }

    /// Whether any has ended or was cancelled.
    pub fn has_done_futures(&self) -> bool {
        self.done_futures().next().is_some()
    }

    /// Whether any has returned a value.
    pub fn has_successful_futures(&self) -> bool {
        self.successful_futures().next().is_some()
    }

    /// Whether any has failed.
    pub fn has_exception_futures(&self) -> bool {
        self.exception_futures().next().is_some()
    }

    /// Those that are running.
    pub fn running_futures(&self) -> impl Iterator<Item = &Future<T, E>> {
        self.iter().filter(|future| future.running())
    }

    /// Those that were cancelled.
    pub fn cancelled_futures(&self) -> impl Iterator<Item = &Future<T, E>> {
        self.iter().filter(|future| future.cancelled())
    }

    /// Those that have ended or were cancelled.
    pub fn done_futures(&self) -> impl Iterator<Item = &Future<T, E>> {
        self.iter().filter(|future| future.done())
    }

    /// Those that have returned a value.
    pub fn successful_futures(&self) -> impl Iterator<Item = &Future<T, E>> {
        self.iter().filter(|future| future.state() == State::Finished && !future.has_failed())
    }

    /// Those that have failed.
    pub fn exception_futures(&self) -> impl Iterator<Item = &Future<T, E>> {
        self.iter().filter(|future| future.has_failed())
    }
}

impl<T: Send, E: Send + Sync> Index<usize> for FutureList<T, E> {
    type Output = Future<T, E>;

    fn index(&self, index: usize) -> &Future<T, E> {
        &self.futures[index]
    }
}

impl<T: Send, E: Send + Sync> IntoIterator for FutureList<T, E> {
    type Item = Future<T, E>;
    type IntoIter = std::vec::IntoIter<Future<T, E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.futures.into_iter()
    }
}

impl<'a, T: Send, E: Send + Sync> IntoIterator for &'a FutureList<T, E> {
    type Item = &'a Future<T, E>;
    type IntoIter = std::slice::Iter<'a, Future<T, E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Send, E: Send + Sync> std::fmt::Debug for FutureList<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<FutureList #futures={}", self.len())?;
        let count = |states: &[State]| {
            self.iter().filter(|future| states.contains(&future.state())).count()
        };
        for (name, states) in [
            ("pending", &[State::Pending][..]),
            ("cancelled", &[State::Cancelled, State::CancelledAndNotified]),
            ("running", &[State::Running]),
            ("finished", &[State::Finished]),
        ] {
            match count(states) {
                0 => (),
                some => write!(f, " #{name}={some}")?,
            }
        }
        f.write_str(">")
    }
}

/// The iterator of [`Executor::run_to_results`].
///
/// ```
/// use manyhands::{Executor, InlineExecutor};
///
/// let calls = ["1", "x", "3"].map(|word| move || word.parse::<u8>());
/// let results: Vec<_> = InlineExecutor::new().run_to_results(calls, None)?.collect();
/// assert!(matches!(results[..], [Ok(1), Err(_)])); // the first failure ends it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RunToResults<T: Send, E: Send + Sync> {
    futures: std::vec::IntoIter<Future<T, E>>,
    deadline: Option<Instant>,
}

impl<T: Send, E: Send + Sync> RunToResults<T, E> {
    pub(crate) fn new(list: FutureList<T, E>, timeout: Option<Duration>) -> Self {
        Self { futures: list.into_iter(), deadline: deadline(timeout) }
    }

    fn cancel(&mut self) {
        self.futures.by_ref().rev().for_each(|future| {
            future.cancel();
        });
    }
}

impl<T: Send, E: Send + Sync> Iterator for RunToResults<T, E> {
    type Item = Result<T, FutureError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        let future = self.futures.next()?;
        let result = match future.wait_before(self.deadline) {
            Ok(true) => future.take(),
            Ok(false) => Err(FutureError::TimedOut),
            Err(deadlock) => Err(FutureError::Deadlock(deadlock)),
        };
        if result.is_err() {
            self.cancel();
            future.cancel();
        }
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.futures.len()))
    }
}

impl<T: Send, E: Send + Sync> Drop for RunToResults<T, E> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T: Send, E: Send + Sync> std::fmt::Debug for RunToResults<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunToResults").field("left", &self.futures.len()).finish_non_exhaustive()
    }
}
