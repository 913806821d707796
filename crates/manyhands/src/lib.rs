//! Futures and executors: Python's `concurrent.futures`, rebuilt for Rust.
//!
//! An [`Executor`] runs tasks; submitting one returns a [`Future`], a handle on what it will return.
//!
//! ```
//! use manyhands::{Executor, ThreadPoolExecutor};
//!
//! let pool = ThreadPoolExecutor::new(4)?;
//! let answer = pool.spawn(|| 6 * 7)?; // a closure
//! let power = pool.submit(u64::pow, (2, 10))?; // a function and its arguments
//! assert_eq!((answer.result(None)?, power.result(None)?), (42, 1024));
//!
//! let squares: Result<Vec<u64>, _> = pool.map(|n| n * n, 1..=3).collect();
//! assert_eq!(squares?, [1, 4, 9]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | what can be done with a task | [`Future`] |
//! | what comes after a task | [`Future::map`], [`Future::and_then`], [`Future::then`], [`Executor::submit_after`] |
//! | many futures as one | [`join_all`], [`race`] |
//! | time | [`Future::timeout`], [`delay`], [`Retry`] |
//! | waiting for several | [`wait`], [`as_completed`], [`CompletionQueue`] |
//! | async code | [`block_on`]; `.await` on a [`Future`] in any executor |
//! | ways to submit; writing an executor of one's own | [`Executor`]; the crate `manyhands-conform` tests them |
//! | one function over many items | [`Executor::map`], [`Map`] |
//! | threads | [`ThreadPoolExecutor`], [`ThreadPoolBuilder`] |
//! | named tasks that depend on each other | [`Graph`] |
//! | tasks that live and die together | [`task_scope`] |
//! | divide and conquer, with borrows and without futures | [`join`], [`map_slice`], [`ThreadPoolExecutor::install`] |
//! | tasks that borrow from the stack | [`ThreadPoolBuilder::scope`] |
//! | worker processes | [`process`], [`ProcessPoolExecutor`] |
//! | tests without threads | [`InlineExecutor`] |
//! | what went wrong | [`FutureError`], [`Exception`], [`Refused`] |
//! | the 2009 proposal's lists | [`Executor::run_to_futures`], [`FutureList`] |
//!
//! # Values and errors
//!
//! A task returns a value (`spawn`, `submit`, `map`) or a `Result` (`try_spawn`, `try_submit`,
//! `try_map`), whose `Err` is the task's *exception*, as its panic is; [`Exception`] tells them
//! apart. `Future<T, E>` names both types; `E` is [`Infallible`](std::convert::Infallible) where it
//! is left out.
//!
//! # For hosts of another kind
//!
//! [`promise`], [`block`], [`ready`], [`nested`], [`thread::pool`] and [`graph::engine`] are the engine under the Rust face:
//! state machines, a list of the ended, a queue and what decides about nodes; they start no thread, run no job
//! and call nobody. Another host, a Python interpreter say, puts
//! its own kinds of jobs and threads on them.

pub mod block;
mod call_site;
mod chunks;
mod completion;
mod compose;
#[doc(hidden)]
pub mod crossing;
mod errors;
mod executor;
mod function;
mod future;
mod future_list;
pub mod graph;
mod inline;
mod job;
#[cfg(target_os = "linux")]
mod listening;
#[cfg(all(test, loom))]
mod loom_models;
mod map;
pub mod nested;
mod onward;
mod panic;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod process;
pub mod promise;
pub mod ready;
mod sleeper;
mod spin;
mod step;
mod sync;
mod task_scope;
pub mod thread;
mod timer;
mod wait;
mod watchers;

pub use completion::{AsCompleted, CompletionQueue, Unfinished, as_completed};
pub use compose::{Futures, IntoOutcome, Retry, delay, join_all, race};
pub use errors::{
    BrokenExecutor, BrokenProcessPool, BrokenThreadPool, ConfigError, Crash, Cycle, Deadlock,
    DependencyFailed, Exception, Exit, FutureError, GraphError, GraphFailed, InvalidState,
    NoWorkerLeft, NotCrossed, Overrun, Reason, Refused, ScopeFailed, TaskInfo, WaitingTask,
};
pub use executor::Executor;
pub use function::Function;
pub use future::{Future, block_on};
pub use future_list::{FutureList, RunToResults};
pub use graph::{Deps, Graph, Node, NodeState};
pub use inline::InlineExecutor;
pub use job::Job;
pub use map::Map;
pub use panic::Panic;
#[cfg(all(target_os = "linux", not(loom)))]
pub use process::ProcessPoolExecutor;
pub use promise::State;
pub use step::{Each, Star, Step, TryEach, TryStar};
pub use task_scope::{Stop, TaskScope, task_scope};
pub use thread::pool::Stats;
pub use thread::{Scope, ThreadPoolBuilder, ThreadPoolExecutor, WhenFull, join, map_slice};
pub use wait::{DoneAndNotDone, ReturnWhen, wait};

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
