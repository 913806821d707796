//! The end of a pool: closed, broken, or ended by force.

use std::sync::Arc;
use std::time::Instant;

use super::orders::{Loss, Order};
use super::worker::{Phase, Why};
use super::{Stage, Supervisor};

impl<C> Supervisor<C> {
    pub(super) fn close(&mut self, cancel: bool, orders: &mut Vec<Order>) {
        self.stop_accepting();
        if !cancel {
            return;
        }
        self.cancelled = true;
        let spares_first = self.options.spares_first;
        let spared = if spares_first { self.starting as usize } else { 0 };
        for ticket in self.tasks.end_behind(spared) {
            orders.push(Order::Lose(ticket, Box::new(Loss::Cancelled)));
        }
        for seat in self.seats() {
            let worker = &mut self.workers[seat.index()];
            let most = worker.in_lane().saturating_sub(u32::from(spares_first));
            if worker.phase == Phase::Ready && most > 0 {
                worker.taking = Some((Why::Cancel, most));
                orders.push(Order::TakeBack(seat, most));
            }
        }
    }

    /// All tasks have ended: lets all workers go that have nothing in their lanes.
    pub(super) fn wind_down(&mut self, orders: &mut Vec<Order>) {
        for seat in self.seats() {
            let worker = &self.workers[seat.index()];
            let is_free = match worker.phase {
                Phase::Starting => true,
                Phase::Ready => worker.lane.is_empty(),
                _ => false,
            };
            if is_free {
                self.shift(seat, Phase::Retired);
                orders.push(Order::Retire(seat));
            }
        }
        if self.live == 0 {
            self.stage = Stage::Done;
            orders.push(Order::Done);
        }
    }

    /// The pool can do no more, for this reason.
    pub(super) fn break_down(&mut self, reason: String, orders: &mut Vec<Order>) {
        let reason = Arc::new(reason);
        self.broken.get_or_insert_with(|| Arc::clone(&reason));
        self.end_all(&reason, orders);
        self.kill_all(orders);
    }

    pub(super) fn terminate(&mut self, now: Instant, orders: &mut Vec<Order>) {
        self.end_all(&Arc::new("the program has terminated the worker processes".into()), orders);
        for seat in self.seats() {
            if !matches!(self.phase(seat), Phase::Vacant | Phase::Killed) {
                self.shift(seat, Phase::Terminated);
                orders.push(Order::Terminate(seat));
                // Of those that do not obey, nobody else would be rid.
                self.set_deadline(seat, now.checked_add(self.options.grace));
            }
        }
    }

    pub(super) fn kill(&mut self, orders: &mut Vec<Order>) {
        self.end_all(&Arc::new("the program has killed the worker processes".into()), orders);
        self.kill_all(orders);
    }

    fn kill_all(&mut self, orders: &mut Vec<Order>) {
        for seat in self.seats() {
            if !matches!(self.phase(seat), Phase::Vacant | Phase::Killed) {
                self.shift(seat, Phase::Killed);
                orders.push(Order::Kill(seat));
            }
        }
    }

    /// Closes the pool and ends all its tasks: those in the lanes, then those in the queue.
    fn end_all(&mut self, reason: &Arc<String>, orders: &mut Vec<Order>) {
        self.stop_accepting();
        let sent = self.workers.iter().flat_map(|worker| &worker.lane);
        for ticket in sent {
            if self.tasks.end(*ticket) {
                orders.push(Order::Lose(*ticket, Box::new(Loss::Broken(Arc::clone(reason)))));
            }
        }
        while let Some(ticket) = self.tasks.end_next() {
            orders.push(Order::Lose(ticket, Box::new(Loss::Broken(Arc::clone(reason)))));
        }
    }
}
