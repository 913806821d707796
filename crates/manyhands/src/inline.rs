//! `InlineExecutor`: runs each task in the thread that submits it. The smallest executor there can
//! be, and so the example of one; deterministic, and so good for tests (cpython#80576).

use std::sync::atomic::{AtomicBool, Ordering};

use crate::errors::{Reason, Refused};
use crate::executor::Executor;
use crate::job::Job;

/// Runs each task at once, in the thread that submits it: every future it returns is done.
///
/// ```
/// use manyhands::{Executor, InlineExecutor};
///
/// let executor = InlineExecutor::new();
/// let future = executor.spawn(|| std::thread::current().id())?;
/// assert!(future.done());
/// assert_eq!(future.result(None)?, std::thread::current().id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct InlineExecutor {
    shut_down: AtomicBool,
}

impl InlineExecutor {
    /// A new executor.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Executor for InlineExecutor {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        if self.shut_down.load(Ordering::Acquire) {
            return Err(Refused { reason: Reason::Shutdown, task: job });
        }
        job.run();
        Ok(())
    }

    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {
        self.shut_down.store(true, Ordering::Release);
    }
}
