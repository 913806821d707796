//! executors: its work-stealing pool, with the small parker it recommends for up to 32 threads.

use executors::Executor as _;
use executors::crossbeam_workstealing_pool::{self, ThreadPool};
use executors::parker::{SmallThreadData, StaticParker};
use manyhands_bench::Subject;

use crate::carry::{by_channel, by_oneshot, receive};

pub(crate) struct Executors(ThreadPool<StaticParker<SmallThreadData>>);

impl Subject for Executors {
    const NAME: &'static str = "executors";
    const HOW: &'static str = "`crossbeam_workstealing_pool::small_pool`, `execute` and `oneshot`";
    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self(crossbeam_workstealing_pool::small_pool(workers)))
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

impl Drop for Executors {
    fn drop(&mut self) {
        // Without it the workers outlive the pool, find it gone and panic.
        if let Err(reason) = self.0.shutdown_borrowed() {
            eprintln!("executors did not shut down: {reason}");
        }
    }
}
