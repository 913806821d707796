//! The results as Markdown: the tables of the thread pools, with ratios to the best peer.

use super::row::Load;
use super::subject::{Kind, ProcessContestant};
use crate::machine;
use crate::measure::{Measured, Results};
use crate::report::{self, number, ratio, table};
use crate::row::Row;

/// What a reader must know before the tables.
pub(super) fn introduction(contestants: &[ProcessContestant], rounds: u16) -> String {
    let mut text = format!(
        "{}- median and minimum of {rounds} rounds, in which all subjects took turns\n\
         - a ratio is the median over that of the best peer: above 1 is slower, or more, than it; manyhands and the \
         floors are no peers\n\n",
        machine::facts(),
    );
    text.extend(contestants.iter().map(|one| {
        let kind = if one.kind == Kind::Floor { " (floor)" } else { "" };
        format!("- **{}**{kind}: {}\n", one.name, one.how)
    }));
    text.push('\n');
    text
}

/// One row: the table, and why some are not in it.
pub(super) fn section(
    row: &Row<Load>,
    results: &Results,
    contestants: &[ProcessContestant],
) -> String {
    let peers = of_kind(&results.measured, contestants, Kind::Peer);
    let best = |column: usize| {
        let medians = peers.iter().map(|peer| peer.figures[column].median);
        medians.min_by(f64::total_cmp)
    };
    let mut lines = vec![report::section(row, &results.measured, best)];
    lines.extend(results.absent.iter().map(|(name, why)| format!("- {name}: {why}\n")));
    // The table ends with a line break: a second one before the notes, if there are any.
    if lines.len() > 1 {
        lines[0].push('\n');
    }
    lines.concat()
}

/// All rows in one table: the best peer, ours, how many times faster ours is, and the lowest floor.
pub(super) fn overview(rows: &[(Row<Load>, Results)], contestants: &[ProcessContestant]) -> String {
    let head = ["row", "best peer", "its figure", "manyhands", "times faster", "lowest floor"];
    let mut lines = vec![head.map(String::from).to_vec()];
    for (row, results) in rows {
        let best = |kind| {
            let those = of_kind(&results.measured, contestants, kind).into_iter();
            those.min_by(|one, other| one.figures[0].median.total_cmp(&other.figures[0].median))
        };
        let (peer, ours, floor) = (best(Kind::Peer), best(Kind::Ours), best(Kind::Floor));
        let figure = |subject: Option<&Measured>| match subject {
            Some(subject) => number(subject.figures[0].median),
            None => "-".into(),
        };
        let faster = match (peer, ours) {
            (Some(peer), Some(ours)) => ratio(peer.figures[0].median, ours.figures[0].median),
            _ => "-".into(),
        };
        lines.push(vec![
            format!("{}, {}", row.id, row.columns[0].name),
            peer.map_or("-", |peer| peer.subject).into(),
            figure(peer),
            figure(ours),
            faster,
            figure(floor),
        ]);
    }
    format!("## Overview\n\n{}", table(&lines))
}

fn of_kind<'a>(
    measured: &'a [Measured],
    contestants: &[ProcessContestant],
    kind: Kind,
) -> Vec<&'a Measured> {
    let is = |name: &str| contestants.iter().any(|one| one.name == name && one.kind == kind);
    measured.iter().filter(|measured| is(measured.subject)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Figure;
    use crate::process::row;
    use crate::subject::Cannot;

    fn contestant(name: &'static str, kind: Kind) -> ProcessContestant {
        ProcessContestant { name, how: "somehow", kind, fits: |_| true, run: |_| Ok(vec![]) }
    }

    fn contestants() -> Vec<ProcessContestant> {
        vec![
            contestant("ours", Kind::Ours),
            contestant("slow", Kind::Peer),
            contestant("fast", Kind::Peer),
            contestant("pipe", Kind::Floor),
        ]
    }

    fn results(medians: &[(&'static str, f64)]) -> (Row<Load>, Results) {
        let measured = medians.iter().map(|&(subject, median)| Measured {
            subject,
            figures: vec![Figure { median, min: median }],
        });
        let absent = vec![("missing", Cannot("not found".into()))];
        (row::all(1.0).remove(0), Results { measured: measured.collect(), absent })
    }

    #[test]
    fn ratios_are_to_the_best_peer_and_the_absent_are_named() {
        let (row, results) =
            results(&[("ours", 2.0), ("slow", 16.0), ("fast", 4.0), ("pipe", 1.0)]);
        let text = section(&row, &results, &contestants());
        let (table, notes) = text.split_once("\n\n- ").unwrap();
        let ratios: Vec<&str> =
            table.lines().skip(4).map(|line| line.rsplit('|').nth(1).unwrap().trim()).collect();
        assert_eq!(ratios, ["0.25", "0.50", "1.00", "4.00"], "{text}");
        assert_eq!(notes, "missing: not found\n");
    }

    #[test]
    fn the_overview_says_how_many_times_faster_ours_is() {
        let all = [results(&[("ours", 0.5), ("slow", 8.0), ("fast", 4.0), ("pipe", 0.25)])];
        let cells = |text: String| -> Vec<String> {
            let line = text.lines().last().unwrap().trim_matches('|');
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let seen = cells(overview(&all, &contestants()));
        assert_eq!(seen, ["a2, us per task", "fast", "4.00", "0.500", "8.00", "0.250"]);
        let seen = cells(overview(&[results(&[("slow", 8.0)])], &contestants()));
        assert_eq!(seen, ["a2, us per task", "slow", "8.00", "-", "-", "-"]);
    }
}
