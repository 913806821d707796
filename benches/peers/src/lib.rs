//! The workloads of `manyhands-bench` on manyhands and its peers, in one run.
//!
//! One file a peer. Pools that only run closures get the `oneshot` crate for a task's value, and a channel for taking
//! values as tasks complete ([`carry`]): that is what their users do.
//!
//! Pools of worker processes have a binary and peers of their own: [`processes`].

mod async_executor;
mod carry;
mod crossbeam;
mod executors;
mod futures;
pub mod processes;
mod rayon;
mod rusty_pool;
mod threadpool;
mod tokio;

use manyhands_bench::{Contestant, Manyhands};

/// manyhands and all peers.
pub fn contestants() -> Vec<Contestant> {
    vec![
        Contestant::of::<Manyhands>(),
        Contestant::of::<rayon::Rayon>(),
        Contestant::of::<tokio::Tokio>(),
        Contestant::of::<threadpool::ThreadPool>(),
        Contestant::of::<executors::Executors>(),
        Contestant::of::<rusty_pool::RustyPool>(),
        Contestant::of::<async_executor::AsyncExecutor>(),
        Contestant::of::<futures::Futures>(),
        Contestant::of::<crossbeam::Crossbeam>(),
    ]
}
