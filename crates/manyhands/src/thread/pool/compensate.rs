//! Workers that wait inside their jobs, and those that work in their stead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::intake::Shut;
use super::{Local, Phase, Shared, State, Worker};
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, now, sabotaged};

/// How many more workers there may be than `max_workers` while others wait, as in Java's `ForkJoinPool`.
const MOST_IN_STEAD: usize = 256;

/// How far back in the queue one looks for a job that is run in place. Most are the newest, or were before
/// a few others submitted.
const RECENT: usize = 32;

/// How long a spare waits to be called before it leaves.
const SPARE_TIME: Duration = Duration::from_millis(200);

/// How long nothing has to move after a worker was relieved before the next one is; twice as long each time.
const LULL: Duration = Duration::from_millis(100);

/// Nobody needs to work in the stead of a worker that stands still: others move, or there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving;

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
    pub(super) shared: Arc<Shared<J>>,
    pub(super) local: Arc<Local<J>>,
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
        shared.take_in(&mut state, Shut::Yes);
        state.in_stead -= 1;
        state.spares += 1;
        // A job may have counted on this worker.
        if !sabotaged("pool_spare_keeps_its_job") {
            shared.wake_one(state);
            state = shared.lock();
        }
        let until = now() + SPARE_TIME;
        let mut time_is_up = false;
        loop {
            let leaves = time_is_up || !matches!(state.phase, Phase::Open);
            let goes = leaves && sabotaged("pool_spare_leaves_though_called");
            if state.called > 0 && !goes {
                state.called -= 1;
                state.starting -= 1;
                self.set_free();
                return (true, state);
            }
            if leaves {
                state.spares -= 1;
                // At once, or another would be thought to come for what is queued.
                if !sabotaged("pool_spare_leaves_late") {
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
        self.compensate(self.shared.lock())
    }

    fn compensate(&self, mut state: MutexGuard<'_, State<J>>) -> Option<Worker<J>> {
        let shared = &self.shared;
        state.compensated += 1;
        self.give_back(&mut state);
        if sabotaged("pool_waiting_worker_calls_nobody") {
            return None;
        }
        let added = shared.add_worker_if_needed(&mut state);
        if added.is_none() && state.has_parts() {
            return shared.call_for_parts(state);
        }
        shared.recount_idle(&state);
        if added.is_none() {
            shared.wake_one(state);
        }
        added
    }

    /// Others would find what lies in the local queue, but only when they come for something else.
    fn give_back(&self, state: &mut State<J>) {
        for job in self.local.queue.lock().jobs.drain(..).rev() {
            state.push_front(job);
        }
        self.shared.recount(state);
    }

    /// It waits no more.
    pub fn unblock(&self) {
        let mut state = self.shared.lock();
        state.compensated -= 1;
        state.relieved = None;
    }

    /// The job of this worker waits for something else than a job of this pool.
    pub fn stand_still(&self) {
        let mut state = self.shared.lock();
        state.standing += 1;
        self.give_back(&mut state);
        self.shared.wake_one(state);
    }

    /// It goes on, and was not relieved.
    pub fn go_on(&self) {
        let mut state = self.shared.lock();
        state.standing -= 1;
        state.relieved = None;
    }

    /// The job begins to wait, for a job of its `own` pool ([`block`](Self::block)) or for something else
    /// ([`stand_still`](Self::stand_still)). `Some`: as from `block`.
    pub fn begin_wait(&self, own: bool) -> Option<Worker<J>> {
        if own {
            return self.block();
        }
        self.stand_still();
        None
    }

    /// The job waits no more. `relieved`: others could work in its stead, from the beginning or since
    /// [`relieve`](Self::relieve).
    pub fn end_wait(&self, relieved: bool) {
        if relieved {
            self.unblock();
        } else {
            self.go_on();
        }
    }

    /// Has somebody work in the stead of this worker, which stands still, if all do and jobs are queued. From
    /// then on it is as after [`block`](Self::block).
    ///
    /// # Errors
    /// [`Moving`]: there is no need.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let mut worker = pool.submit("waits for a message", WhenFull::Refuse).unwrap().unwrap();
    /// worker.next();
    /// let seat = worker.seat();
    /// seat.stand_still();
    /// assert!(seat.relieve().is_err(), "nothing is queued");
    /// assert!(pool.submit("sends it", WhenFull::Refuse).unwrap().is_none());
    /// let mut other = seat.relieve().unwrap().unwrap();
    /// assert_eq!(other.try_next(), Some("sends it"));
    /// seat.unblock();
    /// ```
    pub fn relieve(&self) -> Result<Option<Worker<J>>, Moving> {
        let mut state = self.shared.lock();
        let (last, times) = state.relieved.unzip();
        let times = times.unwrap_or(0);
        let patience = LULL.saturating_mul(1 << times.min(16));
        let lately = last.is_some_and(|last| now() < last + patience);
        let nothing_to_do = state.waiting == 0 && !state.has_parts();
        if nothing_to_do || state.active() > state.standing || lately {
            return Err(Moving);
        }
        state.relieved = Some((now(), times + 1));
        state.standing -= 1;
        Ok(self.compensate(state))
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
        let mut state = self.shared.lock();
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
        self.shared.has_most(&self.shared.lock())
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

    /// When a worker that sleeps looks whether it is one too many, for nobody wakes it to leave.
    pub(super) fn look_again(&self) -> Option<Instant> {
        // For a model any time is up at once, and this one again and again.
        (self.in_stead > 0 && cfg!(not(loom))).then(|| now() + SPARE_TIME)
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
