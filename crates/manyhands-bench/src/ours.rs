//! manyhands itself as a subject.

use std::fmt::Display;

use manyhands::{Executor as _, Future, ThreadPoolExecutor, as_completed, map_slice};

use crate::subject::Subject;

/// The thread pool of manyhands.
#[derive(Debug)]
pub struct Manyhands(ThreadPoolExecutor);

impl Subject for Manyhands {
    const NAME: &'static str = "manyhands";
    const HOW: &'static str = "`ThreadPoolExecutor`: `spawn`, `map_slice` by `install`, a task for each item by `map` and `into_vec`, `as_completed`";
    type Handle<T: Send + 'static> = Future<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self(ThreadPoolExecutor::new(workers)?))
    }

    fn submit<T, F>(&self, task: F) -> Future<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        expect(self.0.spawn(task))
    }

    fn collect<T: Send + 'static>(&self, handle: Future<T>) -> T {
        expect(handle.into_result(None))
    }

    fn map_each<F>(&self, items: Vec<u64>, function: F) -> Vec<u64>
    where
        F: Fn(u64) -> u64 + Copy + Send + Sync + 'static,
    {
        expect(self.0.map(function, items).into_vec())
    }

    fn map_all<F>(&self, items: &[u64], function: F) -> Vec<u64>
    where
        F: Fn(u64) -> u64 + Copy + Send + Sync + 'static,
    {
        self.0.install(|| map_slice(items, |&item| function(item)))
    }

    fn sum_as_completed<F>(&self, tasks: u32, task: F) -> u64
    where
        F: Fn(u32) -> u64 + Copy + Send + 'static,
    {
        let futures = (0..tasks).map(|number| self.submit(move || task(number)));
        let futures: Vec<_> = futures.collect();
        as_completed(futures, None).map(|future| self.collect(expect(future))).sum()
    }
}

/// The pool is open and no task of ours fails, so an error is a bug in manyhands and ends the run.
fn expect<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("manyhands: {error}"))
}
