//! A turn of the manager's: what it takes from under the lock, and what it does without it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::answer::Ending;
use super::{CALLERS, Chore, Pool};
use crate::crossing::Telling;
use crate::errors::Exit;
use crate::process::supervisor::Event;
use crate::process::task::Task;

/// What a turn of the manager's has come to.
pub(in crate::process) struct Turn {
    /// There was something.
    pub(in crate::process) worked: bool,
    /// The pool is closed and empty.
    pub(in crate::process) done: bool,
}

impl<T: Task> Pool<T> {
    /// Receives what has been answered and does what is due. Leaves what is left over to the caller;
    /// whether there was anything at all.
    pub(in crate::process) fn turn(
        &self,
        chores: &mut Vec<Chore>,
        endings: &mut Vec<Ending<T>>,
        tellings: &mut Vec<Telling>,
    ) -> Turn {
        let now = Instant::now();
        let mut state = self.state.lock();
        self.called.store(false, Ordering::Relaxed);
        state.flushes = false;
        let mut answers = false;
        for seat in 0..state.seats.len() {
            answers |= state.receive(seat, now);
        }
        if state.supervisor.next_deadline().is_some_and(|due| due <= now) {
            state.on(Event::Tick, now);
        }
        std::mem::swap(&mut state.chores, chores);
        std::mem::swap(&mut state.endings, endings);
        std::mem::swap(&mut state.tellings, tellings);
        if std::mem::take(&mut state.rings_attendant) {
            self.doorbells[CALLERS].ring();
        }
        let done = state.is_over();
        if done {
            self.gone.notify_all();
        }
        let left_over = !chores.is_empty() || !endings.is_empty() || !tellings.is_empty();
        Turn { worked: answers || left_over, done }
    }

    /// Ends tasks, and keeps the memory of their answers for others.
    pub(in crate::process) fn end(&self, endings: &mut Vec<Ending<T>>) {
        const MOST_SPARE: usize = 256;
        const MOST_BYTES: usize = 4 << 10;
        let mut spare: Vec<Vec<u8>> = Vec::new();
        for ending in endings.drain(..) {
            if let Some(bytes) = ending.end_caught()
                && bytes.capacity() <= MOST_BYTES
            {
                spare.push(bytes);
            }
        }
        if !spare.is_empty() {
            let mut state = self.state.lock();
            let room = MOST_SPARE.saturating_sub(state.spare.len());
            state.spare.extend(spare.drain(..).take(room));
        }
    }

    /// After a fault of the manager's: ends all tasks, for nobody else will.
    pub(in crate::process) fn give_up(&self) {
        let mut state = self.state.lock();
        state.on(Event::Kill, Instant::now());
        for seat in 0..state.seats.len() {
            let seat = state.supervisor.seat(seat);
            state.left(seat, Exit::Unknown, Instant::now());
        }
        state.chores.clear();
        state.done = true;
        self.let_go(state);
    }
}
