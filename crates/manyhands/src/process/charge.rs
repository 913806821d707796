//! One worker as its manager has it: what there is to look at, and the link once it is born.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use manyhands_shm::{ArenaView, Lookout, ParentEnd};
use rustix::event::PollFlags;

use super::birth::{Birth, BirthError};
use super::child::Child;
use super::last_lines::LastLines;
use super::link::Link;
use super::link::ring::RingLink;
use super::link::socket::SocketLink;
use super::nested::Channel;
use super::supervisor::Seat;
use super::watch::{Seen, Watched};

/// The longest answer over a socket.
const MOST_BYTES: usize = 1 << 31;

/// One worker, as its manager has it.
pub(super) struct Charge {
    pub(super) seat: Seat,
    pub(super) child: Box<dyn Child>,
    /// Until it is born.
    pub(super) birth: Option<(Birth, Option<(ParentEnd, ArenaView)>)>,
    pub(super) last_lines: Option<LastLines>,
    /// Its link's, where the link has one: to poll for without the pool's lock.
    pub(super) socket: Option<OwnedFd>,
    /// For what is said beside the link: until it is born, the descriptor alone.
    pub(super) beside: Option<OwnedFd>,
    pub(super) channel: Option<Arc<Channel>>,
    /// Nothing will come for it: it is to leave as soon as it is born.
    pub(super) leaves: bool,
    /// Why it was not born.
    pub(super) failed: Option<String>,
    pub(super) refused: bool,
}

/// What there is to talk to a worker that has just been born.
pub(super) type Linked = (Box<dyn Link>, Option<ArenaView>, Option<Lookout>, OwnedFd);

impl Charge {
    /// What there is to look at. A death comes last: what was said before is heard before.
    pub(super) fn watched(
        &self,
        at: u32,
        flags: Option<PollFlags>,
    ) -> impl Iterator<Item = Watched<'_>> {
        let birth = self.birth.as_ref().map(|(birth, _)| {
            let (fd, flags) = birth.interest();
            Watched { seen: Seen::Birth(at), fd, flags }
        });
        let lines = self.last_lines.as_ref().and_then(LastLines::interest);
        let lines = lines.map(|(fd, flags)| Watched { seen: Seen::Stderr(at), fd, flags });
        let link = self.socket.as_ref().zip(flags);
        let link = link.map(|(fd, flags)| Watched { seen: Seen::Link(at), fd: fd.as_fd(), flags });
        let nested = self.channel.as_ref().map(|channel| {
            let unsent = channel.has_unsent();
            let flags = if unsent { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            Watched { seen: Seen::Nested(at), fd: channel.fd(), flags }
        });
        let died =
            Watched { seen: Seen::Died(at), fd: self.child.sentinel(), flags: PollFlags::IN };
        [birth, lines, link, nested, Some(died)].into_iter().flatten()
    }

    /// The link to a worker that has just been born.
    pub(super) fn take_link(&mut self) -> Result<Linked, BirthError> {
        let Some((birth, memory)) = self.birth.take() else { return Err(BirthError::Closed) };
        let socket = birth.into_socket()?;
        if let Some((end, arena)) = memory {
            let lookout = end.lookout();
            let beside = socket.try_clone()?;
            return Ok((Box::new(RingLink::new(end, socket)), Some(arena), Some(lookout), beside));
        }
        self.socket = Some(socket.try_clone()?);
        let beside = self.beside.take().ok_or(BirthError::Closed)?;
        Ok((Box::new(SocketLink::new(socket, MOST_BYTES)), None, None, beside))
    }
}
