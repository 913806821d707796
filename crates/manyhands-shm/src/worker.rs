//! `WorkerEnd`: the worker's side of its memory. It trusts its parent.

#[cfg(not(loom))]
use std::io;
#[cfg(not(loom))]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::control::{LEFT, WAITING, position, waiting_at};
use crate::doorbell::Doorbell;
use crate::errors::{SendError, Torn};
use crate::memory::Memory;
use crate::offers::{ASLEEP, Offers, after};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::{sabotaged, step};
use crate::words::{self, SKIP, WORD, bytes_of, headed, heading, index, taken};

/// The worker's end: claims requests, sends answers.
#[derive(Debug)]
pub struct WorkerEnd {
    memory: Arc<Memory>,
    doorbells: [Doorbell; 2],
    /// Where the next frame to be claimed begins.
    read: u64,
    claimed: u32,
    /// Where the request lies that is not answered yet.
    #[cfg(not(loom))]
    request: Option<(usize, usize)>,
    /// Up to where answers are published, and how far the parent is known to have read them.
    write: u64,
    freed: u64,
    /// loom cannot watch a slice: there the claimed frame is looked at once more when it is let go.
    #[cfg(loom)]
    claim: (usize, Vec<u8>),
}

/// Tells whether the parent has asked the worker to stop what it claimed last.
#[derive(Clone, Debug)]
pub struct StopToken(Arc<Memory>);

impl StopToken {
    /// Whether it has.
    pub fn is_set(&self) -> bool {
        let control = self.0.control();
        let stop = control.stop.load(Acquire);
        stop == LEFT || stop == Offers::unpack(control.offers.load(Relaxed)).claimed
    }

    /// The same for the request of this [`count`](WorkerEnd::count), also when it is answered already.
    pub fn is_set_for(&self, count: u32) -> bool {
        let control = self.0.control();
        let stop = control.stop.load(Acquire);
        stop == LEFT
            || stop == count
            || Offers::unpack(control.offers.load(Relaxed)).claimed != count
    }
}

#[cfg(not(loom))]
impl WorkerEnd {
    /// Opens the memory that a parent made for this worker, and the doorbells of the parent's pool: two of
    /// its threads can sleep, each on its own.
    ///
    /// # Errors
    /// If the memory is not what a parent of this version makes, or was opened before.
    pub fn open(memory: OwnedFd, doorbells: [OwnedFd; 2]) -> io::Result<Self> {
        let [first, second] = doorbells;
        let doorbells = [Doorbell::open(first)?, Doorbell::open(second)?];
        Ok(Self::new(Arc::new(Memory::open(memory)?), doorbells))
    }
}

impl WorkerEnd {
    pub(crate) fn new(memory: Arc<Memory>, doorbells: [Doorbell; 2]) -> Self {
        Self {
            memory,
            doorbells,
            read: 0,
            claimed: Offers::NONE.claimed,
            #[cfg(not(loom))]
            request: None,
            write: 0,
            freed: 0,
            #[cfg(loom)]
            claim: (0, Vec::new()),
        }
    }

    /// Claims the next frame, if one is offered. It is to be answered before the next is claimed.
    ///
    /// # Errors
    /// If something in this process has written into the shared memory.
    pub fn claim(&mut self) -> Result<Option<&[u8]>, Torn> {
        #[cfg(loom)]
        self.let_go();
        step();
        if !self.claim_word() {
            return Ok(None);
        }
        step();
        self.claimed = after(self.claimed, 1);
        let lane = self.memory.lane();
        let mut first = index(lane, self.read);
        if headed(lane[first].load()).0 == SKIP {
            first = 0;
            self.read = self.read.next_multiple_of(bytes_of(lane) as u64);
        }
        let len = headed(lane[first].load()).0 as usize;
        if first * WORD + taken(len) > bytes_of(lane) {
            return Err(Torn { what: "a request is longer than the lane" });
        }
        self.read += taken(len) as u64;
        Ok(Some(self.frame((first + 1) * WORD, len)))
    }

    /// Changes the word for one claim; `false` if nothing is offered.
    fn claim_word(&self) -> bool {
        let offers = &self.memory.control().offers;
        let claim = |word| {
            let seen = Offers::unpack(word);
            let all = sabotaged("death_claim_takes_all");
            let claimed = if all { seen.offered } else { after(seen.claimed, 1) };
            (seen.unclaimed() > 0).then(|| Offers { claimed, ..seen }.pack())
        };
        if sabotaged("lane_claim_looks_first") {
            let claimed = claim(offers.load(Acquire));
            return claimed.inspect(|word| offers.store(*word, Relaxed)).is_some();
        }
        offers.fetch_update(AcqRel, Relaxed, claim).is_ok()
    }

    /// The request that was claimed last, as long as it is not answered.
    #[cfg(not(loom))]
    pub fn request(&self) -> Option<&[u8]> {
        let (offset, len) = self.request?;
        // SAFETY: claimed and not answered, and sending needs `&mut self`, which this slice borrows.
        // Covered by the models in `loom_models::lane`, and `tests/streams.rs`.
        #[allow(unsafe_code)]
        Some(unsafe { self.memory.frame(offset, len) })
    }

    #[cfg(not(loom))]
    fn frame(&mut self, offset: usize, len: usize) -> &[u8] {
        self.request = Some((offset, len));
        self.request().unwrap_or_default()
    }

    #[cfg(loom)]
    fn frame(&mut self, offset: usize, len: usize) -> &[u8] {
        self.claim.0 = offset / WORD;
        words::load(self.memory.lane(), self.claim.0, len, &mut self.claim.1);
        &self.claim.1
    }

    /// The frame claimed last is read no more.
    #[cfg(loom)]
    fn let_go(&mut self) {
        if !self.claim.1.is_empty() {
            let mut again = Vec::new();
            words::load(self.memory.lane(), self.claim.0, self.claim.1.len(), &mut again);
            assert_eq!(again, self.claim.1, "a claimed frame has changed");
            self.claim.1.clear();
        }
    }

    /// Whether a frame is offered: cheap, for those who spin.
    pub fn has_offer(&self) -> bool {
        Offers::unpack(self.memory.control().offers.load(Acquire)).unclaimed() > 0
    }

    /// Whether the parent has left for good.
    pub fn is_left(&self) -> bool {
        self.memory.control().stop.load(Acquire) == LEFT
    }

    /// Sleeps until a frame is offered (not at all if one is), or the parent leaves, or the time is up, or
    /// for no reason.
    pub fn sleep(&self, timeout: Option<Duration>) {
        let control = self.memory.control();
        // Before the parent is told: a ring from then on has to end the sleep.
        let mut seen = control.bell.seen();
        if self.is_left() {
            return;
        }
        let announce = |word| {
            let seen = Offers::unpack(word);
            (seen.unclaimed() == 0).then(|| Offers { asleep: true, ..seen }.pack())
        };
        let announced = if sabotaged("lane_sleeper_looks_first") {
            let announced = announce(control.offers.load(Acquire));
            announced.map(|_| control.offers.fetch_or(ASLEEP, AcqRel)).is_some()
        } else {
            control.offers.fetch_update(AcqRel, Relaxed, announce).is_ok()
        };
        if !announced {
            return;
        }
        if sabotaged("lane_sleeper_takes_the_bell_late") {
            seen = control.bell.seen();
        }
        control.bell.wait(seen, timeout);
        control.offers.fetch_and(!ASLEEP, Relaxed);
    }

    /// What tells the request that was claimed last from others.
    pub fn count(&self) -> u32 {
        self.claimed
    }

    /// For whoever works on what was claimed last, in any thread.
    pub fn stop_token(&self) -> StopToken {
        StopToken(Arc::clone(&self.memory))
    }

    /// Sends the parts, one after the other, as one answer, and wakes the parent if it sleeps. While
    /// there is no room, it blocks; whether it had to.
    ///
    /// # Errors
    /// If the answer is too long for the ring, or something in this process has written into the
    /// shared memory.
    pub fn send(&mut self, parts: &[&[u8]]) -> Result<bool, SendError> {
        #[cfg(loom)]
        self.let_go();
        #[cfg(not(loom))]
        {
            self.request = None;
        }
        let len = words::total(parts);
        let size = bytes_of(self.memory.answers());
        let most = size - WORD;
        let heading_len = match u32::try_from(len) {
            Ok(heading_len) if len <= most => heading_len,
            _ => return Err(SendError::TooLong { len, most }),
        };
        let frame = taken(len) as u64;
        let waited = self.wait_for_room(frame, size as u64)?;
        let ring = self.memory.answers();
        step();
        if sabotaged("death_answer_is_published_first") {
            self.memory.control().tail.swap(self.write + frame, AcqRel);
        }
        step();
        let first = index(ring, self.write);
        ring[first].store(heading(heading_len, self.claimed));
        step();
        words::store(ring, first + 1, parts);
        step();
        self.write = self.write.wrapping_add(frame);
        self.publish_answer();
        Ok(waited)
    }

    fn publish_answer(&self) {
        let tail = &self.memory.control().tail;
        let word = if sabotaged("answers_send_is_stored") {
            let word = tail.load(Acquire);
            tail.store(self.write, crate::sync::atomic::Ordering::Release);
            word
        } else {
            let order = if sabotaged("answers_send_is_not_released") { Relaxed } else { AcqRel };
            tail.swap(self.write, order)
        };
        step();
        for (at, doorbell) in self.doorbells.iter().enumerate() {
            if word & waiting_at(at) != 0 && !sabotaged("answers_send_wakes_nobody") {
                doorbell.ring();
            }
        }
    }

    fn wait_for_room(&mut self, frame: u64, size: u64) -> Result<bool, Torn> {
        let mut waited = false;
        while self.write.wrapping_sub(self.freed) + frame > size {
            let control = Arc::clone(&self.memory);
            let control = control.control();
            // Before the parent is told: a ring from then on has to end the sleep.
            let seen = control.room.seen();
            let mut word = control.head.load(Acquire);
            if position(word) == self.freed {
                word = control.head.fetch_or(WAITING, AcqRel);
                step();
                let full = position(word) == self.freed;
                if full || sabotaged("answers_sender_sleeps_without_a_second_look") {
                    control.room.wait(seen, None);
                    waited = true;
                    continue;
                }
            }
            self.freed = position(word);
            if self.write.wrapping_sub(self.freed) > size {
                return Err(Torn { what: "the parent has read more than was sent" });
            }
        }
        Ok(waited)
    }
}
