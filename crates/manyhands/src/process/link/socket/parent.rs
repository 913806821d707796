//! The parent's end: what is on its way out, and what has come in.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use crate::process::link::frames::{Frame, HEADER, Kind, frame};
use crate::process::link::{Link, LinkError, OfferError};
use crate::process::stream::{Filled, Inbox, send_now, wait_for};

/// How much one call of `receive` takes in, so that an endless answer does not keep the manager from
/// the other workers.
const PIECES_AT_ONCE: usize = 16;

/// The length of a [`Kind::Stop`].
const STOP: usize = HEADER + size_of::<u64>();

/// The parent's end.
#[derive(Debug)]
pub struct SocketLink {
    socket: OwnedFd,
    inbox: Inbox,
    /// Requests that were offered and not taken back.
    offered: u64,
    request: Option<InFlight>,
    /// What is left to send of a [`Kind::Stop`].
    stop: Vec<u8>,
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
    /// With its header.
    frame: Vec<u8>,
    sent: usize,
    begun: bool,
    asked_to_stop: bool,
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
            stop: Vec::new(),
            deaf: None,
            dead: false,
            over: None,
            owner: std::process::id(),
        }
    }

    /// Sends what the system takes. A failure ends the link when reading has come upon everything
    /// that the worker sent before.
    fn flush(&mut self) {
        while self.deaf.is_none() {
            let Some((bytes, request)) = self.next_to_send() else { return };
            match send_now(&self.socket, bytes) {
                Ok(0) => return,
                Ok(sent) if request => self.request.as_mut().expect("it is sent").sent += sent,
                Ok(sent) => drop(self.stop.drain(..sent)),
                Err(errno) => self.deaf = Some(errno),
            }
        }
    }

    /// Takes the request back that the worker cannot see any more.
    fn take_unsent(&mut self) -> Option<Vec<u8>> {
        let over = self.over.is_some();
        let unseen = |request: &mut InFlight| !request.begun && (request.sent == 0 || over);
        let mut request = self.request.take_if(unseen)?;
        self.offered -= 1;
        self.forget_stop();
        request.frame.drain(..HEADER);
        Some(request.frame)
    }

    /// The request that a stop was for is gone. The rest of one that has gone in part is still to go.
    fn forget_stop(&mut self) {
        if self.stop.len() == STOP {
            self.stop.clear();
        }
    }

    /// The next bytes, and whether they are the request's. A stop goes after the request it is for;
    /// one that has gone in part goes before anything else.
    fn next_to_send(&self) -> Option<(&[u8], bool)> {
        let unsent =
            self.request.as_ref().map_or(&[][..], |request| &request.frame[request.sent..]);
        let stop_has_begun = self.stop.len() < STOP;
        match (unsent, &self.stop[..]) {
            ([], []) => None,
            ([], stop) => Some((stop, false)),
            (_, stop @ [_, ..]) if stop_has_begun => Some((stop, false)),
            (unsent, _) => Some((unsent, true)),
        }
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
        for _ in 0..PIECES_AT_ONCE {
            while let Some(frame) = self.inbox.next_frame()? {
                if self.take_in(frame, into)? {
                    return Ok(true);
                }
            }
            match self.inbox.fill(&self.socket)? {
                Filled::Some => {}
                Filled::End => return Err(Over::Closed),
                Filled::Nothing if self.dead => return Err(Over::Closed),
                Filled::Nothing => return self.deaf.map_or(Ok(false), |errno| Err(errno.into())),
            }
        }
        Ok(false)
    }
}

impl InFlight {
    fn can_begin(&self) -> bool {
        !self.begun && self.sent == self.frame.len()
    }
}

impl Link for SocketLink {
    fn capacity(&self) -> u32 {
        1
    }

    fn max_frame(&self) -> usize {
        isize::MAX as usize - HEADER
    }

    fn offer(&mut self, parts: &[&[u8]]) -> Result<(), OfferError> {
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
        let frame = frame(Kind::Request, parts);
        self.request = Some(InFlight { frame, sent: 0, begun: false, asked_to_stop: false });
        self.offered += 1;
        self.flush();
        let deaf = self.deaf;
        match deaf {
            // Once a part of it is on its way, `receive` says what becomes of it.
            Some(errno) if self.take_unsent().is_some() => Err(OfferError::Broken(errno.into())),
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
            self.request = None;
            self.forget_stop();
        }
    }

    fn request(&self, nth: u32) -> Option<Vec<u8>> {
        let request = self.request.as_ref().filter(|_| nth == 0)?;
        Some(request.frame[HEADER..].to_vec())
    }

    fn take_back(&mut self, most: u32) -> Vec<Vec<u8>> {
        let taken = if most > 0 { self.take_unsent() } else { None };
        taken.into_iter().collect()
    }

    fn ask_to_stop(&mut self) {
        let Some(request) = self.request.as_mut().filter(|request| !request.asked_to_stop) else {
            return;
        };
        request.asked_to_stop = true;
        self.stop.extend(frame(Kind::Stop, &[&self.offered.to_le_bytes()]));
        self.flush();
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

    fn set_asleep(&mut self) -> bool {
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
        let sends = self.deaf.is_none() && self.next_to_send().is_some();
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
