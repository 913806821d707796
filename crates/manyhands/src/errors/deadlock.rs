//! What is said of tasks that wait for each other.

use std::fmt;
use std::sync::Arc;

/// Tasks that wait for each other, or one that waits for itself: none of them would ever end. The wait of
/// each of them ends with this.
///
/// ```
/// use manyhands::{Executor, Future, FutureError, ThreadPoolExecutor};
/// use std::sync::mpsc;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let (sender, receiver) = mpsc::channel::<Future<String>>();
/// let future = pool.spawn(move || match receiver.recv().unwrap().result(None) {
///     Err(FutureError::Deadlock(deadlock)) => deadlock.to_string(),
///     other => panic!("{other:?}"),
/// })?;
/// sender.send(future.clone())?; // its own
/// assert!(future.result(None)?.starts_with("deadlock: "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Deadlock {
    cycle: Arc<[WaitingTask]>,
}

/// A task that waits for the next one in a [`Deadlock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingTask {
    /// Its function, or what else its host calls it by.
    pub name: String,
    /// Where it was submitted, or where it waits, if its host knows.
    pub place: Option<String>,
}

impl Deadlock {
    pub(crate) fn new(cycle: Vec<WaitingTask>) -> Self {
        Self { cycle: cycle.into() }
    }

    /// The tasks: each waits for the next one, and the last for the first.
    pub fn cycle(&self) -> &[WaitingTask] {
        &self.cycle
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.cycle.split_first() else { return Ok(()) };
        if others.is_empty() {
            return write!(
                f,
                "deadlock: {first} waits for itself; it has to return before its future has a result"
            );
        }
        write!(f, "deadlock: {first}")?;
        for other in others {
            write!(f, " waits for {other}, which")?;
        }
        f.write_str(
            " waits for the first; let one of them wait with a timeout, or go on with what the other \
             gives when it has ended",
        )
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cycle.iter()).finish()
    }
}

impl std::error::Error for Deadlock {}

impl fmt::Display for WaitingTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, " ({place})"))
    }
}
