//! The rows of the results: which workload, at which size, and what its figures mean.

use std::time::Duration;

use anyhow::ensure;

use crate::subject::CHUNK;
use crate::workload::Work;

/// One line of the results.
#[derive(Clone, Debug)]
pub(crate) struct Row<W = Work> {
    /// How `--rows` calls it.
    pub(crate) id: &'static str,
    /// What is done, for the reader of the results.
    pub(crate) what: String,
    /// One for each figure that the workload yields.
    pub(crate) columns: &'static [Column],
    pub(crate) work: W,
}

/// What one figure of a row is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its head in the table.
    pub(crate) name: &'static str,
    /// Whether less is better and a ratio says how much worse another subject is.
    pub(crate) is_cost: bool,
}

pub(crate) const fn cost(name: &'static str) -> Column {
    Column { name, is_cost: true }
}

pub(crate) const PER_TASK: &[Column] = &[cost("us per task")];
const PER_ITEM: &[Column] = &[cost("ns per item")];
pub(crate) const PROCESSOR: &[Column] = &[cost("us")];
pub(crate) const ROUND_TRIP: &[Column] = &[cost("median us"), cost("p99 us")];
const PRODUCED: &[Column] = &[cost("us per task"), Column { name: "efficiency %", is_cost: false }];
const MEMORY: &[Column] =
    &[cost("allocations per task"), cost("bytes asked for"), cost("bytes resident")];

/// All rows, their sizes multiplied by `scale`.
pub(crate) fn all(scale: f64) -> Vec<Row> {
    let sized = |full: u32| scaled(full, scale);
    let row = |id, what, columns, work| Row { id, what, columns, work };
    let mut rows = Vec::new();

    let tasks = sized(1_000_000);
    let what = format!("submit {} empty tasks, then collect each in order", grouped(tasks));
    rows.push(row("a", what, PER_TASK, Work::Bulk { tasks }));

    let trips = sized(100_000);
    let at_most = Duration::from_secs(5);
    let what = format!("submit one and wait for it, {} times", grouped(trips));
    let work = Work::RoundTrips { trips, crowded: false, at_most };
    rows.push(row("b1", what, ROUND_TRIP, work));
    let what = format!(
        "the same with every core kept busy by another thread, up to {} times in {} s",
        grouped(trips),
        at_most.as_secs()
    );
    let work = Work::RoundTrips { trips, crowded: true, at_most };
    rows.push(row("b2", what, ROUND_TRIP, work));
    let watched = Duration::from_millis(u64::from(sized(1_000)));
    let what = format!("processor time of an idle pool within {} ms", watched.as_millis());
    rows.push(row("b3", what, PROCESSOR, Work::Idle { watched }));

    let producers = 4;
    for (id, load, tasks_each) in
        [("c0", 0, 100_000), ("c1", 1, 100_000), ("c10", 10, 100_000), ("c100", 100, 10_000)]
    {
        let tasks_each = sized(tasks_each);
        let what =
            format!("{producers} threads submit {} tasks of {load} us each", grouped(tasks_each));
        let load = Duration::from_micros(load);
        let columns = if load.is_zero() { PER_TASK } else { PRODUCED };
        rows.push(row(id, what, columns, Work::Producers { producers, tasks_each, load }));
    }

    let items = sized(1_000_000);
    let map = format!("map a cheap function over {} items", grouped(items));
    let best = format!("{map}, as each does it best; {CHUNK} per task by hand");
    rows.push(row("d", best, PER_ITEM, Work::Map { items, each: false }));
    rows.push(row(
        "d1",
        format!("{map}, a task for each"),
        PER_ITEM,
        Work::Map { items, each: true },
    ));

    let tasks = sized(100_000);
    let what = format!("submit {} empty tasks and take them as they complete", grouped(tasks));
    rows.push(row("e", what, PER_TASK, Work::AsCompleted { tasks }));

    let what = format!("memory of {} pending tasks and their handles", grouped(tasks));
    rows.push(row("f", what, MEMORY, Work::Pending { tasks }));
    rows
}

/// The rows asked for: `c10` is that one, `c` all whose name begins so, nothing asked is all.
///
/// # Errors
///
/// When a wish fits no row.
pub(crate) fn select<W>(rows: Vec<Row<W>>, wishes: &[String]) -> anyhow::Result<Vec<Row<W>>> {
    let ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
    let mut chosen = Vec::new();
    for wish in wishes {
        let exact = ids.contains(&wish.as_str());
        let fits = |id: &&str| if exact { id == wish } else { id.starts_with(wish.as_str()) };
        let before = chosen.len();
        chosen.extend(ids.iter().copied().filter(|id| fits(id)));
        ensure!(chosen.len() > before, "no row {wish}; the rows are {}", ids.join(", "));
    }
    Ok(rows.into_iter().filter(|row| wishes.is_empty() || chosen.contains(&row.id)).collect())
}

pub(crate) fn scaled(full: u32, scale: f64) -> u32 {
    let size = f64::from(full) * scale;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast ends at the limits of u32, and the scale is positive"
    )]
    let size = size.round() as u32;
    size.max(1)
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(wishes: &[&str]) -> Vec<&'static str> {
        let wishes: Vec<String> = wishes.iter().copied().map(String::from).collect();
        select(all(1.0), &wishes).unwrap().into_iter().map(|row| row.id).collect()
    }

    #[test]
    fn a_wish_is_a_row_or_the_beginning_of_several() {
        assert_eq!(chosen(&["a"]), ["a"]);
        assert_eq!(chosen(&["c1"]), ["c1"]);
        assert_eq!(chosen(&["e", "b"]), ["b1", "b2", "b3", "e"]);
        assert_eq!(chosen(&[]).len(), all(1.0).len());
    }

    #[test]
    fn an_unknown_row_is_refused_with_the_list() {
        let told = select(all(1.0), &["a".into(), "x".into()]).unwrap_err().to_string();
        assert_eq!(told, "no row x; the rows are a, b1, b2, b3, c0, c1, c10, c100, d, d1, e, f");
    }

    #[test]
    fn sizes_follow_the_scale_and_never_vanish() {
        assert_eq!(scaled(1_000_000, 0.01), 10_000);
        assert_eq!(scaled(10, 0.001), 1);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(100), "100");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }
}
