//! A task as the manager of a pool of processes sees it, and the Rust host's.

use std::sync::Arc;
use std::time::Duration;

use crate::crossing::{Declared, Kind, Remote};
use crate::errors::{
    BrokenProcessPool, Crash, Exception, Exit, NoWorkerLeft, Overrun, Reason, TaskInfo,
};

/// A task of the host's, which a worker process runs. Dropping one that has not ended cancels it.
pub trait Task: Send + 'static {
    /// Its turn has come. `false`: it was cancelled, and must not run.
    fn begin(&self) -> bool;

    /// Ends it with the answer of the worker.
    fn answer(self, kind: Kind, body: &[u8]);

    /// Ends it without one. Its request was of this kind, and had this body.
    fn lose(self, loss: Loss, kind: Kind, request: &[u8]);

    /// The address that the host knows it by; none when it has ended.
    fn address(&self) -> Option<usize>;

    /// Whether somebody has its future.
    fn is_wanted(&self) -> bool {
        true
    }

    /// Where it was submitted, if the host knows that.
    fn place(&self) -> Option<String> {
        None
    }
}

/// How a task ended without an answer.
#[derive(Clone, Debug)]
pub enum Loss {
    /// Its worker died.
    Crashed {
        /// The worker's place in the pool.
        worker: u32,
        /// Its process number.
        pid: u32,
        /// How it ended.
        exit: Exit,
        /// How long it had run the task.
        ran: Duration,
        /// How many workers the task has cost.
        attempts: u32,
    },
    /// It ran for longer than it was allowed.
    TimedOut {
        /// The worker's place in the pool.
        worker: u32,
        /// What it was allowed.
        timeout: Duration,
        /// How long it had run.
        ran: Duration,
    },
    /// It was cancelled.
    Cancelled,
    /// It waited for a worker, and the task of every worker there may be waited for such a one.
    NoWorkerLeft {
        /// How many workers.
        workers: u32,
    },
    /// A task of this worker has submitted it to its pool, which did not accept it.
    Refused(Reason),
    /// The pool is broken, or its link to the worker was.
    Broken {
        /// Why.
        reason: Arc<String>,
        /// The worker whose end has broken the pool, if it was one's: its process number, and how it
        /// ended.
        by: Option<(u32, Exit)>,
    },
}

/// A task of the Rust face.
pub(super) struct RustTask {
    task: Option<Arc<dyn Remote>>,
    declared: &'static dyn Declared,
}

impl RustTask {
    pub(super) fn new(task: Arc<dyn Remote>, declared: &'static dyn Declared) -> Self {
        Self { task: Some(task), declared }
    }

    /// `None`: it has been ended by others, and how it was lost is of interest to nobody.
    fn info(&self, kind: Kind, request: &[u8]) -> Option<TaskInfo> {
        let submitted = self.task.as_ref()?.place()?;
        let calls = match kind {
            Kind::Chunk | Kind::TryChunk => request.split_first_chunk(),
            _ => None,
        };
        let arguments = match calls {
            None => self.declared.show(request),
            Some((calls, first)) => {
                let (calls, first) = (u32::from_le_bytes(*calls), self.declared.show(first));
                format!("[{calls} calls, the first with {first}]")
            }
        };
        Some(TaskInfo { function: self.declared.name(), arguments, submitted })
    }
}

impl Task for RustTask {
    fn begin(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.begin())
    }

    fn answer(mut self, kind: Kind, body: &[u8]) {
        let Some(task) = self.task.take() else { return };
        if let Err(error) = task.answer(self.declared, kind, body) {
            let name = self.declared.name();
            log::error!("the answer of a worker process to {name} could not be read: {}", error.0);
        }
    }

    fn lose(mut self, loss: Loss, kind: Kind, request: &[u8]) {
        let why = match loss {
            // Dropping it cancels it.
            Loss::Cancelled => return,
            Loss::Refused(reason) => Exception::Refused(reason),
            Loss::NoWorkerLeft { workers } => Exception::NoWorkerLeft(NoWorkerLeft { workers }),
            Loss::Broken { reason, .. } => Exception::Broken(BrokenProcessPool { reason }.into()),
            Loss::Crashed { worker, pid, exit, ran, attempts } => {
                let Some(task) = self.info(kind, request) else { return };
                Exception::Crashed(Arc::new(Crash { task, exit, pid, worker, ran, attempts }))
            }
            Loss::TimedOut { worker, timeout, ran } => {
                let Some(task) = self.info(kind, request) else { return };
                Exception::TimedOut(Arc::new(Overrun { task, timeout, ran, worker }))
            }
        };
        if let Some(task) = self.task.take() {
            task.lose(why);
        }
    }

    fn address(&self) -> Option<usize> {
        self.task.as_ref().map(|task| Arc::as_ptr(task).addr())
    }

    fn place(&self) -> Option<String> {
        self.task.as_ref()?.place().map(|place| format!("submitted at {place}"))
    }
}

impl Drop for RustTask {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.stop();
        }
    }
}
