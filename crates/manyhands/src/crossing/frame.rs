//! Frames: what stands before the bytes of a call and of its outcome.
//!
//! ```text
//! request   function u64    · kind u8 · flags u8   [returned] [passed] body
//! answer    nanoseconds u64 · kind u8 · flags u8   [lent] [returned]   body
//! ```
//!
//! No frame says which task it belongs to: a worker answers in the order in which it is asked.
//!
//! A request's body is the arguments, or for several calls at once (a chunk of a `map`) their number
//! and the arguments of each. An answer's body is what the function returned; for a chunk the number
//! of results, the results up to the first failure, and that failure; or the failure alone. A body that
//! is too large for the transport lies in shared memory, and its place stands for it.
//!
//! The lists, of numbers, are there if the flags say so: which blocks of shared memory the sender lends
//! with this frame, and which of those lent to it before it has done with. Likewise the number of the first
//! of the futures that go along with a request.
//!
//! A parent reads answers that it does not trust: every length is held against what is there.

use std::any::Any;

use serde::{Deserialize, Serialize};

use super::declared::{decode, encode};
use super::{Declared, DecodeError, EncodeError};
use crate::errors::Exception;
use crate::panic::Panic;

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// Of one call.
    One = 0,
    /// Of several calls.
    Chunk = 1,
    /// Of several calls, which an `Err` ends.
    TryChunk = 2,
    /// How a call failed.
    Failed = 3,
    /// No call: the worker is to leave.
    Leave = 4,
}

impl Kind {
    fn from_u8(byte: u8) -> Option<Self> {
        let all = [Self::One, Self::Chunk, Self::TryChunk, Self::Failed, Self::Leave];
        all.get(usize::from(byte)).copied()
    }
}

/// What else there is to know about a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// The body is the place of a block in the sender's arena.
    pub(crate) const SPILLED: Self = Self(1);
    /// A list of the blocks that the sender lends comes along.
    pub(crate) const LENDS: Self = Self(2);
    /// The worker still looks at the blocks that came with the request.
    pub(crate) const KEEPS: Self = Self(4);
    /// A list of what the sender has done with comes along.
    pub(crate) const RETURNS: Self = Self(8);
    /// The worker itself still looks at blocks that it lends: nobody may write into them.
    pub(crate) const SHARED: Self = Self(16);
    /// The answer goes on to another process: nothing of it may lie elsewhere but its whole body.
    pub(crate) const PLAIN: Self = Self(32);
    /// The worker's task has said something beside the link, which is to be heard first.
    pub(crate) const SPOKE: Self = Self(64);
    /// Futures go along with the request: the number of the first comes along.
    pub(crate) const PASSES: Self = Self(128);

    pub(crate) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(crate) fn set(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        }
    }
}

/// Writes a list of numbers; nothing at all for an empty one, which the flags tell.
pub(crate) fn write_list(list: &[u64], into: &mut Vec<u8>) {
    if !list.is_empty() {
        into.extend((list.len() as u64).to_le_bytes());
        into.extend(list.iter().flat_map(|number| number.to_le_bytes()));
    }
}

/// Reads a list of numbers, if `there` is one.
pub(crate) fn read_list(there: bool, from: &mut &[u8]) -> Option<Vec<u64>> {
    if !there {
        return Some(Vec::new());
    }
    let (count, rest) = from.split_first_chunk()?;
    let bytes = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(8)?;
    let (list, rest) = rest.split_at_checked(bytes)?;
    *from = rest;
    let (numbers, _) = list.as_chunks();
    Some(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
}

/// Reads a number.
pub(crate) fn read_number(from: &mut &[u8]) -> Option<u64> {
    let (number, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(u64::from_le_bytes(*number))
}

/// The bytes of a place in shared memory: its offset and its length.
pub(crate) fn place_to_bytes(offset: u64, len: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..].copy_from_slice(&len.to_le_bytes());
    bytes
}

pub(crate) fn parse_place(bytes: &[u8]) -> Option<(u64, u64)> {
    let (offset, rest) = bytes.split_first_chunk()?;
    let len = rest.first_chunk()?;
    Some((u64::from_le_bytes(*offset), u64::from_le_bytes(*len)))
}

const HEAD: usize = 10;

/// The beginning of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// What is to be called, in the words of the host.
    pub function: u64,
    /// What the body holds.
    pub kind: Kind,
    pub(crate) flags: Flags,
}

impl RequestHead {
    pub(crate) fn to_bytes(self) -> [u8; HEAD] {
        head_to_bytes(self.function, self.kind, self.flags)
    }

    pub(crate) fn parse(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (function, kind, flags, rest) = parse_head(frame)?;
        Some((Self { function, kind, flags }, rest))
    }
}

/// The beginning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    /// How long the call took.
    pub(crate) nanos: u64,
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
}

impl AnswerHead {
    pub(crate) fn to_bytes(self) -> [u8; HEAD] {
        head_to_bytes(self.nanos, self.kind, self.flags)
    }

    pub(crate) fn parse(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (nanos, kind, flags, rest) = parse_head(frame)?;
        Some((Self { nanos, kind, flags }, rest))
    }
}

fn head_to_bytes(number: u64, kind: Kind, flags: Flags) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8] = kind as u8;
    bytes[9] = flags.0;
    bytes
}

#[inline]
fn parse_head(frame: &[u8]) -> Option<(u64, Kind, Flags, &[u8])> {
    let (number, rest) = frame.split_first_chunk()?;
    let ([kind, flags], rest) = rest.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), Kind::from_u8(*kind)?, Flags(*flags), rest))
}

/// A request's body, being written.
#[derive(Debug)]
pub struct Body {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
}

impl Body {
    /// Goes on behind what is in `bytes`.
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { kind: Kind::One, bytes }
    }

    pub(crate) fn begin_chunk(&mut self, calls: usize, fallible: bool) {
        self.kind = if fallible { Kind::TryChunk } else { Kind::Chunk };
        let calls =
            u32::try_from(calls).expect("a chunk has fewer than four thousand million items");
        self.bytes.extend(calls.to_le_bytes());
    }

    pub(crate) fn arguments<A: 'static>(
        &mut self,
        declared: &dyn Declared,
        arguments: A,
    ) -> Result<(), EncodeError> {
        let mut arguments: Option<A> = Some(arguments);
        declared.pack(&mut arguments as &mut dyn Any, &mut self.bytes)
    }
}

/// An answer's body, being read.
#[derive(Debug)]
pub struct Answer<'a> {
    pub(crate) kind: Kind,
    pub(crate) bytes: &'a [u8],
}

impl Answer<'_> {
    /// The number of results in it; `None` for that of a single call.
    pub(crate) fn chunk(&mut self) -> Result<Option<u32>, DecodeError> {
        if self.kind == Kind::One {
            return Ok(None);
        }
        let Some((count, rest)) = self.bytes.split_first_chunk() else {
            return Err(DecodeError(
                "it ends before it says how many results there are".to_owned(),
            ));
        };
        self.bytes = rest;
        Ok(Some(u32::from_le_bytes(*count)))
    }

    pub(crate) fn value<T: 'static>(&mut self, declared: &dyn Declared) -> Result<T, DecodeError> {
        let mut output: Option<T> = None;
        declared.unpack(&mut self.bytes, &mut output as &mut dyn Any)?;
        output.ok_or_else(|| DecodeError("it is of another type than declared".to_owned()))
    }

    /// The failure that ended a chunk, behind its results.
    pub(crate) fn failure<E>(&mut self) -> Result<Option<Exception<E>>, DecodeError> {
        Ok(decode::<Option<Failure>>(&mut self.bytes)?.map(Failure::into_exception))
    }
}

/// How a call failed in the worker, other than by returning an `Err`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    Panic {
        message: String,
        location: Option<String>,
        backtrace: Option<String>,
    },
    /// The arguments could not be read, or the function is not declared there.
    Arguments(String),
    /// The result could not be written.
    Result(String),
    /// Of a future that was passed on: what is said of it.
    Told(String),
}

impl Failure {
    /// What is to be known of an exception elsewhere.
    pub(crate) fn of<E: std::fmt::Display>(exception: &Exception<E>) -> Self {
        match exception {
            Exception::Panic(panic) => Self::of_panic(panic),
            other => Self::Told(other.to_string()),
        }
    }

    pub(crate) fn of_panic(panic: &Panic) -> Self {
        Self::Panic {
            message: panic.message().to_owned(),
            location: panic.location().map(str::to_owned),
            backtrace: panic.backtrace().map(str::to_owned),
        }
    }

    pub(crate) fn write(failure: Option<&Self>, into: &mut Vec<u8>) {
        encode(&failure, into).expect("texts can always be written");
    }

    /// The whole body of an answer of kind `Failed`.
    pub(crate) fn read(mut body: &[u8]) -> Result<Option<Self>, DecodeError> {
        decode(&mut body)
    }

    pub(crate) fn into_exception<E>(self) -> Exception<E> {
        match self {
            Self::Panic { message, location, backtrace } => {
                Exception::Panic(Panic::from_parts(message, location, backtrace))
            }
            Self::Arguments(why) => Exception::not_crossed("the arguments", why),
            Self::Result(why) => Exception::not_crossed("the result", why),
            Self::Told(why) => Exception::not_crossed("the exception", why),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heads_come_back_as_they_were_written() {
        let request =
            RequestHead { function: u64::MAX, kind: Kind::Chunk, flags: Flags::default() };
        let frame = [&request.to_bytes()[..], b"body"].concat();
        assert_eq!(RequestHead::parse(&frame), Some((request, &b"body"[..])));
        let answer = AnswerHead { nanos: 5, kind: Kind::Failed, flags: Flags::SPILLED };
        assert_eq!(AnswerHead::parse(&answer.to_bytes()), Some((answer, &b""[..])));
    }

    #[test]
    fn a_torn_head_is_none() {
        let whole =
            RequestHead { function: 2, kind: Kind::One, flags: Flags::default() }.to_bytes();
        for length in 0..whole.len() {
            assert_eq!(RequestHead::parse(&whole[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn lists_come_back_as_they_were_written() {
        for list in [vec![], vec![7], vec![1, u64::MAX, 3]] {
            let mut bytes = Vec::new();
            write_list(&list, &mut bytes);
            bytes.extend(b"body");
            let mut rest = &bytes[..];
            assert_eq!(read_list(!list.is_empty(), &mut rest), Some(list));
            assert_eq!(rest, b"body");
        }
    }

    #[test]
    fn a_list_longer_than_the_frame_is_none() {
        let mut bytes = Vec::new();
        write_list(&[1, 2, 3], &mut bytes);
        assert_eq!(read_list(true, &mut &bytes[..bytes.len() - 1]), None);
        assert_eq!(read_list(true, &mut &u64::MAX.to_le_bytes()[..]), None);
    }

    proptest! {
        #[test]
        fn hostile_answers_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some((head, mut body)) = AnswerHead::parse(&bytes) {
                let _ = read_list(head.flags.has(Flags::LENDS), &mut body);
                let _ = parse_place(body);
                let mut answer = Answer { kind: head.kind, bytes: body };
                let _ = answer.chunk();
                let _ = answer.failure::<()>();
            }
            let _ = Failure::read(&bytes);
        }
    }
}
