//! The ring link: a lane of requests and a ring of answers in shared memory.
//!
//! What is unsafe about it, and what it rests on, is in `manyhands-shm`. Here it is given the face of a
//! link, and the worker's way of waiting: a short spin, as long as the last waits show that it pays,
//! and then sleep.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use manyhands_shm::{Doorbell, ForkMark, ParentEnd, Shape, Torn, WorkerEnd};
use rustix::event::PollFlags;

use super::placement::{Placement, leave_core};
use super::{Link, LinkError, OfferError, StopSource, WorkerLink};
use crate::spin::{Spin, Spun};

/// Frames in one lane at most: more than are ever worth sending ahead.
pub const CAPACITY: u32 = 512;

/// The parent's end.
pub struct RingLink {
    end: ParentEnd,
    /// The worker answered what it had not claimed.
    torn: Option<Torn>,
    dead: bool,
    mark: ForkMark,
    /// Kept open as long as the worker is wanted: it is how the worker sees that its parent is there.
    _lifeline: OwnedFd,
}

/// Memory for one worker that is to be born, and the three descriptors that it needs.
///
/// # Errors
/// If the system has no memory or no descriptor left.
pub fn prepare(doorbells: &[Doorbell; 2]) -> io::Result<(ParentEnd, Vec<OwnedFd>)> {
    let end = ParentEnd::create(Shape::default())?;
    let [first, second] = doorbells.each_ref().map(Doorbell::fd);
    let fds = [end.memory(), first, second].map(|fd| fd.try_clone_to_owned());
    Ok((end, fds.into_iter().collect::<io::Result<_>>()?))
}

impl RingLink {
    /// The link to a worker that has been born with what [`prepare`] gave.
    pub fn new(end: ParentEnd, lifeline: OwnedFd) -> Self {
        Self {
            end,
            torn: None,
            dead: false,
            mark: ForkMark::of_this_process(),
            _lifeline: lifeline,
        }
    }
}

impl fmt::Debug for RingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingLink").field("in_flight", &self.end.in_flight()).finish_non_exhaustive()
    }
}

impl Link for RingLink {
    fn capacity(&self) -> u32 {
        CAPACITY
    }

    fn max_frame(&self) -> usize {
        self.end.max_request()
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<(), OfferError> {
        if self.dead {
            return Err(OfferError::Broken(io::ErrorKind::BrokenPipe.into()));
        }
        if self.end.in_flight() >= CAPACITY {
            return Err(OfferError::Full);
        }
        self.end.put(parts).map_err(|full| {
            let most = self.max_frame();
            if full.len > most {
                OfferError::TooLarge { frame: full.len, most }
            } else {
                OfferError::Full
            }
        })
    }

    fn publish(&mut self) {
        self.end.publish();
    }

    fn in_flight(&self) -> u32 {
        self.end.in_flight()
    }

    fn claimed(&self) -> u32 {
        self.end.claimed()
    }

    fn release(&mut self, frames: u32) {
        if let Err(torn) = self.end.release(frames) {
            self.torn = Some(torn);
        }
    }

    fn request(&self, nth: u32) -> Option<Vec<u8>> {
        self.end.request(nth)
    }

    fn take_back(&mut self, most: u32) -> Vec<Vec<u8>> {
        self.end.take_back(most)
    }

    fn ask_to_stop(&mut self) {
        self.end.ask_to_stop(self.end.in_flight().saturating_sub(1));
    }

    fn receive(&mut self, into: &mut Vec<u8>) -> Result<bool, LinkError> {
        if let Some(torn) = self.torn {
            return Err(torn.into());
        }
        match self.end.receive(into)? {
            false if self.dead => Err(LinkError::Closed),
            received => Ok(received),
        }
    }

    fn has_answer(&self) -> bool {
        self.end.has_answer()
    }

    fn set_asleep(&mut self, doorbell: usize) -> bool {
        self.end.set_asleep(doorbell)
    }

    fn set_awake(&mut self) {
        self.end.set_awake();
    }

    fn set_dead(&mut self) {
        self.dead = true;
    }

    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        None
    }
}

impl Drop for RingLink {
    fn drop(&mut self) {
        // A forked copy has no part in it.
        if !self.mark.is_in_a_fork() {
            self.end.leave();
        }
    }
}

impl From<Torn> for LinkError {
    fn from(torn: Torn) -> Self {
        Self::Torn { why: torn.to_string() }
    }
}

/// The worker's end.
pub struct RingWorkerLink {
    end: WorkerEnd,
    spin: Spin,
    placement: Placement,
    waited: bool,
    stops: Arc<Stops>,
}

struct Stops(manyhands_shm::StopToken);

impl StopSource for Stops {
    fn is_asked(&self, frame: u64) -> bool {
        u32::try_from(frame).is_ok_and(|count| self.0.is_set_for(count))
    }
}

impl RingWorkerLink {
    /// Opens what came along with the hello.
    ///
    /// # Errors
    /// If these are not the descriptors that [`prepare`] gave.
    pub fn open(memory: OwnedFd, doorbells: [OwnedFd; 2]) -> io::Result<Self> {
        let end = WorkerEnd::open(memory, doorbells)?;
        let stops = Arc::new(Stops(end.stop_token()));
        Ok(Self { end, spin: Spin::new(), placement: Placement::new(), waited: true, stops })
    }
}

impl RingWorkerLink {
    /// Waits awake for a while; whether something was offered.
    fn spin(&mut self) -> bool {
        self.waited = true;
        let end = &self.end;
        let how = self.spin.wait(|| end.has_offer());
        if self.placement.spun(how, end.count()) {
            leave_core();
        }
        how != Spun::InVain
    }

    fn sleep(&mut self, time: Option<Duration>) {
        let asleep = Instant::now();
        self.end.sleep(time);
        if self.spin.is_spent()
            && self.placement.slept(asleep.elapsed(), self.end.count())
            && leave_core()
        {
            self.spin.renew();
        }
    }
}

impl fmt::Debug for RingWorkerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingWorkerLink").finish_non_exhaustive()
    }
}

impl WorkerLink for RingWorkerLink {
    fn claim(&mut self, wait: Option<Duration>) -> Result<Option<&[u8]>, LinkError> {
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            let is_offered = self.end.has_offer() || self.spin();
            if self.end.is_left() {
                return Err(LinkError::Closed);
            }
            // What was offered may have been taken back since.
            if is_offered && self.end.claim()?.is_some() {
                return Ok(self.end.request());
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            self.sleep(left);
            // Whoever limits the wait may have to see to a signal, which has ended the sleep.
            if wait.is_some() && !self.end.has_offer() && !self.end.is_left() {
                return Ok(None);
            }
        }
    }

    fn answer(&mut self, parts: &[&[u8]]) -> Result<(), LinkError> {
        let waited = self.end.send(parts);
        self.waited |= waited.map_err(|error| LinkError::Io(io::Error::other(error)))?;
        Ok(())
    }

    fn has_waited(&mut self) -> bool {
        std::mem::take(&mut self.waited)
    }

    fn frame(&self) -> u64 {
        self.end.count().into()
    }

    fn stop_source(&self) -> Arc<dyn StopSource> {
        Arc::clone(&self.stops) as _
    }
}
