//! The parent's end: what is on its way out, and what has come in.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use crate::process::link::frames::{Frame, HEADER, Kind, push_frame};
use crate::process::link::{Link, LinkError, OfferError};
use crate::process::stream::{Filled, Inbox, send_now, wait_for};

/// How much one call of `receive` takes in, so that an endless answer does not keep the manager from
/// the other workers.
const PIECES_AT_ONCE: usize = 2;

/// The same for a worker that is dead, of which all comes that the system still holds. Only a child
/// that it has left behind could send more.
const PIECES_OF_THE_DEAD: usize = 256;

/// The parent's end.
#[derive(Debug)]
pub struct SocketLink {
    socket: OwnedFd,
    inbox: Inbox,
    /// Requests that were offered and not taken back.
    offered: u64,
    request: Option<InFlight>,
    /// The rest of a frame that has gone in part, and whose request is gone: the next goes after it.
    tail: Vec<u8>,
    /// Why nothing more can be sent. What the worker had sent before is still to be read.
    deaf: Option<Errno>,
    /// The worker has ended: what is not here yet will never be.
    dead: bool,
    over: Option<Over>,
    /// A forked child of this process has the link too, but it is not its own.
    owner: u32,
}

#[derive(Debug)]
struct InFlight {
    /// All that is to be sent: a tail, the request's frame, and the stop, once it is asked for.
    bytes: Vec<u8>,
    /// Where the request's frame is in it.
    frame: Range<usize>,
    sent: usize,
    begun: bool,
}

/// A [`LinkError`] to be said again and again.
#[derive(Clone, Debug)]
enum Over {
    Closed,
    Torn(String),
    Failed(Errno),
}

impl SocketLink {
    /// The link over a connected stream socket, whose other end the worker has. An answer of more
    /// than `max_answer` bytes is an error of that worker.
    pub fn new(socket: OwnedFd, max_answer: usize) -> Self {
        Self {
            inbox: Inbox::new(max_answer),
            socket,
            offered: 0,
            request: None,
            tail: Vec::new(),
            deaf: None,
            dead: false,
            over: None,
            owner: std::process::id(),
        }
    }

    /// Sends what the system takes. A failure ends the link when reading has come upon everything
    /// that the worker sent before.
    fn flush(&mut self) {
        let Some(request) = &mut self.request else { return };
        while self.deaf.is_none() && request.sent < request.bytes.len() {
            match send_now(&self.socket, &request.bytes[request.sent..]) {
                Ok(0) => return,
                Ok(sent) => request.sent += sent,
                Err(errno) => self.deaf = Some(errno),
            }
        }
    }

    /// Takes the request back if the worker has not seen any of it, or never will see all of it.
    fn take_unseen(&mut self) -> Option<Vec<u8>> {
        let over = self.over.is_some();
        let unseen = |it: &mut InFlight| !it.begun && (it.sent <= it.frame.start || over);
        let mut request = self.request.take_if(unseen)?;
        self.offered -= 1;
        self.tail = request.bytes.get(request.sent..request.frame.start).unwrap_or(&[]).to_vec();
        request.bytes.truncate(request.frame.end);
        request.bytes.drain(..request.frame.start + HEADER);
        Some(request.bytes)
    }

    /// Whether the frame is an answer.
    fn take_in(&mut self, Frame { kind, body }: Frame, into: &mut Vec<u8>) -> Result<bool, Over> {
        match (kind, &mut self.request) {
            (Kind::Begun, Some(request)) if request.can_begin() && body.is_empty() => {
                request.begun = true;
                Ok(false)
            }
            (Kind::Answer, Some(request)) if request.begun => {
                *into = body;
                Ok(true)
            }
            (kind, request) => Err(Over::Torn(format!(
                "a frame of {} bytes ({kind:?}) while {}",
                body.len(),
                match request {
                    None => "no request was in flight",
                    Some(InFlight { begun: true, .. }) => "the request was begun",
                    Some(request) if request.can_begin() => "the request was not begun",
                    Some(_) => "the request was not sent in full",
                }
            ))),
        }
    }

    fn receive_some(&mut self, into: &mut Vec<u8>) -> Result<bool, Over> {
        self.flush();
        let mut pieces = if self.dead { PIECES_OF_THE_DEAD } else { PIECES_AT_ONCE };
        loop {
            // Every whole frame that is here: nothing would wake the manager for it again.
            while let Some(frame) = self.inbox.next_frame()? {
                if self.take_in(frame, into)? {
                    return Ok(true);
                }
            }
            if pieces == 0 {
                return if self.dead { Err(Over::Closed) } else { Ok(false) };
            }
            pieces -= 1;
            match self.inbox.fill(&self.socket)? {
                Filled::Some => {}
                Filled::End => return Err(Over::Closed),
                Filled::Nothing if self.dead => return Err(Over::Closed),
                Filled::Nothing => return self.deaf.map_or(Ok(false), |errno| Err(errno.into())),
            }
        }
    }
}

impl InFlight {
    fn can_begin(&self) -> bool {
        !self.begun && self.sent >= self.frame.end
    }
}

impl Link for SocketLink {
    fn capacity(&self) -> u32 {
        1
    }

    fn max_frame(&self) -> usize {
        isize::MAX as usize - HEADER
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<(), OfferError> {
        let length = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        if length > self.max_frame() {
            return Err(OfferError::TooLarge { frame: length, most: self.max_frame() });
        }
        if self.request.is_some() {
            return Err(OfferError::Full);
        }
        if self.dead || self.over.is_some() {
            return Err(OfferError::Broken(Errno::PIPE.into()));
        }
        let mut bytes = std::mem::take(&mut self.tail);
        let start = bytes.len();
        push_frame(&mut bytes, Kind::Request, parts);
        let frame = start..bytes.len();
        self.request = Some(InFlight { bytes, frame, sent: 0, begun: false });
        self.offered += 1;
        self.flush();
        let deaf = self.deaf;
        match deaf {
            // Once a part of it is on its way, `receive` says what becomes of it.
            Some(errno) if self.take_unseen().is_some() => Err(OfferError::Broken(errno.into())),
            _ => Ok(()),
        }
    }

    fn in_flight(&self) -> u32 {
        self.request.is_some().into()
    }

    fn claimed(&self) -> u32 {
        self.request.as_ref().is_some_and(|request| request.begun).into()
    }

    fn release(&mut self, frames: u32) {
        assert!(frames <= self.in_flight(), "only what is in flight can be released");
        if frames > 0 {
            let request = self.request.take();
            // Of a stop that nobody has seen, nothing needs to be sent.
            let cut = |it: &InFlight| it.sent != it.frame.end;
            self.tail =
                request.filter(cut).map_or(Vec::new(), |mut it| it.bytes.split_off(it.sent));
        }
    }

    fn request(&self, nth: u32) -> Option<Vec<u8>> {
        let request = self.request.as_ref().filter(|_| nth == 0)?;
        Some(request.bytes[request.frame.start + HEADER..request.frame.end].to_vec())
    }

    fn take_back(&mut self, most: u32) -> Vec<Vec<u8>> {
        let taken = if most > 0 { self.take_unseen() } else { None };
        taken.into_iter().collect()
    }

    fn ask_to_stop(&mut self) {
        let Some(request) = &mut self.request else { return };
        if request.bytes.len() == request.frame.end {
            push_frame(&mut request.bytes, Kind::Stop, &[&self.offered.to_le_bytes()]);
            self.flush();
        }
    }

    fn receive(&mut self, into: &mut Vec<u8>) -> Result<bool, LinkError> {
        if let Some(over) = &self.over {
            return Err(over.clone().into());
        }
        self.receive_some(into).map_err(|over| {
            self.over = Some(over.clone());
            over.into()
        })
    }

    fn has_answer(&self) -> bool {
        let ready = || wait_for(&self.socket, PollFlags::IN, Some(Duration::ZERO));
        self.over.is_none() && (self.inbox.has_frame() || ready().unwrap_or(true))
    }

    fn set_asleep(&mut self, _doorbell: usize) -> bool {
        self.over.is_none() && self.inbox.has_frame()
    }

    fn set_awake(&mut self) {}

    fn set_dead(&mut self) {
        self.dead = true;
    }

    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if self.over.is_some() {
            return None;
        }
        let unsent = self.request.as_ref().is_some_and(|it| it.sent < it.bytes.len());
        let sends = self.deaf.is_none() && unsent;
        let flags = if sends { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        Some((self.socket.as_fd(), flags))
    }
}

impl Drop for SocketLink {
    /// Closing alone would not reach the worker while a forked child holds the socket too.
    fn drop(&mut self) {
        if std::process::id() == self.owner {
            // A worker that is gone needs not be told.
            let _ = shutdown(&self.socket, Shutdown::Both);
        }
    }
}

impl From<Errno> for Over {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET => Self::Closed,
            errno => Self::Failed(errno),
        }
    }
}

impl From<LinkError> for Over {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Closed => Self::Closed,
            LinkError::Torn { why } => Self::Torn(why),
            LinkError::Io(error) => Self::Failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
}

impl From<Over> for LinkError {
    fn from(over: Over) -> Self {
        match over {
            Over::Closed => Self::Closed,
            Over::Torn(why) => Self::Torn { why },
            Over::Failed(errno) => Self::Io(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::process::link::frames::FrameReader;

    #[test]
    fn what_has_gone_in_part_goes_out_in_full() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut link = SocketLink::new(ours.into(), 100);
        let large = vec![1; 10 << 20];
        link.offer(&[&large]).unwrap();
        // As after a stop of which the system took a part.
        link.release(1);
        link.offer(&[b"next"]).unwrap();
        link.ask_to_stop();
        assert!(link.take_back(0).is_empty());
        let mut reader = FrameReader::new(usize::MAX);
        let mut frames = Vec::new();
        let mut piece = vec![0; 64 << 10];
        while frames.len() < 3 {
            link.flush();
            let length = theirs.read(&mut piece).unwrap();
            reader.feed(&piece[..length]);
            while let Some(frame) = reader.next().unwrap() {
                frames.push(frame);
            }
        }
        let kinds = [Kind::Request, Kind::Request, Kind::Stop];
        assert!(frames.iter().map(|frame| frame.kind).eq(kinds) && reader.is_empty());
        assert!(frames[0].body == large && frames[1].body == b"next" && frames[2].body[0] == 2);
    }

    #[test]
    fn what_is_taken_back_leaves_the_rest_of_what_came_before() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut link = SocketLink::new(ours.into(), 100);
        link.offer(&[&vec![1; 10 << 20]]).unwrap();
        link.release(1);
        let tail = link.tail.clone();
        for _ in 0..3 {
            link.offer(&[b"next"]).unwrap();
            link.ask_to_stop();
            assert_eq!(link.take_back(1), [b"next"]);
            assert!(link.tail == tail && link.offered == 1);
        }
    }
}
