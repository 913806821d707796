//! Attending: a thread that waits for a task of the pool receives the answers itself, while it waits.
//!
//! Without it an answer would wake the manager, and the manager the waiter: two ways through the
//! scheduler, where one will do. At most one thread attends; the manager sleeps on, and hears nothing of
//! answers meanwhile, which ring another doorbell. It still sees deaths, births and deadlines. When the
//! attending thread leaves, what is still to be answered rings the manager's doorbell again.
//!
//! Who else waits for the tasks that are ended so is told by the manager: their callbacks may ask for
//! what the attending thread holds.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

use manyhands_shm::{Doorbell, Lookout};
use rustix::event::{PollFd, PollFlags};

use super::by_number::Awaited;
use super::pool::{CALLERS, Pool};
use super::stream::poll_for;
use super::task::Task;
use crate::crossing::tellings_of;
use crate::spin;

impl<T: Task> Pool<T> {
    /// Receives answers until `task` is done or the deadline is over; does nothing if another thread
    /// attends already, or if there is no shared memory.
    pub(super) fn attend_to(&self, task: &dyn Awaited, deadline: Option<Instant>) {
        if !self.begin_attending() {
            return;
        }
        // Also if something panics.
        let _attends = Attends(self);
        let waker = Waker::from(Arc::new(Rings(Arc::clone(self.doorbells()))));
        let mut lookouts = self.lookouts();
        let mut endings = Vec::new();
        while !task.is_done() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            if self.receive_while_attending(&mut endings) {
                let tellings = tellings_of(|| self.end(&mut endings));
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
