//! What a worker takes when it comes: the oldest job, more of them while they are short, or one that another worker
//! has taken ahead.

use super::intake::Shut;
use super::{BACKLOG, LocalQueue, Shared, State, Worker};
use crate::sync::atomic::Ordering;
use crate::sync::{now, sabotaged};

impl<J> Worker<J> {
    /// Takes the next job, and perhaps several more into the local queue.
    pub(super) fn take(&mut self, state: &mut State<J>) -> Option<J> {
        if std::mem::take(&mut self.counted) {
            self.shared.local_queues.fetch_sub(1, Ordering::Relaxed);
        }
        state.fetches += 1;
        let stalled = state.fetches.saturating_sub(2 * state.workers.len() as u64);
        if let Some(job) = Self::steal(&self.shared, state, |ahead| ahead.filled_at < stalled) {
            return Some(job);
        }
        if state.waiting < BACKLOG {
            self.shared.take_in(state, Shut::No);
        }
        let next = state.pop_front().or_else(|| {
            if sabotaged("pool_intake_stays_open") {
                return None;
            }
            self.shared.take_in(state, Shut::IfEmpty);
            state.pop_front()
        });
        let Some((job, joint)) = next else {
            self.shared.recount(state);
            return Self::steal(&self.shared, state, |_| true);
        };
        let mut taken = 1;
        if joint {
            // How long it takes tells nothing about one job.
            self.batch.pause();
        } else if self.shared.max_pending.is_none() {
            let awake = state.workers.len() - state.parked.min(state.workers.len() - 1);
            let more = self.batch.more(state.queue.len() / awake, now);
            state.short_jobs = self.batch.short_jobs().unwrap_or(state.short_jobs);
            if more > 0
                && let Some(next) = state.pop_one()
            {
                self.counted = true;
                let mut ahead = self.local.queue.lock();
                ahead.filled_at = state.fetches;
                ahead.jobs.push_back(next);
                ahead.jobs.extend((1..more).map_while(|_| state.pop_one()));
                self.shared.local_queues.fetch_add(1, Ordering::Relaxed);
                self.in_local = ahead.jobs.len();
                taken += self.in_local;
            }
        }
        self.shared.recount(state);
        for _ in 0..taken.min(state.blocked) {
            self.shared.room.notify_one();
        }
        Some(job)
    }

    /// The oldest job of a local queue that `which` picks.
    pub(super) fn steal(
        shared: &Shared<J>,
        state: &State<J>,
        which: impl Fn(&LocalQueue<J>) -> bool,
    ) -> Option<J> {
        if shared.local_queues.load(Ordering::Relaxed) == 0
            || sabotaged("pool_local_queues_are_not_shared")
        {
            return None;
        }
        state.workers.iter().find_map(|local| {
            let mut ahead = local.queue.lock();
            if which(&ahead) { ahead.jobs.pop_front() } else { None }
        })
    }
}
