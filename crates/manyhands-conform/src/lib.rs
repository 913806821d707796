//! What every [`Executor`](manyhands::Executor) must do, as tests for executors of one's own. (How to write
//! one is a chapter of its own, `docs/own_executor.md`.)
//!
//! A [`Subject`] says how to make the executor and what it can do; [`conformance!`] makes a test of each
//! behaviour:
//!
//! ```
//! use manyhands::{Executor, InlineExecutor, Job, Refused};
//! use manyhands_conform::{Subject, conformance};
//!
//! /// Counts, logs, delays... or does nothing but pass on.
//! struct Mine(InlineExecutor);
//!
//! impl Executor for Mine {
//!     fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
//!         self.0.execute(job)
//!     }
//!
//!     fn shutdown(&self, wait: bool, cancel_futures: bool) {
//!         self.0.shutdown(wait, cancel_futures);
//!     }
//! }
//!
//! conformance!(mine, Subject::inline(|| Mine(InlineExecutor::new())));
//! # fn main() {}
//! ```
//!
//! `cargo test` then runs `mine::a_function_is_called_with_its_arguments` and so on. Each fails with the rule
//! that was broken, where the rule comes from, and what was expected; one that hangs fails too, after a
//! time. Without a test harness, [`check_all`] runs the lot:
//!
//! ```
//! use manyhands::InlineExecutor;
//! use manyhands_conform::{Subject, check_all};
//!
//! let failures = check_all(&Subject::inline(InlineExecutor::new));
//! assert!(failures.is_empty(), "{failures:?}");
//! ```
//!
//! The suite sees an executor as a `dyn Executor`: through `execute` and `shutdown`, on which all else is
//! built. What an executor cannot do, or need not, is a parameter of the subject and no second suite;
//! [`behaviours`] has all rules, each with what it [needs](Behaviour::needs).
//!
//! # Executors that run declared functions only
//!
//! Tasks of the suite are functions, which may cross to another process where they are declared. In tests,
//! [`test_worker!`] does that and makes a function `init_worker()`, to be called before an executor is made;
//! a `main` of one's own gives [`tasks`] to [`process::init`](manyhands::process::init).
//!
//! ```text
//! manyhands_conform::test_worker!();
//!
//! conformance!(processes, Subject::pool(2, || {
//!     init_worker();
//!     ProcessPoolExecutor::new(2).unwrap()
//! }).functions_only());
//! ```

mod behaviour;
mod macros;
mod place;
mod rules;
mod subject;
mod tasks;
mod trial;

pub use behaviour::{Behaviour, Failure, Need, Verdict, behaviours, check, check_all};
pub use subject::Subject;
#[cfg(target_os = "linux")]
pub use tasks::tasks;

#[cfg(target_os = "linux")]
#[doc(hidden)]
pub use manyhands::process::init_test as __init_test;

/// The chapter's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/own_executor.md")]
pub struct OwnExecutor;
