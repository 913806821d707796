//! Futures and executors: Python's `concurrent.futures`, rebuilt for Rust.

mod completion;
mod errors;
mod executor;
mod function;
mod future;
mod future_list;
mod inline;
#[cfg(all(test, loom))]
mod loom_models;
mod map;
mod panic;
pub mod promise;
mod spin;
mod step;
mod sync;
pub mod thread;
mod wait;

pub use completion::{AsCompleted, CompletionQueue, Unfinished, as_completed};
pub use errors::{
    BrokenExecutor, BrokenThreadPool, ConfigError, Exception, FutureError, InvalidState, Reason,
    Refused,
};
pub use executor::{Executor, Job};
pub use function::Function;
pub use future::Future;
pub use future_list::{FutureList, RunToResults};
pub use inline::InlineExecutor;
pub use map::Map;
pub use panic::Panic;
pub use promise::State;
pub use step::{Each, Star, Step, TryEach, TryStar};
pub use thread::pool::Stats;
pub use thread::{Scope, ThreadPoolBuilder, ThreadPoolExecutor, WhenFull};
pub use wait::{DoneAndNotDone, ReturnWhen, wait};
