//! The command line of the binary that measures worker processes.

use anyhow::ensure;
use clap::Parser;

use super::report;
use super::row;
use super::subject::ProcessContestant;
use crate::cli::Common;
use crate::measure::{Results, measure};
use crate::row::select;

/// Measures workloads of pools of worker processes, all subjects interleaved.
#[derive(Parser, Debug)]
struct Options {
    #[command(flatten)]
    common: Common,
}

/// Measures what the command line asks for and prints it.
///
/// # Errors
///
/// When the command line fits no row or no subject, or a subject fails.
pub fn run(contestants: &[ProcessContestant]) -> anyhow::Result<()> {
    let Options { common } = Options::parse();
    ensure!(common.scale > 0.0, "--scale must be above 0");
    let rows = select(row::all(common.scale), &common.rows)?;
    let contestants = common.invited(contestants, |contestant| contestant.name)?;

    let mut text = report::introduction(&contestants, common.rounds);
    print!("{text}");
    let mut all = Vec::new();
    for row in rows {
        let fit = |contestant: &&ProcessContestant| (contestant.fits)(&row.work.work);
        let fitting: Vec<&ProcessContestant> = contestants.iter().filter(fit).collect();
        let names: Vec<&'static str> = fitting.iter().map(|contestant| contestant.name).collect();
        let run = |index: usize| (fitting[index].run)(&row.work);
        let results: Results = measure(&row, &names, common.rounds.into(), run)?;
        let section = report::section(&row, &results, &contestants);
        println!("{section}");
        text.push_str(&section);
        text.push('\n');
        all.push((row, results));
    }
    let overview = report::overview(&all, &contestants);
    print!("{overview}");
    text.push_str(&overview);
    common.write("processes", &text)
}
