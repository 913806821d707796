//! The workloads for pools of worker processes, and how they are measured.
//!
//! A [`ProcessSubject`] is a pool in Rust. What is none (a floor, a pool in Python) makes a [`ProcessContestant`] of
//! its own, which gets each [`Load`] as it is. Rounds, watchdog and tables are those of the thread pools.
//!
//! Worker processes are the measuring binary, executed again: what they need must come first in its `main`.

pub mod cli;
mod ours;
mod report;
mod row;
mod subject;
pub mod tree;
mod workload;

pub use ours::Manyhands;
pub use row::{Load, Work};
pub use subject::{Kind, ProcessContestant, ProcessSubject};
pub use workload::{millis, round_trips};

pub use crate::workload::{in_a_crowd, micros};

/// The distance at which [`touch`] reads: each page of the usual size once.
pub const PAGE: usize = 4096;

/// The byte that buffers of the workloads are full of.
pub const FILLING: u8 = 7;

/// The tiny task.
pub fn add(a: u64, b: u64) -> u64 {
    a + b
}

/// The task that is given much: a byte of each page, summed up.
pub fn touch(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(PAGE).copied().map(u64::from).sum()
}

/// What [`touch`] must say of so many bytes of [`FILLING`].
pub fn touched(length: usize) -> u64 {
    u64::from(FILLING) * length.div_ceil(PAGE) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_that_has_begun_is_touched() {
        for (length, pages) in [(1, 1), (PAGE, 1), (PAGE + 1, 2), (10 * PAGE - 1, 10)] {
            assert_eq!(touch(&vec![FILLING; length]), u64::from(FILLING) * pages);
            assert_eq!(touched(length), u64::from(FILLING) * pages);
        }
    }
}
