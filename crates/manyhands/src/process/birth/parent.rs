//! The parent's side of a birth: never blocks, is fed by what `poll` says.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{Answer, Handover, Hello, Opening, PROTOCOL};
use crate::process::link::LinkError;
use crate::process::link::frames::{Frame, Kind, frame};
use crate::process::stream::{Filled, Inbox, retry, send_now};

/// The longest reply that is read. A worker shortens its reason to less.
const REPLY_LIMIT: usize = 64 << 10;

/// A birth under way.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::thread;
/// use std::time::Duration;
///
/// use manyhands::process::birth::{Birth, Handover, Hello, Progress, Transport, arrive_on};
///
/// let (ours, theirs) = UnixStream::pair()?;
/// let worker = thread::spawn(move || {
///     let arrival = arrive_on(theirs.into(), 7, Duration::from_secs(30)).unwrap();
///     assert_eq!(arrival.hello.initializer, b"load the model");
///     arrival.reply.ready().unwrap()
/// });
///
/// let hello = Hello {
///     build_id: 7,
///     seat: 0,
///     transport: Transport::Socket,
///     initializer: b"load the model".to_vec(),
/// };
/// let mut birth = Birth::new(ours.into(), &hello, Handover::default(), Vec::new());
/// // A manager sleeps until `birth.interest()` is ready, or the worker is dead.
/// while birth.advance()? == Progress::Waiting {}
/// let link = birth.into_socket()?;
/// # let _ = (link, worker.join());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Birth {
    socket: OwnedFd,
    inbox: Inbox,
    hello: Vec<u8>,
    sent: usize,
    /// Until the first byte is sent, which they go with.
    fds: Vec<OwnedFd>,
}

/// How far a birth has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again when [`Birth::interest`] is ready.
    Waiting,
    /// The worker waits for tasks.
    Ready {
        /// Its number, as it sees it.
        pid: u32,
    },
}

/// Why a worker was not born.
#[derive(Debug, thiserror::Error)]
pub enum BirthError {
    /// It said so.
    #[error("the worker cannot start: {0}")]
    Refused(String),
    /// It is gone, or has closed its lifeline.
    #[error("the worker ended before it was ready")]
    Closed,
    /// It does not say what a worker says.
    #[error(
        "what was started as a worker does not answer as one ({0}): is it this program, and does it \
         become a worker before it does anything else?"
    )]
    Nonsense(String),
    /// The system refused.
    #[error("the worker could not be told what to do: {0}")]
    Io(#[from] io::Error),
}

impl Birth {
    /// The birth of the worker at the other end of `socket`. The `link` descriptors reach it in this
    /// order. Nothing is sent yet.
    ///
    /// # Panics
    ///
    /// If there are more than 250 descriptors, which is the most that can be sent at once.
    pub fn new(socket: OwnedFd, hello: &Hello, handover: Handover, link: Vec<OwnedFd>) -> Self {
        assert!(link.len() <= 250, "a system sends up to 253 descriptors at once");
        let opening = Opening {
            protocol: PROTOCOL,
            build_id: hello.build_id,
            seat: hello.seat,
            transport: hello.transport,
            stdout: handover.stdout.is_some(),
            stderr: handover.stderr.is_some(),
            link: u32::try_from(link.len()).expect("250 at most"),
        };
        let opening = postcard::to_stdvec(&opening).expect("memory takes everything");
        let fds = [handover.stdout, handover.stderr].into_iter().flatten().chain(link).collect();
        Self {
            socket,
            inbox: Inbox::new(REPLY_LIMIT),
            hello: frame(Kind::Hello, &[&opening, &hello.initializer]),
            sent: 0,
            fds,
        }
    }

    /// Goes as far as it can without waiting.
    ///
    /// # Errors
    ///
    /// The worker will not be born.
    pub fn advance(&mut self) -> Result<Progress, BirthError> {
        let gone = match self.send() {
            Ok(()) => false,
            // What it may have said before it left is still to be read.
            Err(Errno::PIPE | Errno::CONNRESET) => true,
            Err(errno) => return Err(BirthError::Io(errno.into())),
        };
        loop {
            if let Some(frame) = self.inbox.next_frame().map_err(nonsense)? {
                return self.end(frame);
            }
            match self.inbox.fill(&self.socket).map_err(io::Error::from)? {
                Filled::Some => {}
                Filled::Nothing if !gone => return Ok(Progress::Waiting),
                Filled::Nothing | Filled::End => return Err(BirthError::Closed),
            }
        }
    }

    /// What to poll for.
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let all_sent = self.sent == self.hello.len();
        let flags = if all_sent { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        (self.socket.as_fd(), flags)
    }

    /// The lifeline, for the link: after [`Progress::Ready`].
    ///
    /// # Errors
    ///
    /// If the worker has said more than that it is ready.
    pub fn into_socket(self) -> Result<OwnedFd, BirthError> {
        if !self.inbox.is_empty() {
            return Err(BirthError::Nonsense("it says more than that it is ready".to_owned()));
        }
        Ok(self.socket)
    }

    fn send(&mut self) -> Result<(), Errno> {
        while self.sent < self.hello.len() {
            let rest = &self.hello[self.sent..];
            let sent = if self.sent == 0 && !self.fds.is_empty() {
                send_with(&self.socket, rest, &self.fds)?
            } else {
                send_now(&self.socket, rest)?
            };
            if sent == 0 {
                return Ok(());
            }
            self.sent += sent;
            self.fds.clear();
        }
        Ok(())
    }

    fn end(&self, Frame { kind, body }: Frame) -> Result<Progress, BirthError> {
        match (kind, postcard::from_bytes(&body)) {
            (Kind::Reply, Ok(Answer::Refused { reason })) => Err(BirthError::Refused(reason)),
            (Kind::Reply, Ok(Answer::Ready { pid })) if self.sent == self.hello.len() => {
                Ok(Progress::Ready { pid })
            }
            (kind, _) => {
                Err(BirthError::Nonsense(format!("a frame of {} bytes ({kind:?})", body.len())))
            }
        }
    }
}

/// Sends descriptors along with the first of the bytes that the system takes.
fn send_with(socket: &OwnedFd, bytes: &[u8], fds: &[OwnedFd]) -> Result<usize, Errno> {
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let rights = SendAncillaryMessage::ScmRights(&fds);
    let mut space = vec![MaybeUninit::uninit(); rights.size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rights), "the space is what the message takes");
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match retry(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)) {
        Err(Errno::AGAIN) => Ok(0),
        sent => sent,
    }
}

fn nonsense(error: LinkError) -> BirthError {
    match error {
        LinkError::Torn { why } => BirthError::Nonsense(why),
        LinkError::Closed => BirthError::Closed,
        LinkError::Io(error) => BirthError::Io(error),
    }
}
