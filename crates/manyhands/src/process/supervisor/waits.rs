//! Workers whose tasks wait for others of the pool: who runs in their stead, and when that one leaves.
//!
//! Such a worker has nothing ahead of it, gets nothing, and is not counted, so that another may be
//! launched. When it goes on there may be one too many: that one gets no more tasks as long as there
//! are enough without it, and leaves some time later, unless another task waits by then.

use std::time::{Duration, Instant};

use super::orders::{Loss, Order, Seat, Ticket};
use super::tasks::Place;
use super::worker::{Phase, Why, Worker};
use super::{Stage, Supervisor};

/// How long a worker stays that is one too many: starting one takes a while, and a task that waits once
/// often does so again.
const STAYS: Duration = Duration::from_secs(1);

impl<C> Supervisor<C> {
    /// The task that this worker runs submits others: it may be going to wait, so nothing is sent ahead of
    /// it until it has ended.
    pub fn holds_back(&mut self, seat: Seat) {
        if let Some(worker) = self.workers.get_mut(seat.index()) {
            worker.hold_back();
        }
    }

    /// Whether the task waits for a worker, and lies in no lane.
    pub fn is_queued(&self, ticket: Ticket) -> bool {
        self.tasks.place(ticket) == Place::Queued
    }

    pub(super) fn waits(
        &mut self,
        seat: Seat,
        awaited: Vec<Ticket>,
        timed: bool,
        orders: &mut Vec<Order>,
    ) {
        let worker = &mut self.workers[seat.index()];
        if !matches!(worker.phase, Phase::Ready | Phase::Asked) {
            return;
        }
        if worker.waits.replace((awaited, timed)).is_none() {
            self.waiting += 1;
        }
        if worker.lane.is_empty() {
            self.idle.retain(|idle| *idle != seat);
        }
        let most = worker.ahead();
        if most > 0 {
            worker.taking = Some((Why::HeldUp, most));
            self.freeing += 1;
            orders.push(Order::TakeBack(seat, most));
        }
    }

    pub(super) fn resumes(&mut self, seat: Seat, now: Instant, orders: &mut Vec<Order>) {
        let worker = &mut self.workers[seat.index()];
        if worker.waits.take().is_none() {
            return;
        }
        self.waiting -= 1;
        self.let_go = None;
        if worker.phase == Phase::Ready {
            if worker.lane.is_empty() {
                self.rest(seat, orders);
            } else {
                self.full = false;
            }
        }
        self.note_surplus(now);
    }

    /// How many workers there may be now.
    #[inline]
    pub(super) fn most_live(&self) -> u32 {
        self.options.max_workers.get() + self.waiting.min(self.options.most_extra)
    }

    /// Whether a task that comes now can only be queued: there may be no more workers, and none is free.
    pub fn is_saturated(&self) -> bool {
        self.stage == Stage::Open
            && self.waiting == 0
            && self.idle.is_empty()
            && self.live >= self.most_live()
    }

    /// Whether it makes a difference to know of one more task now: not while all workers have enough before
    /// them, which none waits for.
    pub fn wants_more(&self) -> bool {
        const ENOUGH: usize = 256;
        let known = self.in_lanes + self.tasks.queued();
        known < ENOUGH * self.live.max(1) as usize || self.waiting > 0 || self.stage != Stage::Open
    }

    /// How many workers run something, and do not wait.
    #[inline]
    fn active(&self) -> usize {
        if self.waiting == 0 {
            return self.busy;
        }
        let waits = self.workers.iter().filter(|it| it.waits.is_some() && !it.lane.is_empty());
        self.busy - waits.count()
    }

    /// Whether a worker is idle and not one too many.
    #[inline]
    pub(super) fn has_idle(&self) -> bool {
        !self.idle.is_empty() && self.active() < self.options.max_workers.get() as usize
    }

    /// Whether there would not be too many if this worker were given one more task.
    #[inline]
    pub(super) fn may_go_on(&self, seat: Seat) -> bool {
        let is_counted = usize::from(!self.workers[seat.index()].lane.is_empty());
        self.active().saturating_sub(is_counted) < self.options.max_workers.get() as usize
    }

    /// How many workers are too many, of those that stay.
    fn surplus(&self) -> u32 {
        let leaves = |worker: &&Worker| {
            matches!(worker.phase, Phase::Retired | Phase::Terminated | Phase::Killed)
        };
        let leaving = u32::try_from(self.workers.iter().filter(leaves).count()).unwrap_or(u32::MAX);
        self.live.saturating_sub(self.options.max_workers.get() + self.waiting + leaving)
    }

    fn note_surplus(&mut self, now: Instant) {
        if self.surplus() > 0 && self.trim_at.is_none() {
            self.trim_at = now.checked_add(STAYS);
            self.note_deadline(self.trim_at);
        }
    }

    /// Lets those leave that are idle and too many, if it is time.
    pub(super) fn trim(&mut self, now: Instant, orders: &mut Vec<Order>) {
        if self.trim_at.is_none_or(|trim_at| trim_at > now) {
            return;
        }
        self.trim_at = None;
        for _ in 0..self.surplus() {
            let Some(&seat) = self.idle.last() else { break };
            self.shift(seat, Phase::Retired);
            orders.push(Order::Retire(seat));
        }
        self.note_surplus(now);
    }

    /// If all workers there may be wait, and none of them for some time only, loses what one of them
    /// waits for and nobody can run; and after a while, if that was not enough, what the next one does.
    pub(super) fn end_a_wait_if_stuck(&mut self, now: Instant, orders: &mut Vec<Order>) {
        let none_can_come = self.live >= self.most_live() || self.is_paused(now);
        if self.waiting < self.live || !none_can_come || self.let_go.is_some_and(|it| it > now) {
            return;
        }
        let waits = || self.workers.iter().filter_map(|worker| worker.waits.as_ref());
        if waits().any(|(_, timed)| *timed) {
            return;
        }
        let is_queued = |ticket: &&Ticket| self.tasks.place(**ticket) == Place::Queued;
        let lost = waits().find_map(|(awaited, _)| {
            let lost: Vec<_> = awaited.iter().filter(is_queued).copied().collect();
            (!lost.is_empty()).then_some(lost)
        });
        if lost.is_some() {
            self.let_go = now.checked_add(self.options.grace);
            self.note_deadline(self.let_go);
        }
        for ticket in lost.into_iter().flatten() {
            self.lose(ticket, Loss::NoWorkerLeft { workers: self.live }, orders);
        }
    }
}
