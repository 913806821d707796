//! tokio: `spawn_blocking`, its pool for functions that are not async.

use manyhands_bench::Subject;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct Tokio(Runtime);

impl Subject for Tokio {
    const NAME: &'static str = "tokio";
    const HOW: &'static str = "`spawn_blocking`; `JoinSet` to take values as tasks complete";
    type Handle<T: Send + 'static> = JoinHandle<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        Ok(Self(builder.worker_threads(1).max_blocking_threads(workers).build()?))
    }

    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.0.spawn_blocking(task)
    }

    fn collect<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        self.0.block_on(handle).expect("no task panics or is cancelled")
    }

    fn collect_all<T: Send + 'static>(
        &self,
        handles: Vec<Self::Handle<T>>,
        mut each: impl FnMut(T),
    ) {
        self.0.block_on(async {
            for handle in handles {
                each(handle.await.expect("no task panics or is cancelled"));
            }
        });
    }

    fn sum_as_completed<F>(&self, tasks: u32, task: F) -> u64
    where
        F: Fn(u32) -> u64 + Copy + Send + 'static,
    {
        let mut set = JoinSet::new();
        for number in 0..tasks {
            set.spawn_blocking_on(move || task(number), self.0.handle());
        }
        self.0.block_on(async {
            let mut sum = 0;
            while let Some(value) = set.join_next().await {
                sum += value.expect("no task panics or is cancelled");
            }
            sum
        })
    }
}
