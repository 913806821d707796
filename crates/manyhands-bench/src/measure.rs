//! The measuring core: interleaved rounds, and what is said of them.
//!
//! A warm-up round is thrown away. Then in each round every subject runs once, and each round begins with another
//! one: whatever disturbs the machine for a while falls on all of them, and none has always the same neighbour.

use std::process;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::getpid;

use crate::process::tree;
use crate::row::Row;
use crate::subject::Cannot;
use crate::watchdog;

/// No row of one subject may last longer.
const LIMIT: Duration = Duration::from_mins(2);

/// Many pools let their threads end by themselves when dropped; the next subject shall not meet them.
const PAUSE: Duration = Duration::from_millis(10);

/// What the rounds of one row say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    /// Those that ran.
    pub(crate) measured: Vec<Measured>,
    /// Those that could not, and why.
    pub(crate) absent: Vec<(&'static str, Cannot)>,
}

/// The figures of one subject in one row.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// [`Contestant::name`](crate::Contestant::name).
    pub(crate) subject: &'static str,
    /// One for each column of the row.
    pub(crate) figures: Vec<Figure>,
}

/// What the rounds say about one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    /// Half of the rounds were below.
    pub(crate) median: f64,
    /// The best round.
    pub(crate) min: f64,
}

/// Measures one row: all subjects, interleaved; `run` makes the one at this place do the row once.
///
/// # Errors
///
/// When a subject did not start or did not deliver its tasks' values.
pub(crate) fn measure<W>(
    row: &Row<W>,
    subjects: &[&'static str],
    rounds: usize,
    run: impl Fn(usize) -> anyhow::Result<Vec<f64>>,
) -> anyhow::Result<Results> {
    let run = |index: usize| {
        thread::sleep(PAUSE);
        let name = subjects[index];
        let expired = format!(
            "{name}, row {}: not done within {} s, so the run ends here",
            row.id,
            LIMIT.as_secs()
        );
        let give_up = move || {
            eprintln!("{expired}");
            tree::kill_descendants(getpid().as_raw_pid());
            process::exit(1);
        };
        watchdog::guard(LIMIT, give_up, || run(index))
            .with_context(|| format!("{name}, row {}", row.id))
    };

    let mut results = Results::default();
    let mut able = Vec::new();
    for (index, &name) in subjects.iter().enumerate() {
        match run(index) {
            Ok(_) => able.push(index),
            Err(error) => results.absent.push((name, error.downcast::<Cannot>()?)),
        }
    }
    let mut samples = vec![vec![Vec::new(); row.columns.len()]; able.len()];
    for round in 0..rounds {
        for place in order_of(round, able.len()) {
            for (column, value) in run(able[place])?.into_iter().enumerate() {
                samples[place][column].push(value);
            }
        }
    }

    let measured = able.iter().zip(samples).map(|(&index, columns)| Measured {
        subject: subjects[index],
        figures: columns.into_iter().map(|mut rounds| summed_up(&mut rounds)).collect(),
    });
    results.measured.extend(measured);
    Ok(results)
}

/// Who runs when in this round.
fn order_of(round: usize, subjects: usize) -> impl Iterator<Item = usize> {
    (0..subjects).map(move |place| (place + round) % subjects)
}

fn summed_up(rounds: &mut [f64]) -> Figure {
    Figure { median: percentile(rounds, 50), min: percentile(rounds, 0) }
}

/// The value below which `percent` of the values lie; sorts them.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row;

    #[test]
    fn who_cannot_do_a_row_is_left_out_with_the_reason() {
        let row = row::all(1.0).remove(0);
        let run = |index| match index {
            0 => Err(Cannot("has no legs".into()).into()),
            _ => Ok(vec![2.0]),
        };
        let results = measure(&row, &["stone", "hare"], 2, run).unwrap();
        assert_eq!(results.absent, [("stone", Cannot("has no legs".into()))]);
        let [hare] = &results.measured[..] else { panic!("{results:?}") };
        assert_eq!((hare.subject, hare.figures[0].median), ("hare", 2.0));
    }

    #[test]
    fn any_other_failure_ends_the_run() {
        let row = row::all(1.0).remove(0);
        let told = measure(&row, &["hare"], 2, |_| anyhow::bail!("asleep")).unwrap_err();
        assert_eq!(format!("{told:#}"), "hare, row a: asleep");
    }

    #[test]
    fn each_round_begins_with_another_subject() {
        let orders: Vec<Vec<usize>> = (0..4).map(|round| order_of(round, 3).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }

    #[test]
    fn median_and_best_of_the_rounds() {
        assert_eq!(summed_up(&mut [9.0, 1.0, 4.0]), Figure { median: 4.0, min: 1.0 });
        assert_eq!(summed_up(&mut [2.5]), Figure { median: 2.5, min: 2.5 });
    }

    #[test]
    fn percentiles_stay_within_the_values() {
        let mut values: Vec<f64> = (0..200).map(f64::from).rev().collect();
        assert_eq!(percentile(&mut values, 0).to_bits(), 0.0_f64.to_bits());
        assert_eq!(percentile(&mut values, 99).to_bits(), 198.0_f64.to_bits());
        assert_eq!(percentile(&mut values, 100).to_bits(), 199.0_f64.to_bits());
    }
}
