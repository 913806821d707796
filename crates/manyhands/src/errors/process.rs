//! What can go wrong with a task that another process runs, as types.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A task as errors speak of it.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// The function's path.
    pub function: &'static str,
    /// The arguments, cut short.
    pub arguments: String,
    /// Where the task was submitted.
    pub submitted: &'static Location<'static>,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}, submitted at {}", self.function, self.arguments, self.submitted)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// The system would not say.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {signal}"),
            },
            Self::Unknown => f.write_str("has ended"),
        }
    }
}

/// The signals that end a process most.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL (out of memory, if nobody sent it)",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// The worker process that ran a task died, and the task with it. No other task is concerned.
#[derive(Clone, Debug, thiserror::Error)]
#[error("worker process {worker} (pid {pid}) {exit} after running {task} for {ran:?}{}", again(*.attempts))]
pub struct Crash {
    /// The task.
    pub task: TaskInfo,
    /// How the process ended.
    pub exit: Exit,
    /// Its process number.
    pub pid: u32,
    /// Its place in the pool, from 0.
    pub worker: u32,
    /// How long it had run the task.
    pub ran: Duration,
    /// How many workers the task has cost, this one included: more than one if it was retried.
    pub attempts: u32,
}

fn again(attempts: u32) -> String {
    if attempts > 1 { format!("; it was attempt {attempts}, the last") } else { String::new() }
}

/// A task ran for longer than its timeout allowed, and was stopped.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{task} had run for {ran:?} on worker process {worker} when its timeout of {timeout:?} was over"
)]
pub struct Overrun {
    /// The task.
    pub task: TaskInfo,
    /// What it was allowed.
    pub timeout: Duration,
    /// How long it had run.
    pub ran: Duration,
    /// The worker's place in the pool, from 0.
    pub worker: u32,
}

/// A task was submitted by tasks of its own pool of processes and could not be run: each worker that the
/// pool may have runs a task that waits for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no worker process is left to run the task: all {workers} that the pool may have run tasks that wait \
     for other tasks of it; have fewer tasks wait at a time, or give the pool more workers"
)]
pub struct NoWorkerLeft {
    /// How many workers.
    pub workers: u32,
}

/// The arguments of a task, or its result, could not be carried to or from a worker process.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what} of the task could not cross between processes: {why}")]
pub struct NotCrossed {
    /// What it was.
    pub what: &'static str,
    /// What the codec says.
    pub why: String,
}

/// A pool of processes that can run nothing any more, as in CPython.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process pool cannot run the task: {reason}")]
pub struct BrokenProcessPool {
    /// What broke it: an initializer's failure, workers that died at birth, or a worker's death where
    /// that is to break the pool.
    pub reason: Arc<String>,
}
