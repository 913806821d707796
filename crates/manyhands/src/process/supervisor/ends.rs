//! How tasks end without an answer: cancelled, timed out, or with their worker.

use std::sync::Arc;
use std::time::Instant;

use super::Supervisor;
use super::orders::{Loss, OnCrash, Order, Seat, Ticket};
use super::tasks::Place;
use super::worker::{Phase, Why};
use crate::errors::Exit;

/// So many workers may die in a row with nothing begun of what they were sent: a worker that falls
/// over each task before it begins it would be replaced for ever.
const MOST_FRUITLESS: u32 = 16;

impl<C> Supervisor<C> {
    pub(super) fn lose(&mut self, ticket: Ticket, loss: Loss, orders: &mut Vec<Order>) {
        if self.tasks.end(ticket) {
            orders.push(Order::Lose(ticket, Box::new(loss)));
        }
    }

    pub(super) fn cancel(&mut self, ticket: Ticket, orders: &mut Vec<Order>) {
        let place = self.tasks.place(ticket);
        self.lose(ticket, Loss::Cancelled, orders);
        if let Place::Sent(seat) = place
            && self.phase(seat) == Phase::Ready
        {
            let worker = &mut self.workers[seat.index()];
            let Some(position) = worker.lane.iter().position(|sent| *sent == ticket) else {
                return;
            };
            let most = u32::try_from(worker.lane.len() - position).unwrap_or(u32::MAX);
            worker.taking = Some((Why::Move, most));
            orders.push(Order::TakeBack(seat, most));
        }
    }

    pub(super) fn tick(&mut self, now: Instant, orders: &mut Vec<Order>) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let grace = now.checked_add(self.options.grace);
        for seat in self.seats() {
            let worker = &self.workers[seat.index()];
            if !is_due(worker.deadline) {
                continue;
            }
            match worker.phase {
                Phase::Ready => self.overdue(seat, now, orders),
                Phase::Asked | Phase::Retired => {
                    self.shift(seat, Phase::Terminated);
                    self.workers[seat.index()].deadline = grace;
                    orders.push(Order::Terminate(seat));
                }
                _ => {
                    self.shift(seat, Phase::Killed);
                    orders.push(Order::Kill(seat));
                }
            }
        }
        self.trim(now, orders);
        self.pause = self.pause.filter(|pause| *pause > now);
        self.let_go = self.let_go.filter(|let_go| *let_go > now);
        let deadlines = self.workers.iter().filter_map(|worker| worker.deadline);
        self.earliest = deadlines.chain(self.pause).chain(self.trim_at).chain(self.let_go).min();
    }

    /// The oldest of a lane has been there for as long as it may run.
    fn overdue(&mut self, seat: Seat, now: Instant, orders: &mut Vec<Order>) {
        let worker = &mut self.workers[seat.index()];
        worker.deadline = None;
        let ran = worker.ran(now);
        let Some(&oldest) = worker.lane.front().filter(|ticket| !self.tasks.has_ended(**ticket))
        else {
            return;
        };
        let most = worker.in_lane();
        worker.taking = Some((Why::Overdue, most));
        self.freeing += 1;
        self.lose(oldest, Loss::TimedOut { seat, ran }, orders);
        orders.push(Order::TakeBack(seat, most));
    }

    /// A worker runs a task that has ended, and nothing else is in its lane.
    pub(super) fn ask_to_stop(&mut self, seat: Seat, now: Instant, orders: &mut Vec<Order>) {
        self.shift(seat, Phase::Asked);
        self.set_deadline(seat, now.checked_add(self.options.grace));
        orders.push(Order::AskToStop(seat));
    }

    pub(super) fn retire_within_grace(
        &mut self,
        seat: Seat,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        self.shift(seat, Phase::Retired);
        self.set_deadline(seat, now.checked_add(self.options.grace));
        orders.push(Order::Retire(seat));
    }

    pub(super) fn link_broken(&mut self, seat: Seat, reason: String, orders: &mut Vec<Order>) {
        let phase = self.phase(seat);
        if phase == Phase::Killed {
            return;
        }
        // Of one that was told to stop or to leave, nothing else was expected any more.
        if matches!(phase, Phase::Starting | Phase::Ready) {
            self.workers[seat.index()].link_broken = Some(Arc::new(reason));
        }
        self.shift(seat, Phase::Killed);
        orders.push(Order::Kill(seat));
    }

    pub(super) fn launch_failed(
        &mut self,
        seat: Seat,
        reason: &str,
        has_died: bool,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        let was_wanted = self.phase(seat) == Phase::Starting;
        self.shift(seat, Phase::Vacant);
        if was_wanted {
            self.not_born(&format!("could not be started: {reason}"), has_died, now, orders);
        }
    }

    pub(super) fn initializer_failed(&mut self, seat: Seat, reason: &str, orders: &mut Vec<Order>) {
        if self.phase(seat) == Phase::Starting {
            self.break_down(
                format!("the initializer of a worker process failed: {reason}"),
                orders,
            );
        }
    }

    /// One more worker has died before it was ready, or could not be launched.
    fn not_born(&mut self, how: &str, has_died: bool, now: Instant, orders: &mut Vec<Order>) {
        if has_died && self.options.on_crash == OnCrash::Break {
            self.break_down(format!("a worker process that was not ready yet {how}"), orders);
            return;
        }
        self.births = self.births.saturating_add(1);
        if self.births < self.options.births.get() {
            return;
        }
        if self.is_in_service() {
            // Those there are can do the work.
            self.pause = now.checked_add(self.options.grace);
            self.note_deadline(self.pause);
        } else {
            let times = self.births;
            self.break_down(
                format!("{times} worker processes in a row were never ready; the last one {how}"),
                orders,
            );
        }
    }

    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.pause.is_some_and(|pause| pause > now) && self.is_in_service()
    }

    fn is_in_service(&self) -> bool {
        self.workers.iter().any(|worker| matches!(worker.phase, Phase::Ready | Phase::Asked))
    }

    pub(super) fn left(
        &mut self,
        seat: Seat,
        exit: Exit,
        claimed: u32,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        let phase = self.phase(seat);
        self.shift(seat, Phase::Vacant);
        let worker = &mut self.workers[seat.index()];
        let link_broken = worker.link_broken.take();
        let was_ready = worker.was_ready;
        let was_crash = phase == Phase::Ready || (was_ready && link_broken.is_some());
        let is_fruitless =
            was_crash && claimed == 0 && !worker.has_answered && !worker.lane.is_empty();
        if was_crash {
            self.crashed += 1;
        }
        let why = match &link_broken {
            Some(reason) => format!("was killed because its link was broken: {reason}"),
            None => exit.to_string(),
        };
        if was_crash && self.options.on_crash == OnCrash::Break {
            self.break_down(format!("a worker process is lost: it {why}"), orders);
        }
        self.end_lane(seat, exit, claimed, link_broken.as_ref(), now, orders);
        if claimed > 0 {
            self.fruitless = 0;
        } else if is_fruitless {
            self.fruitless += 1;
        }
        if self.fruitless >= MOST_FRUITLESS {
            let times = self.fruitless;
            self.break_down(
                format!("{times} worker processes in a row began no task; the last one {why}"),
                orders,
            );
        }
        if phase == Phase::Starting || (!was_ready && link_broken.is_some()) {
            self.not_born(&why, true, now, orders);
        }
    }

    /// What lay in a dead worker's lane is lost, run again, or was not touched.
    fn end_lane(
        &mut self,
        seat: Seat,
        exit: Exit,
        claimed: u32,
        link_broken: Option<&Arc<String>>,
        now: Instant,
        orders: &mut Vec<Order>,
    ) {
        let worker = &mut self.workers[seat.index()];
        let ran = worker.ran(now);
        let lane = std::mem::take(&mut worker.lane);
        self.in_lanes -= lane.len();
        self.busy -= usize::from(!lane.is_empty());
        for (position, ticket) in lane.into_iter().enumerate().rev() {
            if self.tasks.has_ended(ticket) {
                continue;
            }
            if position >= claimed as usize {
                if self.cancelled {
                    self.lose(ticket, Loss::Cancelled, orders);
                } else {
                    self.tasks.put_back(ticket);
                }
                continue;
            }
            if let Some(reason) = link_broken {
                self.lose(ticket, Loss::Broken(Arc::clone(reason)), orders);
                continue;
            }
            match self.tasks.count_attempt(ticket) {
                (_, true) => self.tasks.put_back(ticket),
                (attempts, false) => {
                    self.lose(ticket, Loss::Crashed { seat, exit, ran, attempts }, orders);
                }
            }
        }
    }
}
