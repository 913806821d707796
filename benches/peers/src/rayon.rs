//! rayon: `ThreadPool::spawn` for tasks, its parallel iterators for `map`.

use manyhands_bench::Subject;
use rayon::prelude::*;

use crate::carry::{by_channel, by_oneshot, receive};

pub(crate) struct Rayon(rayon::ThreadPool);

impl Subject for Rayon {
    const NAME: &'static str = "rayon";
    const HOW: &'static str =
        "`ThreadPool::spawn` and `oneshot`; `par_iter`, which splits by itself";
    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self(rayon::ThreadPoolBuilder::new().num_threads(workers).build()?))
    }

    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (job, receiver) = by_oneshot(task);
        self.0.spawn(job);
        receiver
    }

    fn collect<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        receive(handle)
    }

    fn map_all<F>(&self, items: &[u64], function: F) -> Vec<u64>
    where
        F: Fn(u64) -> u64 + Copy + Send + Sync + 'static,
    {
        self.0.install(|| items.par_iter().map(|&item| function(item)).collect())
    }

    fn sum_as_completed<F>(&self, tasks: u32, task: F) -> u64
    where
        F: Fn(u32) -> u64 + Copy + Send + 'static,
    {
        let (jobs, values) = by_channel(tasks, task);
        jobs.for_each(|job| self.0.spawn(job));
        values.sum()
    }
}
