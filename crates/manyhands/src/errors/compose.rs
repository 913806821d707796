//! What can go wrong with a task that waits for others, as types.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::Exception;

/// A task that another one depends on failed.
///
/// Its text tells the whole chain; [`source`](Error::source) gives the next link of it.
///
/// ```
/// use manyhands::{Exception, Executor, InlineExecutor};
/// use std::sync::Arc;
///
/// let inline = Arc::new(InlineExecutor::new());
/// let number = inline.try_spawn(|| "x".parse::<i32>())?;
/// let half = inline.submit_after(|number: i32| number / 2, (number,));
/// let Some(Exception::Dependency(failed)) = half.exception(None)? else { unreachable!() };
/// assert_eq!(failed.to_string(), "a task it depends on failed: invalid digit found in string");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DependencyFailed(Arc<Failure>);

struct Failure {
    name: Option<String>,
    cause: Box<dyn Error + Send + Sync>,
}

impl DependencyFailed {
    pub(crate) fn new<E>(name: Option<String>, cause: Exception<E>) -> Self
    where
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        Self(Arc::new(Failure { name, cause: Box::new(cause) }))
    }

    /// The name of the task that failed, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// How it failed: an [`Exception`] of the type that the task has.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0.cause
    }
}

impl fmt::Display for DependencyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "`{name}`, which it depends on, failed: {}", self.0.cause),
            None => write!(f, "a task it depends on failed: {}", self.0.cause),
        }
    }
}

impl fmt::Debug for DependencyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencyFailed")
            .field("name", &self.0.name)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl Error for DependencyFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0.cause)
    }
}

/// A task of a [`task_scope`](crate::task_scope) failed, so the others were cancelled.
///
/// ```
/// use manyhands::{Exception, ThreadPoolExecutor, task_scope};
/// use std::num::ParseIntError;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let failed = task_scope(&pool, |scope| {
///     scope.try_spawn(|| "x".parse::<u8>()).unwrap();
/// })
/// .unwrap_err();
/// assert_eq!(failed.to_string(), "a task of the scope failed: invalid digit found in string");
/// let cause: Option<&Exception<ParseIntError>> = failed.cause().downcast_ref();
/// assert!(matches!(cause, Some(Exception::Error(_))));
/// # Ok::<(), manyhands::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScopeFailed(Arc<dyn Error + Send + Sync>);

impl ScopeFailed {
    pub(crate) fn new<E>(cause: Exception<E>) -> Self
    where
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        Self(Arc::new(cause))
    }

    /// How it failed: an [`Exception`] of the type that the task has.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for ScopeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a task of the scope failed: {}", self.0)
    }
}

impl Error for ScopeFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
