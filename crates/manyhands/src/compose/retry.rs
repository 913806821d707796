//! `Retry`: a task that is submitted again when it has failed.

use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::derived::{cancel, finish};
use super::timed::delay;
use crate::crossing::Cross;
use crate::errors::{Exception, FutureError};
use crate::executor::{Executor, start_from};
use crate::function::{Fallible, Function, Plain};
use crate::future::{Continue, Core, Future};
use crate::job::{self, Carried};
use crate::nested::{Source, Sources};
use crate::onward;
use crate::panic;
use crate::promise::Promise;
use crate::sync::Mutex;

/// How often a task that fails is submitted again, and after what delays: the first one, and each next
/// one longer by a factor, up to a limit.
///
/// An `Err`, a panic, a crash, whatever ends a task with an exception counts; a cancelled task is not
/// tried again, nor is one that the executor refuses. No thread waits during the delays.
///
/// ```
/// use manyhands::{Retry, ThreadPoolExecutor};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
///
/// static CALLS: AtomicU32 = AtomicU32::new(0);
/// let third_time_lucky = || match CALLS.fetch_add(1, Ordering::Relaxed) {
///     2 => Ok("lucky"),
///     _ => Err("no luck"),
/// };
///
/// let pool = Arc::new(ThreadPoolExecutor::new(1)?);
/// let retry = Retry::attempts(5).first_delay(Duration::from_millis(1)).factor(2.0);
/// let future = retry.try_submit(&pool, third_time_lucky, ());
/// assert_eq!(future.result(None)?, "lucky");
/// assert_eq!(CALLS.load(Ordering::Relaxed), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    attempts: u32,
    first_delay: Duration,
    factor: f64,
    max_delay: Duration,
}

impl Retry {
    /// At most so many attempts, the first one included (at least that is made). Without more said, a
    /// task is tried again at once.
    ///
    /// ```
    /// use manyhands::{InlineExecutor, Retry};
    /// use std::sync::Arc;
    ///
    /// let inline = Arc::new(InlineExecutor::new());
    /// let future = Retry::attempts(3).try_submit(&inline, || Err::<(), _>("no luck"), ());
    /// assert!(future.exception(None)?.is_some());
    /// # Ok::<(), manyhands::FutureError<&str>>(())
    /// ```
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, first_delay: Duration::ZERO, factor: 1.0, max_delay: Duration::MAX }
    }

    /// How long to wait before the second attempt.
    pub fn first_delay(self, first_delay: Duration) -> Self {
        Self { first_delay, ..self }
    }

    /// By what to multiply the delay from attempt to attempt.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// The longest delay.
    pub fn max_delay(self, max_delay: Duration) -> Self {
        Self { max_delay, ..self }
    }

    /// How long to wait after this attempt, counted from 1. `None`: it was the last.
    ///
    /// ```
    /// use manyhands::Retry;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// let retry = Retry::attempts(5).first_delay(second).factor(2.0).max_delay(3 * second);
    /// let delays: Vec<_> = (1..=5).map(|attempt| retry.delay_after(attempt)).collect();
    /// assert_eq!(delays, [Some(second), Some(2 * second), Some(3 * second), Some(3 * second), None]);
    /// ```
    pub fn delay_after(&self, attempt: u32) -> Option<Duration> {
        let grown = self.factor.powf(f64::from(attempt.saturating_sub(1)));
        let delay = Duration::try_from_secs_f64(self.first_delay.as_secs_f64() * grown);
        (attempt < self.attempts).then(|| delay.unwrap_or(self.max_delay).min(self.max_delay))
    }

    /// Submits `function(args…)`, and a clone of both again each time it fails. Cancelling the future
    /// cancels the attempt that is pending, and there will be no other; one that runs, runs on.
    #[track_caller]
    pub fn submit<X, F, A>(self, executor: &X, function: F, args: A) -> Future<F::Output>
    where
        X: Executor + Clone + 'static,
        F: Function<A> + Clone + Send + Sync + 'static,
        A: Clone + Send + Sync + 'static,
        F::Output: Send + 'static,
    {
        let call = move || Plain(function.clone(), args.clone());
        start(self, executor.clone(), call, Location::caller())
    }

    /// As [`submit`](Self::submit), for a function that returns a `Result`.
    #[track_caller]
    pub fn try_submit<X, F, A, T, E>(self, executor: &X, function: F, args: A) -> Future<T, E>
    where
        X: Executor + Clone + 'static,
        F: Function<A, Output = Result<T, E>> + Clone + Send + Sync + 'static,
        A: Clone + Send + Sync + 'static,
        T: Send + 'static,
        E: Send + Sync + 'static,
    {
        let call = move || Fallible(function.clone(), args.clone());
        start(self, executor.clone(), call, Location::caller())
    }
}

fn start<X, M, C>(
    policy: Retry,
    executor: X,
    call: M,
    place: &'static Location<'static>,
) -> Future<C::Value, C::Error>
where
    X: Executor + 'static,
    M: Fn() -> C + Send + Sync + 'static,
    C: Cross,
    C::Value: Send + 'static,
    C::Error: Send + Sync + 'static,
{
    let current = Arc::new(Mutex::new(None));
    let core = Arc::new(Promise::new(Some(CancelOnDrop(Arc::clone(&current)))));
    let future = Future::task(Arc::clone(&core) as _);
    Arc::new(Retrying { policy, executor, call, place, core, current, attempt: Mutex::new(0) })
        .submit();
    future
}

/// A task and its attempts.
struct Retrying<X, M, T: Send + 'static, E: Send + Sync + 'static> {
    policy: Retry,
    executor: X,
    call: M,
    place: &'static Location<'static>,
    core: Arc<Core<CancelOnDrop<T, E>, T, E>>,
    /// The attempt that is under way, as long as the task is not cancelled.
    current: Current<T, E>,
    attempt: Mutex<u32>,
}

type Current<T, E> = Arc<Mutex<Option<Future<T, E>>>>;

/// In the promise: what is cancelled with it.
struct CancelOnDrop<T: Send + 'static, E: Send + Sync + 'static>(Current<T, E>);

impl<T: Send + 'static, E: Send + Sync + 'static> Carried<T, E> for CancelOnDrop<T, E> {
    fn as_source(core: Arc<Core<Self, T, E>>) -> Option<Weak<dyn Source>> {
        Some(job::source(&core))
    }

    fn sources(carried: Option<&Self>) -> Option<Sources> {
        let current = carried.map(|it| it.0.lock());
        let attempt = current.as_ref().and_then(|current| current.as_ref()?.as_source());
        Some(attempt.into_iter().collect())
    }
}

impl<T: Send + 'static, E: Send + Sync + 'static> Drop for CancelOnDrop<T, E> {
    fn drop(&mut self) {
        let current = self.0.lock().take();
        if let Some(current) = current {
            current.cancel();
        }
    }
}

impl<X, M, C, T, E> Retrying<X, M, T, E>
where
    X: Executor + 'static,
    M: Fn() -> C + Send + Sync + 'static,
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn submit(self: Arc<Self>) {
        if self.core.state().is_done() {
            return;
        }
        *self.attempt.lock() += 1;
        let submitted =
            panic::catch(&self.call).map(|call| start_from(self.place, &self.executor, call));
        let attempt = match submitted {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(refused)) => return self.end(Err(Exception::Refused(refused.reason))),
            Err(panic) => return self.end(Err(Exception::Panic(panic))),
        };
        *self.current.lock() = Some(attempt.clone());
        // Cancelled meanwhile, it could not know of this attempt.
        if self.core.state().is_done() {
            attempt.cancel();
        }
        attempt.go_on_with(self);
    }

    fn end(&self, outcome: Result<T, Exception<E>>) {
        if let Some(attempts) = self.core.claim() {
            drop(attempts);
            finish(&self.core, outcome);
        }
    }

    fn went_wrong(self: Arc<Self>, exception: Exception<E>) {
        let attempt = *self.attempt.lock();
        match self.policy.delay_after(attempt) {
            None => self.end(Err(exception)),
            Some(Duration::ZERO) => self.submit(),
            Some(time) => delay(time).go_on_with(Arc::new(Again(self))),
        }
    }
}

impl<X, M, C, T, E> Continue<T, E> for Retrying<X, M, T, E>
where
    X: Executor + 'static,
    M: Fn() -> C + Send + Sync + 'static,
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn go_on(self: Arc<Self>, source: Future<T, E>) {
        onward::go(move || match source.take() {
            Ok(value) => self.end(Ok(value)),
            Err(FutureError::Exception(exception)) => self.went_wrong(exception),
            Err(_) => cancel(&self.core),
        });
    }

    fn give_up(self: Arc<Self>) {
        onward::go(move || cancel(&self.core));
    }
}

/// Submits the next attempt when a delay is over.
struct Again<X, M, T: Send + 'static, E: Send + Sync + 'static>(Arc<Retrying<X, M, T, E>>);

impl<X, M, C, T, E> Continue<(), std::convert::Infallible> for Again<X, M, T, E>
where
    X: Executor + 'static,
    M: Fn() -> C + Send + Sync + 'static,
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn go_on(self: Arc<Self>, _over: Future<()>) {
        onward::go(move || Arc::clone(&self.0).submit());
    }

    fn give_up(self: Arc<Self>) {
        onward::go(move || cancel(&self.0.core));
    }
}
