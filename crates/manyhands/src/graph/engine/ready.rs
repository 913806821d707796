//! What is ready to be run: a list for all workers, and one for each, from which the others take when
//! they find nothing else. So a worker seldom meets another, and nothing waits behind a task that runs
//! while a worker is free.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, now};

/// What is worth fetching another worker for, and the most to take ahead of the others. (A model's clock stands
/// still, so nothing can wait there until it is.)
const WORTH_A_WORKER: Duration =
    if cfg!(loom) { Duration::ZERO } else { Duration::from_micros(20) };
const MOST_AT_ONCE: usize = 64;

pub(super) struct Ready {
    shared: List,
    locals: Mutex<Vec<Arc<List>>>,
}

/// One worker's list. The newest comes first: what it needs is warm.
pub(super) struct List {
    nodes: Mutex<Vec<u32>>,
    /// Mirrors the length, for those who only look.
    count: AtomicUsize,
    /// From when on others may take from it, in nanoseconds since the list was made: its worker will have
    /// done short tasks sooner than another has fetched them.
    others_from: AtomicU64,
    made: Instant,
}

impl Ready {
    /// `nodes`: the last one is taken first.
    pub(super) fn new(nodes: Vec<u32>) -> Self {
        Self { shared: List::new(nodes), locals: Mutex::new(Vec::new()) }
    }

    /// A list for one more worker.
    pub(super) fn join(&self) -> Arc<List> {
        let local = Arc::new(List::new(Vec::new()));
        self.locals.lock().push(Arc::clone(&local));
        local
    }

    /// Gives all that a worker has, and `next`, to everybody. What it was to run next comes first.
    pub(super) fn share(&self, local: &List, next: Option<u32>) {
        let mut nodes = local.nodes.lock();
        let left = std::mem::take(&mut *nodes);
        local.count.store(0, Ordering::Relaxed);
        drop(nodes);
        self.shared.put(left.into_iter().chain(next));
    }

    /// Gives these to everybody; the last comes first.
    pub(super) fn share_all(&self, nodes: impl IntoIterator<Item = u32>) {
        self.shared.put(nodes);
    }

    /// The worker goes, which has nothing any more.
    pub(super) fn leave(&self, local: &Arc<List>) {
        self.locals.lock().retain(|other| !Arc::ptr_eq(other, local));
    }

    /// The next for the worker with this list, for which a task usually takes that long.
    pub(super) fn take(&self, local: &Arc<List>, usual: Duration) -> Option<u32> {
        local
            .take()
            .or_else(|| self.take_some(local, usual))
            .or_else(|| self.take_from_others(local, now()))
    }

    /// Whether there is anything.
    pub(super) fn is_any(&self) -> bool {
        self.shared.count() > 0 || self.locals.lock().iter().any(|local| local.count() > 0)
    }

    /// What the worker with this list can see that is ready.
    pub(super) fn seen(&self, local: &List) -> usize {
        local.count() + self.shared.count()
    }

    fn take_some(&self, local: &List, usual: Duration) -> Option<u32> {
        if self.shared.count() == 0 {
            return None;
        }
        let in_time = WORTH_A_WORKER.as_nanos() / usual.as_nanos().max(1);
        let most = usize::try_from(in_time).unwrap_or(MOST_AT_ONCE).clamp(1, MOST_AT_ONCE);
        let mut nodes = self.shared.nodes.lock();
        // Part of it, so that others find something too.
        let count = most.min(nodes.len().div_ceil(4));
        let at = nodes.len() - count;
        let mut taken = nodes.drain(at..);
        let first = taken.next_back();
        let rest: Vec<u32> = taken.collect();
        self.shared.count.store(nodes.len(), Ordering::Relaxed);
        drop(nodes);
        local.put(rest);
        first
    }

    /// Half of what another has, the oldest.
    fn take_from_others(&self, local: &Arc<List>, now: Instant) -> Option<u32> {
        let locals = self.locals.lock();
        let mut taken =
            locals.iter().filter(|other| !Arc::ptr_eq(other, local)).find_map(|other| {
                if other.count() == 0 || !other.is_for_others(now) {
                    return None;
                }
                let mut nodes = other.nodes.lock();
                let half = nodes.len().div_ceil(2);
                let taken: Vec<u32> = nodes.drain(..half).collect();
                other.count.store(nodes.len(), Ordering::Relaxed);
                (!taken.is_empty()).then_some(taken)
            })?;
        drop(locals);
        let first = taken.pop();
        local.put(taken);
        first
    }
}

impl List {
    fn new(nodes: Vec<u32>) -> Self {
        Self {
            count: AtomicUsize::new(nodes.len()),
            nodes: Mutex::new(nodes),
            others_from: AtomicU64::new(0),
            made: now(),
        }
    }

    /// Its worker begins a task now, and usually takes that long for one.
    pub(super) fn begin(&self, now: Instant, usual: Duration) {
        let wait =
            if is_worth_a_worker(self.count(), usual) { Duration::ZERO } else { WORTH_A_WORKER };
        self.others_from.store(nanos(now + wait - self.made), Ordering::Relaxed);
    }

    fn is_for_others(&self, now: Instant) -> bool {
        nanos(now.saturating_duration_since(self.made)) >= self.others_from.load(Ordering::Relaxed)
    }

    pub(super) fn put(&self, new: impl IntoIterator<Item = u32>) {
        let mut new = new.into_iter().peekable();
        if new.peek().is_none() {
            return;
        }
        let mut nodes = self.nodes.lock();
        nodes.extend(new);
        self.count.store(nodes.len(), Ordering::Relaxed);
    }

    fn take(&self) -> Option<u32> {
        // Its owner alone puts something in.
        if self.count() == 0 {
            return None;
        }
        let mut nodes = self.nodes.lock();
        #[cfg(loom)]
        if crate::sync::sabotaged("graph_take_lets_go") {
            let seen = nodes.last().copied();
            nodes = nodes.let_go();
            nodes.pop();
            self.count.store(nodes.len(), Ordering::Relaxed);
            return seen;
        }
        let node = nodes.pop();
        self.count.store(nodes.len(), Ordering::Relaxed);
        node
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether so many tasks are worth another worker, at this time for each.
pub(super) fn is_worth_a_worker(count: usize, usual: Duration) -> bool {
    count > 0 && usual * u32::try_from(count).unwrap_or(u32::MAX) >= WORTH_A_WORKER
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_nanos(10);
    const LONG: Duration = Duration::from_millis(1);

    #[test]
    fn the_last_comes_first_and_long_tasks_are_taken_one_by_one() {
        let ready = Ready::new(vec![3, 2, 1]);
        let local = ready.join();
        assert_eq!(ready.take(&local, LONG), Some(1));
        assert_eq!(local.count(), 0);
        local.put([7, 8]);
        let taken: Vec<_> = std::iter::from_fn(|| ready.take(&local, LONG)).collect();
        assert_eq!(taken, [8, 7, 2, 3]);
        assert!(!ready.is_any());
    }

    #[test]
    fn short_tasks_are_taken_ahead_and_others_take_them_back() {
        let ready = Ready::new((0..100).rev().collect());
        let (one, other) = (ready.join(), ready.join());
        assert_eq!(ready.take(&one, SHORT), Some(0));
        assert_eq!(one.count(), 24);
        let mut taken = vec![0];
        taken.extend(std::iter::from_fn(|| ready.take(&other, SHORT)));
        assert_eq!((one.count(), ready.is_any()), (0, false));
        taken.sort_unstable();
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn few_short_tasks_are_left_to_their_worker_for_a_while() {
        let ready = Ready::new(Vec::new());
        let (one, other) = (ready.join(), ready.join());
        one.put([1, 2, 3]);
        let now = Instant::now();
        one.begin(now, SHORT);
        assert_eq!(ready.take_from_others(&other, now), None);
        assert_eq!(ready.take_from_others(&other, now + WORTH_A_WORKER), Some(2));
        one.begin(now, LONG);
        assert_eq!(ready.take_from_others(&other, now), Some(3));
    }

    #[test]
    fn what_is_shared_is_there_for_all() {
        let ready = Ready::new(Vec::new());
        let (one, other) = (ready.join(), ready.join());
        one.put([1, 2]);
        ready.share(&one, Some(3));
        ready.leave(&one);
        let taken: Vec<_> = std::iter::from_fn(|| ready.take(&other, LONG)).collect();
        assert_eq!(taken, [3, 2, 1]);
    }

    #[test]
    fn few_short_tasks_are_worth_nobody() {
        assert!(!is_worth_a_worker(10, SHORT) && !is_worth_a_worker(0, LONG));
        assert!(is_worth_a_worker(1, LONG) && is_worth_a_worker(10_000, SHORT));
    }
}
