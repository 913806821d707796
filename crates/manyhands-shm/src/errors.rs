//! What can go wrong, as types: one for each operation.

use std::io;

/// A request that the lane has no room for now, or never: it is longer than
/// [`ParentEnd::max_request`](crate::ParentEnd::max_request).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lane has no room for {len} bytes now: offer them again when the worker has answered, and \
     what is longer than `max_request` through an arena"
)]
pub struct Full {
    /// How long the request is.
    pub len: usize,
}

/// A worker's memory holds what no sound worker writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the shared memory of a worker is torn: {what}; end this worker, it may have written anywhere"
)]
pub struct Torn {
    /// What was found.
    pub what: &'static str,
}

/// Why a worker could not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The answer would not fit even into an empty ring.
    #[error(
        "an answer of {len} bytes is longer than the {most} that fit: send it through an arena"
    )]
    TooLong {
        /// How long the answer is.
        len: usize,
        /// How long it may be.
        most: usize,
    },
    /// The positions in the ring make no sense.
    #[error(transparent)]
    Torn(#[from] Torn),
}

/// An arena could not give a block.
#[derive(Debug, thiserror::Error)]
pub enum NoSpace {
    /// No free stretch of the arena is long enough.
    #[error("the arena has no free stretch of {len} bytes: drop blocks, or use another arena")]
    Full {
        /// How long the block was to be.
        len: usize,
    },
    /// The arena is its creator's, and this process is a fork of that one.
    #[error("the arena belongs to the process that this one was forked from: create another")]
    Forked,
    /// The system has no memory for it.
    #[error("the system gave no memory for a block of {len} bytes: {source}")]
    Memory {
        /// How long the block was to be.
        len: usize,
        /// What the system said.
        source: io::Error,
    },
}

/// A place of an arena that cannot be viewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// It does not lie in the arena.
    #[error("the place does not lie within the arena: it belongs to another, or is not a place")]
    OutOfBounds,
    /// It overlaps with a view that may be written to.
    #[error("another view of this place may be written to: drop that one first")]
    InUse,
}

/// Bytes that are no numbers of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNumbers {
    /// Their length is no multiple of the number's size.
    #[error("{len} bytes are no whole count of numbers of {size} bytes each")]
    Length {
        /// How many bytes there are.
        len: usize,
        /// The size of one number.
        size: usize,
    },
    /// They begin where such a number must not lie.
    #[error("the bytes do not begin at a multiple of {align}: copy them to where they do")]
    Alignment {
        /// What the address must be a multiple of.
        align: usize,
    },
}
