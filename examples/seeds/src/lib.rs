//! The programs that futures in Python were introduced with, on manyhands: `downloads`, `primes`
//! and `search` in `src/bin`. Here is what they share: where the work is done, chosen in one line.

use clap::ValueEnum;
use manyhands::{ConfigError, Executor, InlineExecutor, ProcessPoolExecutor, ThreadPoolExecutor};

/// Where the work is done.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Workers {
    /// On a pool of five threads, as in the originals.
    Threads,
    /// On a pool of five worker processes.
    Processes,
    /// In the calling thread, one task after the other.
    Inline,
}

impl Workers {
    /// The executor that this names. Dropping it waits for its work.
    ///
    /// # Errors
    /// As [`ProcessPoolExecutor::new`]: its workers need `process::init` at the top of `main`.
    pub fn executor(self) -> Result<Box<dyn Executor>, ConfigError> {
        Ok(match self {
            Self::Threads => Box::new(ThreadPoolExecutor::new(5)?),
            Self::Processes => Box::new(ProcessPoolExecutor::new(5)?),
            Self::Inline => Box::new(InlineExecutor::new()),
        })
    }
}
