//! All tasks that have not been taken away yet, and the queue of those that lie in no lane.
//!
//! ```text
//! Queued ──send──▶ Sent(seat) ──answered──▶ Ended ──take──▶ Free
//!    ▲ ╰──────────────┼─── lost, cancelled ──▲
//!    ╰─── put back ───╯
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::orders::{Rules, Seat, Ticket};

#[derive(Debug)]
pub(super) struct Tasks<C> {
    slots: Vec<Slot<C>>,
    free: Vec<u32>,
    /// Holds tickets of cancelled tasks too, which are passed by when they are met.
    queue: VecDeque<Ticket>,
    queued: usize,
    /// Tasks that have not ended.
    open: usize,
}

#[derive(Debug)]
struct Slot<C> {
    generation: u32,
    place: Place,
    attempts: u32,
    retries: u32,
    timeout: Option<Duration>,
    payload: Option<C>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Queued,
    Sent(Seat),
    Ended,
}

impl<C> Tasks<C> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), queue: VecDeque::new(), queued: 0, open: 0 }
    }

    /// A new task, last in the queue.
    #[inline]
    pub(super) fn add(&mut self, payload: C, rules: Rules, retries: u32) -> Ticket {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 tasks at a time");
            self.slots.push(Slot {
                generation: 0,
                place: Place::Ended,
                attempts: 0,
                retries: 0,
                timeout: None,
                payload: None,
            });
            index
        });
        let slot = &mut self.slots[index as usize];
        slot.place = Place::Queued;
        slot.attempts = 0;
        slot.retries = rules.retries.unwrap_or(retries);
        slot.timeout = rules.timeout;
        slot.payload = Some(payload);
        let ticket = Ticket { index, generation: slot.generation };
        self.queue.push_back(ticket);
        self.queued += 1;
        self.open += 1;
        ticket
    }

    fn slot(&self, ticket: Ticket) -> Option<&Slot<C>> {
        self.slots.get(ticket.index as usize).filter(|slot| slot.generation == ticket.generation)
    }

    fn slot_mut(&mut self, ticket: Ticket) -> Option<&mut Slot<C>> {
        let slot = self.slots.get_mut(ticket.index as usize);
        slot.filter(|slot| slot.generation == ticket.generation)
    }

    pub(super) fn place(&self, ticket: Ticket) -> Place {
        self.slot(ticket).map_or(Place::Ended, |slot| slot.place)
    }

    pub(super) fn has_ended(&self, ticket: Ticket) -> bool {
        self.place(ticket) == Place::Ended
    }

    pub(super) fn timeout(&self, ticket: Ticket) -> Option<Duration> {
        self.slot(ticket)?.timeout
    }

    pub(super) fn queue(&self) -> impl Iterator<Item = Ticket> {
        self.queue.iter().copied()
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Takes the first of the queue away, to be sent there.
    pub(super) fn send_next(&mut self, seat: Seat) -> Option<Ticket> {
        while let Some(ticket) = self.queue.pop_front() {
            if let Some(slot) = self.slot_mut(ticket)
                && slot.place == Place::Queued
            {
                slot.place = Place::Sent(seat);
                self.queued -= 1;
                return Some(ticket);
            }
        }
        None
    }

    /// Puts one that was sent in front of the queue.
    pub(super) fn put_back(&mut self, ticket: Ticket) {
        if let Some(slot) = self.slot_mut(ticket) {
            slot.place = Place::Queued;
            self.queue.push_front(ticket);
            self.queued += 1;
        }
    }

    /// Counts a run that came to nothing: how many there were, and whether there may be one more.
    pub(super) fn count_attempt(&mut self, ticket: Ticket) -> (u32, bool) {
        self.slot_mut(ticket).map_or((0, false), |slot| {
            slot.attempts += 1;
            (slot.attempts, slot.attempts <= slot.retries)
        })
    }

    /// Whether it ends with this: a task ends once.
    pub(super) fn end(&mut self, ticket: Ticket) -> bool {
        let Some(slot) = self.slot_mut(ticket).filter(|slot| slot.place != Place::Ended) else {
            return false;
        };
        let was_queued = slot.place == Place::Queued;
        slot.place = Place::Ended;
        self.open -= 1;
        if was_queued {
            self.queued -= 1;
            self.drop_stale();
        }
        true
    }

    /// Keeps a queue of which nothing is sent from growing by what is cancelled.
    fn drop_stale(&mut self) {
        if self.queue.len() > 2 * self.queued + 64 {
            let (slots, queue) = (&self.slots, &mut self.queue);
            queue.retain(|ticket| {
                let slot = &slots[ticket.index as usize];
                slot.generation == ticket.generation && slot.place == Place::Queued
            });
        }
    }

    /// The first of the queue, which ends.
    pub(super) fn end_next(&mut self) -> Option<Ticket> {
        let ticket = self.send_next(Seat(0))?;
        self.end(ticket);
        Some(ticket)
    }

    /// All of the queue but so many at its head, which end.
    pub(super) fn end_behind(&mut self, spared: usize) -> Vec<Ticket> {
        let is_queued = |ticket: &Ticket| self.place(*ticket) == Place::Queued;
        let behind: Vec<_> = self.queue().filter(is_queued).skip(spared).collect();
        for ticket in &behind {
            self.end(*ticket);
        }
        behind
    }

    pub(super) fn payload(&self, ticket: Ticket) -> Option<&C> {
        self.slot(ticket)?.payload.as_ref()
    }

    pub(super) fn payload_mut(&mut self, ticket: Ticket) -> Option<&mut C> {
        self.slot_mut(ticket)?.payload.as_mut()
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Option<C> {
        let slot = self.slot_mut(ticket).filter(|slot| slot.place == Place::Ended)?;
        let payload = slot.payload.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(ticket.index);
        Some(payload)
    }
}
