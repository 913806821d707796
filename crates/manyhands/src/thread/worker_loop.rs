//! THE WORKER LOOP, and what all threads of a pool share.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::builder::{Initializer, WhenFull};
use super::join::{self, Call};
use super::pool::{self, Pool, Rejection, Worker};
use crate::errors::{BrokenThreadPool, Reason, Refused};
use crate::future::deadline;
use crate::job::Job;
use crate::nested::{self, Compensate};
use crate::panic;
use crate::sync::{Condvar, Mutex};

/// A pool of Rust jobs and what its threads have to know; whoever has it starts the threads.
pub(super) struct Workers<'env> {
    pub(super) pool: Pool<Job<'env>>,
    when_full: WhenFull,
    name_prefix: String,
    initializer: Option<Initializer>,
    /// Tells the pools of this process apart; never 0.
    number: u32,
    /// How many threads are closing the pool at this moment, and cancel what was queued.
    cancelling: Mutex<usize>,
    cancelled: Condvar,
}

/// Starts a thread that calls [`Workers::work`] with this worker.
pub(super) type Start<'a, 'env> = &'a dyn Fn(Worker<Job<'env>>) -> io::Result<()>;

thread_local! {
    /// How many calls of [`Workers::close`] this thread is in: a callback may make another.
    static CANCELS: Cell<u32> = const { Cell::new(0) };
}

impl<'env> Workers<'env> {
    pub(super) fn new(
        pool: Pool<Job<'env>>,
        when_full: WhenFull,
        name_prefix: Option<String>,
        initializer: Option<Initializer>,
    ) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let before = MADE.fetch_add(1, Ordering::Relaxed);
        let name_prefix = name_prefix.unwrap_or_else(|| format!("ThreadPoolExecutor-{before}"));
        Self {
            pool,
            when_full,
            name_prefix,
            initializer,
            number: before.wrapping_add(1).max(1),
            cancelling: Mutex::new(0),
            cancelled: Condvar::new(),
        }
    }

    /// Whether the calling thread is one of these workers.
    pub(super) fn is_current(&self) -> bool {
        nested::pool() == self.number
    }

    /// Accepts a job as the options say. `start` starts a thread that calls [`work`](Self::work).
    pub(super) fn execute(
        &self,
        job: Job<'env>,
        start: Start<'_, 'env>,
    ) -> Result<(), Refused<Job<'env>>> {
        let answer = if self.is_current() { self.when_full.in_worker() } else { self.when_full };
        let when_full = match answer {
            WhenFull::Block => pool::WhenFull::WaitUntil(None),
            WhenFull::BlockFor(time) => pool::WhenFull::WaitUntil(deadline(Some(time))),
            WhenFull::Refuse | WhenFull::RunInCaller => pool::WhenFull::Refuse,
        };
        job.set_pool(self.number);
        match self.pool.submit(job, when_full) {
            Ok(None) => Ok(()),
            Ok(Some(worker)) => {
                self.start(worker, start);
                Ok(())
            }
            Err((job, Rejection::Full { .. })) if answer == WhenFull::RunInCaller => {
                job.run();
                Ok(())
            }
            Err((job, rejection)) => {
                job.set_pool(0);
                Err(Refused { reason: reason(rejection), task: job })
            }
        }
    }

    pub(super) fn start(&self, worker: Worker<Job<'env>>, start: Start<'_, 'env>) {
        let Err(error) = start(worker) else { return };
        // The others will do the work; where there are none, it must not wait for them for ever.
        log::warn!("could not start a worker thread: {error}");
        fail(
            self.pool.drain_if_no_workers(),
            &Arc::new(format!("no thread could be started: {error}")),
        );
    }

    pub(super) fn close(&self, cancel_futures: bool) {
        *self.cancelling.lock() += 1;
        CANCELS.set(CANCELS.get() + 1);
        // Dropping a job cancels its future: its callbacks run here, with no lock held.
        drop(self.pool.close(cancel_futures));
        CANCELS.set(CANCELS.get() - 1);
        *self.cancelling.lock() -= 1;
        self.cancelled.notify_all();
    }

    /// Waits until nobody is about to cancel what they have taken from the queue; whether that is so. A
    /// callback of a future that is being cancelled does not wait for itself.
    pub(super) fn wait_for_cancels(&self, deadline: Option<Instant>) -> bool {
        let mut cancelling = self.cancelling.lock();
        while *cancelling > 0 && CANCELS.get() == 0 {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            cancelling = self.cancelled.wait(cancelling, deadline);
        }
        true
    }

    /// A thread for the worker of this number, to be started.
    pub(super) fn thread(&self, index: usize) -> std::thread::Builder {
        std::thread::Builder::new().name(format!("{}_{index}", self.name_prefix))
    }

    /// What a worker's thread does, from its first moment to its last.
    pub(super) fn work(
        &self,
        mut worker: Worker<Job<'env>>,
        seat: Arc<impl Compensate + Call + 'static>,
        start: Start<'_, 'env>,
    ) {
        let _at_work = nested::work_for(self.number, Some(Arc::clone(&seat) as _));
        if let Some(initializer) = &self.initializer
            && let Err(error) = initializer()
        {
            let reason = Arc::new(format!("a thread's initializer failed: {error}"));
            log::error!("{reason}");
            fail(self.pool.break_down(Arc::clone(&reason)), &reason);
            return;
        }
        let _lends = join::lend_to_others(worker.idle(), seat);
        while let Some(job) = worker.next() {
            panic::contain(|| {
                if let Some(value) = job.run_with(&mut |last| worker.publish(last)) {
                    // Dropping it may take long, or wait for another task, which needs a worker.
                    if let Some(other) = worker.set_busy() {
                        self.start(other, start);
                    }
                    panic::drop_caught(value);
                }
            });
        }
    }
}

fn fail(jobs: Vec<Job<'_>>, reason: &Arc<String>) {
    for job in jobs {
        job.fail(BrokenThreadPool { reason: Arc::clone(reason) }.into());
    }
}

fn reason(rejection: Rejection) -> Reason {
    match rejection {
        Rejection::Closed => Reason::Shutdown,
        Rejection::Full { max_pending } => Reason::Full { max_pending },
        Rejection::Broken(reason) => Reason::Broken(BrokenThreadPool { reason }.into()),
    }
}
