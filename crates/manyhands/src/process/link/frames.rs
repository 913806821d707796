//! Frames on a stream of bytes: a kind, a length and so many bytes. Pure: no I/O, so that it can be
//! tested and fuzzed with whatever a hostile worker may send.
//!
//! ```text
//!  1 byte   8 bytes, little endian   length bytes
//! ┌──────┬────────────────────────┬───────────────┐
//! │ kind │         length         │     body      │
//! └──────┴────────────────────────┴───────────────┘
//! ```

use std::collections::VecDeque;

use super::LinkError;

/// How many bytes stand before the body of a frame.
pub const HEADER: usize = 9;

/// What a frame is for. Not exhaustive as a protocol: who reads it says which kinds are in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Parent to newborn: who it is to be.
    Hello = 1,
    /// Newborn to parent: ready, or why not.
    Reply = 2,
    /// Parent to worker: work.
    Request = 3,
    /// Parent to worker: the task of this request is asked to stop.
    Stop = 4,
    /// Worker to parent: the oldest request that was not begun is begun.
    Begun = 5,
    /// Worker to parent: what has become of a request.
    Answer = 6,
    /// Worker to parent, beside its link: what its task wants of the pool.
    Up = 7,
    /// Parent to worker, beside its link: what has become of that.
    Down = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Hello,
            Self::Reply,
            Self::Request,
            Self::Stop,
            Self::Begun,
            Self::Answer,
            Self::Up,
            Self::Down,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What stands before a body of so many bytes.
pub fn header(kind: Kind, length: usize) -> [u8; HEADER] {
    let mut header = [kind as u8; HEADER];
    header[1..].copy_from_slice(&(length as u64).to_le_bytes());
    header
}

/// A whole frame, whose body is `parts` one after the other.
pub fn frame(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_frame(&mut frame, kind, parts);
    frame
}

/// The same after what is in `bytes`.
pub(super) fn push_frame(bytes: &mut Vec<u8>, kind: Kind, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum();
    bytes.reserve_exact(HEADER + length);
    bytes.extend_from_slice(&header(kind, length));
    for part in parts {
        bytes.extend_from_slice(part);
    }
}

/// A frame that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is for.
    pub kind: Kind,
    /// What it says.
    pub body: Vec<u8>,
}

/// Makes frames of bytes as they arrive, in whatever pieces.
///
/// It never holds more than what it was fed: the length in a header is a claim, and memory is taken
/// only for bytes that are there.
///
/// ```
/// use manyhands::process::link::frames::{Frame, FrameReader, Kind, frame};
///
/// let mut reader = FrameReader::new(1024);
/// let bytes = frame(Kind::Answer, &[b"six by ", b"nine"]);
/// reader.feed(&bytes[..5]);
/// assert!(reader.next()?.is_none());
/// reader.feed(&bytes[5..]);
/// assert_eq!(reader.next()?, Some(Frame { kind: Kind::Answer, body: b"six by nine".to_vec() }));
/// # Ok::<(), manyhands::process::link::LinkError>(())
/// ```
#[derive(Debug)]
pub struct FrameReader {
    /// The longest body that is accepted.
    limit: usize,
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    headed: usize,
    /// Of the frame that is arriving; its header is complete.
    arriving: Option<Arriving>,
    whole: VecDeque<Frame>,
    /// What cannot be a frame. Nothing after it can be understood.
    torn: Option<String>,
}

#[derive(Debug)]
struct Arriving {
    frame: Frame,
    missing: usize,
}

impl FrameReader {
    /// A reader that accepts bodies of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            header: [0; HEADER],
            headed: 0,
            arriving: None,
            whole: VecDeque::new(),
            torn: None,
        }
    }

    /// Takes the bytes that have arrived.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.torn.is_none() {
            bytes = match &mut self.arriving {
                None => self.feed_header(bytes),
                Some(arriving) => {
                    let (body, rest) = bytes.split_at(arriving.missing.min(bytes.len()));
                    arriving.frame.body.extend_from_slice(body);
                    arriving.missing -= body.len();
                    rest
                }
            };
            if let Some(arrived) = self.arriving.take_if(|arriving| arriving.missing == 0) {
                self.whole.push_back(arrived.frame);
            }
        }
    }

    /// Returns what belongs to the body.
    fn feed_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (header, rest) = bytes.split_at((HEADER - self.headed).min(bytes.len()));
        self.header[self.headed..][..header.len()].copy_from_slice(header);
        self.headed += header.len();
        if self.headed < HEADER {
            return rest;
        }
        self.headed = 0;
        let [kind, length @ ..] = self.header;
        let length = u64::from_le_bytes(length);
        match (Kind::from_byte(kind), usize::try_from(length)) {
            (Some(kind), Ok(missing)) if missing <= self.limit => {
                self.arriving = Some(Arriving { frame: Frame { kind, body: Vec::new() }, missing });
            }
            (Some(kind), _) => {
                let limit = self.limit;
                self.torn = Some(format!(
                    "a frame ({kind:?}) of {length} bytes, where {limit} are allowed"
                ));
            }
            (None, _) => self.torn = Some(format!("a frame of the unknown kind {kind}")),
        }
        rest
    }

    /// The next whole frame.
    ///
    /// # Errors
    ///
    /// [`LinkError::Torn`], now and from now on, when what comes next is no frame.
    #[expect(clippy::should_implement_trait, reason = "an iterator ends for good, this does not")]
    pub fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        match (self.whole.pop_front(), &self.torn) {
            (None, Some(why)) => Err(LinkError::Torn { why: why.clone() }),
            (frame, _) => Ok(frame),
        }
    }

    /// Whether [`next`](Self::next) has something to say.
    pub fn has_next(&self) -> bool {
        !self.whole.is_empty() || self.torn.is_some()
    }

    /// Whether no byte is here that was not handed out as a part of a frame.
    pub fn is_empty(&self) -> bool {
        !self.has_next() && self.arriving.is_none() && self.headed == 0
    }
}
