//! The worker's end, and the look that a running task takes at it.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::process::link::frames::{Kind, frame, header};
use crate::process::link::{LinkError, StopSource, WorkerLink};
use crate::process::stream::{Filled, Inbox, send_all, wait_for};
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
    socket: OwnedFd,
    incoming: Mutex<Incoming>,
    /// The latest request that was asked to stop.
    stopped: AtomicU64,
}

struct Incoming {
    inbox: Inbox,
    requests: VecDeque<Vec<u8>>,
    /// The request that is running. While it is 0, only `claim` may take bytes in: it sleeps for
    /// those that it has not seen.
    running: u64,
    ended: bool,
}

impl SocketWorkerLink {
    /// The link over a connected stream socket, whose other end the parent has.
    pub fn new(socket: OwnedFd) -> Self {
        let incoming = Incoming {
            inbox: Inbox::new(usize::MAX),
            requests: VecDeque::new(),
            running: 0,
            ended: false,
        };
        let incoming = Mutex::new(incoming);
        let shared = Shared { socket, incoming, stopped: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), number: 0, request: Vec::new() }
    }

    /// The next request, if it is there in full.
    fn try_claim(&mut self) -> Result<bool, LinkError> {
        let mut incoming = self.shared.incoming.lock();
        incoming.running = 0;
        while incoming.requests.is_empty() && !incoming.ended {
            if !self.shared.take_in(&mut incoming)? {
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
        send_all(&self.shared.socket, bytes).map_err(|errno| match errno {
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
            if !wait_for(&self.shared.socket, PollFlags::IN, left).map_err(io)? {
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

    /// Each frame takes system calls, which may always take a while.
    fn has_waited(&mut self) -> bool {
        true
    }

    fn frame(&self) -> u64 {
        self.number
    }

    fn stop_source(&self) -> Arc<dyn StopSource> {
        Arc::clone(&self.shared) as _
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
        let failed = self.take_in(&mut incoming).is_err();
        failed || incoming.ended || is_asked()
    }
}

impl Shared {
    /// Takes in what has arrived; whether something had.
    fn take_in(&self, incoming: &mut Incoming) -> Result<bool, LinkError> {
        let filled = incoming.inbox.fill(&self.socket).map_err(io)?;
        incoming.ended = filled == Filled::End;
        while let Some(frame) = incoming.inbox.next_frame()? {
            match (frame.kind, <[u8; 8]>::try_from(&frame.body[..])) {
                (Kind::Request, _) => incoming.requests.push_back(frame.body),
                (Kind::Stop, Ok(number)) => {
                    self.stopped.fetch_max(u64::from_le_bytes(number), Ordering::Release);
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
