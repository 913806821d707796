//! What must hold between two events.

use std::time::{Duration, Instant};

use manyhands::process::supervisor::Ticket;

use crate::world::{Process, World};

/// A task that has run for longer holds up what lies behind it, however long those before it ran.
const HOLDS_UP: Duration = Duration::from_millis(16);

impl World {
    pub(crate) fn starting(&self) -> usize {
        self.processes.iter().flatten().filter(|process| process.is_starting()).count()
    }

    fn queued(&self) -> usize {
        self.tasks.iter().filter(|task| !task.ended && !task.in_lane).count()
    }

    /// What would find work for one more worker.
    pub(crate) fn waiting(&self) -> usize {
        let ahead = self.processes.iter().flatten().map(|p| p.frames.len().saturating_sub(1));
        let unended = self.tasks.iter().filter(|task| !task.ended).count();
        (self.queued() + ahead.sum::<usize>()).min(unended)
    }

    pub(crate) fn check(&self) {
        let stats = self.supervisor.stats();
        let healthy = || self.processes.iter().flatten().filter(|process| process.is_healthy());
        let is_idle = |process: &&Process| process.frames.is_empty() && process.waits.is_none();
        let idle = healthy().filter(is_idle).count();
        let has_place = self.active() < self.options.max_workers.get() as usize;
        let unended = self.tasks.iter().filter(|task| !task.ended).count();
        assert_eq!(stats.pending + stats.running, unended);
        assert_eq!((stats.workers, stats.starting), (self.seats().len(), self.starting()));
        assert_eq!(stats.idle, idle);
        assert!(self.forced || self.supervisor.broken().is_none(), "broken without need");
        assert!(
            !has_place || idle == 0 || self.queued() == 0,
            "work is queued and a worker is idle"
        );
        for process in healthy() {
            let used_up = self.options.max_tasks_per_child.is_some_and(|n| process.kept >= n.get());
            assert!(
                !has_place || idle == 0 || process.unclaimed() == 0 || process.frames.len() == 1,
                "a task waits behind another, and a worker is idle: {process:?}"
            );
            assert!(
                self.queued() == 0
                    || process.blocked
                    || process.waits.is_some()
                    || (process.frames.is_empty() && !has_place)
                    || used_up
                    || process.frames.len()
                        >= process.credit().min(self.options.capacity.get() as usize),
                "work is queued, and there is room: {process:?}"
            );
            let ended = |ticket| self.tasks[self.numbers[ticket]].ended;
            assert!(
                !process.frames.iter().skip(process.answered).any(ended),
                "a worker in service has a task that has ended: {process:?}"
            );
            let front = process.frames.front().map(|ticket| &self.tasks[self.numbers[ticket]]);
            let timeout = front.filter(|task| !task.ended).and_then(|task| task.rules.timeout);
            self.check_deadline(timeout.map(|timeout| process.since + timeout));
        }
        for process in self.processes.iter().flatten().filter(|process| !process.killed) {
            if process.terminated.is_none() {
                self.check_deadline(process.asked.map(|since| since + self.options.grace));
            } else if process.asked.is_some() {
                self.check_deadline(process.terminated.map(|since| since + self.options.grace));
            }
        }
        let may_launch =
            self.seats().len() < self.most_live() && self.births < self.options.births.get();
        assert!(
            idle > 0 || !may_launch || self.starting() >= self.waiting(),
            "nobody is launched for what waits"
        );
        self.check_waits();
        let must_be_done = self.closed && unended == 0 && self.seats().is_empty();
        assert_eq!(self.done, must_be_done);
    }

    /// If all wait, and one of them for what nobody can run, one will go on, or another is let go.
    fn check_waits(&self) {
        let awaited = self.processes.iter().flatten().filter_map(|it| it.waits.as_ref());
        let is_queued = |number: &usize| {
            let task = &self.tasks[*number];
            !task.ended && !task.in_lane
        };
        let is_queued = awaited.flat_map(|(awaited, _)| awaited).any(is_queued);
        if is_queued && !self.seats().is_empty() && self.is_stuck(false) {
            let until = self.let_go.map(|since| since + self.options.grace);
            assert!(until.is_some_and(|until| self.now < until), "a wait that cannot end");
            self.check_deadline(until);
        }
    }

    /// What nobody has begun behind tasks that run for long.
    pub(crate) fn held_up(&self) -> Vec<Ticket> {
        let long = self.processes.iter().flatten().filter(|process| {
            process.is_healthy() && self.now.duration_since(process.since) > HOLDS_UP
        });
        let behind = long.flat_map(|process| {
            let begun = process.answered + usize::from(process.claimed);
            process.frames.iter().skip(begun.max(1))
        });
        behind.copied().collect()
    }

    /// After an answer, the first for a millisecond or more, nothing is held up.
    pub(crate) fn check_fairness(&mut self) {
        let before = self.heard.replace(self.now);
        let held_up = self.held_up();
        assert!(
            before == Some(self.now) || held_up.is_empty(),
            "others answer, and behind a long task lie {held_up:?}"
        );
    }

    fn check_deadline(&self, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            let next = self.supervisor.next_deadline();
            assert!(next.is_some_and(|next| next <= deadline), "a deadline is forgotten");
        }
    }
}
