//! The pool that people write by hand: boxed closures in a crossbeam channel.
//!
//! It is the least that can be done: it catches no panic, cancels nothing, and cannot be asked how a task stands.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, unbounded};
use manyhands_bench::Subject;

use crate::carry::{by_channel, by_oneshot, receive};

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Crossbeam {
    /// `None` only while it is dropped: without a sender the workers end.
    jobs: Option<Sender<Job>>,
    workers: Vec<JoinHandle<()>>,
}

impl Crossbeam {
    fn execute(&self, job: impl FnOnce() + Send + 'static) {
        let jobs = self.jobs.as_ref().expect("the pool is open");
        jobs.send(Box::new(job)).expect("the workers live as long as the pool");
    }
}

impl Subject for Crossbeam {
    const NAME: &'static str = "crossbeam by hand";
    const HOW: &'static str =
        "boxed closures in a `crossbeam-channel` and `oneshot`; catches no panic, cancels nothing";
    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        let (jobs, queue) = unbounded::<Job>();
        let workers = (0..workers).map(|_| {
            let queue = queue.clone();
            thread::spawn(move || queue.into_iter().for_each(|job| job()))
        });
        Ok(Self { jobs: Some(jobs), workers: workers.collect() })
    }

    fn submit<T, F>(&self, task: F) -> Self::Handle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (job, receiver) = by_oneshot(task);
        self.execute(job);
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
        jobs.for_each(|job| self.execute(job));
        values.sum()
    }
}

impl Drop for Crossbeam {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked has shown it already, by the value that never came.
            let _ = worker.join();
        }
    }
}
