//! Frames over a stream socket: what both ends of a link and of a birth do with it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::link::LinkError;
use super::link::frames::{Frame, FrameReader};

/// The most that is asked of the system at once.
const PIECE: usize = 64 << 10;

/// A socket and the frames that come in on it. Nothing here blocks but [`Stream::send_all`].
#[derive(Debug)]
pub(super) struct Stream {
    socket: OwnedFd,
    reader: FrameReader,
    piece: Vec<u8>,
}

/// What asking the socket for bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Some,
    Nothing,
    /// There will never be more.
    End,
}

impl Stream {
    pub(super) fn new(socket: OwnedFd, limit: usize) -> Self {
        Self { socket, reader: FrameReader::new(limit), piece: vec![0; PIECE] }
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, LinkError> {
        self.reader.next()
    }

    pub(super) fn has_frame(&self) -> bool {
        self.reader.has_next()
    }

    /// Takes bytes that have arrived, once: whoever sends without end shall not keep the caller.
    pub(super) fn fill(&mut self) -> Result<Filled, Errno> {
        match retry(|| recv(&self.socket, &mut self.piece[..], RecvFlags::DONTWAIT)) {
            Ok((0, _)) | Err(Errno::CONNRESET) => Ok(Filled::End),
            Ok((received, _)) => {
                self.reader.feed(&self.piece[..received]);
                Ok(Filled::Some)
            }
            Err(Errno::AGAIN) => Ok(Filled::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Feeds bytes that came by another way than [`fill`](Self::fill).
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// The socket, if nothing has come in beyond the frames that were taken.
    pub(super) fn into_socket(self) -> Option<OwnedFd> {
        self.reader.is_empty().then_some(self.socket)
    }

    /// Sends what the system takes at once.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match retry(|| send(&self.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)) {
            Err(Errno::AGAIN) => Ok(0),
            sent => sent,
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends all of it, and waits while the way is full.
pub(super) fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let sent = retry(|| send(socket, bytes, SendFlags::NOSIGNAL))?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// Waits until `fd` is ready, or for so long; whether it is ready.
pub(super) fn wait_for(
    fd: BorrowedFd<'_>,
    flags: PollFlags,
    wait: Option<Duration>,
) -> Result<bool, Errno> {
    poll_for(&mut [PollFd::from_borrowed_fd(fd, flags)], wait).map(|ready| ready > 0)
}

/// `poll`, through interruptions.
pub(super) fn poll_for(fds: &mut [PollFd<'_>], wait: Option<Duration>) -> Result<usize, Errno> {
    // A wait that no clock can express has no end.
    let end = wait.and_then(|wait| Instant::now().checked_add(wait));
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            polled => return polled,
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}
