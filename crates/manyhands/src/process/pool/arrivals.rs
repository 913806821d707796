//! How tasks come to the supervisor: from who submits them, or from the [intake](Intake); and how the last of
//! them closes the door.

use std::sync::Arc;
use std::time::Instant;

use super::answer::{Ending, Lost};
use super::state::{Entry, State};
use crate::chunks::Chunks;
use crate::listening::Intake;
use crate::process::nested::Whose;
use crate::process::request::Request;
use crate::process::supervisor::{Event, Rules};
use crate::process::task::{Loss, Task};

/// A task of the host's on its way. As short as it can be: what one thread writes, another has to fetch.
pub(in crate::process) struct Arrival<T> {
    /// As it lies with the supervisor: to be put together anew, it would be copied in pieces.
    entry: Entry<T>,
    /// Few have any.
    rules: Option<Box<Rules>>,
}

impl<T> Arrival<T> {
    #[inline]
    pub(super) fn new(task: T, request: Request, rules: Rules) -> Self {
        let has_rules = rules.timeout.is_some() || rules.retries.is_some();
        let entry = Entry { task: Whose::Host(task), request, sent: None };
        Self { entry, rules: has_rules.then(|| Box::new(rules)) }
    }
}

/// What is under the pool's lock of that.
pub(super) struct Arrivals<T: Task> {
    intake: Arc<Intake<Arrival<T>>>,
    /// From there, and not with the supervisor yet.
    taken: Chunks<Arrival<T>>,
    /// Whether the manager has opened it.
    is_open: bool,
    /// Whether it has been told that the pool accepts nothing more.
    refuses: bool,
}

impl<T: Task> Arrivals<T> {
    pub(super) fn new(intake: Arc<Intake<Arrival<T>>>) -> Self {
        Self { intake, taken: Chunks::new(), is_open: false, refuses: false }
    }
}

impl<T: Task> State<T> {
    /// Accepts a task, behind all that came before it.
    pub(super) fn submit(&mut self, arrival: Arrival<T>, now: Instant) {
        if self.arrivals.taken.is_empty() {
            self.let_in(arrival, now);
        } else {
            self.arrivals.taken.push_back(arrival);
        }
        self.carry_out(now);
    }

    /// Tells the supervisor of a task. One that it does not accept any more ends as broken.
    fn let_in(&mut self, arrival: Arrival<T>, now: Instant) {
        let Arrival { entry, rules } = arrival;
        let rules = rules.map(|rules| *rules).unwrap_or_default();
        let submitted = self.supervisor.submit(entry, rules, now, &mut self.orders);
        if let Err(Entry { task, request, .. }) = submitted {
            let ended = || Arc::new("its workers were ended while the task was submitted".into());
            let reason = self.supervisor.broken().cloned().unwrap_or_else(ended);
            let loss = Loss::Broken { reason, by: None };
            self.endings.push(Ending::Lost(Box::new(Lost { task, loss, request })));
        }
    }

    /// Lets in one more of those that were left for the manager, if it makes a difference; whether it did. The
    /// others are kept as they came, one behind the other: what the supervisor knows is all over the place, and
    /// a long queue of that is no longer in the processor's cache when its turn has come.
    pub(super) fn let_one_in(&mut self, now: Instant) -> bool {
        if self.arrivals.taken.is_empty() || !self.supervisor.wants_more() {
            return false;
        }
        let next = self.arrivals.taken.pop_front();
        next.map(|arrival| self.let_in(arrival, now)).is_some()
    }

    /// Lets in all that was left for the manager.
    pub(super) fn let_all_in(&mut self, now: Instant) {
        loop {
            if self.arrivals.taken.is_empty() {
                self.arrivals.intake.take(&mut self.arrivals.taken);
            }
            let Some(arrival) = self.arrivals.taken.pop_front() else { return };
            self.let_in(arrival, now);
            self.carry_out(now);
        }
    }

    /// Whether something was left that is not in yet.
    pub(super) fn has_left(&self) -> bool {
        !self.arrivals.taken.is_empty() || self.arrivals.intake.is_filled()
    }

    /// Takes what was left for the manager, if it makes a difference.
    pub(super) fn take_in(&mut self, now: Instant) {
        if self.arrivals.taken.is_empty() && self.supervisor.wants_more() {
            self.arrivals.intake.take(&mut self.arrivals.taken);
            self.carry_out(now);
        }
    }

    /// The same as a part of the manager's turn: it has who submits leave it more while no worker is free.
    pub(super) fn take_turn_in(&mut self, now: Instant) {
        self.arrivals.intake.note_turn();
        self.take_in(now);
        if !self.supervisor.is_saturated() {
            self.shut_intake(now);
        } else if !self.arrivals.is_open {
            self.arrivals.is_open = true;
            self.arrivals.intake.open();
        }
    }

    /// From now on, who submits does all of it.
    pub(super) fn shut_intake(&mut self, now: Instant) {
        if self.arrivals.is_open {
            self.arrivals.is_open = false;
            self.arrivals.intake.shut(&mut self.arrivals.taken);
            self.carry_out(now);
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
            self.let_all_in(now);
            self.on(Event::Close { cancel }, now);
        }
    }
}
