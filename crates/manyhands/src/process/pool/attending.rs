//! What the pool does for a thread that attends, and what those who listen see of its state.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use manyhands_shm::Lookout;

use super::answer::{Ending, end_all};
use super::{Managing, Pool, State};
use crate::crossing::{Telling, tellings_of};
use crate::listening::{Answers, Awaited, Listeners, Shared};
use crate::process::link::Link;
use crate::process::task::Task;
use crate::spin;

/// So long a thread that waits leaves a manager at full work alone: a hundred tasks or more end meanwhile.
const NAP: Duration = Duration::from_micros(50);

impl<T: Task> Pool<T> {
    /// Receives answers until `task` is done or the deadline is over; does nothing if another thread
    /// attends already, or if there is no shared memory.
    ///
    /// Who else waits for the tasks that are ended so is told by the manager: their callbacks may ask for
    /// what the calling thread holds.
    pub(in crate::process) fn attend_to(&self, task: &dyn Awaited, deadline: Option<Instant>) {
        // Sockets are polled by the manager, and a forked copy has no part in the pool.
        if self.arena.is_none() || self.mark.is_in_a_fork() {
            return;
        }
        // A manager at full work ends tasks sooner than two threads that ask for one lock in turn, unless it reads a
        // result that takes long. Who waits wakes by itself: to be woken would cost the manager more than the tasks
        // that it ends meanwhile.
        let mut before = None;
        while let Some(turn) = self.intake.turn()
            && before.replace(turn) != Some(turn)
        {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) || spin::for_caller(|| task.is_done()) {
                return;
            }
            thread::sleep(left.unwrap_or(NAP).min(NAP));
        }
        let (mut endings, mut spare) = (Vec::new(), Vec::new());
        self.listening.attend(task, deadline, || {
            let received = self.receive(&mut endings, &mut spare);
            if received {
                let tellings = tellings_of(|| end_all(&mut endings, &mut spare));
                self.leave_tellings(tellings);
            }
            received
        });
    }

    /// Receives what has been answered; whether there was anything.
    fn receive(&self, endings: &mut Vec<Ending<T>>, spare: &mut Vec<Vec<u8>>) -> bool {
        let now = Instant::now();
        let mut state = self.listening.lock();
        state.take_spare(spare);
        let mut answers = false;
        for seat in 0..state.seats.len() {
            answers |= state.receive(seat, now);
        }
        state.take_in(now);
        std::mem::swap(&mut state.endings, endings);
        self.let_go(state);
        answers || !endings.is_empty()
    }

    /// Leaves it to the manager to tell those who wait for tasks that have ended.
    fn leave_tellings(&self, tellings: Vec<Telling>) {
        if !tellings.is_empty() {
            let mut state = self.lock();
            state.tellings.extend(tellings);
            self.let_go(state);
        }
    }
}

impl<T: Task> Shared for State<T> {
    type Link = Box<dyn Link>;

    fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    fn listeners_and_links(&mut self) -> (&mut Listeners, impl Iterator<Item = &mut Self::Link>) {
        (&mut self.listeners, self.seats.iter_mut().filter_map(|place| place.link.as_mut()))
    }

    fn lookouts(&self) -> &Arc<[Lookout]> {
        &self.lookouts
    }

    fn has_chores(&self) -> bool {
        !self.chores.is_empty()
            || !self.endings.is_empty()
            || !self.tellings.is_empty()
            || self.flushes
            || self.managing == Managing::EndsTheLast
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.supervisor.next_deadline()
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_ending(&self) -> bool {
        !self.endings.is_empty()
            || !self.ending.is_empty()
            || self.managing == Managing::EndsTheLast
    }
}

impl Answers for Box<dyn Link> {
    fn is_busy(&self) -> bool {
        self.in_flight() > 0
    }

    fn set_asleep(&mut self, doorbell: usize) -> bool {
        (**self).set_asleep(doorbell)
    }

    fn set_awake(&mut self) {
        (**self).set_awake();
    }
}
