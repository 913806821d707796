//! What pools of worker processes are made to do, and the figures it yields.
//!
//! Every task's value comes back and is checked: a subject that loses a task, or does not touch the bytes, fails.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::getpid;

use super::row::{Load, Work};
use super::subject::ProcessSubject;
use super::{FILLING, touch, touched, tree};
use crate::measure::percentile;
use crate::workload::{check_sum, in_a_crowd, micros, sum_below};

/// Runs a workload once on a fresh pool and returns its figures.
pub(super) fn run<S: ProcessSubject>(load: &Load) -> anyhow::Result<Vec<f64>> {
    match load.work {
        Work::Start => return start::<S>(load.workers),
        Work::Recycle { tasks } => return recycle::<S>(load.workers, tasks),
        _ => {}
    }
    let subject = S::start(load.workers)?;
    // Some pools start a worker only when there is work for it.
    submit_and_collect(&subject, 100 * u32::try_from(load.workers)?)?;
    match load.work {
        Work::Bulk { tasks } => {
            let begin = Instant::now();
            submit_and_collect(&subject, tasks)?;
            Ok(vec![micros(begin.elapsed()) / f64::from(tasks)])
        }
        Work::RoundTrips { trips, crowded, at_most } => {
            let trip = |number| {
                let sum = subject.number(subject.add(u64::from(number), 1)?)?;
                check_sum(sum, u64::from(number) + 1)
            };
            if crowded {
                in_a_crowd(|| round_trips(trips, at_most, trip))
            } else {
                round_trips(trips, at_most, trip)
            }
        }
        Work::In { length } => {
            let took = bytes_in(&subject, 1, length)?;
            Ok(vec![millis(took)])
        }
        Work::ManyIn { buffers, length } => {
            let took = bytes_in(&subject, buffers, length)?;
            Ok(vec![micros(took) / f64::from(buffers)])
        }
        Work::Out { length } => bytes_out(&subject, length),
        Work::Idle { watched } => Ok(idle(watched)),
        Work::Start | Work::Recycle { .. } => unreachable!("begun without a pool, above"),
    }
}

fn start<S: ProcessSubject>(workers: usize) -> anyhow::Result<Vec<f64>> {
    let begin = Instant::now();
    let subject = S::start(workers)?;
    let sum = subject.number(subject.add(1, 2)?)?;
    let elapsed = begin.elapsed();
    check_sum(sum, 3)?;
    Ok(vec![millis(elapsed)])
}

fn recycle<S: ProcessSubject>(workers: usize, tasks: u32) -> anyhow::Result<Vec<f64>> {
    let subject = S::start_recycling(workers)?;
    let begin = Instant::now();
    submit_and_collect(&subject, tasks)?;
    Ok(vec![millis(begin.elapsed()) / f64::from(tasks)])
}

fn submit_and_collect<S: ProcessSubject>(subject: &S, tasks: u32) -> anyhow::Result<()> {
    let sum = sum_of(subject, tasks, |number| subject.add(u64::from(number), 1))?;
    check_sum(sum, sum_below(tasks) + u64::from(tasks))
}

/// Submits all that the subject bears, collects in order of submission, and sums up.
fn sum_of<S: ProcessSubject>(
    subject: &S,
    tasks: u32,
    submit: impl Fn(u32) -> anyhow::Result<S::Number>,
) -> anyhow::Result<u64> {
    let most = subject.most_pending();
    let mut pending = VecDeque::with_capacity(most.min(usize::try_from(tasks)?));
    let mut sum = 0;
    for number in 0..tasks {
        if pending.len() == most
            && let Some(oldest) = pending.pop_front()
        {
            sum += subject.number(oldest)?;
        }
        pending.push_back(submit(number)?);
    }
    for task in pending {
        sum += subject.number(task)?;
    }
    Ok(sum)
}

/// Makes so many trips, numbered, but none after `at_most`. Yields the median and the 99th percentile in us.
///
/// # Errors
///
/// The first that a trip has.
pub fn round_trips(
    trips: u32,
    at_most: Duration,
    mut trip: impl FnMut(u32) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let begin = Instant::now();
    let mut took = Vec::new();
    for number in 0..trips {
        let submitted = Instant::now();
        trip(number)?;
        took.push(micros(submitted.elapsed()));
        if begin.elapsed() > at_most {
            break;
        }
    }
    Ok(vec![percentile(&mut took, 50), percentile(&mut took, 99)])
}

fn bytes_in<S: ProcessSubject>(
    subject: &S,
    buffers: u32,
    length: usize,
) -> anyhow::Result<Duration> {
    let bytes = vec![FILLING; length];
    let mut elapsed = Duration::ZERO;
    // The second time counts: a pool is used more than once, and the system has found the memory then.
    for _ in 0..2 {
        let begin = Instant::now();
        let sum = sum_of(subject, buffers, |_| subject.touch(&bytes))?;
        elapsed = begin.elapsed();
        check_sum(sum, touched(length) * u64::from(buffers))?;
    }
    Ok(elapsed)
}

fn bytes_out<S: ProcessSubject>(subject: &S, length: usize) -> anyhow::Result<Vec<f64>> {
    let mut elapsed = Duration::ZERO;
    for _ in 0..2 {
        let begin = Instant::now();
        let bytes = subject.make(length)?;
        let sum = touch(&bytes);
        elapsed = begin.elapsed();
        anyhow::ensure!(bytes.len() == length, "{} bytes came and not {length}", bytes.len());
        check_sum(sum, touched(length))?;
    }
    Ok(vec![millis(elapsed)])
}

fn idle(watched: Duration) -> Vec<f64> {
    // What the workers still do right after their last task belongs to that task.
    thread::sleep(Duration::from_millis(50));
    let own = getpid().as_raw_pid();
    let mut processes = tree::descendants(own);
    processes.push(own);
    let before = tree::processor_time(&processes);
    thread::sleep(watched);
    vec![micros(tree::processor_time(&processes).saturating_sub(before))]
}

/// As the results show it.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{add, row};

    /// Runs every task at once in the caller; from the third on it forgets to add.
    struct Careless<const LOSES: bool>;

    impl<const LOSES: bool> ProcessSubject for Careless<LOSES> {
        const NAME: &'static str = "careless";
        const HOW: &'static str = "badly";
        type Number = u64;
        type Bytes = Vec<u8>;

        fn start(_workers: usize) -> anyhow::Result<Self> {
            Ok(Self)
        }

        fn start_recycling(workers: usize) -> anyhow::Result<Self> {
            Self::start(workers)
        }

        fn most_pending(&self) -> usize {
            2
        }

        fn add(&self, a: u64, b: u64) -> anyhow::Result<u64> {
            Ok(if LOSES && a >= 2 { a } else { add(a, b) })
        }

        fn touch(&self, bytes: &[u8]) -> anyhow::Result<u64> {
            Ok(if LOSES { 0 } else { touch(bytes) })
        }

        fn number(&self, task: u64) -> anyhow::Result<u64> {
            Ok(task)
        }

        fn make(&self, length: usize) -> anyhow::Result<Vec<u8>> {
            Ok(vec![FILLING; if LOSES { length - 1 } else { length }])
        }
    }

    #[test]
    fn a_wrong_value_is_noticed() {
        for (work, told) in [
            (Work::Recycle { tasks: 5 }, "the tasks' values sum up to 12 and not to 15"),
            (Work::Bulk { tasks: 5 }, "the tasks' values sum up to 4952 and not to 5050"),
        ] {
            let error = run::<Careless<true>>(&Load { workers: 1, work }).unwrap_err();
            assert_eq!(error.to_string(), told);
        }
        let told = bytes_in(&Careless::<true>, 1, 5000).unwrap_err();
        assert_eq!(told.to_string(), "the tasks' values sum up to 0 and not to 14");
        let told = bytes_out(&Careless::<true>, 5000).unwrap_err();
        assert_eq!(told.to_string(), "4999 bytes came and not 5000");
    }

    #[test]
    fn every_workload_yields_a_figure_for_each_column() {
        for row in row::all(0.001) {
            let figures = run::<Careless<false>>(&row.work).unwrap();
            assert_eq!(figures.len(), row.columns.len(), "row {}", row.id);
            assert!(figures.iter().all(|figure| figure.is_finite()), "row {}", row.id);
        }
    }
}
