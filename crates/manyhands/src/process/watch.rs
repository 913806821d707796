//! THE CRASH DETECTOR: what the parent's manager thread sleeps on.
//!
//! One `poll` over everything that can happen: the doorbell, the death of a worker, whoever is being
//! born, links that are not in shared memory. It says what is ready, and decides nothing.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::stream::poll_for;

/// What can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Somebody has rung.
    Doorbell,
    /// The process of this seat has ended. Its link may still hold answers that have come in since
    /// the look began: receive them all before the worker counts as dead.
    Died(u32),
    /// The birth of this seat's worker can go on.
    Birth(u32),
    /// This seat's worker has printed something on its way into the world.
    Stderr(u32),
    /// The tasks of this seat's worker want something.
    Nested(u32),
    /// This seat's link wants [`receive`](super::link::Link::receive) to be called.
    Link(u32),
}

/// Something to look at.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'fd> {
    /// What it means when it is ready.
    pub seen: Seen,
    /// What to look at.
    pub fd: BorrowedFd<'fd>,
    /// For what. Errors and hang-ups count always.
    pub flags: PollFlags,
}

/// Looks and sleeps. It keeps its lists from call to call.
///
/// ```
/// use std::io::Write;
/// use std::os::fd::AsFd;
///
/// use manyhands::process::watch::{Seen, Watch, Watched};
/// use rustix::event::PollFlags;
///
/// let (doorbell, mut ringer) = std::io::pipe()?;
/// ringer.write_all(b"!")?;
///
/// let doorbell =
///     Watched { seen: Seen::Doorbell, fd: doorbell.as_fd(), flags: PollFlags::IN };
/// let mut seen = Vec::new();
/// Watch::new().look([doorbell], None, &mut seen)?;
/// assert_eq!(seen, [Seen::Doorbell]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Watch {
    fds: Vec<PollFd<'static>>,
    whose: Vec<Seen>,
}

impl Watch {
    /// One that looks at nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sleeps until one of `watched` is ready, or for so long; without a `timeout`, as long as it
    /// takes. Puts what is ready into `seen`, in place of what is there, in the order of `watched`.
    ///
    /// # Errors
    ///
    /// If the system refuses to poll.
    pub fn look<'fd>(
        &mut self,
        watched: impl IntoIterator<Item = Watched<'fd>>,
        timeout: Option<Duration>,
        seen: &mut Vec<Seen>,
    ) -> io::Result<()> {
        seen.clear();
        self.whose.clear();
        let mut fds = recycle(std::mem::take(&mut self.fds));
        for Watched { seen, fd, flags } in watched {
            self.whose.push(seen);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        let polled = poll_for(&mut fds, timeout);
        let ready = |(_, fd): &(&Seen, &PollFd<'_>)| !fd.revents().is_empty();
        seen.extend(self.whose.iter().zip(&fds).filter(ready).map(|(&seen, _)| seen));
        self.fds = recycle(fds);
        polled?;
        Ok(())
    }
}

/// An empty list in the same memory, for descriptors that live as long as the next look.
fn recycle<'new>(mut fds: Vec<PollFd<'_>>) -> Vec<PollFd<'new>> {
    fds.clear();
    fds.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("whose", &self.whose).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write, pipe};
    use std::os::fd::AsFd;
    use std::thread;

    use super::*;

    fn watched(seen: Seen, fd: &impl AsFd) -> Watched<'_> {
        Watched { seen, fd: fd.as_fd(), flags: PollFlags::IN }
    }

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn what_is_ready_is_seen_in_the_order_of_the_watched() {
        let mut watch = Watch::new();
        let (mut doorbell, mut rings) = pipe().unwrap();
        let (dead, dies) = pipe().unwrap();
        let (quiet, _stays_quiet) = pipe().unwrap();
        let look = |watch: &mut Watch, doorbell: &_| {
            let mut seen = vec![Seen::Stderr(9)];
            let all = [
                watched(Seen::Link(1), &quiet),
                watched(Seen::Died(2), &dead),
                watched(Seen::Doorbell, doorbell),
            ];
            watch.look(all, AT_ONCE, &mut seen).unwrap();
            seen
        };
        assert_eq!(look(&mut watch, &doorbell), []);
        rings.write_all(&[1]).unwrap();
        assert_eq!(look(&mut watch, &doorbell), [Seen::Doorbell]);
        drop(dies);
        assert_eq!(
            look(&mut watch, &doorbell),
            [Seen::Died(2), Seen::Doorbell],
            "a hang-up counts"
        );
        doorbell.read_exact(&mut [0]).unwrap();
        assert_eq!(look(&mut watch, &doorbell), [Seen::Died(2)]);
    }

    #[test]
    fn a_sleeper_is_woken() {
        let (doorbell, mut rings) = pipe().unwrap();
        let ringer = thread::spawn(move || {
            rings.write_all(&[1]).unwrap();
            rings
        });
        let mut seen = Vec::new();
        Watch::new().look([watched(Seen::Doorbell, &doorbell)], None, &mut seen).unwrap();
        assert_eq!(seen, [Seen::Doorbell]);
        ringer.join().unwrap();
    }

    #[test]
    fn a_look_ends_after_its_time() {
        let (doorbell, _rings) = pipe().unwrap();
        let mut seen = vec![Seen::Doorbell];
        let wait = Some(Duration::from_millis(2));
        Watch::new().look([watched(Seen::Doorbell, &doorbell)], wait, &mut seen).unwrap();
        assert_eq!(seen, []);
        let endless = Some(Duration::MAX);
        let (ready, writer) = pipe().unwrap();
        drop(writer);
        Watch::new().look([watched(Seen::Link(0), &ready)], endless, &mut seen).unwrap();
        assert_eq!(seen, [Seen::Link(0)]);
    }

    #[test]
    fn looking_again_takes_no_memory() {
        let (doorbell, _rings) = pipe().unwrap();
        let mut watch = Watch::new();
        let mut look = || {
            let all = (0..100).map(|seat| watched(Seen::Link(seat), &doorbell));
            watch.look(all, AT_ONCE, &mut Vec::new()).unwrap();
            (watch.fds.as_ptr(), watch.fds.capacity(), watch.whose.as_ptr())
        };
        let first = look();
        for _ in 0..10 {
            assert_eq!(look(), first);
        }
    }
}
