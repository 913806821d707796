//! Frames over a stream socket: what both ends of a link and of a birth do with it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::link::LinkError;
use super::link::frames::{Frame, FrameReader};

/// The most that is asked of the system at once.
const PIECE: usize = 64 << 10;

/// The frames that come in on a socket.
#[derive(Debug)]
pub(super) struct Inbox {
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

impl Inbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { reader: FrameReader::new(limit), piece: vec![0; PIECE] }
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, LinkError> {
        self.reader.next()
    }

    pub(super) fn has_frame(&self) -> bool {
        self.reader.has_next()
    }

    /// Whether nothing has come in beyond the frames that were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// Takes bytes that have arrived, once: whoever sends without end shall not keep the caller.
    pub(super) fn fill(&mut self, socket: &OwnedFd) -> Result<Filled, Errno> {
        match retry(|| recv(socket, &mut self.piece[..], RecvFlags::DONTWAIT)) {
            Ok((0, _)) | Err(Errno::CONNRESET) => Ok(Filled::End),
            Ok((received, _)) => {
                self.reader.feed(&self.piece[..received]);
                Ok(Filled::Some)
            }
            Err(Errno::AGAIN) => Ok(Filled::Nothing),
            Err(errno) => Err(errno),
        }
    }
}

/// Sends what the system takes at once.
pub(super) fn send_now(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    match retry(|| send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)) {
        Err(Errno::AGAIN) => Ok(0),
        sent => sent,
    }
}

/// Sends all of it, and waits while the way is full.
pub(super) fn send_all(socket: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let sent = retry(|| send(socket, bytes, SendFlags::NOSIGNAL))?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

/// Waits until `fd` is ready, or for so long; whether it is ready.
pub(super) fn wait_for(
    fd: &impl AsFd,
    flags: PollFlags,
    wait: Option<Duration>,
) -> Result<bool, Errno> {
    poll_for(&mut [PollFd::new(fd, flags)], wait).map(|ready| ready > 0)
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

/// The call, through interruptions.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}
