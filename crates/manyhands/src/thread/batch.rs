//! How many jobs a worker takes at once: one, until its last ones have shown that they are so short
//! that coming for each costs more than running it.

use std::time::{Duration, Instant};

/// The work that a worker takes at once, at the most, measured by its last jobs. This is also how
/// long a job may lie in one worker's hand while another runs a later one: the price of batching.
const BATCH_TIME: Duration = Duration::from_micros(8);

const MAX_BATCH: usize = 64;

/// One worker's memory of its last batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// When the last jobs were taken, and how many; `None` when the worker has slept since.
    last: Option<(Instant, u32)>,
    /// Whether the last visit left something in the hand.
    carried: bool,
}

impl Batch {
    /// How many jobs to take besides the first, when `fair_share` would leave enough for the other
    /// workers. The clock is read only when there is a choice.
    pub(crate) fn more(&mut self, fair_share: usize, now: impl FnOnce() -> Instant) -> usize {
        if fair_share == 0 {
            self.last = None;
            return 0;
        }
        let now = now();
        let allowed = match self.last {
            None => 1,
            Some((then, jobs)) => allowed(now.saturating_duration_since(then) / jobs),
        };
        let more = fair_share.min(allowed - 1);
        self.last = u32::try_from(more + 1).ok().map(|jobs| (now, jobs));
        self.carried = more > 0;
        more
    }

    /// Time that passes from now on is not spent on jobs.
    pub(crate) fn pause(&mut self) {
        self.last = None;
    }

    /// Whether the last visit left something in the hand; said once.
    pub(crate) fn carried(&mut self) -> bool {
        std::mem::take(&mut self.carried)
    }
}

/// How many jobs of this length make a batch.
fn allowed(each: Duration) -> usize {
    let jobs = BATCH_TIME.as_nanos() / each.as_nanos().max(1);
    usize::try_from(jobs).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn short_jobs_come_in_batches_and_long_ones_alone() {
        assert_eq!(allowed(Duration::ZERO), MAX_BATCH);
        assert_eq!(allowed(Duration::from_nanos(50)), MAX_BATCH);
        assert_eq!(allowed(Duration::from_micros(1)), 8);
        assert_eq!(allowed(Duration::from_micros(10)), 1);
        assert_eq!(allowed(Duration::from_secs(1)), 1);
    }

    #[test]
    fn grows_only_on_evidence_and_never_beyond_the_fair_share() {
        let start = Instant::now();
        let mut batch = Batch::default();
        assert_eq!(batch.more(1000, || start), 0);
        assert!(!batch.carried());
        assert_eq!(batch.more(1000, || start + Duration::from_nanos(100)), MAX_BATCH - 1);
        assert!(batch.carried() && !batch.carried());
        assert_eq!(batch.more(5, || start + Duration::from_micros(1)), 5);
        assert_eq!(batch.more(1000, || start + Duration::from_secs(1)), 0);
    }

    #[test]
    fn a_pause_or_an_empty_queue_forgets_the_evidence() {
        let start = Instant::now();
        let mut batch = Batch::default();
        batch.more(1000, || start);
        batch.pause();
        assert_eq!(batch.more(1000, || start), 0);
        assert_eq!(batch.more(0, || unreachable!("no choice, no clock")), 0);
        assert_eq!(batch.more(1000, || start), 0);
    }
}
