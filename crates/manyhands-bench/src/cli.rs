//! The command line of the measuring binaries.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::{Args, Parser};

use crate::subject::Contestant;
use crate::workload::Work;
use crate::{machine, measure, memory, report, row};

/// Measures workloads of thread pools, all subjects interleaved, and prints medians, minima and ratios to manyhands.
#[derive(Parser, Debug)]
struct Options {
    #[command(flatten)]
    common: Common,

    /// Worker threads of each pool
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
}

/// What every measuring binary can be told.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Only these rows, separated by commas: `c10` is one row, `c` all whose name begins so
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,

    /// Only subjects whose name contains one of these words, separated by commas
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,

    /// Multiply all sizes: 0.01 for a quick look
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,

    /// Rounds that count, after one that does not
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,

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
    let Options { common, workers } = Options::parse();
    ensure!(common.scale > 0.0, "--scale must be above 0");
    let rows = row::select(row::all(common.scale), &common.rows)?;
    let contestants = common.invited(contestants, |contestant| contestant.name)?;
    let names: Vec<&'static str> = contestants.iter().map(|contestant| contestant.name).collect();
    if rows.iter().any(|row| matches!(row.work, Work::Pending { .. })) {
        // Better told now than after all the other rows.
        memory::sibling()?;
    }

    let mut text = introduction(&contestants, common.rounds, workers);
    print!("{text}");
    let mut all = Vec::new();
    for row in rows {
        let run = |index: usize| (contestants[index].run)(&row.work, workers.into());
        let measured = measure::measure(&row, &names, common.rounds.into(), run)?.measured;
        let section = report::section(&row, &measured, report::ours(&measured));
        println!("{section}");
        text.push_str(&section);
        text.push('\n');
        all.push((row, measured));
    }
    if let Some(overview) = report::overview(&all) {
        print!("{overview}");
        text.push_str(&overview);
    }
    common.write("rust", &text)
}

impl Common {
    /// The contestants that the command line names, or all.
    pub(crate) fn invited<C: Clone>(
        &self,
        contestants: &[C],
        name: impl Fn(&C) -> &'static str,
    ) -> anyhow::Result<Vec<C>> {
        let words = &self.subjects;
        let wanted = |contestant: &&C| {
            words.is_empty() || words.iter().any(|word| name(contestant).contains(word.as_str()))
        };
        let invited: Vec<C> = contestants.iter().filter(wanted).cloned().collect();
        let names: Vec<&str> = contestants.iter().map(name).collect();
        ensure!(!invited.is_empty(), "no such subject; there are {}", names.join(", "));
        Ok(invited)
    }

    /// Puts the text into the file, if one is named, between the marks of this name.
    pub(crate) fn write(&self, mark: &str, text: &str) -> anyhow::Result<()> {
        let Some(path) = &self.write else { return Ok(()) };
        let before = if path.exists() {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        } else {
            String::new()
        };
        fs::write(path, replaced(&before, mark, text))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The file with what lies between the marks replaced, or with marks and text at its end.
fn replaced(file: &str, mark: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {mark}:begin -->"), format!("<!-- {mark}:end -->"));
    let text = text.trim_end();
    if let Some((head, rest)) = file.split_once(&begin)
        && let Some((_, tail)) = rest.split_once(&end)
    {
        return format!("{head}{begin}\n{text}\n{end}{tail}");
    }
    let file = file.trim_end();
    let gap = if file.is_empty() { "" } else { "\n\n" };
    format!("{file}{gap}{begin}\n{text}\n{end}\n")
}

fn introduction(contestants: &[Contestant], rounds: u16, workers: u16) -> String {
    let mut text = format!(
        "{}- each pool has {workers} workers; median and minimum of {rounds} rounds, in which \
         all subjects took turns\n\
         - a ratio is the median over that of manyhands: above 1 is slower, or more, than manyhands\n\n",
        machine::facts(),
    );
    text.extend(contestants.iter().map(|one| format!("- **{}**: {}\n", one.name, one.how)));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_marks_is_replaced() {
        let first = replaced("# Results\n\nWords.\n", "a", "old\n");
        assert_eq!(first, "# Results\n\nWords.\n\n<!-- a:begin -->\nold\n<!-- a:end -->\n");
        let second = replaced(&format!("{first}\nMore.\n"), "a", "new");
        assert_eq!(second, first.replace("old", "new") + "\nMore.\n");
        let both = replaced(&second, "b", "other");
        assert_eq!(both, second + "\n<!-- b:begin -->\nother\n<!-- b:end -->\n");
    }
}
