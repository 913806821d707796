//! `then`, `map`, `and_then`, `map_err`, `or_else`: one future made from one.

use std::convert::Infallible;
use std::sync::Arc;

use super::derived::{derive, failed};
use super::outcome::{IntoOutcome, Next};
use crate::errors::{Exception, FutureError};
use crate::future::Future;

/// # Futures made from this one
///
/// Closures run in the thread that ends this future, as callbacks do, or here and now if it is done; a
/// panic is the new future's exception. The value is moved on, as by
/// [`into_result`](Future::into_result): other handles on this future get [`FutureError::Taken`] from
/// then on. If this future is cancelled, the new one is. Cancelling the new one leaves this one alone,
/// and its closure is not run; if that runs already, or what it returned is waited for,
/// [`cancel_running`](Future::cancel_running) ends the new future at once. A new future whose handles are
/// all dropped goes on all the same.
impl<T: Send + 'static, E: Send + Sync + 'static> Future<T, E> {
    /// A future that is done, with this value.
    ///
    /// ```
    /// use manyhands::Future;
    ///
    /// let future: Future<i32> = Future::ready(5);
    /// assert_eq!(future.result(None)?, 5);
    /// # Ok::<(), manyhands::FutureError>(())
    /// ```
    pub fn ready(value: T) -> Self {
        let future = Self::new();
        let set = future.set_result(value);
        debug_assert!(set.is_ok(), "a new future is pending");
        future
    }

    /// A future with `f` of this one's outcome, whatever that is: a value, an exception or that it was
    /// cancelled. `f` returns a `Result` or another future.
    ///
    /// ```
    /// use manyhands::{Executor, FutureError, InlineExecutor};
    /// use std::convert::Infallible;
    ///
    /// let failed = InlineExecutor::new().try_spawn(|| "x".parse::<u8>())?;
    /// let told = failed.then(|outcome| match outcome {
    ///     Ok(number) => Ok::<_, Infallible>(number.to_string()),
    ///     Err(error) => Ok(format!("no number: {error}")),
    /// });
    /// assert_eq!(told.result(None)?, "no number: invalid digit found in string");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn then<R: IntoOutcome>(
        self,
        f: impl FnOnce(Result<T, FutureError<E>>) -> R + Send + 'static,
    ) -> Future<R::Value, R::Error> {
        derive(&self, |outcome| f(outcome).into_next())
    }

    /// A future with `f` of this one's value.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let length = pool.spawn(|| "four")?.map(str::len);
    /// assert_eq!(length.result(None)?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Future<U, E> {
        derive(&self, |outcome| match outcome {
            Ok(value) => Next::Ended(Ok(f(value))),
            Err(error) => failed(error, |exception| exception),
        })
    }

    /// A future with `f` of this one's value, where `f` returns a `Result` or another future.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let half = pool.try_spawn(|| Ok("17"))?.and_then(str::parse::<u8>).map(|n| n / 2);
    /// assert_eq!(half.result(None)?, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn and_then<R: IntoOutcome<Error = E>>(
        self,
        f: impl FnOnce(T) -> R + Send + 'static,
    ) -> Future<R::Value, E> {
        derive(&self, |outcome| match outcome {
            Ok(value) => f(value).into_next(),
            Err(error) => failed(error, |exception| exception),
        })
    }

    /// A future with `f` of this one's error, if its task returned one. A panic and all that an
    /// executor can do to a task stay what they are.
    ///
    /// ```
    /// use manyhands::{Exception, Executor, InlineExecutor};
    ///
    /// let future = InlineExecutor::new().try_spawn(|| "x".parse::<u8>())?;
    /// let exception = future.map_err(|error| error.to_string()).exception(None)?;
    /// let Some(Exception::Error(text)) = exception else { unreachable!() };
    /// assert_eq!(*text, "invalid digit found in string");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_err<F: Send + Sync + 'static>(
        self,
        f: impl FnOnce(Arc<E>) -> F + Send + 'static,
    ) -> Future<T, F> {
        derive(&self, |outcome| match outcome {
            Ok(value) => Next::Ended(Ok(value)),
            Err(error) => failed(error, |exception| {
                exception.retyped(|error| Exception::Error(Arc::new(f(error))))
            }),
        })
    }

    /// A future with this one's value, or with `f` of its exception: what `catch` is elsewhere. `f`
    /// returns a `Result` or another future. A cancelled future stays cancelled; for those there is
    /// [`then`](Self::then).
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    /// use std::convert::Infallible;
    ///
    /// let future = InlineExecutor::new().try_spawn(|| "x".parse::<u8>())?;
    /// let number = future.or_else(|_| Ok::<_, Infallible>(0));
    /// assert_eq!(number.result(None)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn or_else<R: IntoOutcome<Value = T>>(
        self,
        f: impl FnOnce(Exception<E>) -> R + Send + 'static,
    ) -> Future<T, R::Error> {
        derive(&self, |outcome| match outcome {
            Ok(value) => Next::Ended(Ok(value)),
            Err(FutureError::Exception(exception)) => f(exception).into_next(),
            Err(FutureError::Taken) => f(Exception::Taken).into_next(),
            Err(FutureError::Refused(reason)) => f(Exception::Refused(reason)).into_next(),
            // It has ended, so it is none of these but the first.
            Err(FutureError::Cancelled | FutureError::TimedOut | FutureError::Deadlock(_)) => {
                Next::Cancelled
            }
        })
    }
}

impl<T: Send + 'static> Future<T, Infallible> {
    /// The same future as one whose task may return an error, so that [`and_then`](Future::and_then)
    /// may.
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let word = InlineExecutor::new().spawn(|| "17")?;
    /// assert_eq!(word.widen().and_then(str::parse::<u8>).result(None)?, 17);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn widen<E: Send + Sync + 'static>(self) -> Future<T, E> {
        derive(&self, |outcome| match outcome {
            Ok(value) => Next::Ended(Ok(value)),
            Err(error) => failed(error, Exception::widen),
        })
    }
}
