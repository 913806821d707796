//! What the subjects are made to do, and the figures it yields.
//!
//! Each workload starts a fresh pool, wakes all its workers, and only then looks at the clock. Every task's value
//! comes back to the submitter, who checks the sum: a subject that loses or skips a task fails instead of shining.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::time::{ClockId, clock_gettime};

use crate::machine;
use crate::measure::percentile;
use crate::memory;
use crate::spin::{turn, turns_for};
use crate::subject::Subject;

/// One workload and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Submit empty tasks, then collect each in order of submission. Yields us per task.
    Bulk { tasks: u32 },
    /// Submit one, wait for it, and again. Yields the median and the 99th percentile in us.
    RoundTrips {
        /// How often.
        trips: u32,
        /// Keep every core busy with other threads meanwhile.
        crowded: bool,
        /// Stop here even with fewer trips done.
        at_most: Duration,
    },
    /// Leave the pool alone. Yields the processor time it takes nevertheless, in us.
    Idle { watched: Duration },
    /// Several threads submit tasks of one length and collect them. Yields us per task and, unless
    /// the load is nothing, the time that ideal workers would need as a share of the time needed, in percent.
    Producers { producers: u32, tasks_each: u32, load: Duration },
    /// Apply a cheap function to many items. Yields ns per item.
    Map {
        items: u32,
        /// With a task for each.
        each: bool,
    },
    /// Submit empty tasks and take them as they complete. Yields us per task.
    AsCompleted { tasks: u32 },
    /// Let tasks pile up. Yields allocations, bytes asked for and resident bytes per task.
    Pending { tasks: u32 },
}

/// Runs a workload once on a fresh subject and returns its figures.
pub(crate) fn run<S: Subject>(work: &Work, workers: usize) -> anyhow::Result<Vec<f64>> {
    if let Work::Pending { tasks } = *work {
        let growth = memory::ask_sibling(S::NAME, workers, tasks)?;
        let per_task = |total: u32| f64::from(total) / f64::from(tasks);
        return Ok([growth.allocations, growth.bytes, growth.resident].map(per_task).into());
    }
    let subject = S::start(workers)?;
    start_all_workers(&subject, workers);
    match *work {
        Work::Bulk { tasks } => bulk(&subject, tasks),
        Work::RoundTrips { trips, crowded: false, at_most } => {
            round_trips(&subject, trips, at_most)
        }
        Work::RoundTrips { trips, crowded: true, at_most } => {
            in_a_crowd(|| round_trips(&subject, trips, at_most))
        }
        Work::Idle { watched } => Ok(idle(watched)),
        Work::Producers { producers, tasks_each, load } => {
            produce(&subject, workers, producers, tasks_each, load)
        }
        Work::Map { items, each } => map(&subject, items, each),
        Work::AsCompleted { tasks } => as_completed(&subject, tasks),
        Work::Pending { .. } => unreachable!("counted by the sibling, above"),
    }
}

/// Holds one task in each worker until all have one, so that pools which start their threads late have started them.
pub(crate) fn start_all_workers(subject: &impl Subject, workers: usize) {
    let all_here = Arc::new(Barrier::new(workers));
    let tasks = (0..workers).map(|_| {
        let all_here = Arc::clone(&all_here);
        subject.submit(move || {
            all_here.wait();
        })
    });
    let handles = tasks.collect();
    subject.collect_all(handles, |()| ());
}

fn bulk(subject: &impl Subject, tasks: u32) -> anyhow::Result<Vec<f64>> {
    let begin = Instant::now();
    let handles = (0..tasks).map(|number| subject.submit(move || u64::from(number))).collect();
    let mut sum = 0;
    subject.collect_all(handles, |value| sum += value);
    let elapsed = begin.elapsed();
    check_sum(sum, sum_below(tasks))?;
    Ok(vec![micros(elapsed) / f64::from(tasks)])
}

fn round_trips(subject: &impl Subject, trips: u32, at_most: Duration) -> anyhow::Result<Vec<f64>> {
    let begin = Instant::now();
    let mut took = Vec::new();
    for number in 0..trips {
        let submitted = Instant::now();
        let value = subject.collect(subject.submit(move || u64::from(number)));
        took.push(micros(submitted.elapsed()));
        check_sum(value, u64::from(number))?;
        if begin.elapsed() > at_most {
            break;
        }
    }
    Ok(vec![percentile(&mut took, 50), percentile(&mut took, 99)])
}

/// Does something while as many other threads as there are cores never rest.
pub fn in_a_crowd<R>(work: impl FnOnce() -> R) -> R {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..machine::cores() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    turn(1_000);
                }
            });
        }
        let result = work();
        over.store(true, Ordering::Relaxed);
        result
    })
}

fn idle(watched: Duration) -> Vec<f64> {
    // What the workers still do right after their last task belongs to that task.
    thread::sleep(Duration::from_millis(50));
    let before = processor_time();
    thread::sleep(watched);
    vec![micros(processor_time().saturating_sub(before))]
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Both parts of this clock are never negative, and the second is below a second.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn produce(
    subject: &impl Subject,
    workers: usize,
    producers: u32,
    tasks_each: u32,
    load: Duration,
) -> anyhow::Result<Vec<f64>> {
    let turns = turns_for(load);
    let produce_one = || {
        let task = |number| {
            move || {
                turn(turns);
                u64::from(number)
            }
        };
        let handles = (0..tasks_each).map(|number| subject.submit(task(number))).collect();
        let mut sum = 0;
        subject.collect_all(handles, |value| sum += value);
        sum
    };
    let begin = Instant::now();
    let sum: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..producers).map(|_| scope.spawn(produce_one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a producer panicked")).sum()
    });
    let elapsed = begin.elapsed();
    check_sum(sum, sum_below(tasks_each) * u64::from(producers))?;
    let tasks = producers * tasks_each;
    let mut figures = vec![micros(elapsed) / f64::from(tasks)];
    // There is no ideal time for no work.
    if !load.is_zero() {
        let ideal = load * tasks / u32::try_from(workers.min(machine::cores()))?;
        figures.push(ideal.as_secs_f64() / elapsed.as_secs_f64() * 100.0);
    }
    Ok(figures)
}

fn map(subject: &impl Subject, items: u32, each: bool) -> anyhow::Result<Vec<f64>> {
    let input: Vec<u64> = (0..items).map(u64::from).collect();
    let map = || {
        let own = each.then(|| input.clone());
        let begin = Instant::now();
        let values = match own {
            Some(own) => subject.map_each(own, scramble),
            None => subject.map_all(&input, scramble),
        };
        (values, begin.elapsed())
    };
    // The first has the system find the memory for so many values.
    drop(map());
    let (values, elapsed) = map();
    ensure!(
        values.iter().copied().eq((0..items).map(|item| scramble(u64::from(item)))),
        "the values are not those of the items in order"
    );
    Ok(vec![micros(elapsed) * 1e3 / f64::from(items)])
}

/// A few nanoseconds of arithmetic.
fn scramble(item: u64) -> u64 {
    let mixed = (item ^ (item >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn as_completed(subject: &impl Subject, tasks: u32) -> anyhow::Result<Vec<f64>> {
    let begin = Instant::now();
    let sum = subject.sum_as_completed(tasks, |number| black_box(u64::from(number)));
    let elapsed = begin.elapsed();
    check_sum(sum, sum_below(tasks))?;
    Ok(vec![micros(elapsed) / f64::from(tasks)])
}

pub(crate) fn sum_below(end: u32) -> u64 {
    (0..u64::from(end)).sum()
}

pub(crate) fn check_sum(sum: u64, expected: u64) -> anyhow::Result<()> {
    ensure!(sum == expected, "the tasks' values sum up to {sum} and not to {expected}");
    Ok(())
}

/// As the results show it.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manyhands, row};

    /// Runs every task at once in the caller, and loses the last value of two workloads.
    struct Careless;

    impl Subject for Careless {
        const NAME: &'static str = "careless";
        const HOW: &'static str = "badly";
        type Handle<T: Send + 'static> = T;

        fn start(_workers: usize) -> anyhow::Result<Self> {
            Ok(Self)
        }

        fn submit<T, F>(&self, task: F) -> T
        where
            T: Send + 'static,
            F: FnOnce() -> T + Send + 'static,
        {
            task()
        }

        fn collect<T: Send + 'static>(&self, handle: T) -> T {
            handle
        }

        fn map_all<F>(&self, items: &[u64], function: F) -> Vec<u64>
        where
            F: Fn(u64) -> u64 + Copy + Send + Sync + 'static,
        {
            items[1..].iter().copied().map(function).collect()
        }

        fn sum_as_completed<F>(&self, tasks: u32, task: F) -> u64
        where
            F: Fn(u32) -> u64 + Copy + Send + 'static,
        {
            (0..tasks - 1).map(task).sum()
        }
    }

    #[test]
    fn a_lost_value_is_noticed() {
        let told = run::<Careless>(&Work::AsCompleted { tasks: 5 }, 1).unwrap_err();
        assert_eq!(told.to_string(), "the tasks' values sum up to 6 and not to 10");
        let told = run::<Careless>(&Work::Map { items: 5, each: false }, 1).unwrap_err();
        assert_eq!(told.to_string(), "the values are not those of the items in order");
    }

    #[test]
    fn every_workload_yields_a_figure_for_each_column() {
        for row in row::all(0.001) {
            // Counting memory needs the other binary: `tests/smoke.rs` does that.
            if !matches!(row.work, Work::Pending { .. }) {
                let figures = run::<Manyhands>(&row.work, 2).unwrap();
                assert_eq!(figures.len(), row.columns.len(), "row {}", row.id);
                assert!(figures.iter().all(|figure| figure.is_finite()), "row {}", row.id);
            }
        }
    }
}
