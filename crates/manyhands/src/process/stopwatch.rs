//! How long a worker's tasks take, with few looks at a clock: one takes as long as a short task.

use std::time::Instant;

/// While tasks are shorter, in nanoseconds, only some of them are timed.
const SHORT: u64 = 2_000;

/// So many short tasks in a row are not.
const UNTIMED: u32 = 7;

/// Times tasks that follow one the other, and those before which there is a pause.
pub(super) struct Stopwatch {
    /// When the clock was read, and how many tasks have ended since.
    read: Option<Instant>,
    untimed: u32,
    /// How long the last took that was timed, in nanoseconds; the mean of short ones. Long, as long as none was.
    took: u64,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self { read: None, untimed: 0, took: u64::MAX }
    }

    /// What goes by until the next task begins is no part of it.
    pub(super) fn pause(&mut self) {
        self.read = None;
    }

    /// A task begins.
    pub(super) fn begin(&mut self, now: impl FnOnce() -> Instant) {
        if self.read.is_none() {
            self.read = Some(now());
            self.untimed = 0;
            // Timed, whatever those before took.
            self.took = u64::MAX;
        }
    }

    /// It ends; how long it took, in nanoseconds. One that is not timed counts as that before it; should it have been
    /// long, what it took counts with the next that is.
    pub(super) fn end(&mut self, now: impl FnOnce() -> Instant) -> u64 {
        if self.took < SHORT && self.untimed < UNTIMED {
            self.untimed += 1;
            return self.took;
        }
        let now = now();
        let all = self.read.replace(now).map_or(0, |read| (now - read).as_nanos());
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        let untimed = u64::from(std::mem::take(&mut self.untimed));
        let each = all / (untimed + 1);
        self.took = if each < SHORT { each } else { all.saturating_sub(untimed * self.took) };
        self.took
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A worker that runs tasks of these many nanoseconds, one after the other; what was said of each, and how
    /// often the clock was read.
    fn run(watch: &mut Stopwatch, tasks: &[u64]) -> (Vec<u64>, u32) {
        let (mut now, mut reads) = (Instant::now(), 0);
        let mut took = Vec::new();
        for nanos in tasks {
            watch.begin(|| {
                reads += 1;
                now
            });
            now += Duration::from_nanos(*nanos);
            took.push(watch.end(|| {
                reads += 1;
                now
            }));
        }
        (took, reads)
    }

    #[test]
    fn long_tasks_are_timed_each() {
        let tasks = [5_000, 70_000, 3_000_000, 2_000];
        assert_eq!(run(&mut Stopwatch::new(), &tasks), (tasks.to_vec(), 5));
    }

    #[test]
    fn of_short_tasks_every_eighth_is_timed() {
        let (took, reads) = run(&mut Stopwatch::new(), &[100; 81]);
        assert_eq!(took, [100; 81]);
        assert_eq!(reads, 12, "as the first begins and ends, and for ten of the others");
    }

    #[test]
    fn a_long_task_among_short_ones_is_noticed_by_the_eighth() {
        let mut tasks = [100; 12];
        tasks[3] = 1_000_000;
        let (took, _) = run(&mut Stopwatch::new(), &tasks);
        assert_eq!(took[..8], [100; 8]);
        assert_eq!(took[8], 1_000_000);
        assert_eq!(took[9..], [100; 3], "and the next are timed, until one is short");
    }

    #[test]
    fn short_tasks_count_as_their_mean() {
        let (took, _) = run(&mut Stopwatch::new(), &[100, 200, 300, 400, 500, 600, 700, 800, 900]);
        assert_eq!(took, [100, 100, 100, 100, 100, 100, 100, 100, 550]);
    }

    #[test]
    fn a_pause_is_no_part_of_a_task() {
        let mut watch = Stopwatch::new();
        run(&mut watch, &[100; 4]);
        watch.pause();
        assert_eq!(run(&mut watch, &[100; 9]), (vec![100; 9], 3));
    }

    #[test]
    fn a_task_after_a_pause_is_timed() {
        let mut watch = Stopwatch::new();
        run(&mut watch, &[100; 4]);
        for nanos in [300, 5_000_000, 200] {
            watch.pause();
            assert_eq!(run(&mut watch, &[nanos]), (vec![nanos], 2));
        }
    }
}
