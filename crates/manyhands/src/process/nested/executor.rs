//! The executor that a task in a worker process has: the pool that it runs in.

use std::fmt;
use std::sync::Arc;

use super::PARENTS;
use super::sub::Call;
use super::upward::Upward;
use crate::crossing::{Body, Registry};
use crate::errors::{Exception, Reason, Refused};
use crate::executor::Executor;
use crate::job::Job;
use crate::process::lending::{Carrier, carrying};
use crate::process::options::TaskOptions;
use crate::process::passing::Passing;
use crate::process::supervisor::Rules;
use crate::process::task::{RustTask, Task as _};
use crate::process::worker;

/// The pool that the calling task runs in, in a worker process; made by [`current_executor`].
///
/// Tasks go to the pool as if they had been submitted there, and their futures are as any others. While
/// a task waits for one of them it does not count as running: the pool runs another in its stead. If what
/// it waits for has not been begun, it is run at once, in place, as a plain call would be.
///
/// A task that is accepted is run also if the one that has submitted it does not wait for it. But if that
/// one's worker dies, what was pending of it is cancelled.
///
/// To look whether a future is done, without waiting for it, is not to wait: then nobody runs in the task's
/// stead. Callbacks are called as long as the worker lives.
///
/// What is submitted after the pool was shut down is refused; if it was on its way at that moment, its
/// exception is [`Exception::Refused`](crate::Exception::Refused).
#[derive(Clone)]
pub struct CurrentExecutor {
    upward: Arc<Upward>,
    registry: Arc<Registry>,
    options: TaskOptions,
}

/// In a task of a [`ProcessPoolExecutor`](crate::ProcessPoolExecutor): the pool that it runs in. `None`
/// in a process that is no worker.
///
/// ```
/// use manyhands::{Executor, ProcessPoolExecutor, process, tasks};
///
/// fn fib(n: u64) -> u64 {
///     if n < 2 {
///         return n;
///     }
///     let pool = process::current_executor().expect("this is a worker process");
///     let one = pool.submit(fib, (n - 1,)).expect("the pool is open");
///     let two = fib(n - 2);
///     one.result(None).expect("it does not fail") + two
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init(tasks![fib]);
///     assert!(process::current_executor().is_none());
///     let pool = ProcessPoolExecutor::new(2)?;
///     assert_eq!(pool.submit(fib, (10,))?.result(None)?, 55);
///     Ok(())
/// }
/// ```
pub fn current_executor() -> Option<CurrentExecutor> {
    let (upward, registry) = (Upward::current()?, worker::registry()?);
    Some(CurrentExecutor { upward: Arc::clone(upward), registry, options: TaskOptions::new() })
}

impl CurrentExecutor {
    /// The same, for tasks with options of their own. One that has such is not run in place.
    pub fn with(&self, options: TaskOptions) -> Self {
        Self { options, ..self.clone() }
    }
}

impl fmt::Debug for CurrentExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentExecutor").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Executor for CurrentExecutor {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        let function = job.function();
        let Some(declared) = function.and_then(|function| self.registry.of_type(function)) else {
            let function = function.map_or("a scoped task", |function| function.name);
            return Err(Refused { reason: Reason::NotDeclared { function }, task: job });
        };
        if let Err(reason) = self.upward.check() {
            return Err(Refused { reason, task: job });
        }
        let Some(task) = job.into_remote() else { return Ok(()) };
        let mut body = Body::after(Vec::new());
        // Without shared memory: what lies in this worker's, others cannot see.
        let passing = Some(Passing::On(Vec::new()));
        let carrier = Carrier { passing, ..Carrier::default() };
        let (packed, Carrier { passing, .. }) =
            carrying(carrier, || task.pack(PARENTS, declared, &mut body));
        match packed {
            None => return Ok(()), // Cancelled, or ended by somebody else.
            Some(Ok(())) => (),
            Some(Err(why)) => {
                task.lose(Exception::not_crossed("the arguments", why.0));
                return Ok(());
            }
        }
        let task = RustTask::new(task, declared);
        if task.begin() {
            let rules = Rules { timeout: self.options.timeout, retries: self.options.retries };
            let Body { kind, bytes } = body;
            let passes = if let Some(Passing::On(passes)) = passing { passes } else { Vec::new() };
            let function = declared.id();
            self.upward.submit(task, Call { function, kind, body: bytes, passes }, rules);
        }
        Ok(())
    }

    /// Shuts the pool down, and does not wait: this is one of its tasks.
    fn shutdown(&self, _wait: bool, cancel_futures: bool) {
        self.upward.shutdown(cancel_futures);
    }
}
