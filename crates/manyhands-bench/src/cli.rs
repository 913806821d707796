//! The command line of the measuring binaries.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Parser;

use crate::subject::Contestant;
use crate::workload::Work;
use crate::{machine, measure, memory, report, row};

/// Measures workloads of thread pools, all subjects interleaved, and prints medians, minima and ratios to manyhands.
#[derive(Parser, Debug)]
struct Options {
    /// Only these rows, separated by commas: `c10` is one row, `c` all whose name begins so
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,

    /// Only subjects whose name contains one of these words, separated by commas
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,

    /// Multiply all sizes: 0.01 for a quick look
    #[arg(long, default_value_t = 1.0)]
    scale: f64,

    /// Rounds that count, after one that does not
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Worker threads of each pool
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,

    /// Write the results to this Markdown file too
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Measures what the command line asks for and prints it.
///
/// # Errors
///
/// When the command line fits no row or no subject, or a subject fails.
pub fn run(contestants: &[Contestant]) -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(options.scale > 0.0, "--scale must be above 0");
    let rows = row::select(row::all(options.scale), &options.rows)?;
    let contestants = invited(contestants, &options.subjects)?;
    if rows.iter().any(|row| matches!(row.work, Work::Pending { .. })) {
        // Better told now than after all the other rows.
        memory::sibling()?;
    }

    let mut text = introduction(&contestants, &options);
    print!("{text}");
    let mut all = Vec::new();
    for row in rows {
        let measured =
            measure::measure(&row, &contestants, options.rounds.into(), options.workers.into())?;
        let section = report::section(&row, &measured);
        println!("{section}");
        text.push_str(&section);
        text.push('\n');
        all.push((row, measured));
    }
    if let Some(overview) = report::overview(&all) {
        print!("{overview}");
        text.push_str(&overview);
    }
    if let Some(path) = &options.write {
        let before = if path.exists() {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        } else {
            String::new()
        };
        fs::write(path, replaced(&before, &text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

const BEGIN: &str = "<!-- rust:begin -->";
const END: &str = "<!-- rust:end -->";

/// The file with what lies between the marks replaced, or with marks and text at its end.
fn replaced(file: &str, text: &str) -> String {
    let text = text.trim_end();
    if let Some((head, rest)) = file.split_once(BEGIN)
        && let Some((_, tail)) = rest.split_once(END)
    {
        return format!("{head}{BEGIN}\n{text}\n{END}{tail}");
    }
    let file = file.trim_end();
    let gap = if file.is_empty() { "" } else { "\n\n" };
    format!("{file}{gap}{BEGIN}\n{text}\n{END}\n")
}

fn introduction(contestants: &[Contestant], options: &Options) -> String {
    let mut text = format!(
        "{}- each pool has {} workers; median and minimum of {} rounds, in which \
         all subjects took turns\n\
         - a ratio is the median over that of manyhands: above 1 is slower, or more, than manyhands\n\n",
        machine::facts(),
        options.workers,
        options.rounds
    );
    text.extend(contestants.iter().map(|one| format!("- **{}**: {}\n", one.name, one.how)));
    text.push('\n');
    text
}

fn invited(contestants: &[Contestant], words: &[String]) -> anyhow::Result<Vec<Contestant>> {
    let wanted = |contestant: &&Contestant| {
        words.is_empty() || words.iter().any(|word| contestant.name.contains(word.as_str()))
    };
    let invited: Vec<Contestant> = contestants.iter().filter(wanted).copied().collect();
    let names: Vec<&str> = contestants.iter().map(|contestant| contestant.name).collect();
    ensure!(!invited.is_empty(), "no such subject; there are {}", names.join(", "));
    Ok(invited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_marks_is_replaced() {
        let first = replaced("# Results\n\nWords.\n", "old\n");
        assert_eq!(first, format!("# Results\n\nWords.\n\n{BEGIN}\nold\n{END}\n"));
        let second = replaced(&format!("{first}\nMore.\n"), "new");
        assert_eq!(second, format!("# Results\n\nWords.\n\n{BEGIN}\nnew\n{END}\n\nMore.\n"));
    }
}
