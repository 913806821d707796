//! The results as Markdown, which a terminal shows well enough.

use crate::Manyhands;
use crate::measure::Measured;
use crate::row::{Column, Row};
use crate::subject::Subject;

/// One measured row: a heading and a table, the best subject first.
///
/// A ratio is taken against the figure that `base` names for its column.
pub(crate) fn section<W>(
    row: &Row<W>,
    measured: &[Measured],
    base: impl Fn(usize) -> Option<f64>,
) -> String {
    let mut ranked: Vec<&Measured> = measured.iter().collect();
    ranked.sort_by(|one, other| one.figures[0].median.total_cmp(&other.figures[0].median));

    let mut lines = vec![head(row.columns)];
    lines.extend(ranked.into_iter().map(|subject| line(row.columns, subject, &base)));
    format!("## {}: {}\n\n{}", row.id, row.what, table(&lines))
}

/// What ratios are taken against where manyhands takes part.
pub(crate) fn ours(measured: &[Measured]) -> impl Fn(usize) -> Option<f64> {
    let ours = ours_among(measured);
    move |column| ours.map(|ours| ours.figures[column].median)
}

/// All rows in one table, a line for each cost: ours, the best peer, and how many times ours it needs.
///
/// `None` when there is no peer to compare with.
pub(crate) fn overview(rows: &[(Row, Vec<Measured>)]) -> Option<String> {
    let mut lines =
        vec![["row", Manyhands::NAME, "best peer", "its ratio"].map(String::from).into()];
    for (row, measured) in rows {
        let ours = ours_among(measured)?;
        let costs = row.columns.iter().enumerate().filter(|(_, column)| column.is_cost);
        for (index, column) in costs {
            let median = |subject: &Measured| subject.figures[index].median;
            let peers = measured.iter().filter(|subject| subject.subject != Manyhands::NAME);
            let best = peers.min_by(|one, other| median(one).total_cmp(&median(other)))?;
            lines.push(vec![
                format!("{}, {}", row.id, column.name),
                number(median(ours)),
                best.subject.into(),
                ratio(median(best), median(ours)),
            ]);
        }
    }
    Some(format!("## Overview\n\n{}", table(&lines)))
}

fn ours_among(measured: &[Measured]) -> Option<&Measured> {
    measured.iter().find(|subject| subject.subject == Manyhands::NAME)
}

fn head(columns: &[Column]) -> Vec<String> {
    let mut cells = vec!["subject".to_owned()];
    for column in columns {
        cells.push(column.name.into());
        if column.is_cost {
            cells.extend(["min".into(), "ratio".into()]);
        }
    }
    cells
}

fn line(
    columns: &[Column],
    subject: &Measured,
    base: &impl Fn(usize) -> Option<f64>,
) -> Vec<String> {
    let mut cells = vec![subject.subject.to_owned()];
    for (index, (column, figure)) in columns.iter().zip(&subject.figures).enumerate() {
        cells.push(number(figure.median));
        if column.is_cost {
            let ratio = base(index).map(|base| ratio(figure.median, base));
            cells.extend([number(figure.min), ratio.unwrap_or_else(|| "-".into())]);
        }
    }
    cells
}

pub(crate) fn ratio(value: f64, base: f64) -> String {
    if base > 0.0 { format!("{:.2}", value / base) } else { "-".into() }
}

/// Three digits that count, or more before the point.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// Lines of equally many cells as a table whose columns are aligned, the first to the left.
pub(crate) fn table(lines: &[Vec<String>]) -> String {
    let columns = lines[0].len();
    let width =
        |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        let cells =
            line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!(" {cell:<width$} |"),
                _ => format!(" {cell:>width$} |"),
            });
        text.extend(["|".to_owned()].into_iter().chain(cells));
        text.push('\n');
        if place == 0 {
            let rules = widths.iter().enumerate().map(|(column, &width)| match column {
                0 => format!(" {} |", "-".repeat(width)),
                _ => format!(" {}: |", "-".repeat(width - 1)),
            });
            text.extend(["|".to_owned()].into_iter().chain(rules));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Figure;
    use crate::row;

    fn measured(subject: &'static str, medians: &[f64]) -> Measured {
        let figures = medians.iter().map(|&median| Figure { median, min: median / 2.0 });
        Measured { subject, figures: figures.collect() }
    }

    fn row(id: &str) -> Row {
        row::select(row::all(1.0), &[id.into()]).unwrap().remove(0)
    }

    #[test]
    fn a_section_ranks_the_subjects_and_compares_them_with_ours() {
        let subjects = [
            measured("manyhands", &[0.5, 90.0]),
            measured("a", &[2.0, 80.0]),
            measured("b", &[0.25, 99.0]),
        ];
        let text = section(&row("c10"), &subjects, ours(&subjects));
        let table = text.split_once("\n\n").unwrap().1;
        assert_eq!(
            table,
            "| subject   | us per task |   min | ratio | efficiency % |\n\
             | --------- | ----------: | ----: | ----: | -----------: |\n\
             | b         |       0.250 | 0.125 |  0.50 |         99.0 |\n\
             | manyhands |       0.500 | 0.250 |  1.00 |         90.0 |\n\
             | a         |        2.00 |  1.00 |  4.00 |         80.0 |\n"
        );
    }

    #[test]
    fn without_ours_there_are_no_ratios() {
        let subjects = [measured("a", &[2.0])];
        let text = section(&row("a"), &subjects, ours(&subjects));
        assert!(text.ends_with("| a       |        2.00 | 1.00 |     - |\n"), "{text}");
    }

    #[test]
    fn the_overview_names_the_best_peer() {
        let subjects =
            vec![measured("a", &[4.0]), measured("manyhands", &[2.0]), measured("b", &[3.0])];
        let text = overview(&[(row("a"), subjects)]).unwrap();
        assert!(
            text.ends_with("| a, us per task |      2.00 |         b |      1.50 |\n"),
            "{text}"
        );
        assert_eq!(overview(&[(row("a"), vec![measured("manyhands", &[2.0])])]), None);
    }

    #[test]
    fn the_overview_has_every_cost_of_a_row() {
        let subjects = vec![measured("a", &[4.0, 1.0]), measured("manyhands", &[2.0, 2.0])];
        let text = overview(&[(row("b1"), subjects.clone())]).unwrap();
        let ratios: Vec<&str> = text
            .lines()
            .skip(4)
            .filter_map(|line| line.rsplit('|').nth(1))
            .map(str::trim)
            .collect();
        assert_eq!(ratios, ["2.00", "0.50"]);
        // An efficiency is none.
        let text = overview(&[(row("c10"), subjects)]).unwrap();
        assert_eq!(text.lines().skip(4).count(), 1);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([0.0123, 1.234, 12.34, 1234.5].map(number), ["0.012", "1.23", "12.3", "1234"]);
        assert_eq!(ratio(1.0, 0.0), "-");
    }
}
