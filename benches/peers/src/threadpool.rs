//! threadpool: one queue behind a mutex.

use manyhands_bench::Subject;

use crate::carry::{by_channel, by_oneshot, receive};

pub(crate) struct ThreadPool(threadpool::ThreadPool);

impl Subject for ThreadPool {
    const NAME: &'static str = "threadpool";
    const HOW: &'static str = "`execute` and `oneshot`";
    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self(threadpool::ThreadPool::new(workers)))
    }

    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (job, receiver) = by_oneshot(task);
        self.0.execute(job);
        receiver
    }

    fn collect<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        receive(handle)
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
