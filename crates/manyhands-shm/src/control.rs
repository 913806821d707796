//! The words through which parent and worker come to an agreement, and who writes which.
//!
//! | word | parent | worker |
//! |---|---|---|
//! | `offers` | offers, takes back | claims, says that it sleeps |
//! | `bell` | rings it for a worker that sleeps | sleeps on it |
//! | `stop` | the count of the request that is to stop, or that it has left | reads |
//! | `tail` | says which of its threads sleeps (bits 0 and 1) | publishes an answer, takes the bits off |
//! | `head` | frees room, takes the bit off | says that it waits for room (bit 0) |
//! | `room` | rings it for a worker that waits for room | sleeps on it |
//!
//! Where one side sleeps on what the other does, both facts are in *one* word, changed by one
//! read-modify-write: whoever comes second sees the first, and no fence is needed.

use std::ops::Deref;

use crate::bell::Bell;
use crate::sync::atomic::{AtomicU32, AtomicU64};

/// Positions in the answers ring are multiples of eight, so `tail` and `head` have bits to spare.
const BITS: u64 = 0b111;

/// In `head`: the worker waits for room.
pub(crate) const WAITING: u64 = 1;

/// In `tail`: the thread of the parent that listens to this doorbell waits for an answer.
pub(crate) fn waiting_at(doorbell: usize) -> u64 {
    1 << doorbell
}

/// In `tail`: any thread of the parent.
pub(crate) const ANYBODY: u64 = 0b11;

/// What is in `stop` when nothing is to stop: no count is so large.
pub(crate) const NO_STOP: u32 = u32::MAX;

/// What is in `stop` when the parent has left for good. No count is so large either.
pub(crate) const LEFT: u32 = u32::MAX - 1;

/// The first bytes of a worker's memory. All zeros is a valid one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Control {
    pub(crate) header: Apart<Header>,
    pub(crate) offers: Apart<AtomicU64>,
    pub(crate) bell: Apart<Bell>,
    pub(crate) stop: Apart<AtomicU32>,
    pub(crate) tail: Apart<AtomicU64>,
    pub(crate) head: Apart<AtomicU64>,
    pub(crate) room: Apart<Bell>,
}

/// What the worker checks before it believes the rest. Written once, by the parent.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) lane: AtomicU64,
    pub(crate) answers: AtomicU64,
    /// Whether a worker has opened this memory: there is only one, for it alone knows how far it
    /// has read.
    pub(crate) opened: AtomicU64,
}

/// Alone on its cache lines: processors fetch them in pairs.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The position in a `tail` or a `head`, without its bits.
pub(crate) fn position(word: u64) -> u64 {
    word & !BITS
}
