//! `ParentEnd`: the parent's side of one worker's memory.
//!
//! What it has to know to stay sound it keeps in memory of its own: where each frame lies and how
//! long it is, how many it has offered, how far it has read. From the shared words it only learns
//! what the worker claims to have done, and believes what is possible.

use std::collections::VecDeque;
#[cfg(not(loom))]
use std::io;
#[cfg(not(loom))]
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::control::{ANYBODY, LEFT, NO_STOP, WAITING, position, waiting_at};
use crate::errors::{Full, Torn};
use crate::memory::Memory;
#[cfg(not(loom))]
use crate::memory::Shape;
use crate::offers::{ASLEEP, OFFER, Offers, START, after, before, distance};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::sabotaged;
use crate::words::{self, SKIP, WORD, bytes_of, headed, heading, index, taken};

/// The parent's end: offers requests, takes back what the worker has not begun, receives answers.
///
/// A frame in flight is *offered* first, then *claimed* by the worker, and stays where it is until
/// the parent [`release`](Self::release)s it. The worker claims one at a time, in the order in which
/// they were offered. So when a worker has died, of the frames that it has not answered, the oldest
/// one may have been begun, if it is claimed; no other. It may have left answers without ringing the
/// doorbell: they are to be received first.
#[derive(Debug)]
pub struct ParentEnd {
    memory: Arc<Memory>,
    /// In flight, oldest first.
    frames: VecDeque<Frame>,
    /// Where the next frame goes. Positions only grow, but for a taking back; in the ring they wrap.
    write: u64,
    offered: u32,
    /// The newest so many of them are put there, and the worker has not been told.
    untold: u32,
    released: u32,
    /// How many the worker had claimed when it sent what was received last.
    answered: u32,
    /// How far the answers are read, and up to where they are known to be published.
    read: u64,
    published: u64,
    /// How far the worker may overwrite them.
    freed: u64,
}

/// A look at whether a worker has answered, for a thread that spins while others use its
/// [`ParentEnd`].
#[derive(Clone, Debug)]
pub struct Lookout(Arc<Memory>);

impl Lookout {
    /// Whether there is an answer that has not been received.
    pub fn has_answer(&self) -> bool {
        let control = self.0.control();
        position(control.tail.load(Relaxed)) != position(control.head.load(Relaxed))
    }
}

/// A request in the lane.
#[derive(Debug)]
struct Frame {
    /// What it takes of the lane begins here, with the skipped end of the ring before it.
    begin: u64,
    /// Its first word.
    at: u64,
    len: usize,
}

#[cfg(not(loom))]
impl ParentEnd {
    /// Memory for one worker.
    ///
    /// # Errors
    /// If the shape is not allowed, or the system has no memory or no file descriptor left.
    pub fn create(shape: Shape) -> io::Result<Self> {
        Ok(Self::new(Arc::new(Memory::create(shape)?)))
    }

    /// What the worker is to open.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.fd()
    }
}

impl ParentEnd {
    pub(crate) fn new(memory: Arc<Memory>) -> Self {
        Self {
            memory,
            frames: VecDeque::new(),
            write: 0,
            offered: START,
            untold: 0,
            released: START,
            answered: START,
            read: 0,
            published: 0,
            freed: 0,
        }
    }

    /// The longest request that fits into an empty lane: half of it, wherever the last one ended.
    pub fn max_request(&self) -> usize {
        self.lane() / 2 - WORD
    }

    /// The longest answer that the worker can send.
    pub fn max_answer(&self) -> usize {
        self.answers() - WORD
    }

    /// Offers the parts, one after the other, as one frame, and wakes the worker if it sleeps.
    ///
    /// # Errors
    /// If there is no room now, or the frame is longer than [`max_request`](Self::max_request).
    pub fn offer(&mut self, parts: &[&[u8]]) -> Result<(), Full> {
        self.put(parts)?;
        self.publish();
        Ok(())
    }

    /// The same for a worker that is told later, of several at once: each time, the word that says so comes
    /// from the worker's processor and goes back to it.
    ///
    /// # Errors
    /// As for [`offer`](Self::offer).
    pub fn put(&mut self, parts: &[&[u8]]) -> Result<(), Full> {
        let len = words::total(parts);
        let (Some(at), Ok(heading_len)) = (self.room_for(len), u32::try_from(len)) else {
            return Err(Full { len });
        };
        let lane = self.memory.lane();
        if at != self.write {
            lane[index(lane, self.write)].store(heading(SKIP, 0));
        }
        let first = index(lane, at);
        lane[first].store(heading(heading_len, 0));
        words::store(lane, first + 1, parts);
        self.frames.push_back(Frame { begin: self.write, at, len });
        self.write = at + taken(len) as u64;
        self.offered = after(self.offered, 1);
        self.untold += 1;
        Ok(())
    }

    /// Tells the worker of what was [put](Self::put) there, and wakes it if it sleeps.
    pub fn publish(&mut self) {
        let untold = u64::from(std::mem::take(&mut self.untold));
        if untold == 0 {
            return;
        }
        let told = if sabotaged("lane_publish_tells_of_one") { 1 } else { untold };
        let control = self.memory.control();
        let order = if sabotaged("lane_offer_is_not_released") { Relaxed } else { AcqRel };
        let word = control.offers.fetch_add(told * OFFER, order);
        if word & ASLEEP != 0 && !sabotaged("lane_offer_wakes_nobody") {
            // Once is enough, until it says so again.
            control.offers.fetch_and(!ASLEEP, Relaxed);
            control.bell.ring();
        }
    }

    /// Where a frame of `len` bytes can begin: at the next position or at the start of the ring.
    fn room_for(&self, len: usize) -> Option<u64> {
        if len > self.max_request() {
            return None;
        }
        let size = self.lane() as u64;
        let needed = taken(len) as u64;
        let to_end = size - self.write % size;
        let at = if needed <= to_end { self.write } else { self.write + to_end };
        let oldest = self.frames.front().map_or(self.write, |frame| frame.begin);
        (at + needed - oldest <= size).then_some(at)
    }

    /// How many frames are offered and not released.
    pub fn in_flight(&self) -> u32 {
        distance(self.released, self.offered)
    }

    /// How many of those in flight the worker has claimed, the oldest ones.
    pub fn claimed(&self) -> u32 {
        let claimed = Offers::unpack(self.memory.control().offers.load(Acquire)).claimed;
        distance(self.released, claimed).min(self.in_flight())
    }

    /// The bytes of the `nth` oldest frame in flight, to report on it or to offer it elsewhere.
    pub fn request(&self, nth: u32) -> Option<Vec<u8>> {
        Some(self.bytes(self.frames.get(nth as usize)?))
    }

    fn bytes(&self, frame: &Frame) -> Vec<u8> {
        let lane = self.memory.lane();
        let mut bytes = Vec::new();
        words::load(lane, index(lane, frame.at) + 1, frame.len, &mut bytes);
        bytes
    }

    /// The oldest frames are done with: their answers were received.
    ///
    /// # Errors
    /// If the worker has not sent anything since it claimed the newest of them, so that it may be
    /// reading it still. Who releases a frame for each answer sees this of a torn worker alone.
    pub fn release(&mut self, frames: u32) -> Result<(), Torn> {
        let answered = distance(self.released, self.answered).min(self.in_flight());
        if frames > answered && !sabotaged("lane_release_is_rash") {
            return Err(Torn { what: "it has answered what it has not claimed" });
        }
        self.frames.drain(..frames as usize);
        self.released = after(self.released, frames);
        self.forget_stop();
        Ok(())
    }

    /// Takes back the newest frames that the worker has not claimed, at most so many. No help of the
    /// worker is needed, and each frame is either claimed or given back here. Oldest first.
    pub fn take_back(&mut self, most: u32) -> Vec<Vec<u8>> {
        self.publish();
        let (offered, in_flight) = (self.offered, self.in_flight());
        let unbegun = |word| {
            let seen = Offers::unpack(word);
            // From a word that makes no sense, nothing can be taken: all of it may have been begun.
            let sound = seen.offered == offered && seen.unclaimed() <= in_flight;
            if sound { seen.unclaimed().min(most) } else { 0 }
        };
        let take = |word| {
            let offered = before(offered, unbegun(word));
            (unbegun(word) > 0).then(|| Offers { offered, ..Offers::unpack(word) }.pack())
        };
        let offers = &self.memory.control().offers;
        let word = if sabotaged("lane_take_back_looks_first") {
            let word = offers.load(Acquire);
            if let Some(taken) = take(word) {
                offers.store(taken, Release);
            }
            word
        } else {
            let (Ok(word) | Err(word)) = offers.fetch_update(AcqRel, Acquire, take);
            word
        };

        self.offered = before(offered, unbegun(word));
        let taken = self.frames.split_off(self.in_flight() as usize);
        if let Some(first) = taken.front() {
            self.write = first.begin;
        }
        self.forget_stop();
        taken.iter().map(|frame| self.bytes(frame)).collect()
    }

    /// Asks the worker to stop working on the `nth` oldest frame in flight: its
    /// [`StopToken`](crate::StopToken) is set while that frame is the one it claimed last, now or
    /// later. It remembers one such wish, the last.
    pub fn ask_to_stop(&self, nth: u32) {
        if nth < self.in_flight() {
            let wrong = sabotaged("lane_stop_is_for_the_last_claim");
            let nth = if wrong { self.claimed().saturating_sub(1) } else { nth };
            self.memory.control().stop.store(after(self.released, nth + 1), Release);
        }
    }

    /// Leaves for good: the worker hears of it, also if it sleeps, and all its stop tokens are set.
    pub fn leave(&mut self) {
        let control = self.memory.control();
        control.stop.store(LEFT, Release);
        if !sabotaged("lane_leave_wakes_nobody") {
            control.bell.ring();
        }
    }

    /// A wish about a frame that is no more in flight must not meet one that gets its count.
    fn forget_stop(&self) {
        let stop = &self.memory.control().stop;
        let ahead = distance(self.released, stop.load(Relaxed));
        if ahead == 0 || ahead > self.in_flight() {
            stop.store(NO_STOP, Relaxed);
        }
    }

    /// Receives the next answer into `into`, which holds nothing else then; `false` if there is none.
    ///
    /// # Errors
    /// If what is there is no answer. The worker cannot be trusted any more.
    pub fn receive(&mut self, into: &mut Vec<u8>) -> Result<bool, Torn> {
        into.clear();
        let ring = self.memory.answers();
        let size = self.answers() as u64;
        if self.read == self.published {
            let published = position(self.memory.control().tail.load(Acquire));
            let ahead = published.wrapping_sub(self.read);
            if ahead > size || !ahead.is_multiple_of(WORD as u64) {
                return Err(Torn { what: "the end of its answers is out of range" });
            }
            if ahead == 0 {
                return Ok(false);
            }
            self.published = published;
        }
        let first = index(ring, self.read);
        let (len, claimed) = headed(ring[first].load());
        let frame = taken(len as usize) as u64;
        if frame > self.published.wrapping_sub(self.read) {
            return Err(Torn { what: "an answer is longer than what is there" });
        }
        let newly = distance(self.answered, claimed);
        if newly > distance(self.answered, self.offered) {
            return Err(Torn { what: "it has claimed more than was offered" });
        }
        words::load(ring, first + 1, len as usize, into);
        self.answered = claimed;
        self.read = self.read.wrapping_add(frame);
        // Not for each answer: a worker that waits for room is then woken for a good part of it. What
        // is not published yet has answers behind it, for which the parent comes back.
        if self.read == self.published || self.read.wrapping_sub(self.freed) >= size / 4 {
            self.publish_room();
        }
        Ok(true)
    }

    fn publish_room(&mut self) {
        self.freed = self.read;
        let control = self.memory.control();
        let word = if sabotaged("answers_room_is_stored") {
            let word = control.head.load(Acquire);
            control.head.store(self.read, Release);
            word
        } else {
            control.head.swap(self.read, AcqRel)
        };
        if word & WAITING != 0 && !sabotaged("answers_room_wakes_nobody") {
            control.room.ring();
        }
    }

    /// Whether there is an answer: cheap, for those who spin.
    pub fn has_answer(&self) -> bool {
        self.read != self.published
            || position(self.memory.control().tail.load(Acquire)) != self.read
    }

    /// For a thread that spins and has no part in this end.
    pub fn lookout(&self) -> Lookout {
        Lookout(Arc::clone(&self.memory))
    }

    /// Says that a thread of the parent is about to sleep until this doorbell rings (the first or the
    /// second of the two that the worker was given), unless there is an answer after all: then it says
    /// nothing and returns `true`.
    pub fn set_asleep(&self, doorbell: usize) -> bool {
        if self.read != self.published {
            return true;
        }
        let tail = &self.memory.control().tail;
        let bit = waiting_at(doorbell);
        let word = if sabotaged("answers_parent_looks_before_it_sleeps") {
            let word = tail.load(Acquire);
            tail.fetch_or(bit, AcqRel);
            word
        } else {
            tail.fetch_or(bit, AcqRel)
        };
        let arrived = position(word) != self.read;
        if arrived {
            self.set_awake();
        }
        arrived
    }

    /// Says that the parent looks for answers by itself again.
    pub fn set_awake(&self) {
        self.memory.control().tail.fetch_and(!ANYBODY, Relaxed);
    }

    fn lane(&self) -> usize {
        bytes_of(self.memory.lane())
    }

    fn answers(&self) -> usize {
        bytes_of(self.memory.answers())
    }
}
