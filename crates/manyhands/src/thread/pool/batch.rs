//! How long jobs are, and what follows from it: a worker that runs jobs shorter than the way to the
//! queue takes several at once, and nobody need be woken to help it.
//!
//! Measured by each worker between two of its visits to the queue. Reading the clock costs as much as
//! running a small job, so it is read only where it decides something, and now and then besides.

use std::time::{Duration, Instant};

/// The work that a worker takes at once, at the most. This is also how long a job may lie in one
/// worker's local queue while another runs a later one: the price of batching.
const BATCH_TIME: Duration = Duration::from_micros(20);

const MAX_BATCH: usize = 256;

/// Jobs shorter than this are over before a sleeping thread could be woken to run them.
const SHORT: Duration = Duration::from_micros(5);

/// Without a backlog, the clock is read at one visit in so many.
const SAMPLE_EVERY: u8 = 8;

/// One worker's measure of its jobs.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// When jobs were last taken, and how many; `None` when that visit was not timed, or when the
    /// worker has slept since.
    taken: Option<(Instant, u32)>,
    /// How long the last measured jobs took, each.
    each: Option<Duration>,
    untimed: u8,
}

impl Batch {
    /// Says how many jobs to take besides the first, when `share` are there to be taken.
    pub(crate) fn more(&mut self, share: usize, now: impl FnOnce() -> Instant) -> usize {
        if share == 0 && self.taken.is_none() && self.untimed < SAMPLE_EVERY {
            self.untimed += 1;
            return 0;
        }
        self.untimed = 0;
        let now = now();
        if let Some((then, jobs)) = self.taken.take() {
            self.each = Some(now.saturating_duration_since(then) / jobs);
            if share == 0 {
                return 0;
            }
        }
        let more = share.min(self.each.map_or(0, batch));
        self.taken = u32::try_from(more + 1).ok().map(|jobs| (now, jobs));
        more
    }

    /// Time that passes from now on is not spent on jobs.
    pub(crate) fn pause(&mut self) {
        self.taken = None;
    }

    /// Whether the last jobs were over before a sleeping thread could have been woken, if any were
    /// measured.
    pub(crate) fn short_jobs(&self) -> Option<bool> {
        self.each.map(|each| each < SHORT)
    }
}

/// How many jobs of this length to take besides the first.
fn batch(each: Duration) -> usize {
    let jobs = BATCH_TIME.as_nanos() / each.as_nanos().max(1);
    usize::try_from(jobs).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH) - 1
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn short_jobs_come_in_batches_and_long_ones_alone() {
        assert_eq!(batch(Duration::ZERO), MAX_BATCH - 1);
        assert_eq!(batch(Duration::from_nanos(50)), MAX_BATCH - 1);
        assert_eq!(batch(Duration::from_micros(1)), 19);
        assert_eq!(batch(Duration::from_micros(11)), 0);
        assert_eq!(batch(Duration::from_secs(1)), 0);
    }

    #[test]
    fn grows_only_on_evidence_and_never_beyond_the_share() {
        let start = Instant::now();
        let after = |nanos| move || start + Duration::from_nanos(nanos);
        let mut batch = Batch::default();
        assert_eq!(batch.more(1000, after(0)), 0);
        assert_eq!(batch.more(1000, after(50)), MAX_BATCH - 1);
        assert_eq!(batch.short_jobs(), Some(true));
        assert_eq!(batch.more(5, after(12_850)), 5);
        assert_eq!(batch.more(1000, after(1_000_000_000)), 0);
        assert_eq!(batch.short_jobs(), Some(false));
    }

    #[test]
    fn idle_time_is_no_evidence() {
        let start = Instant::now();
        let mut batch = Batch::default();
        batch.more(1000, || start);
        batch.pause();
        assert_eq!(batch.more(1000, || start + Duration::from_nanos(1)), 0);
        assert_eq!(batch.short_jobs(), None);
    }

    #[test]
    fn reads_the_clock_now_and_then_without_a_backlog() {
        let mut batch = Batch::default();
        let mut reads = 0;
        for _ in 0..2 * (SAMPLE_EVERY + 2) {
            batch.more(0, || {
                reads += 1;
                Instant::now()
            });
        }
        assert_eq!(reads, 4, "at both ends of a sample");
    }
}
