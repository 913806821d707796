//! The measuring core: interleaved rounds, and what is said of them.
//!
//! A warm-up round is thrown away. Then in each round every subject runs once, and each round begins with another
//! one: whatever disturbs the machine for a while falls on all of them, and none has always the same neighbour.

use std::process;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::row::Row;
use crate::subject::Contestant;
use crate::watchdog;

/// No row of one subject may last longer.
const LIMIT: Duration = Duration::from_mins(2);

/// Many pools let their threads end by themselves when dropped; the next subject shall not meet them.
const PAUSE: Duration = Duration::from_millis(10);

/// The figures of one subject in one row.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// [`Contestant::name`].
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

/// Measures one row: all contestants, interleaved.
///
/// # Errors
///
/// When a subject did not start or did not deliver its tasks' values.
pub(crate) fn measure(
    row: &Row,
    contestants: &[Contestant],
    rounds: usize,
    workers: usize,
) -> anyhow::Result<Vec<Measured>> {
    let run = |index: usize| {
        thread::sleep(PAUSE);
        let contestant = contestants[index];
        let expired = format!(
            "{}, row {}: not done within {} s, so the run ends here",
            contestant.name,
            row.id,
            LIMIT.as_secs()
        );
        let give_up = move || {
            eprintln!("{expired}");
            process::exit(1);
        };
        watchdog::guard(LIMIT, give_up, || (contestant.run)(&row.work, workers))
            .with_context(|| format!("{}, row {}", contestant.name, row.id))
    };

    for index in 0..contestants.len() {
        run(index)?;
    }
    let mut samples = vec![vec![Vec::new(); row.columns.len()]; contestants.len()];
    for round in 0..rounds {
        for index in order_of(round, contestants.len()) {
            for (column, value) in run(index)?.into_iter().enumerate() {
                samples[index][column].push(value);
            }
        }
    }

    let measured = contestants.iter().zip(samples).map(|(contestant, columns)| Measured {
        subject: contestant.name,
        figures: columns.into_iter().map(|mut rounds| summed_up(&mut rounds)).collect(),
    });
    Ok(measured.collect())
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
