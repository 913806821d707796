//! `rusty_pool`: `evaluate` and its own join handle.

use manyhands_bench::Subject;
use rusty_pool::{Builder, JoinHandle, ThreadPool};

use crate::carry::by_channel;

pub(crate) struct RustyPool(ThreadPool);

impl Subject for RustyPool {
    const NAME: &'static str = "rusty_pool";
    const HOW: &'static str =
        "`evaluate`; `execute` and a channel to take values as tasks complete";
    type Handle<T: Send + 'static> = JoinHandle<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self(Builder::new().core_size(workers).max_size(workers).build()))
    }

    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.0.evaluate(task)
    }

    fn collect<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        handle.await_complete()
    }

    fn sum_as_completed<F>(&self, tasks: u32, task: F) -> u64
    where
        F: Fn(u32) -> u64 + Copy + Send + 'static,
    {
        let (jobs, values) = by_channel(tasks, task);
        jobs.for_each(|job| self.0.execute(job));
        values.sum()
    }
}
