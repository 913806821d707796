//! `Small`: a plain thread pool that behaves as it should, and can be given one fault.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use manyhands::{BrokenThreadPool, Executor, Job, Reason, Refused};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    LosesTasks,
    DropsTasks,
    DropsTasksThatMeet,
    RunsInTheCaller,
    HasAWorkerTooFew,
    HasAWorkerTooMany,
    RunsUnderItsLock,
    AcceptsAfterShutdown,
    RefusesForNoReason,
    GivesBackAnother,
    NeverWaits,
    AlwaysWaits,
    NeverCancels,
    AlwaysCancels,
    ForgetsWhatItCancels,
    ForgetsWhatIsPending,
    CancelsUnderItsLock,
    ShutsDownOnce,
    WaitsForItself,
    WaitsForATask,
    ForgetsWhoCancels,
    ForgetsAtDrop,
    BreaksInSilence,
    BreaksByCancelling,
    AcceptsWhenBroken,
}

pub(crate) struct Small(Arc<Inner>);

struct Inner {
    fault: Fault,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job<'static>>,
    workers: Vec<ThreadId>,
    accepted: u64,
    running: usize,
    cancelling: usize,
    closed: bool,
    broken: bool,
}

impl Small {
    pub(crate) fn new(workers: usize, fault: Fault) -> Self {
        let small = Self::without_workers(fault);
        let workers = match fault {
            Fault::HasAWorkerTooFew => workers - 1,
            Fault::HasAWorkerTooMany => workers + 1,
            _ => workers,
        };
        for _ in 0..workers {
            let inner = Arc::clone(&small.0);
            let worker = thread::spawn(move || inner.work());
            small.0.locked().workers.push(worker.thread().id());
        }
        small
    }

    /// One that has yet to break.
    pub(crate) fn without_workers(fault: Fault) -> Self {
        Self(Arc::new(Inner { fault, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// What breaks it.
    pub(crate) fn breaks(&self) -> impl FnOnce() + use<> {
        let inner = Arc::clone(&self.0);
        move || {
            let mut state = inner.locked();
            state.broken = true;
            let queue = mem::take(&mut state.queue);
            drop(state);
            match inner.fault {
                Fault::BreaksInSilence => mem::forget(queue),
                Fault::BreaksByCancelling => drop(queue),
                _ => queue.into_iter().for_each(|job| job.fail(broken().into())),
            }
        }
    }
}

fn broken() -> BrokenThreadPool {
    BrokenThreadPool { reason: "planned".to_owned().into() }
}

impl Inner {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn work(&self) {
        let mut state = self.locked();
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.running += 1;
                if self.fault == Fault::RunsUnderItsLock {
                    job.run();
                } else {
                    drop(state);
                    job.run();
                    state = self.locked();
                }
                state.running -= 1;
                self.changed.notify_all();
            } else if state.closed {
                return;
            } else {
                state = self.changed.wait(state).unwrap();
            }
        }
    }

    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        if self.fault == Fault::RunsInTheCaller {
            job.run();
            return Ok(());
        }
        let mut state = match self.state.try_lock() {
            Err(_) if self.fault == Fault::DropsTasksThatMeet => return Ok(()),
            locked => locked.unwrap_or_else(|_| self.locked()),
        };
        if state.broken {
            if self.fault == Fault::AcceptsWhenBroken {
                mem::forget(job);
                return Ok(());
            }
            return Err(Refused { reason: Reason::Broken(broken().into()), task: job });
        }
        if state.closed {
            return match self.fault {
                Fault::AcceptsAfterShutdown => Ok(()),
                Fault::RefusesForNoReason => {
                    Err(Refused { reason: Reason::Full { max_pending: 0 }, task: job })
                }
                Fault::GivesBackAnother => {
                    Err(Refused { reason: Reason::Shutdown, task: another_job() })
                }
                _ => Err(Refused { reason: Reason::Shutdown, task: job }),
            };
        }
        state.accepted += 1;
        match self.fault {
            Fault::LosesTasks if state.accepted % 7 == 0 => mem::forget(job),
            Fault::DropsTasks if state.accepted % 7 == 0 => drop(job),
            _ => state.queue.push_back(job),
        }
        self.changed.notify_all();
        Ok(())
    }

    fn shutdown(&self, wait: bool, cancel_futures: bool) {
        let mut state = self.locked();
        if mem::replace(&mut state.closed, true) && self.fault == Fault::ShutsDownOnce {
            return;
        }
        self.changed.notify_all();
        let cancels = match self.fault {
            Fault::NeverCancels => false,
            Fault::AlwaysCancels => true,
            _ => cancel_futures,
        };
        let cancelled = if cancels { mem::take(&mut state.queue) } else { VecDeque::new() };
        match self.fault {
            Fault::ForgetsWhatItCancels => mem::forget(cancelled),
            Fault::ForgetsWhatIsPending => mem::forget(mem::take(&mut state.queue)),
            Fault::CancelsUnderItsLock => drop(cancelled),
            _ => {
                state.cancelling += 1;
                drop(state);
                drop(cancelled);
                state = self.locked();
                state.cancelling -= 1;
                self.changed.notify_all();
            }
        }
        let mut waits = wait && !state.workers.contains(&thread::current().id());
        match self.fault {
            Fault::NeverWaits => waits = false,
            Fault::AlwaysWaits => waits = true,
            Fault::WaitsForItself => waits = wait,
            _ => (),
        }
        while waits && self.is_at_work(&state) {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn is_at_work(&self, state: &State) -> bool {
        let waits_for_more = self.fault == Fault::WaitsForATask && state.accepted == 0;
        let others_cancel = self.fault != Fault::ForgetsWhoCancels && state.cancelling > 0;
        state.running > 0 || !state.queue.is_empty() || others_cancel || waits_for_more
    }
}

fn another_job() -> Job<'static> {
    let small = Small::without_workers(Fault::None);
    drop(small.spawn(|| ()).unwrap());
    let job = small.0.locked().queue.pop_front();
    job.expect("it has just been submitted")
}

impl Executor for Small {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        self.0.execute(job)
    }

    fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.0.shutdown(wait, cancel_futures);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if self.0.fault == Fault::ForgetsAtDrop {
            let mut state = self.0.locked();
            state.closed = true;
            mem::forget(mem::take(&mut state.queue));
            self.0.changed.notify_all();
        } else {
            self.0.shutdown(true, false);
        }
    }
}
