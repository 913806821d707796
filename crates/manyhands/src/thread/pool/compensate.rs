//! Workers that wait inside their jobs, and those that work in their stead.

use std::sync::Arc;
use std::time::Duration;

use super::{Local, Phase, Shared, State, Worker};
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, now};

/// How many more workers there may be than `max_workers` while others wait, as in Java's `ForkJoinPool`.
const MOST_IN_STEAD: usize = 256;

/// How far back in the queue one looks for a job that is run in place. Most are the newest, or were before
/// a few others submitted.
const RECENT: usize = 32;

/// How long a spare waits to be called before it leaves.
const SPARE_TIME: Duration = Duration::from_millis(200);

/// One worker's place in a pool, as its job sees it, which is about to wait for another job. Clones stand
/// for the same place.
///
/// ```
/// use manyhands::thread::pool::{Pool, WhenFull};
/// use std::num::NonZeroUsize;
///
/// let pool = Pool::new(NonZeroUsize::MIN, None);
/// let mut worker = pool.submit("waits for the second", WhenFull::Refuse).unwrap().unwrap();
/// worker.next();
/// assert!(pool.submit("second", WhenFull::Refuse).unwrap().is_none());
/// let seat = worker.seat();
/// let mut other = seat.block().expect("one more works in its stead");
/// assert_eq!(other.try_next(), Some("second"));
/// seat.unblock();
/// assert_eq!(other.try_next(), None);
/// ```
pub struct Seat<J> {
    shared: Arc<Shared<J>>,
    local: Arc<Local<J>>,
}

impl<J> Worker<J> {
    /// This worker's place, for its job.
    pub fn seat(&self) -> Seat<J> {
        Seat { shared: Arc::clone(&self.shared), local: Arc::clone(&self.local) }
    }

    /// Waits as a spare; whether it was called. The worker is free if it was.
    pub(super) fn wait_to_be_called<'s>(
        &mut self,
        shared: &'s Shared<J>,
        mut state: MutexGuard<'s, State<J>>,
    ) -> (bool, MutexGuard<'s, State<J>>) {
        if std::mem::take(&mut self.free) {
            shared.free.fetch_sub(1, Ordering::AcqRel);
        }
        state.in_stead -= 1;
        state.spares += 1;
        // A job may have counted on this worker.
        if cfg!(not(sabotage = "pool_spare_keeps_its_job")) {
            shared.wake_one(state);
            state = shared.state.lock();
        }
        let until = now() + SPARE_TIME;
        let mut time_is_up = false;
        loop {
            let leaves = time_is_up || !matches!(state.phase, Phase::Open);
            let goes = leaves && cfg!(sabotage = "pool_spare_leaves_though_called");
            if state.called > 0 && !goes {
                state.called -= 1;
                state.starting -= 1;
                self.set_free();
                return (true, state);
            }
            if leaves {
                state.spares -= 1;
                // At once, or another would be thought to come for what is queued.
                if cfg!(not(sabotage = "pool_spare_leaves_late")) {
                    self.leave(&mut state);
                }
                return (false, state);
            }
            state = shared.call.wait(state, Some(until));
            // In a model the clock stands still, and time may be up at any moment.
            time_is_up = cfg!(loom) || now() >= until;
        }
    }
}

impl<J> Seat<J> {
    /// The job of this worker waits for another from now on. `Some`: a job is queued that nobody else would
    /// come for, and the host is to start one more thread with this worker.
    pub fn block(&self) -> Option<Worker<J>> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        state.compensated += 1;
        // Others would find these, but only when they come for something else.
        for job in self.local.queue.lock().jobs.drain(..).rev() {
            state.push_front(job);
        }
        shared.recount(&mut state);
        if cfg!(sabotage = "pool_waiting_worker_calls_nobody") {
            return None;
        }
        let added = shared.add_worker_if_needed(&mut state);
        if added.is_none() {
            shared.wake_one(state);
        }
        added
    }

    /// It waits no more.
    pub fn unblock(&self) {
        self.shared.state.lock().compensated -= 1;
    }

    /// Takes the job that is the one, if it was queued lately.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let mut worker = pool.submit("first", WhenFull::Refuse).unwrap().unwrap();
    /// assert!(pool.submit("second", WhenFull::Refuse).unwrap().is_none());
    /// assert_eq!(worker.seat().take_recent(|job| *job == "second"), Some("second"));
    /// assert_eq!(worker.seat().take_recent(|job| *job == "second"), None);
    /// assert_eq!(worker.try_next(), Some("first"));
    /// ```
    pub fn take_recent(&self, which: impl Fn(&J) -> bool) -> Option<J> {
        let mut state = self.shared.state.lock();
        let job = state.pop_recent(RECENT, which)?;
        self.shared.recount(&mut state);
        if state.blocked > 0 {
            self.shared.room.notify_one();
        }
        Some(job)
    }

    /// Whether so many wait that nobody will work in the stead of one more.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let worker = pool.submit("job", WhenFull::Refuse).unwrap().unwrap();
    /// assert!(!worker.seat().is_last());
    /// ```
    pub fn is_last(&self) -> bool {
        self.shared.has_most(&self.shared.state.lock())
    }
}

impl<J> Shared<J> {
    /// Calls a spare, or adds a worker if there may be one more.
    #[cold]
    pub(super) fn call_or_add_worker(self: &Arc<Self>, state: &mut State<J>) -> Option<Worker<J>> {
        let max_workers = self.max_workers.load(Ordering::Relaxed);
        let in_stead = usize::from(state.workers.len() - state.spares >= max_workers);
        if state.spares > 0 {
            state.in_stead += in_stead;
            state.spares -= 1;
            state.called += 1;
            // A job may count on it from now on, as on one that is being started.
            state.starting += 1;
            self.call.notify_one();
            return None;
        }
        if self.has_most(state) {
            return None;
        }
        state.in_stead += in_stead;
        Some(self.add_worker(state))
    }

    fn has_most(&self, state: &State<J>) -> bool {
        let most = self.max_workers.load(Ordering::Relaxed).saturating_add(MOST_IN_STEAD);
        state.workers.len() >= most
    }
}

impl<J> State<J> {
    /// How many workers count against `max_workers`. One that has left may still be counted as waiting: a
    /// scope hears of it later.
    pub(super) fn active(&self) -> usize {
        self.workers.len().saturating_sub(self.compensated + self.spares)
    }

    /// A worker has left, be it one that came in the stead of others and could not be started.
    pub(super) fn recount_in_stead(&mut self, max_workers: usize) {
        let most = (self.workers.len() - self.spares).saturating_sub(max_workers);
        self.in_stead = self.in_stead.min(most);
    }

    /// Whether one too many is at work, since one that waited has resumed.
    pub(super) fn has_too_many(&self) -> bool {
        self.in_stead > self.compensated
    }
}

impl<J> Clone for Seat<J> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), local: Arc::clone(&self.local) }
    }
}

impl<J> std::fmt::Debug for Seat<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}
