//! What a thread pool must offer to be measured, and its form without type parameters.

use crate::memory::{self, Growth};
use crate::workload::{self, Work};

/// How many items a task gets where the library has no way of its own to map a function over many.
pub(crate) const CHUNK: usize = 1_000;

/// One way to run tasks on worker threads.
///
/// Everything measured goes through these methods, so each implementation uses what its library recommends for speed.
pub trait Subject: Sized + Sync {
    /// How the results call it.
    const NAME: &'static str;

    /// What of the library is used, for the reader of the results.
    const HOW: &'static str;

    /// What [`submit`](Self::submit) gives back, to be exchanged for the task's value.
    type Handle<T: Send + 'static>;

    /// Makes a pool of so many worker threads.
    ///
    /// # Errors
    ///
    /// When the library could not start the pool.
    fn start(workers: usize) -> anyhow::Result<Self>;

    /// Hands one task to the pool.
    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// Waits for a task's value.
    fn collect<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T;

    /// Waits for the values of many tasks, in the order of the handles.
    ///
    /// Async libraries override this, since they enter their runtime once for all handles.
    fn collect_all<T: Send + 'static>(
        &self,
        handles: Vec<Self::Handle<T>>,
        mut each: impl FnMut(T),
    ) {
        for handle in handles {
            each(self.collect(handle));
        }
    }

    /// Applies a function to every item, as fast as it can, and returns the values in the items' order.
    ///
    /// The default is what a user of a pool that only takes tasks writes by hand.
    fn map_all<F>(&self, items: &[u64], function: F) -> Vec<u64>
    where
        F: Fn(u64) -> u64 + Copy + Send + Sync + 'static,
    {
        let mut values = Vec::with_capacity(items.len());
        let handles = items.chunks(CHUNK).map(|part| {
            let part = part.to_vec();
            self.submit(move || part.into_iter().map(function).collect::<Vec<_>>())
        });
        self.collect_all(handles.collect(), |part| values.extend(part));
        values
    }

    /// The same, with a task for each item.
    fn map_each<F>(&self, items: Vec<u64>, function: F) -> Vec<u64>
    where
        F: Fn(u64) -> u64 + Copy + Send + Sync + 'static,
    {
        let mut values = Vec::with_capacity(items.len());
        let handles = items.into_iter().map(|item| self.submit(move || function(item)));
        self.collect_all(handles.collect(), |value| values.push(value));
        values
    }

    /// Submits `task(0)` to `task(tasks - 1)`, takes the values as the tasks complete and returns their sum.
    fn sum_as_completed<F>(&self, tasks: u32, task: F) -> u64
    where
        F: Fn(u32) -> u64 + Copy + Send + 'static;
}

/// A subject cannot do a row; the results say why instead of a figure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cannot(pub String);

/// A [`Subject`] without its type, so that different ones stand in one list.
#[derive(Clone, Copy, Debug)]
pub struct Contestant {
    /// [`Subject::NAME`].
    pub name: &'static str,
    /// [`Subject::HOW`].
    pub how: &'static str,
    /// [`workload::run`], with the number of workers.
    pub(crate) run: fn(&Work, usize) -> anyhow::Result<Vec<f64>>,
    /// [`memory::count_pending`], with the numbers of workers and tasks.
    pub(crate) count_pending: fn(usize, u32) -> anyhow::Result<Growth>,
}

impl Contestant {
    /// Takes a subject into the contest.
    pub fn of<S: Subject>() -> Self {
        Self {
            name: S::NAME,
            how: S::HOW,
            run: workload::run::<S>,
            count_pending: memory::count_pending::<S>,
        }
    }
}
