//! async-executor: its static form, the fastest it has, run by plain threads.

use std::thread::{self, JoinHandle};

use async_executor::{Executor, StaticExecutor, Task};
use futures::channel::oneshot;
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures_lite::future::block_on;
use manyhands_bench::Subject;

pub(crate) struct AsyncExecutor {
    /// Leaked, as its docs advise; a pool is a few hundred bytes.
    executor: &'static StaticExecutor,
    /// The workers run until these are dropped.
    stay: Vec<oneshot::Sender<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Subject for AsyncExecutor {
    const NAME: &'static str = "async-executor";
    const HOW: &'static str = "`StaticExecutor` run by plain threads; `FuturesUnordered` to take values as tasks complete";
    type Handle<T: Send + 'static> = Task<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        let executor = Executor::new().leak();
        let (stay, workers) = (0..workers)
            .map(|_| {
                let (stay, leave) = oneshot::channel::<()>();
                let worker = thread::spawn(move || {
                    // Nothing is ever sent: the error that ends the wait is the order to leave.
                    let _ = block_on(executor.run(leave));
                });
                (stay, worker)
            })
            .unzip();
        Ok(Self { executor, stay, workers })
    }

    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.executor.spawn(async move { task() })
    }

    fn collect<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T {
        block_on(handle)
    }

    fn collect_all<T: Send + 'static>(
        &self,
        handles: Vec<Self::Handle<T>>,
        mut each: impl FnMut(T),
    ) {
        block_on(async {
            for handle in handles {
                each(handle.await);
            }
        });
    }

    fn sum_as_completed<F>(&self, tasks: u32, task: F) -> u64
    where
        F: Fn(u32) -> u64 + Copy + Send + 'static,
    {
        let handles = (0..tasks).map(|number| self.submit(move || task(number)));
        let handles: FuturesUnordered<_> = handles.collect();
        block_on(handles.fold(0, async |sum, value| sum + value))
    }
}

impl Drop for AsyncExecutor {
    fn drop(&mut self) {
        self.stay.clear();
        for worker in self.workers.drain(..) {
            // A worker that panicked has shown it already, by the value that never came.
            let _ = worker.join();
        }
    }
}
