//! Who sees to the answers, and how it is woken for them: the manager, or a thread that waits.
//!
//! A thread that waits for a task of the pool *attends*: it receives the answers itself, while it waits.
//! Without that an answer would wake the manager, and the manager the waiter: two ways through the
//! scheduler, where one will do. At most one thread attends; the manager sleeps on, and hears nothing of
//! answers meanwhile, which ring another doorbell. It still sees deaths, births and deadlines. When the
//! attending thread leaves, what is still to be answered rings the manager's doorbell again.
//!
//! Who else waits for the tasks that are ended so is told by the manager: their callbacks may ask for
//! what the attending thread holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};
use std::thread;
use std::time::Instant;

use manyhands_shm::{Doorbell, Lookout};
use rustix::event::{PollFd, PollFlags};

use super::answer::Ending;
use super::turn::end_all;
use super::{Pool, State};
use crate::crossing::{Telling, tellings_of};
use crate::process::by_number::Awaited;
use crate::process::link::Link;
use crate::process::stream::poll_for;
use crate::process::task::Task;
use crate::spin;

/// Which doorbell is the manager's.
pub(in crate::process) const MANAGERS: usize = 0;

/// And which that of a thread that attends.
pub(in crate::process) const CALLERS: usize = 1;

/// The manager's sleep.
#[derive(Clone, Copy, Debug)]
pub(in crate::process) struct Sleep {
    /// At the latest.
    pub(in crate::process) until: Option<Instant>,
}

/// Whether the thread that attends sleeps.
pub(super) type Asleep = bool;

impl<T: Task> Pool<T> {
    /// Receives answers until `task` is done or the deadline is over; does nothing if another thread
    /// attends already, or if there is no shared memory.
    pub(in crate::process) fn attend_to(&self, task: &dyn Awaited, deadline: Option<Instant>) {
        if !self.begin_attending() {
            return;
        }
        // Also if something panics.
        let _attends = Attends(self);
        let waker = Waker::from(Arc::new(Rings(Arc::clone(self.doorbells()))));
        let mut lookouts = self.lookouts();
        let (mut endings, mut spare) = (Vec::new(), Vec::new());
        while !task.is_done() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            if self.receive_while_attending(&mut endings, &mut spare) {
                let tellings = tellings_of(|| end_all(&mut endings, &mut spare));
                self.leave_tellings(tellings);
                continue;
            }
            let seen = || task.is_done() || lookouts.iter().any(Lookout::has_answer);
            if spin::for_caller(seen) {
                continue;
            }
            if !task.watch(&waker) {
                break;
            }
            if self.attendant_sleeps() {
                let doorbell = &self.doorbells()[CALLERS];
                let mut fds = [PollFd::from_borrowed_fd(doorbell.fd(), PollFlags::IN)];
                let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
                if let Err(error) = poll_for(&mut fds, left) {
                    log::error!("a thread that waits for a worker process cannot poll: {error}");
                    task.unwatch();
                    break;
                }
                doorbell.clear();
                self.attendant_wakes();
            }
            task.unwatch();
            lookouts = self.lookouts();
        }
    }
}

struct Attends<'a, T: Task>(&'a Pool<T>);

impl<T: Task> Drop for Attends<'_, T> {
    fn drop(&mut self) {
        self.0.end_attending();
    }
}

/// Wakes the attending thread.
struct Rings(Arc<[Doorbell; 2]>);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.0[CALLERS].ring();
    }
}

/// The manager's part, and that of the thread that attends.
impl<T: Task> Pool<T> {
    /// Whether a spinning manager is called.
    pub(in crate::process) fn is_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Whether another thread sees to the answers.
    pub(in crate::process) fn is_attended(&self) -> bool {
        self.attended.load(Ordering::Relaxed)
    }

    /// The manager is about to sleep: from now on an answer rings. Until when it may sleep, and what
    /// to poll the links for; or `None` if it must not.
    pub(in crate::process) fn fall_asleep(
        &self,
        flags: &mut Vec<Option<PollFlags>>,
    ) -> Option<Sleep> {
        let mut state = self.state.lock();
        let left_over = !state.chores.is_empty()
            || !state.endings.is_empty()
            || !state.tellings.is_empty()
            || state.is_over();
        let sleep = Sleep { until: state.supervisor.next_deadline() };
        state.asleep = Some(sleep);
        if left_over || state.listen() {
            state.all_awake();
            return None;
        }
        flags.clear();
        flags.extend(state.seats.iter().map(|place| Some(place.link.as_ref()?.interest()?.1)));
        Some(sleep)
    }

    pub(in crate::process) fn wake_up(&self) {
        self.state.lock().all_awake();
    }

    /// What shows which of the workers there are now have answered.
    pub(in crate::process) fn lookouts(&self) -> Arc<[Lookout]> {
        Arc::clone(&self.state.lock().lookouts)
    }

    /// Makes the calling thread the one that sees to the answers, if nobody else does.
    pub(in crate::process) fn begin_attending(&self) -> bool {
        // Sockets are polled by the manager, and a forked copy has no part in the pool.
        if self.arena.is_none() || self.mark.is_in_a_fork() {
            return false;
        }
        let mut state = self.state.lock();
        if state.attendant.is_some() || state.done {
            return false;
        }
        state.attendant = Some(false);
        state.attendant_id = Some(thread::current().id());
        state.busy_links().for_each(|link| link.set_awake());
        drop(state);
        self.attended.store(true, Ordering::Relaxed);
        true
    }

    /// From now on, answers are the manager's again.
    pub(in crate::process) fn end_attending(&self) {
        self.attended.store(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.attendant = None;
        state.attendant_id = None;
        // As it would have done before it fell asleep.
        let rings = state.listen() || state.done;
        if state.done {
            self.gone.notify_all();
        }
        drop(state);
        if rings {
            self.doorbells[MANAGERS].ring();
        }
    }

    /// Receives what has been answered, for the thread that attends; whether there was anything.
    fn receive_while_attending(
        &self,
        endings: &mut Vec<Ending<T>>,
        spare: &mut Vec<Vec<u8>>,
    ) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.take_spare(spare);
        let mut answers = false;
        for seat in 0..state.seats.len() {
            answers |= state.receive(seat, now);
        }
        std::mem::swap(&mut state.endings, endings);
        self.let_go(state);
        answers || !endings.is_empty()
    }

    /// The thread that attends is about to sleep; `false`: it must not.
    pub(in crate::process) fn attendant_sleeps(&self) -> bool {
        let mut state = self.state.lock();
        state.attendant = Some(true);
        let answers = state.listen();
        if answers {
            state.attendant = Some(false);
            state.busy_links().for_each(|link| link.set_awake());
        }
        !answers
    }

    pub(in crate::process) fn attendant_wakes(&self) {
        let mut state = self.state.lock();
        state.attendant = Some(false);
        state.busy_links().for_each(|link| link.set_awake());
    }

    /// Leaves it to the manager to tell those who wait for tasks that have ended.
    pub(in crate::process) fn leave_tellings(&self, tellings: Vec<Telling>) {
        if !tellings.is_empty() {
            let mut state = self.state.lock();
            state.tellings.extend(tellings);
            self.let_go(state);
        }
    }
}

impl<T: Task> State<T> {
    fn all_awake(&mut self) {
        self.asleep = None;
        if self.attendant.is_none() {
            self.busy_links().for_each(|link| link.set_awake());
        }
    }

    /// The doorbell that an answer is to ring, if whoever sees to answers sleeps.
    pub(super) fn listens_at(&self) -> Option<usize> {
        match self.attendant {
            Some(asleep) => asleep.then_some(CALLERS),
            None => self.asleep.map(|_| MANAGERS),
        }
    }

    /// Has answers ring the doorbell of whoever sees to them and sleeps; whether there is one already.
    pub(super) fn listen(&mut self) -> bool {
        let Some(doorbell) = self.listens_at() else { return false };
        let mut answers = false;
        for link in self.busy_links() {
            answers |= link.set_asleep(doorbell);
        }
        answers
    }

    /// Those over which an answer may come.
    fn busy_links(&mut self) -> impl Iterator<Item = &mut Box<dyn Link>> {
        self.links_mut().filter(|link| link.in_flight() > 0)
    }

    fn links_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Link>> {
        self.seats.iter_mut().filter_map(|place| place.link.as_mut())
    }
}
