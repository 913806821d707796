//! Jobs that come in together and wait as one: what several workers do jointly.

use std::fmt;
use std::sync::Arc;

use super::{Phase, Pool, Rejection, Shared, State, Worker};
use crate::sync::atomic::Ordering;
use crate::sync::sabotaged;

/// Jobs that wait in the queue as one. A worker that comes for it gets a handle, by which it takes what is
/// left one by one, without the pool. It stays at the head of the queue until nothing is left, so that
/// every worker that comes joins in, and no job of it waits behind another while a worker is free.
///
/// When nothing is left, the pool drops it, with its lock held: no foreign code may run then.
pub trait Joint<J>: Send + Sync {
    /// How many jobs nobody has begun. It never rises.
    fn left(&self) -> usize;

    /// The handle for one more worker. Called with the pool's lock held.
    fn join(self: Arc<Self>) -> J;
}

/// What waits in the queue. A joint job is boxed: a queue is to be no longer for it.
pub(super) enum Entry<J> {
    One(J),
    Joint(Box<Counted<J>>),
}

pub(super) struct Counted<J> {
    joint: Arc<dyn Joint<J>>,
    /// How many of its jobs are counted in `State::waiting`.
    counted: usize,
}

impl<J> Pool<J> {
    /// Queues jobs that wait as one. `Some`: the host is to start one more thread with this worker, and
    /// to ask [`add_worker`](Pool::add_worker) for the next.
    ///
    /// # Errors
    /// Why it was not accepted. A bounded pool counts job by job: for it, the queue is full.
    ///
    /// ```
    /// use manyhands::block::{Block, Claimed};
    /// use manyhands::thread::pool::{Joint, Pool, Worker};
    /// use std::num::NonZeroUsize;
    /// use std::sync::Arc;
    /// use std::vec::IntoIter;
    ///
    /// struct Lengths(Words);
    /// type Words = Block<IntoIter<&'static str>, usize, ()>;
    ///
    /// impl Joint<Arc<Lengths>> for Lengths {
    ///     fn left(&self) -> usize {
    ///         self.0.left()
    ///     }
    ///
    ///     fn join(self: Arc<Self>) -> Arc<Self> {
    ///         self
    ///     }
    /// }
    ///
    /// fn work_jointly(words: &Words, worker: &mut Worker<Arc<Lengths>>) {
    ///     let Some(mut claimed) = words.claim(()) else { return };
    ///     loop {
    ///         let Claimed { index, job, last } = claimed;
    ///         if last {
    ///             worker.recount();
    ///         }
    ///         let outcome = Ok(job.len());
    ///         let next = if last || worker.may_have_to_help() {
    ///             Err(outcome)
    ///         } else {
    ///             words.finish_and_claim((), index, outcome, || worker.publish_one())
    ///         };
    ///         match next {
    ///             Ok(next) => claimed = next,
    ///             Err(outcome) => {
    ///                 let finished = words.finish((), index, outcome, || worker.publish(true));
    ///                 return words.tell(finished.unwrap());
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// let pool: Pool<Arc<Lengths>> = Pool::new(NonZeroUsize::new(2).unwrap(), None);
    /// let words = Arc::new(Lengths(Block::new(vec!["one", "three"])));
    /// let mut worker = pool.submit_joint(words).unwrap().unwrap();
    /// let mut other = pool.add_worker().expect("there is a job for each of two");
    /// assert_eq!(pool.stats().pending, 2);
    /// work_jointly(&worker.next().unwrap().0, &mut worker);
    /// assert_eq!((pool.stats().pending, pool.stats().completed), (0, 2));
    /// assert!(other.try_next().is_none());
    /// ```
    pub fn submit_joint(&self, job: Arc<dyn Joint<J>>) -> Result<Option<Worker<J>>, Rejection> {
        let shared = &self.0;
        let mut state = shared.lock();
        match &state.phase {
            Phase::Open => (),
            Phase::Closed => return Err(Rejection::Closed),
            Phase::Broken(reason) => return Err(Rejection::Broken(Arc::clone(reason))),
        }
        if let Some(most) = shared.max_pending {
            return Err(Rejection::Full { max_pending: most.get() });
        }
        let counted = job.left();
        state.waiting += counted;
        state.queue.push_back(Entry::Joint(Box::new(Counted { joint: job, counted })));
        shared.recount(&mut state);
        let added = shared.add_worker_if_needed(&mut state);
        // A wake-up brings one worker, which calls the next if there is work for more.
        if !sabotaged("pool_submit_joint_wakes_nobody") {
            shared.wake_one(state);
        }
        Ok(added)
    }

    /// One more worker, if more is queued than workers will come, and there may be one more: the host is
    /// to start a thread with it.
    pub fn add_worker(&self) -> Option<Worker<J>> {
        let mut state = self.0.lock();
        self.0.recount(&mut state);
        self.0.add_worker_if_needed(&mut state)
    }
}

/// What a worker has to say, and to ask, while it takes the jobs of a joint one.
impl<J> Worker<J> {
    /// Says that it has taken the last of what was left, so that nobody counts on there being more.
    pub fn recount(&self) {
        if !sabotaged("pool_joint_is_not_recounted") {
            self.shared.recount(&mut self.shared.state.lock());
        }
    }

    /// Says that a job is as good as done, just before its outcome can be seen, and that this worker
    /// has the next one already.
    pub fn publish_one(&self) {
        let completed = self.local.completed.load(Ordering::Relaxed);
        self.local.completed.store(completed + 1, Ordering::Release);
    }

    /// Whether it is to come back to the pool now, which gives it the same joint job again if there is
    /// nothing older: another worker has jobs in its local queue, and may be held up.
    pub fn may_have_to_help(&self) -> bool {
        self.shared.local_queues.load(Ordering::Relaxed) > 0
            && !sabotaged("pool_joint_keeps_its_workers")
    }
}

impl<J> Shared<J> {
    /// Counts what is queued, as far as joint jobs at the head of the queue have become less. Those behind
    /// them have been begun by nobody.
    #[inline]
    pub(super) fn recount(&self, state: &mut State<J>) {
        if let Some(Entry::Joint(_)) = state.queue.front() {
            state.recount_joint();
        }
        self.queued.store(state.waiting, Ordering::Release);
    }
}

impl<J> State<J> {
    pub(super) fn push_back(&mut self, job: J) {
        self.queue.push_back(Entry::One(job));
        self.waiting += 1;
    }

    pub(super) fn push_front(&mut self, job: J) {
        self.queue.push_front(Entry::One(job));
        self.waiting += 1;
    }

    /// The oldest job, and whether it is a joint one, which stays.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<(J, bool)> {
        match self.pop_one() {
            Some(job) => Some((job, false)),
            None => self.join_or_pop(),
        }
    }

    /// The oldest job if it is one by itself.
    #[inline]
    pub(super) fn pop_one(&mut self) -> Option<J> {
        match self.queue.pop_front()? {
            Entry::One(job) => {
                self.waiting -= 1;
                Some(job)
            }
            joint @ Entry::Joint(_) => {
                self.queue.push_front(joint);
                None
            }
        }
    }

    /// The job that is the one, if it is among the `last` newest.
    pub(super) fn pop_recent(&mut self, last: usize, which: impl Fn(&J) -> bool) -> Option<J> {
        let is_it = |entry: &Entry<J>| matches!(entry, Entry::One(job) if which(job));
        if self.queue.back().is_some_and(is_it) {
            self.waiting -= 1;
            let Some(Entry::One(job)) = self.queue.pop_back() else { return None };
            return Some(job);
        }
        let from_back = self.queue.iter().rev().take(last).position(is_it)?;
        match self.queue.remove(self.queue.len() - 1 - from_back)? {
            Entry::One(job) => {
                self.waiting -= 1;
                Some(job)
            }
            Entry::Joint(_) => None,
        }
    }

    fn join_or_pop(&mut self) -> Option<(J, bool)> {
        self.recount_joint();
        let Some(Entry::Joint(first)) = self.queue.front() else {
            return self.pop_one().map(|job| (job, false));
        };
        let job = Arc::clone(&first.joint).join();
        if sabotaged("pool_joint_leaves_with_the_first") {
            self.waiting -= first.counted;
            self.queue.pop_front();
        }
        Some((job, true))
    }

    /// Everything, oldest first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = J> {
        self.waiting = 0;
        self.queue.drain(..).filter_map(|entry| match entry {
            Entry::One(job) => Some(job),
            Entry::Joint(counted) => (counted.joint.left() > 0).then(|| counted.joint.join()),
        })
    }

    fn recount_joint(&mut self) {
        while let Some(Entry::Joint(first)) = self.queue.front_mut() {
            let left = first.joint.left();
            self.waiting -= first.counted - left;
            first.counted = left;
            if left > 0 {
                return;
            }
            self.queue.pop_front();
        }
    }
}

impl<J> fmt::Debug for Counted<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counted").field(&self.counted).finish()
    }
}
