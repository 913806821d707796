//! futures: its own thread pool and the handles of `spawn_with_handle`.

use futures::executor::{ThreadPool, block_on};
use futures::future::RemoteHandle;
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::task::SpawnExt as _;
use manyhands_bench::Subject;

pub(crate) struct Futures(ThreadPool);

impl Subject for Futures {
    const NAME: &'static str = "futures";
    const HOW: &'static str =
        "`ThreadPool::spawn_with_handle`; `FuturesUnordered` to take values as tasks complete";
    type Handle<T: Send + 'static> = RemoteHandle<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self(ThreadPool::builder().pool_size(workers).create()?))
    }

    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.0.spawn_with_handle(async move { task() }).expect("the pool is open")
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
