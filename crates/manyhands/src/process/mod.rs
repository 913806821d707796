//! Worker processes: the program starts itself again, and hands the copies work.
//!
//! ```
//! use manyhands::{Executor, ProcessPoolExecutor, process, tasks};
//!
//! fn is_prime(n: u64) -> bool {
//!     n > 1 && (2..=n.isqrt()).all(|divisor| n % divisor != 0)
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     process::init(tasks![is_prime]); // a worker becomes one here
//!     let pool = ProcessPoolExecutor::new(2)?;
//!     let primes: Result<Vec<_>, _> = pool.map(is_prime, [7, 8, 9]).collect();
//!     assert_eq!(primes?, [true, false, false]);
//!     Ok(())
//! }
//! ```
//!
//! # What can cross
//!
//! Functions that are declared, by [`tasks!`](crate::tasks) in [`init`], with arguments and results
//! that serde can carry. A closure cannot: it is refused when it is submitted, by its name. The bytes
//! between are postcard's, which describe no types: a type that asks a format what comes next
//! (`serde_json::Value`, an untagged enum) arrives as an error of its task.
//!
//! # Tasks that submit tasks
//!
//! A task can submit to the pool whose worker it runs in, through [`current_executor`], and wait: while it
//! does, another worker runs in its stead, and what nobody has begun it runs itself.
//!
//! # Futures as arguments
//!
//! A [`Future`](crate::Future) of a value that can cross is an argument like any other, also inside others.
//! The task gets a future of its own process, which ends as that one does; while it waits, another worker
//! runs in its stead. Tasks that wait for each other get a [`Deadlock`](crate::Deadlock).
//!
//! ```
//! use manyhands::{Executor, Future, ProcessPoolExecutor, process, tasks};
//!
//! fn plus_one(number: Future<u64>) -> u64 {
//!     number.result(None).expect("it does not fail") + 1
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     process::init(tasks![u64::pow, plus_one]);
//!     let pool = ProcessPoolExecutor::new(1)?;
//!     let power = pool.submit(u64::pow, (2, 10))?;
//!     assert_eq!(pool.submit(plus_one, (power,))?.result(None)?, 1025);
//!     Ok(())
//! }
//! ```
//!
//! # How it is built
//!
//! | for | see |
//! |---|---|
//! | what the pool is, under one lock | `pool/` |
//! | the thread that starts workers and sees them end | `manager.rs` |
//! | what is decided: who gets which task, who is replaced | [`supervisor`] |
//! | how frames reach a worker and answers come back | [`link`] |
//! | starting a worker | [`launch`] |
//! | what it is to the parent: alive, or how it ended | [`child`] |
//! | what both sides say before the first task | [`birth`] |
//! | what a newborn prints while it is being born | [`last_lines`] |
//! | what the manager sleeps on | [`watch`] |
//! | the worker's loop | `worker.rs` |
//! | tasks that submit to their own pool, and wait | `nested/` |
//! | futures as arguments | `passing.rs`, `nested/passed.rs`, `nested/arrived.rs` |
//! | the seam for another host | [`host`] |
//!
//! Linux's own are the pidfd (`child.rs`), the link to the running file (`launch.rs`), dying with the
//! parent (`birth/worker.rs`), and some flags of `send` and `recvmsg`; the rest is what Unix has.

pub mod birth;
mod buffer;
mod builder;
mod by_number;
mod charge;
pub mod child;
mod executor;
pub mod host;
pub mod last_lines;
pub mod launch;
mod lending;
pub mod link;
mod manager;
mod nested;
mod options;
mod passing;
mod pool;
mod program;
mod request;
mod stand_in;
mod stopwatch;
mod stream;
pub mod supervisor;
mod task;
pub mod watch;
mod worker;

pub use crate::crossing::Tasks;
pub use buffer::Buffer;
pub use builder::{Output, ProcessPoolBuilder, Transport};
pub use executor::{ProcessPoolExecutor, WithOptions};
pub use manyhands_shm::Number;
pub use nested::{CurrentExecutor, current_executor};
pub use options::TaskOptions;
pub use program::{init, init_test};
pub use supervisor::{OnCrash, Stats};
pub use worker::stop_requested;

pub(crate) use by_number::{Awaited, attend, stop};
pub(crate) use nested::{
    For, PARENTS, is_passed, is_worker, may_last, wait_in_graph, waits, withdraw,
};
