//! The worker's end, and the look that a running task takes at it.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::process::link::frames::{Kind, frame, header};
use crate::process::link::{LinkError, StopSource, StopToken, WorkerLink};
use crate::process::stream::{Filled, Stream, send_all, wait_for};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Up to this length an answer is copied to go out with its header in one call.
const WORTH_A_COPY: usize = 16 << 10;

/// The worker's end.
#[derive(Debug)]
pub struct SocketWorkerLink {
    shared: Arc<Shared>,
    /// The number of the request that was claimed last; the first is 1.
    number: u64,
    request: Vec<u8>,
}

/// What the worker's thread shares with its tasks' tokens.
struct Shared {
    /// For sending, and for sleeping without the lock.
    socket: OwnedFd,
    incoming: Mutex<Incoming>,
    /// The latest request that was asked to stop.
    stopped: AtomicU64,
}

struct Incoming {
    stream: Stream,
    requests: VecDeque<Vec<u8>>,
    /// The request that is running. While it is 0, only `claim` may take bytes in: it sleeps for
    /// those that it has not seen.
    running: u64,
    ended: bool,
}

impl SocketWorkerLink {
    /// The link over a connected stream socket, whose other end the parent has.
    ///
    /// # Errors
    ///
    /// If the socket cannot be duplicated.
    pub fn new(socket: OwnedFd) -> std::io::Result<Self> {
        let incoming = Incoming {
            stream: Stream::new(socket.try_clone()?, usize::MAX),
            requests: VecDeque::new(),
            running: 0,
            ended: false,
        };
        let shared = Shared { socket, incoming: Mutex::new(incoming), stopped: AtomicU64::new(0) };
        Ok(Self { shared: Arc::new(shared), number: 0, request: Vec::new() })
    }

    /// The next request, if it is there in full.
    fn try_claim(&mut self) -> Result<bool, LinkError> {
        let mut incoming = self.shared.incoming.lock();
        incoming.running = 0;
        while incoming.requests.is_empty() && !incoming.ended {
            if !incoming.take_in(&self.shared.stopped)? {
                break;
            }
        }
        let Some(request) = incoming.requests.pop_front() else {
            return if incoming.ended { Err(LinkError::Closed) } else { Ok(false) };
        };
        self.number += 1;
        self.request = request;
        incoming.running = self.number;
        Ok(true)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), LinkError> {
        send_all(self.shared.socket.as_fd(), bytes).map_err(|errno| match errno {
            Errno::PIPE | Errno::CONNRESET => LinkError::Closed,
            errno => LinkError::Io(errno.into()),
        })
    }
}

impl WorkerLink for SocketWorkerLink {
    fn claim(&mut self, wait: Option<Duration>) -> Result<Option<&[u8]>, LinkError> {
        let end = wait.and_then(|wait| Instant::now().checked_add(wait));
        while !self.try_claim()? {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if !wait_for(self.shared.socket.as_fd(), PollFlags::IN, left).map_err(io)? {
                return Ok(None);
            }
        }
        self.send(&header(Kind::Begun, 0))?;
        Ok(Some(&self.request))
    }

    fn answer(&mut self, parts: &[&[u8]]) -> Result<(), LinkError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length <= WORTH_A_COPY {
            return self.send(&frame(Kind::Answer, parts));
        }
        self.send(&header(Kind::Answer, length))?;
        parts.iter().try_for_each(|part| self.send(part))
    }

    fn stop_token(&self) -> StopToken {
        StopToken::new(Arc::clone(&self.shared) as _, self.number)
    }
}

impl StopSource for Shared {
    fn is_asked(&self, frame: u64) -> bool {
        let is_asked = || self.stopped.load(Ordering::Acquire) >= frame;
        if is_asked() {
            return true;
        }
        let mut incoming = self.incoming.lock();
        if incoming.running != frame {
            return false;
        }
        // A failure is for `claim` to say; nobody hears the answer any more.
        let failed = incoming.take_in(&self.stopped).is_err();
        failed || incoming.ended || is_asked()
    }
}

impl Incoming {
    /// Takes in what has arrived; whether something had.
    fn take_in(&mut self, stopped: &AtomicU64) -> Result<bool, LinkError> {
        let filled = self.stream.fill().map_err(io)?;
        self.ended = filled == Filled::End;
        while let Some(frame) = self.stream.next_frame()? {
            match (frame.kind, <[u8; 8]>::try_from(&frame.body[..])) {
                (Kind::Request, _) => self.requests.push_back(frame.body),
                (Kind::Stop, Ok(number)) => {
                    stopped.fetch_max(u64::from_le_bytes(number), Ordering::Release);
                }
                (kind, _) => {
                    let why = format!("a frame of {} bytes ({kind:?})", frame.body.len());
                    return Err(LinkError::Torn { why });
                }
            }
        }
        Ok(filled == Filled::Some)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

fn io(errno: Errno) -> LinkError {
    LinkError::Io(errno.into())
}
