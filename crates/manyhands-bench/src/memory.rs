//! Memory per pending task.
//!
//! It needs a counting allocator, which would slow every other row. So it has a binary of its own, and the main binary
//! starts that one anew for every figure. The allocator counts what all threads do; the workers stand still meanwhile,
//! held by one task each, so that only submitting is counted.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::sync::{Arc, Barrier};

use anyhow::{Context as _, anyhow, ensure};
use clap::Parser;

/// The allocator of a binary that calls [`main`], to be declared there as its `#[global_allocator]`.
pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::subject::{Contestant, Subject};
use crate::workload::{check_sum, start_all_workers, sum_below};

/// What changed on the heap between two looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// Allocations made, growing an existing one included.
    pub(crate) allocations: u32,
    /// Bytes held, as asked for: what the allocator adds for itself is not in it.
    pub(crate) bytes: u32,
}

/// One figure to count, as told to the counting binary on its command line.
#[derive(Parser, Debug)]
struct Order {
    subject: String,
    workers: usize,
    tasks: u32,
}

/// The counting binary: counts for one subject, and prints allocations and bytes.
///
/// # Errors
///
/// When the subject is unknown or delivers wrong values, or when the binary has no counting allocator.
pub fn main(contestants: &[Contestant]) -> anyhow::Result<()> {
    let order = Order::parse();
    let contestant = contestants.iter().find(|contestant| contestant.name == order.subject);
    let contestant = contestant.ok_or_else(|| anyhow!("no subject is named {}", order.subject))?;
    let growth = (contestant.count_pending)(order.workers, order.tasks)?;
    println!("{} {}", growth.allocations, growth.bytes);
    Ok(())
}

/// The counting binary beside this one.
pub(crate) fn sibling() -> anyhow::Result<PathBuf> {
    let own = env::current_exe()?;
    let name = own.file_name().context("this program has no file name")?.to_string_lossy();
    let sibling = own.with_file_name(format!("{name}-memory"));
    ensure!(
        sibling.exists(),
        "counting memory needs {}; `cargo build --release` makes it, `cargo run` alone does not",
        sibling.display()
    );
    Ok(sibling)
}

/// Has the counting binary count for one subject.
pub(crate) fn ask_sibling(subject: &str, workers: usize, tasks: u32) -> anyhow::Result<Growth> {
    let sibling = sibling()?;
    let output = Command::new(&sibling)
        .args([subject, &workers.to_string(), &tasks.to_string()])
        .output()
        .with_context(|| format!("{} did not start", sibling.display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {complaint}", sibling.display());
    String::from_utf8_lossy(&output.stdout).parse()
}

impl FromStr for Growth {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let (allocations, bytes) =
            line.trim().split_once(' ').with_context(|| format!("not two numbers: {line}"))?;
        Ok(Self { allocations: allocations.parse()?, bytes: bytes.parse()? })
    }
}

/// What so many pending tasks and their handles add to the heap.
pub(crate) fn count_pending<S: Subject>(workers: usize, tasks: u32) -> anyhow::Result<Growth> {
    ensure!(INSTRUMENTED_SYSTEM.stats().allocations > 0, "this binary has no counting allocator");
    let subject = S::start(workers)?;
    start_all_workers(&subject, workers);
    let (held, free) = (Arc::new(Barrier::new(workers + 1)), Arc::new(Barrier::new(workers + 1)));
    let holders = (0..workers).map(|_| {
        let (held, free) = (Arc::clone(&held), Arc::clone(&free));
        subject.submit(move || {
            held.wait();
            free.wait();
        })
    });
    let holders: Vec<_> = holders.collect();
    held.wait();

    let before = INSTRUMENTED_SYSTEM.stats();
    let mut handles = Vec::with_capacity(usize::try_from(tasks)?);
    handles.extend((0..tasks).map(|number| subject.submit(move || u64::from(number))));
    let change = INSTRUMENTED_SYSTEM.stats() - before;

    free.wait();
    subject.collect_all(holders, |()| ());
    let mut sum = 0;
    subject.collect_all(handles, |value| sum += value);
    check_sum(sum, sum_below(tasks))?;
    Ok(Growth {
        allocations: u32::try_from(change.allocations + change.reallocations)?,
        bytes: u32::try_from(change.bytes_allocated.saturating_sub(change.bytes_deallocated))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_counting_binary_is_understood() {
        let growth: Growth = "300012 21000400\n".parse().unwrap();
        assert_eq!(growth, Growth { allocations: 300_012, bytes: 21_000_400 });
        assert!("300012".parse::<Growth>().is_err());
        assert!("many 5".parse::<Growth>().is_err());
    }

    #[test]
    fn without_a_counting_allocator_nothing_is_counted() {
        let told = count_pending::<crate::Manyhands>(1, 10).unwrap_err();
        assert!(told.to_string().contains("no counting allocator"), "{told}");
    }
}
