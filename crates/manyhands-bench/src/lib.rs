//! The workloads manyhands is measured by, and the core that measures them.
//!
//! A [`Subject`] is one way to run tasks on worker threads: manyhands itself ([`Manyhands`]), or a peer from the
//! package `manyhands-bench-peers`. A row of the results is a workload and the figures it yields. The measuring core
//! runs each subject once a round, in rotating order, so that a busy moment of the machine falls on all of them alike.
//!
//! Two binaries belong to each package. The first calls [`cli::run`] and measures every row. The second, whose name
//! ends in `-memory`, calls [`memory::main`]: it has a counting allocator, which would slow all other rows.
//!
//! Pools of worker processes are another matter, with workloads of their own: [`process`].

pub mod cli;
mod machine;
mod measure;
pub mod memory;
mod ours;
pub mod process;
mod report;
mod row;
mod spin;
mod subject;
mod watchdog;
mod workload;

pub use ours::Manyhands;
pub use subject::{Cannot, Contestant, Subject};
