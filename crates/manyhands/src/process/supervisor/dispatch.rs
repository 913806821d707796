//! Who gets the next task: the way of a task from the queue through a lane to its answer, and who is
//! launched, moved or retired for it.

use std::time::{Duration, Instant};

use super::orders::{Order, Seat, Ticket};
use super::worker::{Phase, Why};
use super::{Loss, Stage, Supervisor};

/// How often answers have all lanes looked at for what is held up there.
const LOOK_EVERY: Duration = Duration::from_millis(1);

impl<C> Supervisor<C> {
    /// Restores what holds between two events: nothing is queued while a worker has room, nothing
    /// lies ahead while one is idle, and somebody is launched for what waits.
    #[inline]
    pub(super) fn dispatch(&mut self, now: Instant, orders: &mut Vec<Order>) {
        if self.in_lanes > self.busy && self.has_idle() {
            self.free_what_is_held_up(now, orders);
        }
        if self.freeing > 0 {
            // It comes first, and leads back to here.
            return;
        }
        while self.tasks.queued() > 0
            && let Some(seat) = self.pick()
        {
            self.send(seat, now, orders);
        }
        if self.in_lanes > self.busy && self.has_idle() {
            self.share(orders);
        }
        if self.live < self.most_live() && self.idle.is_empty() {
            self.launch(now, orders);
        }
        if self.waiting > 0 && self.tasks.queued() > 0 {
            self.end_a_wait_if_stuck(now, orders);
        }
        if self.stage == Stage::Closing && self.tasks.open() == 0 {
            self.wind_down(orders);
        }
    }

    /// An idle worker, or the one that has least in its lane.
    #[inline]
    fn pick(&mut self) -> Option<Seat> {
        if self.has_idle()
            && let Some(seat) = self.idle.pop()
        {
            self.full = false;
            return Some(seat);
        }
        if self.full {
            return None;
        }
        let with_room = self.seats().filter(|seat| {
            let worker = &self.workers[seat.index()];
            // An idle one is one too many, or it would have been chosen.
            worker.has_room(&self.options) && !worker.lane.is_empty()
        });
        let seat = with_room.min_by_key(|seat| self.workers[seat.index()].lane.len());
        self.full = seat.is_none();
        seat
    }

    #[inline]
    fn send(&mut self, seat: Seat, now: Instant, orders: &mut Vec<Order>) {
        let Some(ticket) = self.tasks.send_next(seat) else { return };
        let worker = &mut self.workers[seat.index()];
        worker.push(ticket);
        self.in_lanes += 1;
        if worker.lane.len() == 1 {
            self.busy += 1;
            self.restart_clock(seat, ticket, now);
        }
        orders.push(Order::Send(seat, ticket));
    }

    #[inline]
    fn restart_clock(&mut self, seat: Seat, oldest: Ticket, now: Instant) {
        let worker = &mut self.workers[seat.index()];
        worker.restart_clock(now, self.tasks.timeout(oldest));
        let deadline = worker.deadline;
        if deadline.is_some() {
            self.note_deadline(deadline);
        }
    }

    pub(super) fn ready(&mut self, seat: Seat) {
        self.births = 0;
        self.pause = None;
        if self.phase(seat) == Phase::Starting {
            self.shift(seat, Phase::Ready);
            self.workers[seat.index()].was_ready = true;
            self.idle.push(seat);
        }
    }

    #[inline]
    pub(super) fn answered(
        &mut self,
        seat: Seat,
        took: Duration,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        let worker = &mut self.workers[seat.index()];
        let Some(ticket) = worker.pop(took, &self.options) else {
            let reason = "a worker has answered a task that it had not been given";
            return self.link_broken(seat, reason.to_owned(), orders);
        };
        self.in_lanes -= 1;
        self.fruitless = 0;
        if self.tasks.end(ticket) {
            self.completed += 1;
            orders.push(Order::Settle(ticket));
        } else {
            orders.push(Order::Discard);
        }
        let worker = &mut self.workers[seat.index()];
        if let Some(&next) = worker.lane.front() {
            self.restart_clock(seat, next, now);
        } else {
            self.busy -= 1;
            if worker.phase == Phase::Asked {
                worker.phase = Phase::Ready;
            }
        }
        // Even if nothing is queued: what comes later may go straight to those who answer.
        if self.in_lanes > self.busy && self.look_at.is_none_or(|look_at| look_at <= now) {
            self.look_at = now.checked_add(LOOK_EVERY);
            self.free_what_is_held_up(now, orders);
            if self.freeing > 0 {
                return self.after_refill(seat, orders);
            }
        }
        self.refill(seat, now, orders);
    }

    /// Puts in front of the queue what lies behind tasks that run long: those in the queue came later.
    #[cold]
    fn free_what_is_held_up(&mut self, now: Instant, orders: &mut Vec<Order>) {
        for seat in self.seats() {
            let worker = &mut self.workers[seat.index()];
            let most = worker.held_up(now);
            if most > 0 {
                worker.taking = Some((Why::HeldUp, most));
                self.freeing += 1;
                orders.push(Order::TakeBack(seat, most));
            }
        }
    }

    /// Gives a worker that has got room what is queued: nobody else has any.
    #[inline]
    fn refill(&mut self, seat: Seat, now: Instant, orders: &mut Vec<Order>) {
        while self.tasks.queued() > 0
            && self.workers[seat.index()].has_room(&self.options)
            && self.may_go_on(seat)
        {
            self.send(seat, now, orders);
        }
        self.after_refill(seat, orders);
    }

    #[inline]
    fn after_refill(&mut self, seat: Seat, orders: &mut Vec<Order>) {
        let worker = &self.workers[seat.index()];
        if worker.phase != Phase::Ready {
            return;
        }
        if worker.lane.is_empty() {
            self.rest(seat, orders);
        } else if worker.has_room(&self.options) {
            self.full = false;
        }
    }

    /// A worker in service has nothing in its lane.
    pub(super) fn rest(&mut self, seat: Seat, orders: &mut Vec<Order>) {
        let worker = &mut self.workers[seat.index()];
        worker.blocked = false;
        worker.deadline = None;
        if worker.is_used_up(&self.options) {
            self.shift(seat, Phase::Retired);
            orders.push(Order::Retire(seat));
        } else if worker.waits.is_none() {
            self.idle.push(seat);
        }
    }

    pub(super) fn no_room(
        &mut self,
        seat: Seat,
        ticket: Ticket,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        if !self.undo_send(seat, ticket, now, orders) || self.tasks.has_ended(ticket) {
            return;
        }
        let worker = &mut self.workers[seat.index()];
        if worker.lane.is_empty() {
            // No answer will ever make more room than this.
            let reason = "the task does not fit into the link to a worker, even an empty one";
            self.lose(ticket, Loss::Broken(reason.to_owned().into()), orders);
        } else {
            worker.blocked = true;
            self.tasks.put_back(ticket);
        }
    }

    pub(super) fn withdrawn(
        &mut self,
        seat: Seat,
        ticket: Ticket,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        self.undo_send(seat, ticket, now, orders);
        self.lose(ticket, Loss::Cancelled, orders);
    }

    /// Takes a task out of a lane that did not go in; whether it was there.
    fn undo_send(
        &mut self,
        seat: Seat,
        ticket: Ticket,
        now: Instant,
        orders: &mut Vec<Order>,
    ) -> bool {
        let worker = &mut self.workers[seat.index()];
        let was_oldest = worker.lane.front() == Some(&ticket);
        if !worker.remove(ticket) {
            return false;
        }
        self.in_lanes -= 1;
        if let Some(&oldest) = worker.lane.front() {
            self.full = false;
            if was_oldest {
                self.restart_clock(seat, oldest, now);
            }
        } else {
            self.busy -= 1;
            if worker.phase == Phase::Ready {
                self.rest(seat, orders);
            }
        }
        true
    }

    /// Has half of the fullest lane taken back for a worker that is idle.
    fn share(&mut self, orders: &mut Vec<Order>) {
        let Some(thief) = self.idle.last() else { return };
        let room = self.workers[thief.index()].room(&self.options);
        let Some(fullest) = self.seats().max_by_key(|seat| self.workers[seat.index()].ahead())
        else {
            return;
        };
        let worker = &mut self.workers[fullest.index()];
        let most = worker.ahead().div_ceil(2).min(room);
        if most > 0 {
            worker.taking = Some((Why::Move, most));
            orders.push(Order::TakeBack(fullest, most));
        }
    }

    pub(super) fn taken_back(
        &mut self,
        seat: Seat,
        count: u32,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        let worker = &mut self.workers[seat.index()];
        let Some((why, most)) = worker.taking.take() else { return };
        self.freeing -= u32::from(matches!(why, Why::HeldUp | Why::Overdue));
        let taken = worker.take_back(count.min(most), most);
        let left = worker.lane.back().copied();
        self.in_lanes -= taken.len();
        self.busy -= usize::from(left.is_none() && !taken.is_empty());
        for ticket in taken.iter().rev().filter(|_| why != Why::Cancel) {
            if !self.tasks.has_ended(*ticket) {
                self.tasks.put_back(*ticket);
            }
        }
        for ticket in taken.into_iter().filter(|_| why == Why::Cancel) {
            self.lose(ticket, Loss::Cancelled, orders);
        }
        if self.phase(seat) != Phase::Ready {
            return;
        }
        match left {
            // All behind it is taken back, so what it runs has ended.
            Some(newest) if self.tasks.has_ended(newest) => self.ask_to_stop(seat, now, orders),
            Some(_) => self.full = false,
            // It has not even begun its task in time: whatever holds it up, it runs nothing.
            None if why == Why::Overdue => self.retire_within_grace(seat, now, orders),
            None => self.rest(seat, orders),
        }
    }

    /// Launches workers for what waits.
    fn launch(&mut self, now: Instant, orders: &mut Vec<Order>) {
        // Frames of tasks that have ended may lie in lanes.
        let wanted = (self.tasks.queued() + self.in_lanes - self.busy).min(self.tasks.open());
        while self.live < self.most_live()
            && (self.starting as usize) < wanted
            && !self.is_paused(now)
        {
            self.launch_one(orders);
        }
    }

    /// Launches so many more workers, if there may be so many.
    pub(super) fn fill(&mut self, most: u32, orders: &mut Vec<Order>) {
        if self.stage == Stage::Open {
            let vacant = self.options.max_workers.get().saturating_sub(self.live);
            (0..vacant.min(most)).for_each(|_| self.launch_one(orders));
        }
    }

    fn launch_one(&mut self, orders: &mut Vec<Order>) {
        let vacant = self.seats().find(|seat| self.phase(*seat) == Phase::Vacant);
        let seat = vacant.unwrap_or_else(|| {
            self.workers.push(super::Worker::vacant());
            Seat(u32::try_from(self.workers.len() - 1).unwrap_or(u32::MAX))
        });
        self.restarted += u64::from(vacant.is_some());
        self.workers[seat.index()].reset();
        self.shift(seat, Phase::Starting);
        orders.push(Order::Launch(seat));
    }
}
