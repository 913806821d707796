//! The job itself: read blocks, count them on an executor, add up the counts.
//!
//! Memory is bounded by the blocks on their way (`ahead` of them, mostly of a megabyte) and by the
//! different keys of the log, whatever the size of the log.

use std::iter;

use indicatif::ProgressBar;
use manyhands::{Executor, FutureError};
use thiserror::Error;

use crate::blocks::{Block, Cutter, Limits};
use crate::input::{Content, Input, InputError};
use crate::report::Report;
use crate::tally::{Tally, parse_block};

/// Why there is no report.
#[derive(Debug, Error)]
pub enum JobError {
    /// An input could not be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A block could not be counted.
    #[error("cannot count a block of lines")]
    Task(#[from] FutureError),
}

/// What the job is to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rows of each table.
    pub top: usize,
    /// Blocks read and not yet added up.
    pub ahead: usize,
    /// Where the input is cut.
    pub limits: Limits,
}

/// Report on all inputs together.
///
/// # Errors
/// An input that cannot be read to its end, or a block that the executor could not count: then
/// there is no report at all.
pub fn report(
    executor: &impl Executor,
    inputs: &[Input],
    options: Options,
    progress: &ProgressBar,
) -> Result<Report, JobError> {
    let mut total = Tally::new(options.top);
    let mut failure = None;
    let blocks = blocks(inputs, options, progress)
        .map_while(|block| block.map_err(|error| failure = Some(error)).ok());
    for partial in executor.map(parse_block, blocks).buffersize(options.ahead).unordered() {
        total.merge(partial?);
    }
    if let Some(error) = failure {
        return Err(error.into());
    }
    let names = inputs.iter().map(ToString::to_string).collect();
    Ok(Report::new(names, total.finish(), options.top))
}

/// The blocks of all inputs, each input opened when its turn comes.
fn blocks(
    inputs: &[Input],
    options: Options,
    progress: &ProgressBar,
) -> impl Iterator<Item = Result<Block, InputError>> {
    let Options { top, limits, .. } = options;
    (0..).zip(inputs).flat_map(move |(file, input)| -> Box<dyn Iterator<Item = _>> {
        let Content { bytes, packed } = match input.open(progress) {
            Ok(content) => content,
            Err(error) => return Box::new(iter::once(Err(error))),
        };
        Box::new(Cutter::new(bytes, limits).map(move |cut| match cut {
            Ok((first_line, text)) => Ok(Block { file, first_line, top, text }),
            Err(reason) => Err(input.broken(packed, reason)),
        }))
    })
}
