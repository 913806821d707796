//! `IntoOutcome`: what the closures of [`Future::then`](crate::Future::then) and the like may return.

use crate::errors::Exception;
use crate::future::Future;

/// What a closure that goes on with an outcome may return: a `Result`, or another [`Future`], whose
/// outcome then is the one.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor};
/// use std::sync::Arc;
///
/// let pool = Arc::new(ThreadPoolExecutor::new(2)?);
/// let other = Arc::clone(&pool);
/// let square = pool
///     .try_spawn(|| Ok("17"))?
///     .and_then(|word| word.parse::<u32>().map_err(|error| error.to_string())) // a Result
///     .and_then(move |n| other.try_spawn(move || Ok(n * n)).unwrap()); // a Future
/// assert_eq!(square.result(None)?, 289);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait IntoOutcome: sealed::IntoNext<Self::Value, Self::Error> {
    /// What it is a value of, if all is well.
    type Value: Send + 'static;
    /// What it is an error of, if not.
    type Error: Send + Sync + 'static;
}

impl<T: Send + 'static, E: Send + Sync + 'static> IntoOutcome for Result<T, E> {
    type Value = T;
    type Error = E;
}

impl<T: Send + 'static, E: Send + Sync + 'static> IntoOutcome for Future<T, E> {
    type Value = T;
    type Error = E;
}

/// How it goes on.
#[derive(Debug)]
pub enum Next<T: Send, E: Send + Sync> {
    /// With this outcome.
    Ended(Result<T, Exception<E>>),
    /// As cancelled.
    Cancelled,
    /// With the outcome of this one.
    With(Future<T, E>),
}

pub(super) mod sealed {
    use super::{Exception, Future, Next};
    use std::sync::Arc;

    pub trait IntoNext<T: Send, E: Send + Sync> {
        fn into_next(self) -> Next<T, E>;
    }

    impl<T: Send, E: Send + Sync> IntoNext<T, E> for Result<T, E> {
        fn into_next(self) -> Next<T, E> {
            Next::Ended(self.map_err(|error| Exception::Error(Arc::new(error))))
        }
    }

    impl<T: Send, E: Send + Sync> IntoNext<T, E> for Future<T, E> {
        fn into_next(self) -> Next<T, E> {
            Next::With(self)
        }
    }
}
