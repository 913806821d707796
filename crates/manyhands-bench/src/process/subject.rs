//! What a pool of worker processes must offer to be measured, and who takes part.

use std::ops::Deref;

use super::row::{Load, Work};
use super::workload;
use crate::subject::Cannot;

/// One way to run tasks in worker processes.
///
/// Everything measured goes through these methods, so each implementation uses what its library recommends for speed.
pub trait ProcessSubject: Sized {
    /// How the results call it.
    const NAME: &'static str;

    /// What of the library is used, for the reader of the results.
    const HOW: &'static str;

    /// A task in the pool, to be exchanged for its number.
    type Number;

    /// A large result.
    type Bytes: Deref<Target = [u8]>;

    /// Makes a pool of so many worker processes.
    ///
    /// # Errors
    ///
    /// When the library could not start the pool.
    fn start(workers: usize) -> anyhow::Result<Self>;

    /// Makes a pool whose worker processes end after one task.
    ///
    /// # Errors
    ///
    /// [`Cannot`] when the library has no such thing; otherwise as [`start`](Self::start).
    fn start_recycling(workers: usize) -> anyhow::Result<Self> {
        let _ = workers;
        Err(Cannot("does not recycle workers".into()).into())
    }

    /// How many tasks it bears before one must be collected.
    fn most_pending(&self) -> usize {
        usize::MAX
    }

    /// Hands [`add`](super::add) to the pool.
    ///
    /// # Errors
    ///
    /// When the pool did not take the task.
    fn add(&self, a: u64, b: u64) -> anyhow::Result<Self::Number>;

    /// Hands [`touch`](super::touch) to the pool, with these bytes in a form that a worker can read.
    ///
    /// # Errors
    ///
    /// When the pool did not take the task.
    fn touch(&self, bytes: &[u8]) -> anyhow::Result<Self::Number>;

    /// Waits for a task's number.
    ///
    /// # Errors
    ///
    /// When the task failed, or its worker died.
    fn number(&self, task: Self::Number) -> anyhow::Result<u64>;

    /// Has a worker make so many bytes of [`FILLING`](super::FILLING), and waits for them.
    ///
    /// # Errors
    ///
    /// When the task failed, or its worker died.
    fn make(&self, length: usize) -> anyhow::Result<Self::Bytes>;
}

/// Who takes part, and so what it may be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// manyhands.
    Ours,
    /// A pool that others made: ratios are against the best of these.
    Peer,
    /// What no pool can be faster than, as long as it uses the same means.
    Floor,
}

/// A subject without its type, so that different ones stand in one list.
#[derive(Clone, Copy, Debug)]
pub struct ProcessContestant {
    /// How the results call it.
    pub name: &'static str,
    /// What of the library is used, for the reader of the results.
    pub how: &'static str,
    /// Who it is.
    pub kind: Kind,
    /// Whether it has a place in the row at all.
    pub fits: fn(&Work) -> bool,
    /// Runs a workload once and returns its figures, or [`Cannot`].
    pub run: fn(&Load) -> anyhow::Result<Vec<f64>>,
}

impl ProcessContestant {
    /// Takes a pool in Rust into the contest.
    pub fn of<S: ProcessSubject>(kind: Kind) -> Self {
        Self { name: S::NAME, how: S::HOW, kind, fits: |_| true, run: workload::run::<S> }
    }
}
