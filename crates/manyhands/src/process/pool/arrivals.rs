//! How tasks come to the supervisor: from who submits them, or from the [intake](Intake); and how the last of
//! them closes the door.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::answer::Ending;
use super::state::{Entry, State};
use crate::listening::Intake;
use crate::process::supervisor::{Event, Rules};
use crate::process::task::{Loss, Task};

/// A task and its rules.
pub(super) type Arrival<T> = (Entry<T>, Rules);

/// What is under the pool's lock of that.
pub(super) struct Arrivals<T: Task> {
    intake: Arc<Intake<Arrival<T>>>,
    /// From there, and not with the supervisor yet.
    taken: VecDeque<Arrival<T>>,
    /// Whether the manager has opened it.
    is_open: bool,
    /// Whether it has been told that the pool accepts nothing more.
    refuses: bool,
}

impl<T: Task> Arrivals<T> {
    pub(super) fn new(intake: Arc<Intake<Arrival<T>>>) -> Self {
        Self { intake, taken: VecDeque::new(), is_open: false, refuses: false }
    }
}

impl<T: Task> State<T> {
    /// Tells the supervisor of a task. One that it does not accept any more ends as broken.
    pub(super) fn submit(&mut self, entry: Entry<T>, rules: Rules, now: Instant) {
        let submitted = self.supervisor.submit(entry, rules, now, &mut self.orders);
        self.carry_out(now);
        if let Err(Entry { task, request, .. }) = submitted {
            let ended = || Arc::new("its workers were ended while the task was submitted".into());
            let reason = self.supervisor.broken().cloned().unwrap_or_else(ended);
            let loss = Loss::Broken { reason, by: None };
            self.endings.push(Ending::Lost { task, loss, request });
        }
    }

    /// Takes in all that was left for the manager.
    pub(super) fn take_in(&mut self, now: Instant) {
        while self.take_in_one(now) {}
    }

    fn take_in_one(&mut self, now: Instant) -> bool {
        if self.arrivals.taken.is_empty() {
            self.arrivals.intake.take(&mut self.arrivals.taken);
        }
        let next = self.arrivals.taken.pop_front();
        next.map(|(entry, rules)| self.submit(entry, rules, now)).is_some()
    }

    /// Whether something was left that is not in yet.
    pub(super) fn has_left(&self) -> bool {
        !self.arrivals.taken.is_empty() || self.arrivals.intake.is_filled()
    }

    /// Takes in some of it: not so much that the workers have to wait for who looks at their answers. Whether there
    /// is more.
    pub(super) fn take_some_in(&mut self, now: Instant) -> bool {
        const MOST: usize = 64;
        (0..MOST).all(|_| self.take_in_one(now))
    }

    /// The same as a part of the manager's turn: it has who submits leave it more while no worker is free.
    pub(super) fn take_turn_in(&mut self, now: Instant) -> bool {
        const MOST_KEPT: usize = 1024;
        if self.take_some_in(now) {
            return true;
        }
        self.arrivals.taken.shrink_to(MOST_KEPT);
        if !self.supervisor.is_saturated() {
            self.shut_intake(now);
        } else if !self.arrivals.is_open {
            self.arrivals.is_open = true;
            self.arrivals.intake.open();
        }
        false
    }

    /// From now on, who submits does all of it.
    pub(super) fn shut_intake(&mut self, now: Instant) {
        self.take_in(now);
        if self.arrivals.is_open {
            self.arrivals.is_open = false;
            self.arrivals.intake.shut(&mut self.arrivals.taken);
            self.take_in(now);
        }
    }

    /// Accepts nothing more, but from those who have a place.
    pub(super) fn close(&mut self, cancel: bool, now: Instant) {
        if self.closing.is_none() {
            self.say_closing();
        }
        self.closing = Some(cancel || self.closing.unwrap_or(false));
        self.refuse();
        self.close_if_asked(now);
    }

    /// Who submits has to ask first, and is told why not.
    pub(super) fn refuse(&mut self) {
        if !self.arrivals.refuses {
            self.arrivals.refuses = true;
            self.arrivals.intake.refuse();
        }
    }

    /// Closes the pool if that was asked for and nobody is about to put a task in.
    pub(super) fn close_if_asked(&mut self, now: Instant) {
        if let Some(cancel) = self.closing
            && self.arrivals.intake.is_free()
        {
            self.take_in(now);
            self.on(Event::Close { cancel }, now);
        }
    }
}
