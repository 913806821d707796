//! One seat: its worker's life, and what lies in its lane.
//!
//! ```text
//! Vacant ─launch─▶ Starting ─ready─▶ Ready ◀─answered─╮
//!   ▲                 │               │ ╰─a task ends before its answer─▶ Asked
//!   │                 ├────retire─────┴─▶ Retired                          │
//!   │                 │                     ╰──grace──▶ Terminated ◀─grace─╯
//!   ╰──── left ───────┴── broken link or pool ──▶ Killed ◀──grace─╯
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::orders::{Options, Ticket};

/// What may lie ahead of a worker, as time: more than the way of an answer to the parent and of the
/// next task back, even when the parent's thread has to be woken for it.
const AHEAD_NANOS: u64 = 200_000;

/// Of tasks that run longer, none goes ahead: what the next one's way takes is little beside them. None
/// goes ahead either before a worker has shown how long its tasks run.
const LONG_NANOS: u64 = 2_000_000;

/// A task that runs longer than this, and much longer than those before it, holds up what lies ahead.
const HOLDS_UP: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Vacant,
    Starting,
    Ready,
    /// Runs a task that has ended, and was asked to stop it. Gets no other until it has answered.
    Asked,
    /// Was sent the signal that ends it, and is given up, whatever it still answers.
    Terminated,
    /// Will leave by itself.
    Retired,
    Killed,
}

/// Why frames are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// To run elsewhere.
    Move,
    /// To run elsewhere, before what is queued.
    HeldUp,
    /// To be cancelled.
    Cancel,
    /// To run elsewhere, as the oldest has been there for longer than its timeout.
    Overdue,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) phase: Phase,
    /// The frames that have not been answered, oldest first. A task that has ended stays, for its
    /// answer may come.
    pub(super) lane: VecDeque<Ticket>,
    /// The most frames in the lane for now.
    credit: u32,
    /// Tasks that this worker was given and has kept.
    given: u32,
    /// The lane had no bytes left.
    pub(super) blocked: bool,
    /// Its task waits for these, and whether for some time only.
    pub(super) waits: Option<(Vec<Ticket>, bool)>,
    /// An order to take back is out: so many frames at most.
    pub(super) taking: Option<(Why, u32)>,
    /// So many of the lane's oldest frames are known to be begun.
    begun: u32,
    /// A moving average of how long its tasks run, in nanoseconds; rises at once.
    average: u64,
    /// Since when the oldest is the oldest.
    since: Option<Instant>,
    /// While `Ready`: when the oldest times out; else when to signal again.
    pub(super) deadline: Option<Instant>,
    pub(super) was_ready: bool,
    pub(super) has_answered: bool,
    pub(super) link_broken: Option<Arc<String>>,
}

impl Worker {
    pub(super) fn vacant() -> Self {
        Self {
            phase: Phase::Vacant,
            lane: VecDeque::new(),
            credit: 1,
            given: 0,
            blocked: false,
            waits: None,
            taking: None,
            begun: 0,
            average: 0,
            since: None,
            deadline: None,
            was_ready: false,
            has_answered: false,
            link_broken: None,
        }
    }

    /// For the next process.
    pub(super) fn reset(&mut self) {
        let lane = std::mem::take(&mut self.lane);
        *self = Self { lane, ..Self::vacant() };
        self.lane.clear();
    }

    pub(super) fn in_lane(&self) -> u32 {
        u32::try_from(self.lane.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn has_room(&self, options: &Options) -> bool {
        self.phase == Phase::Ready
            && self.taking.is_none()
            && !self.blocked
            && self.waits.is_none()
            && self.in_lane() < self.credit
            && !self.is_used_up(options)
    }

    /// Whether it was given all the tasks that one worker may have.
    pub(super) fn is_used_up(&self, options: &Options) -> bool {
        options.max_tasks_per_child.is_some_and(|most| self.given >= most.get())
    }

    /// How many more it may be given at once.
    pub(super) fn room(&self, options: &Options) -> u32 {
        let left = options.max_tasks_per_child.map_or(u32::MAX, |most| most.get() - self.given);
        self.credit.saturating_sub(self.in_lane()).min(left)
    }

    #[inline]
    pub(super) fn push(&mut self, ticket: Ticket) {
        self.lane.push_back(ticket);
        self.given = self.given.saturating_add(1);
    }

    /// The oldest is answered.
    #[inline]
    pub(super) fn pop(&mut self, took: Duration, options: &Options) -> Option<Ticket> {
        let ticket = self.lane.pop_front()?;
        self.begun = self.begun.saturating_sub(1);
        self.blocked = false;
        self.has_answered = true;
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.average = took.max(self.average - self.average / 8 + took / 8);
        let ahead = u32::try_from(AHEAD_NANOS / self.average).unwrap_or(u32::MAX);
        let least = if self.average > LONG_NANOS { 1 } else { 2 };
        self.credit = ahead.saturating_add(1).max(least).min(options.capacity.get());
        Some(ticket)
    }

    /// Takes one out that did not go in.
    pub(super) fn remove(&mut self, ticket: Ticket) -> bool {
        let position = self.lane.iter().rposition(|other| *other == ticket);
        let removed = position.and_then(|position| self.lane.remove(position));
        self.given = self.given.saturating_sub(u32::from(removed.is_some()));
        removed.is_some()
    }

    /// The newest `count` frames are out of the lane, of `most` that were asked for.
    pub(super) fn take_back(&mut self, count: u32, most: u32) -> VecDeque<Ticket> {
        let count = count.min(self.in_lane());
        let left = self.in_lane() - count;
        self.given = self.given.saturating_sub(count);
        self.begun = if count < most { left } else { self.begun.min(left) };
        self.lane.split_off(left as usize)
    }

    /// Sends nothing ahead until the next answer.
    pub(super) fn hold_back(&mut self) {
        self.credit = 1;
    }

    /// How many frames behind its oldest it may not have begun.
    pub(super) fn ahead(&self) -> u32 {
        if self.phase == Phase::Ready && self.taking.is_none() {
            self.in_lane().saturating_sub(self.begun.max(1))
        } else {
            0
        }
    }

    /// Gives up sending ahead if the oldest runs much longer than it was thought to; what lies ahead.
    pub(super) fn held_up(&mut self, now: Instant) -> u32 {
        // What still lies ahead of one whose tasks have become long was sent when they were not.
        let usual = Duration::from_nanos(self.average.min(LONG_NANOS) * 8);
        if self.lane.is_empty() || self.ran(now) <= HOLDS_UP.max(usual) {
            return 0;
        }
        // Even if nothing lies ahead: what is taken back from others must not come to lie here.
        self.credit = 1;
        self.ahead()
    }

    /// Another frame is the oldest.
    #[inline]
    pub(super) fn restart_clock(&mut self, now: Instant, timeout: Option<Duration>) {
        self.since = Some(now);
        if self.phase == Phase::Ready {
            self.deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        }
    }

    pub(super) fn ran(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}
