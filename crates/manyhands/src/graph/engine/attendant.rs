//! The thread that wants something of a graph, and waits for it: it hears of nodes that ran elsewhere,
//! looks after what lies ready while all workers are at long tasks, and runs nodes itself where there are no
//! workers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::places::{ALL_ENDED, LOOK, Place};
use super::run::{self, LOOK_AFTER, Run};
use super::{Dependants, Edges, Host, Plan, Submitted};
use crate::sync::atomic::Ordering;
use crate::sync::now;

/// Who has started a run and sees it to its end.
pub struct Attendant<H: Host> {
    run: Arc<Run<H>>,
    /// The executor has not taken a ticket, so there is work to be done here.
    mine: Option<Place>,
    look_at: Option<Instant>,
    knows_of_stop: bool,
    has_ended: bool,
}

/// What an attendant is woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This number was left in [`Run::events`] by a node that ran elsewhere and has ended, which is to be told
    /// to [`Attendant::ended`].
    Ended(usize),
    /// There is something for it to do: [`Attendant::work`].
    Work,
    /// The run was stopped: what runs elsewhere is not wanted any more, but still waited for.
    Stopped,
    /// The run has ended.
    AllEnded,
}

impl<H: Host> Attendant<H> {
    /// The attendant of a plan, to [`start`](Self::start) it.
    pub fn new(host: H, edges: Arc<Edges>, dependants: Arc<Dependants>, plan: Plan) -> Self {
        let run = Arc::new(Run::new(host, edges, dependants, plan));
        let mine = Some(run.places.first());
        Self { run, mine, look_at: None, knows_of_stop: false, has_ended: false }
    }

    /// Begins to carry out the plan.
    pub fn start(&mut self) {
        if let Some(place) = self.mine.take() {
            self.call_somebody(place);
        }
    }

    /// The run.
    pub fn run(&self) -> &Arc<Run<H>> {
        &self.run
    }

    /// Waits for something to do. `None`: the time is up.
    pub fn wait(&mut self, until: Option<Instant>) -> Option<Event> {
        while !self.has_ended {
            if self.run.is_stopped() && !self.knows_of_stop {
                self.knows_of_stop = true;
                self.mine = None;
                return Some(Event::Stopped);
            }
            if self.mine.is_some() && self.run.events().is_empty() {
                return Some(Event::Work);
            }
            let soon = [self.look_at, until].into_iter().flatten().min();
            match self.run.events().pop(soon) {
                Some(ALL_ENDED) => self.has_ended = true,
                Some(LOOK) => self.look_at = Some(now() + LOOK_AFTER),
                Some(number) => return Some(Event::Ended(number)),
                None if self.look_at.is_some_and(|at| at <= now()) => self.look(),
                None => return None,
            }
        }
        Some(Event::AllEnded)
    }

    /// Runs nodes for a turn.
    pub fn work(&mut self) {
        let Some(place) = self.mine.take() else { return };
        let found = run::work(&self.run, true);
        if self.run.is_stopped() || !self.run.ready.is_any() {
            return;
        }
        if found {
            self.mine = Some(place);
        } else {
            // It is left to a worker, which will soon have done it, unless that is at a long task.
            self.look_at = Some(now() + LOOK_AFTER);
        }
    }

    /// A node that ran elsewhere has come to this.
    pub fn ended(&mut self, index: u32, place: Place, outcome: H::Outcome, took: Duration) {
        let run = &self.run;
        let mut ready = Vec::new();
        let next = run.ended(index, outcome, took, |other| ready.push(other));
        run.ready.share_all(ready.into_iter().chain(next));
        if run.ready.is_any() {
            self.call_somebody(place);
        }
    }

    /// When the run has ended: the host's part, and what was planned.
    ///
    /// # Panics
    /// When it has not ended.
    pub fn finish(self) -> (H, Vec<bool>) {
        assert!(self.has_ended, "a run is to be waited for");
        Arc::into_inner(self.run).expect("who leaves lets go of the run first").into_parts()
    }

    /// Has what is ready worked off by somebody.
    fn call_somebody(&mut self, place: Place) {
        if self.run.is_done() || self.run.is_stopped() {
            return;
        }
        match run::submit_if_none(&self.run) {
            Submitted::Queued => (),
            Submitted::Here => self.mine = Some(place),
            // As long as others are at work, they will find it.
            Submitted::Refused if self.run.places.is_one() => self.run.stop(),
            Submitted::Refused => self.look_at = Some(now() + LOOK_AFTER),
        }
    }

    fn look(&mut self) {
        self.look_at = None;
        self.run.watched.store(false, Ordering::Relaxed);
        let Some(place) = self.run.places.one_if_any() else { return };
        if self.run.ready.is_any() {
            self.call_somebody(place);
        }
    }
}

impl<H: Host> fmt::Debug for Attendant<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attendant").field(&self.run).finish()
    }
}
