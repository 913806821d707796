//! A turn of the manager's: what it takes from under the lock, and what it does without it.

use std::time::Instant;

use super::answer::{Ending, end_all};
use super::{Chore, Managing, Pool};
use crate::crossing::{Telling, tellings_of};
use crate::errors::Exit;
use crate::process::supervisor::Event;
use crate::process::task::Task;

/// What is to be done without the lock.
pub(in crate::process) struct LeftOver<T> {
    pub(in crate::process) chores: Vec<Chore>,
    endings: Vec<Ending<T>>,
    tellings: Vec<Telling>,
    /// What answers came in, for others.
    spare: Vec<Vec<u8>>,
}

impl<T: Task> LeftOver<T> {
    pub(in crate::process) fn new() -> Self {
        Self { chores: Vec::new(), endings: Vec::new(), tellings: Vec::new(), spare: Vec::new() }
    }

    /// Ends the tasks that have ended; those who wait for them are to be told. All have ended before anybody
    /// is told of one: a callback may take long.
    pub(in crate::process) fn end(&mut self) -> impl Iterator<Item = Telling> {
        let Self { endings, tellings, spare, .. } = self;
        tellings.extend(tellings_of(|| end_all(endings, spare)));
        tellings.drain(..)
    }
}

impl<T: Task> Pool<T> {
    /// Receives what has been answered and does what is due. Leaves what is left over to the caller;
    /// whether the pool is over.
    pub(in crate::process) fn turn(&self, over: &mut LeftOver<T>) -> bool {
        let LeftOver { chores, endings, tellings, spare } = over;
        let now = Instant::now();
        self.listening.turn(|state| {
            state.take_spare(spare);
            state.flushes = false;
            state.managing = Managing::GoesOn;
            for seat in 0..state.seats.len() {
                state.receive(seat, now);
            }
            if state.supervisor.next_deadline().is_some_and(|due| due <= now) {
                state.on(Event::Tick, now);
            }
            state.take_turn_in(now);
            state.publish();
            std::mem::swap(&mut state.chores, chores);
            std::mem::swap(&mut state.endings, endings);
            std::mem::swap(&mut state.tellings, tellings);
            // Whoever waits for the end of the pool waits for theirs: it is over by the next turn.
            if state.done && !endings.is_empty() {
                state.managing = Managing::EndsTheLast;
            }
        })
    }

    /// Before the manager does what may take long, or sleeps.
    pub(in crate::process) fn shut_intake(&self) {
        let mut state = self.listening.lock();
        state.shut_intake(Instant::now());
        self.let_go(state);
    }

    /// For a pool whose manager the host could not start, or does not know whether it has: ends all tasks and
    /// all workers.
    pub fn abandon(&self) {
        self.tell(Event::Kill);
        if self.lock().manager_id.is_none() {
            self.give_up();
        }
    }

    /// After a fault of the manager's: ends all tasks, for nobody else will.
    pub(in crate::process) fn give_up(&self) {
        let mut state = self.lock();
        state.shut_intake(Instant::now());
        state.on(Event::Kill, Instant::now());
        for seat in 0..state.seats.len() {
            let seat = state.supervisor.seat(seat);
            state.left(seat, Exit::Unknown, Instant::now());
        }
        // Those that the host has started die with it, which may run the host's code.
        let chores = std::mem::take(&mut state.chores);
        state.done = true;
        state.managing = Managing::GoesOn;
        self.end_and_tell(state, false);
        drop(chores);
    }
}
