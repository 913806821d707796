//! What can be said of single tasks.

use std::time::Duration;

/// Options of the tasks that are submitted through
/// [`ProcessPoolExecutor::with`](super::ProcessPoolExecutor::with).
///
/// ```
/// use manyhands::process::TaskOptions;
/// use std::time::Duration;
///
/// let patient = TaskOptions::new().timeout(Duration::from_mins(5)).retries(2);
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "options do nothing until a task is submitted with them"]
pub struct TaskOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
}

impl TaskOptions {
    /// Those of the pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the task may run, from when a worker begins it. Then its future ends at once, with
    /// [`Exception::TimedOut`](crate::Exception::TimedOut), and its worker is stopped and replaced.
    /// Default: for as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often the task is run again when the worker that ran it has died. Default: the pool's.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }
}
