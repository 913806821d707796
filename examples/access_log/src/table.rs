//! The report as tables for people: numbers aligned, units readable, text last and made safe.

use std::fmt::{self, Write};
use std::{array, iter};

use crate::counts::Traffic;
use crate::report::{Report, Share, Top};

/// Longer text is cut off; JSON has it whole.
const TEXT_WIDTH: usize = 100;

const BAR_WIDTH: f64 = 30.0;

/// Shows a [`Report`] as plain text.
#[derive(Debug)]
pub struct Table<'a>(pub &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        summary(f, report)?;
        let days = report.days.iter().map(|row| (row.day.clone(), row.traffic));
        times(f, "Days", "day", days.collect())?;
        let hours = report.hours.iter().map(|row| (format!("{:02}:00", row.hour), row.traffic));
        times(f, "Hours of the day", "hour", hours.collect())?;
        let requests = report.total.requests;
        shares(f, "Status classes", &report.status_classes, requests)?;
        shares(f, "Statuses", &report.statuses, requests)?;
        top(f, "Pages", &report.pages, requests)?;
        top(f, "Pages not found (404)", &report.not_found, requests)?;
        top(f, "Referrers", &report.referrers, requests)?;
        top(f, "User agents", &report.agents, requests)?;
        top(f, "Clients", &report.clients, requests)?;
        largest(f, report)?;
        unparsable(f, report)
    }
}

fn summary(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let period = match (report.days.first(), report.days.last()) {
        (Some(first), Some(last)) if first.day != last.day => {
            format!("{} to {}", first.day, last.day)
        }
        (Some(only), _) => only.day.clone(),
        (None, _) => "-".to_owned(),
    };
    let Share { requests: failed, rate } = report.errors;
    writeln!(f, "Requests     {}", grouped(report.total.requests))?;
    writeln!(f, "Sent         {}", size(report.total.bytes))?;
    writeln!(f, "Period       {period}")?;
    writeln!(f, "Errors       {} ({}) answered with 4xx or 5xx", grouped(failed), percent(rate))?;
    let [unparsable, lines] = [report.unparsable.lines, report.lines].map(grouped);
    writeln!(f, "Unparsable   {unparsable} of {lines} lines")
}

fn times(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    unit: &str,
    rows: Vec<(String, Traffic)>,
) -> fmt::Result {
    let most = rows.iter().map(|(_, traffic)| traffic.requests).max().unwrap_or_default();
    let rows = rows.into_iter().map(|(time, traffic)| {
        let bar = bar(Share::new(traffic.requests, most).rate);
        [time, grouped(traffic.requests), size(traffic.bytes), bar]
    });
    grid(f, title, [unit, "requests", "sent", ""], rows.collect())
}

fn shares<'a, K: AsRef<str> + 'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl IntoIterator<Item = (&'a K, &'a u64)>,
    of: u64,
) -> fmt::Result {
    let rows = rows.into_iter().map(|(name, &requests)| {
        let rate = Share::new(requests, of).rate;
        [name.as_ref().to_owned(), grouped(requests), percent(rate), bar(rate)]
    });
    grid(f, title, ["status", "requests", "share", ""], rows.collect())
}

fn top(f: &mut fmt::Formatter<'_>, title: &str, rows: &Top, of: u64) -> fmt::Result {
    let title = if rows.top.len() < rows.distinct {
        let [shown, all] = [rows.top.len(), rows.distinct].map(|count| grouped(count as u64));
        format!("{title}: the first {shown} of {all}")
    } else {
        title.to_owned()
    };
    let rows = rows.top.iter().map(|row| {
        let Traffic { requests, bytes } = row.traffic;
        let share = percent(Share::new(requests, of).rate);
        [grouped(requests), share, size(bytes), shown(&row.key)]
    });
    grid(f, &title, ["requests", "share", "sent", ""], rows.collect())
}

fn largest(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let rows = report.largest.iter().map(|row| {
        let place = place(&row.file, row.line);
        [size(row.bytes), row.status.to_string(), shown(&row.client), place, shown(&row.page)]
    });
    grid(f, "Largest responses", ["sent", "status", "client", "logged at", "page"], rows.collect())
}

fn unparsable(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let rows = report
        .unparsable
        .first
        .iter()
        .map(|row| [place(&row.file, row.line), row.flaw.to_string(), shown(&row.text)]);
    grid(f, "First unparsable lines", ["line", "what is wrong", ""], rows.collect())
}

/// Columns to the right, the last one to the left; nothing at all for a table without rows.
fn grid<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    header: [&str; N],
    rows: Vec<[String; N]>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    let rows: Vec<_> = iter::once(header.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; N] = array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let width = if column + 1 < N { width } else { 0 };
            write!(line, "  {cell:>width$}")?;
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Text of strangers: what it holds must not steer the terminal, nor break the table.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == TEXT_WIDTH {
            shown.push('\u{2026}');
            break;
        }
        if character.is_control() || is_bidi_control(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn place(file: &str, line: u64) -> String {
    shown(&format!("{file}:{line}"))
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes in the unit that leaves one to four digits before the point.
#[expect(clippy::cast_precision_loss, reason = "shown to one decimal")]
fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B  ");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for larger in ["MiB", "GiB", "TiB", "PiB", "EiB"] {
        // What would be rounded to 1024.0 is 1.0 of the larger unit.
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

fn percent(rate: f64) -> String {
    format!("{:.1} %", rate * 100.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to BAR_WIDTH")]
fn bar(rate: f64) -> String {
    "#".repeat((rate * BAR_WIDTH).round() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let numbers = [0, 999, 1000, 123_456, 1_234_567, u64::MAX].map(grouped);
        let expected = ["0", "999", "1,000", "123,456", "1,234,567", "18,446,744,073,709,551,615"];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn sizes_take_the_unit_that_fits() {
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 1 << 20, 5 << 30, u64::MAX].map(size);
        let expected =
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB", "16.0 EiB"];
        assert_eq!(sizes.each_ref().map(|size| size.trim_end()), expected);
    }

    #[test]
    fn text_cannot_steer_the_terminal_nor_break_the_table() {
        assert_eq!(shown("a\x1b[31m\u{202e}b\tc\u{9b}"), r"a\u{1b}[31m\u{202e}b\u{9}c\u{9b}");
        assert_eq!(shown("\u{e9}t\u{e9}"), "\u{e9}t\u{e9}");
        assert_eq!(shown(&"x".repeat(TEXT_WIDTH)), "x".repeat(TEXT_WIDTH));
        assert_eq!(shown(&"x".repeat(TEXT_WIDTH + 1)), "x".repeat(TEXT_WIDTH) + "\u{2026}");
    }
}
