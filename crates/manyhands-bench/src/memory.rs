//! Memory per pending task.
//!
//! It needs a counting allocator, which would slow every other row. So it has a binary of its own, and the main binary
//! starts that one anew for every figure. The allocator counts what all threads do; the workers stand still meanwhile,
//! held by one task each, so that only submitting is counted.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::sync::{Arc, Barrier};

use anyhow::{Context as _, anyhow, bail, ensure};
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
    /// By how many bytes the process has become larger in memory, whatever for.
    pub(crate) resident: u32,
}

/// One figure to count, as told to the counting binary on its command line.
#[derive(Parser, Debug)]
struct Order {
    subject: String,
    workers: usize,
    tasks: u32,
}

/// The counting binary: counts for one subject, and prints allocations, bytes and resident bytes.
///
/// # Errors
///
/// When the subject is unknown or delivers wrong values, or when the binary has no counting allocator.
pub fn main(contestants: &[Contestant]) -> anyhow::Result<()> {
    let order = Order::parse();
    let contestant = contestants.iter().find(|contestant| contestant.name == order.subject);
    let contestant = contestant.ok_or_else(|| anyhow!("no subject is named {}", order.subject))?;
    let growth = (contestant.count_pending)(order.workers, order.tasks)?;
    println!("{} {} {}", growth.allocations, growth.bytes, growth.resident);
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
        let numbers: Vec<&str> = line.split_whitespace().collect();
        let [allocations, bytes, resident] = numbers[..] else {
            bail!("not three numbers: {line}");
        };
        Ok(Self {
            allocations: allocations.parse()?,
            bytes: bytes.parse()?,
            resident: resident.parse()?,
        })
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

    let (before, resident_before) = (INSTRUMENTED_SYSTEM.stats(), resident()?);
    let mut handles = Vec::with_capacity(usize::try_from(tasks)?);
    handles.extend((0..tasks).map(|number| subject.submit(move || u64::from(number))));
    let (change, resident_after) = (INSTRUMENTED_SYSTEM.stats() - before, resident()?);

    free.wait();
    subject.collect_all(holders, |()| ());
    let mut sum = 0;
    subject.collect_all(handles, |value| sum += value);
    check_sum(sum, sum_below(tasks))?;
    Ok(Growth {
        allocations: u32::try_from(change.allocations + change.reallocations)?,
        bytes: u32::try_from(change.bytes_allocated.saturating_sub(change.bytes_deallocated))?,
        resident: u32::try_from(resident_after.saturating_sub(resident_before))?,
    })
}

/// How many bytes of memory this process has, exactly: `/proc/self/statm` may lag behind.
fn resident() -> anyhow::Result<u64> {
    let path = "/proc/self/smaps_rollup";
    let text = fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.with_context(|| format!("{path} says no Rss"))?.parse()?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_counting_binary_is_understood() {
        let growth: Growth = "300012 21000400 30003200\n".parse().unwrap();
        let expected = Growth { allocations: 300_012, bytes: 21_000_400, resident: 30_003_200 };
        assert_eq!(growth, expected);
        assert!("300012 5".parse::<Growth>().is_err());
        assert!("many 5 5".parse::<Growth>().is_err());
    }

    #[test]
    fn without_a_counting_allocator_nothing_is_counted() {
        let told = count_pending::<crate::Manyhands>(1, 10).unwrap_err();
        assert!(told.to_string().contains("no counting allocator"), "{told}");
    }
}
