//! Made-up processes whose tasks wait for others.

use manyhands::process::supervisor::Event;

use crate::world::{Process, World};

impl World {
    /// Its task waits for this one.
    pub(crate) fn wait(&mut self, at: usize, number: usize, timed: bool) {
        let process = self.process(at);
        if process.ready && !process.is_given_up() {
            process.waits = Some((vec![number], timed));
        }
        let (seat, awaited) = (process.seat, vec![self.tasks[number].ticket]);
        self.feed(Event::Waits { seat, awaited, timed });
    }

    pub(crate) fn resume(&mut self, at: usize) {
        let process = self.process(at);
        if process.waits.take().is_some() {
            let seat = process.seat;
            self.let_go = None;
            self.feed(Event::Resumes(seat));
        }
    }

    /// How many workers there may be, as so many wait.
    pub(crate) fn most_live(&self) -> usize {
        let waiting = self.processes.iter().flatten().filter(|it| it.is_waiting()).count();
        self.options.max_workers.get() as usize + waiting.min(self.options.most_extra as usize)
    }

    /// How many run something and do not wait.
    pub(crate) fn active(&self) -> usize {
        let active = |it: &&Process| !it.frames.is_empty() && !it.is_waiting();
        self.processes.iter().flatten().filter(active).count()
    }

    /// More stay than there may be when all go on that may.
    pub(crate) fn has_surplus(&self) -> bool {
        let stay = |it: &&Process| it.terminated.is_none() && !it.killed && !it.retired;
        let waiting = self.processes.iter().flatten().filter(|it| it.is_waiting()).count();
        let stay = self.processes.iter().flatten().filter(stay).count();
        stay > self.options.max_workers.get() as usize + waiting
    }
}
