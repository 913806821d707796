//! One worker of a pool: how it comes for jobs, helps the others, and sleeps.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::{BACKLOG, Local, Shared, State};
use crate::sync::atomic::Ordering;
use crate::sync::{MutexGuard, sabotaged};

/// How long a worker is parked with a timeout, and how often it is before it sleeps for good.
const PARK_TIMEOUT: Duration = Duration::from_micros(200);
const TIMED_PARKS: u32 = 5;

/// How many turns a worker waits for one more short job to come in, before it takes those there are.
const GATHER: usize = 64;

/// One worker's place in a pool: its thread asks it for jobs. Dropping it leaves the pool.
///
/// ```
/// use manyhands::thread::pool::{Pool, WhenFull};
/// use std::num::NonZeroUsize;
///
/// let pool = Pool::new(NonZeroUsize::MIN, None);
/// let mut worker = pool.submit("job", WhenFull::Refuse).unwrap().unwrap();
/// assert_eq!((worker.index(), worker.next()), (0, Some("job")));
/// assert_eq!(worker.try_next(), None);
/// pool.close(false);
/// assert_eq!(worker.next(), None);
/// ```
pub struct Worker<J> {
    pub(super) shared: Arc<Shared<J>>,
    pub(super) local: Arc<Local<J>>,
    index: usize,
    /// Whether this worker is counted in the pool's `starting`.
    starting: bool,
    /// Whether this worker is counted in the pool's `free`.
    pub(super) free: bool,
    /// How many jobs its local queue holds; fewer where others have helped themselves.
    pub(super) in_local: usize,
    pub(super) batch: Batch,
    /// Whether this worker is counted in the pool's `local_queues`.
    pub(super) counted: bool,
    /// Set when it has left the pool: whether it was the last.
    was_last: Option<bool>,
}

impl<J> Worker<J> {
    /// A worker that has been counted as starting.
    pub(super) fn new(shared: Arc<Shared<J>>, local: Arc<Local<J>>, index: usize) -> Self {
        let (starting, free, counted) = (true, false, false);
        let (in_local, batch) = (0, Batch::default());
        Self { shared, local, index, starting, free, in_local, batch, counted, was_last: None }
    }

    /// The number of this worker in its pool, from 0 in the order in which they were added.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The next job if there is one now; never sleeps.
    pub fn try_next(&mut self) -> Option<J> {
        self.local.running.store(false, Ordering::Release);
        if let Some(job) = self.next_in_local() {
            return Some(job);
        }
        if !self.shared.has_jobs() || self.was_last.is_some() {
            return None;
        }
        if self.batch.short_jobs() == Some(true) {
            self.gather();
        }
        self.fetch(false)
    }

    /// The next job, sleeping until there is one. `None`: the pool is closed and all is done, and
    /// this worker's thread is to end.
    #[expect(clippy::should_implement_trait, reason = "it sleeps; a `for` loop would hide that")]
    pub fn next(&mut self) -> Option<J> {
        if let Some(job) = self.try_next() {
            return Some(job);
        }
        // It was one too many, and gets no more.
        if self.was_last.is_some() {
            return None;
        }
        // One that is starting is counted when it has the lock, so that it is never counted twice.
        if !self.starting {
            self.set_free();
        }
        self.batch.pause();
        self.fetch(true)
    }

    /// Whether there is something to do after the current job, as far as one sees from here.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let mut worker = pool.submit("first", WhenFull::Refuse).unwrap().unwrap();
    /// worker.next();
    /// assert!(!worker.has_next());
    /// assert!(pool.submit("second", WhenFull::Refuse).is_ok());
    /// assert!(worker.has_next());
    /// ```
    pub fn has_next(&self) -> bool {
        self.in_local > 0 || self.shared.has_jobs()
    }

    /// Says that the current job is as good as done, just before its outcome can be seen; `last`:
    /// and that nothing else is to be done for it, so that this worker is free for another.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::new(2).unwrap(), None);
    /// let mut worker = pool.submit("first", WhenFull::Refuse).unwrap().unwrap();
    /// worker.next();
    /// worker.publish(true);
    /// // The next job counts on this worker, and calls for no other.
    /// assert!(pool.submit("second", WhenFull::Refuse).unwrap().is_none());
    /// ```
    pub fn publish(&mut self, last: bool) {
        self.publish_one();
        self.local.running.store(false, Ordering::Release);
        if last && self.in_local == 0 && !self.shared.has_jobs() {
            self.set_free();
        }
    }

    /// Counts this worker as busy with something that is no job and may take long. `Some`: a job
    /// counts on a free worker, and the host is to start one more thread with this one.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::new(2).unwrap(), None);
    /// let mut worker = pool.submit("first", WhenFull::Refuse).unwrap().unwrap();
    /// worker.next();
    /// worker.publish(true);
    /// assert!(pool.submit("second", WhenFull::Refuse).unwrap().is_none());
    /// let mut other = worker.set_busy().unwrap();
    /// assert_eq!(other.next(), Some("second"));
    /// ```
    pub fn set_busy(&mut self) -> Option<Worker<J>> {
        if !self.free {
            return None;
        }
        let mut state = self.shared.lock();
        self.free = false;
        self.shared.free.fetch_sub(1, Ordering::AcqRel);
        if sabotaged("pool_busy_worker_calls_nobody") {
            return None;
        }
        let added = self.shared.add_worker_if_needed(&mut state);
        if added.is_none() {
            self.shared.wake_one(state);
        }
        added
    }

    /// Lets short jobs gather while they stream in: a worker as quick as its submitter would meet it
    /// at the lock for each of them.
    fn gather(&self) {
        let mut before = 0;
        loop {
            let queued = self.shared.queued.load(Ordering::Acquire);
            if queued <= before || queued >= BACKLOG {
                return;
            }
            before = queued;
            for _ in 0..GATHER {
                std::hint::spin_loop();
            }
        }
    }

    pub(super) fn set_free(&mut self) {
        if !self.free && !sabotaged("pool_free_is_not_told") {
            self.free = true;
            self.shared.free.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Leaves the pool; what is left in the local queue goes back to the head of the queue.
    pub(super) fn leave(&mut self, state: &mut State<J>) {
        state.workers.retain(|local| !Arc::ptr_eq(local, &self.local));
        state.completed += self.local.completed.load(Ordering::Acquire);
        if self.counted {
            self.shared.local_queues.fetch_sub(1, Ordering::Relaxed);
        }
        if !sabotaged("pool_leaver_keeps_its_local_queue") {
            for job in self.local.queue.lock().jobs.drain(..).rev() {
                state.push_front(job);
            }
        }
        self.shared.recount(state);
        if self.free {
            self.shared.free.fetch_sub(1, Ordering::AcqRel);
        }
        if self.starting {
            state.starting -= 1;
        }
        state.recount_in_stead(self.shared.max_workers.load(Ordering::Relaxed));
        self.was_last = Some(state.workers.is_empty());
        if self.local.parts.get().is_some() && !sabotaged("parts_lender_leaves_silently") {
            // Others may have waited for parts alone.
            self.shared.recount_idle(state);
            self.shared.work.notify_all();
        }
    }

    fn next_in_local(&mut self) -> Option<J> {
        if self.in_local == 0 {
            return None;
        }
        let job = self.local.queue.lock().jobs.pop_front();
        if job.is_some() {
            self.in_local -= 1;
        } else {
            self.in_local = 0;
        }
        job.map(|job| self.begin(job))
    }

    fn begin(&mut self, job: J) -> J {
        self.local.running.store(true, Ordering::Release);
        job
    }

    /// Comes to the queue for a job; with `park`, sleeps until there is one or the pool is closed.
    fn fetch(&mut self, park: bool) -> Option<J> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        if std::mem::take(&mut self.starting) {
            state.starting -= 1;
            self.set_free();
            shared.recount_idle(&state);
        }
        let (mut spun, mut timed) = (false, 0);
        loop {
            if state.has_too_many() {
                if !park {
                    return None;
                }
                let (called, again) = self.wait_to_be_called(&shared, state);
                if !called {
                    return None;
                }
                state = again;
            }
            if let Some(job) = self.take(&mut state) {
                if self.free {
                    self.free = false;
                    shared.free.fetch_sub(1, Ordering::AcqRel);
                }
                // A wake-up brings one worker; if there is work for more, it calls the next.
                shared.wake_one(state);
                return Some(self.begin(job));
            }
            if !park {
                return None;
            }
            if let Some(part) = self.take_part(&state) {
                shared.hand_on_parts(state);
                return Some(part);
            }
            if !state.has_more_to_come() {
                return None;
            }
            let others_busy = state.workers.len() > shared.free.load(Ordering::Acquire);
            let needless = state.spinning || (state.short_jobs && others_busy);
            if !spun && !needless {
                spun = true;
                state.spinning = true;
                drop(state);
                shared
                    .spin
                    .until(|| shared.queued.load(Ordering::Acquire) > 0 || !shared.idle.is_any());
                state = shared.state.lock();
                state.spinning = false;
                continue;
            }
            state.parked += 1;
            if timed < TIMED_PARKS && !state.timed_park {
                timed += 1;
                state = shared.park_timeout(state);
            } else {
                // Nothing is queued, here or in a local queue: whoever changes that, wakes.
                let until = state.look_again();
                state = shared.work.wait(state, until);
                (spun, timed) = (false, 0);
            }
            state.parked -= 1;
            state.woken = state.woken.saturating_sub(1);
        }
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        if self.was_last.is_none() {
            let shared = Arc::clone(&self.shared);
            let mut state = shared.lock();
            self.leave(&mut state);
            shared.wake_one(state);
        }
        if self.was_last == Some(true) {
            self.shared.all_left.notify_all();
        }
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<J> Shared<J> {
    /// Whether something is queued or was left in the intake, as far as one sees without the lock.
    fn has_jobs(&self) -> bool {
        self.queued.load(Ordering::Acquire) > 0 || self.intake.is_open()
    }

    /// Parks with a timeout, again and again as long as the others come for short jobs and do not fall
    /// behind.
    fn park_timeout<'s>(&self, mut state: MutexGuard<'s, State<J>>) -> MutexGuard<'s, State<J>> {
        state.timed_park = true;
        loop {
            let fetches = state.fetches;
            state = self.work.wait(state, Some(Instant::now() + PARK_TIMEOUT));
            let others_get_on = state.short_jobs && state.fetches > fetches;
            if !others_get_on || state.waiting > BACKLOG || state.woken > 0 {
                state.timed_park = false;
                return state;
            }
        }
    }
}
