//! Parts of running jobs, which workers with nothing else to do take over.
//!
//! A job may lend parts of itself to others of its pool, in a place of its own that costs the pool nothing
//! ([`Parts`]). Workers look there when nothing is queued. Before one sleeps it says so in a word of the pool's
//! ([`Idle`]) and looks once more; whoever lends a part reads that word afterwards, and comes to the pool only if
//! somebody might come ([`Seat::call`]). Of the two, one sees the other.
//!
//! A thread that is no worker may lend too ([`Lender`]). The pool's end does not wait for it: what nobody has taken is
//! its own to do.

use std::fmt;
use std::sync::Arc;

use super::{Phase, Pool, Seat, Shared, State, Worker};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{MutexGuard, all_in_order, sabotaged};

/// Where the job of one worker, or another thread, lends parts of what it does. The pool asks with its lock held: no
/// foreign code may run.
pub trait Parts<J>: Send + Sync {
    /// The next part, for the worker that asks. It is no job of its own: nobody counts it.
    fn take_part(&self) -> Option<J>;

    /// Whether there is one.
    fn has_parts(&self) -> bool;

    /// Whether its job is about to lend more, as far as one sees.
    fn is_in_use(&self) -> bool;
}

/// Whether a worker might come for a part, or could be started. Clones say the same.
#[derive(Clone)]
pub struct Idle(Arc<AtomicBool>);

impl Idle {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether this is the moment to [`call`](Seat::call); asked after a part was put where others find it. It is
    /// no again until a worker has come and found nothing.
    #[inline]
    pub fn take(&self) -> bool {
        all_in_order();
        self.is_any() && self.0.swap(false, Ordering::SeqCst)
    }

    /// Says that somebody is idle, and then looks for a part.
    pub(crate) fn look<P>(&self, look: impl FnOnce() -> Option<P>) -> Option<P> {
        if sabotaged("parts_sleeper_looks_before_it_says_so") {
            let found = look();
            self.set(true);
            return found;
        }
        self.set(true);
        look()
    }

    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, idle: bool) {
        self.0.store(idle, Ordering::SeqCst);
        all_in_order();
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Idle").field(&self.is_any()).finish()
    }
}

impl<J> Worker<J> {
    /// The word that says whether it is worth while to call somebody for a part.
    pub fn idle(&self) -> Idle {
        self.shared.idle.clone()
    }

    /// A part of another worker's job, for one that has found nothing else and is about to sleep.
    pub(super) fn take_part(&mut self, state: &State<J>) -> Option<J> {
        if matches!(state.phase, Phase::Broken(_)) {
            return None;
        }
        let part = self.shared.idle.look(|| state.parts().find_map(Parts::take_part));
        if part.is_some() && std::mem::take(&mut self.free) {
            self.shared.free.fetch_sub(1, Ordering::AcqRel);
        }
        part
    }
}

impl<J> Seat<J> {
    /// Calls somebody for what the job of this worker has lent there. `Some`: the host is to start one more thread
    /// with this worker.
    ///
    /// ```
    /// use manyhands::thread::pool::{Parts, Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use std::sync::Arc;
    ///
    /// struct Lent(AtomicUsize);
    ///
    /// impl Parts<&'static str> for Lent {
    ///     fn take_part(&self) -> Option<&'static str> {
    ///         let less = |left: usize| left.checked_sub(1);
    ///         let taken = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    ///         taken.is_ok().then_some("part")
    ///     }
    ///
    ///     fn has_parts(&self) -> bool {
    ///         self.0.load(Ordering::SeqCst) > 0
    ///     }
    ///
    ///     fn is_in_use(&self) -> bool {
    ///         self.has_parts()
    ///     }
    /// }
    ///
    /// let pool = Pool::new(NonZeroUsize::new(2).unwrap(), None);
    /// let mut worker = pool.submit("job", WhenFull::Refuse).unwrap().unwrap();
    /// assert_eq!(worker.next(), Some("job"));
    /// let lent = Lent(AtomicUsize::new(1));
    /// assert!(worker.idle().take(), "one more could be started");
    /// let mut other = worker.seat().call(Arc::new(lent)).unwrap();
    /// assert_eq!(other.next(), Some("part"));
    /// assert_eq!(pool.stats().running, 1);
    /// ```
    pub fn call(&self, parts: Arc<dyn Parts<J>>) -> Option<Worker<J>> {
        let state = self.shared.lock();
        // Known from here on; there is one place for each worker.
        let _ = self.local.parts.set(parts);
        self.shared.call_for_parts(state)
    }
}

/// A thread that is no worker, and lends parts of what it does to those of a pool, until this is dropped.
pub struct Lender<J> {
    shared: Arc<Shared<J>>,
    parts: Arc<dyn Parts<J>>,
}

impl<J> Pool<J> {
    /// Workers look at what is lent there from now on.
    ///
    /// ```
    /// use manyhands::thread::pool::{Parts, Pool};
    /// use std::num::NonZeroUsize;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::sync::Arc;
    ///
    /// struct Lent(AtomicBool);
    ///
    /// impl Parts<&'static str> for Lent {
    ///     fn take_part(&self) -> Option<&'static str> {
    ///         self.0.swap(false, Ordering::SeqCst).then_some("part")
    ///     }
    ///
    ///     fn has_parts(&self) -> bool {
    ///         self.0.load(Ordering::SeqCst)
    ///     }
    ///
    ///     fn is_in_use(&self) -> bool {
    ///         self.has_parts()
    ///     }
    /// }
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let lender = pool.lender(Arc::new(Lent(AtomicBool::new(true))));
    /// assert!(lender.idle().take(), "a worker could be started");
    /// let mut worker = lender.call().unwrap();
    /// assert_eq!(worker.next(), Some("part"));
    /// ```
    pub fn lender(&self, parts: Arc<dyn Parts<J>>) -> Lender<J> {
        self.0.lock().lenders.push(Arc::clone(&parts));
        Lender { shared: Arc::clone(&self.0), parts }
    }
}

impl<J> Lender<J> {
    /// As [`Worker::idle`].
    pub fn idle(&self) -> Idle {
        self.shared.idle.clone()
    }

    /// As [`Seat::call`]; but for one who is no worker, a closed pool starts no thread any more.
    pub fn call(&self) -> Option<Worker<J>> {
        let mut state = self.shared.lock();
        if !matches!(state.phase, Phase::Open) {
            return None;
        }
        // One that spins may be waiting for this very processor.
        if state.spinning && state.parked > state.woken {
            state.woken += 1;
            self.shared.work.notify_one();
        }
        self.shared.call_for_parts(state)
    }
}

impl<J> Drop for Lender<J> {
    fn drop(&mut self) {
        self.shared.lock().lenders.retain(|parts| !Arc::ptr_eq(parts, &self.parts));
    }
}

impl<J> fmt::Debug for Lender<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lender").finish_non_exhaustive()
    }
}

impl<J> Shared<J> {
    /// Has one worker come for parts.
    pub(super) fn call_for_parts(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<J>>,
    ) -> Option<Worker<J>> {
        if state.spinning {
            self.idle.set(false); // for the one who spins to see
            return None;
        }
        let mut added = None;
        let wakes = state.parked > state.woken;
        if wakes {
            state.woken += 1;
        } else if self.can_add(&state) {
            added = self.call_or_add_worker(&mut state);
        }
        self.recount_idle(&state);
        drop(state);
        if wakes && !sabotaged("parts_call_wakes_nobody") {
            self.work.notify_one();
        }
        added
    }

    /// After a worker has taken something: whether another might come for parts, and whether it has to.
    pub(super) fn hand_on_parts(&self, mut state: MutexGuard<'_, State<J>>) {
        let wakes = state.parked > state.woken
            && state.has_parts()
            && !sabotaged("parts_are_not_handed_on");
        if wakes {
            state.woken += 1;
        }
        self.recount_idle(&state);
        drop(state);
        if wakes {
            self.work.notify_one();
        }
    }

    pub(super) fn recount_idle(&self, state: &State<J>) {
        let idle = state.parked > state.woken || self.can_add(state);
        // One that spins takes a change for its call.
        if !state.spinning && idle != self.idle.is_any() {
            self.idle.set(idle);
        }
    }

    /// Those that have been started come first.
    fn can_add(&self, state: &State<J>) -> bool {
        state.starting == 0
            && state.active() < self.max_workers.load(Ordering::Relaxed)
            && !matches!(state.phase, Phase::Broken(_))
    }
}

impl<J> State<J> {
    fn parts(&self) -> impl Iterator<Item = &dyn Parts<J>> {
        self.parts_of_workers().chain(self.lenders.iter().map(|parts| &**parts))
    }

    fn parts_of_workers(&self) -> impl Iterator<Item = &dyn Parts<J>> {
        self.workers.iter().filter_map(|local| local.parts.get()).map(|parts| &**parts)
    }

    pub(super) fn has_parts(&self) -> bool {
        self.parts().any(Parts::has_parts)
    }

    /// Whether a worker that finds nothing is to wait for more: for jobs, or for parts of those that still run.
    pub(super) fn has_more_to_come(&self) -> bool {
        match self.phase {
            Phase::Open => true,
            Phase::Closed if sabotaged("parts_closed_pool_waits_for_lenders") => {
                self.parts().any(Parts::is_in_use)
            }
            Phase::Closed => self.parts_of_workers().any(Parts::is_in_use),
            Phase::Broken(_) => false,
        }
    }
}
