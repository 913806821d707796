//! How others come to work in the stead of a scope's workers whose tasks wait.
//!
//! What a worker's thread knows while it runs a task has to outlive every borrow, and a scope's pool does
//! not. So it only leaves word, and one thread of the scope, which stands by from the first task on, does
//! what there is to do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use manyhands_join::Deque;

use super::join::Call;
use super::pool::{Seat, Worker};
use crate::job::Job;
use crate::nested::Compensate;
use crate::nested::graph::TaskId;
use crate::sync::{Condvar, Mutex};

/// The places of a scope's workers, and what these have asked for.
pub(super) struct Standby<'env> {
    seats: Mutex<BTreeMap<usize, Seat<Job<'env>>>>,
    requests: Arc<Requests>,
}

#[derive(Default)]
struct Asked {
    begun: bool,
    queue: VecDeque<Request>,
    /// How many workers have entered and not left.
    workers: usize,
    closed: bool,
}

struct Requests {
    asked: Mutex<Asked>,
    arrived: Condvar,
}

/// Of the worker of this number.
enum Request {
    Begin(usize),
    End(usize),
    Call(usize, Arc<Deque>),
    Leave(usize),
}

/// One worker's way to ask.
pub(super) struct Asking {
    number: usize,
    requests: Arc<Requests>,
}

impl<'env> Standby<'env> {
    pub(super) fn new() -> Self {
        let requests = Requests { asked: Mutex::new(Asked::default()), arrived: Condvar::new() };
        Self { seats: Mutex::new(BTreeMap::new()), requests: Arc::new(requests) }
    }

    /// A worker is about to be started. Whether it is the first, and a thread is to be started that calls
    /// [`stand_by`](Self::stand_by).
    pub(super) fn enter(&self, worker: &Worker<Job<'env>>) -> (bool, Arc<Asking>) {
        let number = worker.index();
        self.seats.lock().insert(number, worker.seat());
        let mut asked = self.requests.asked.lock();
        asked.workers += 1;
        let first = !std::mem::replace(&mut asked.begun, true);
        (first, Arc::new(Asking { number, requests: Arc::clone(&self.requests) }))
    }

    /// The scope accepts nothing any more.
    pub(super) fn close(&self) {
        self.requests.asked.lock().closed = true;
        self.requests.arrived.notify_one();
    }

    /// Does what is asked for until the scope is closed and its last worker has left. `start` starts a
    /// worker's thread.
    pub(super) fn stand_by(&self, start: impl Fn(Worker<Job<'env>>)) {
        let mut asked = self.requests.asked.lock();
        loop {
            let Some(request) = asked.queue.pop_front() else {
                if asked.closed && asked.workers == 0 {
                    return;
                }
                asked = self.requests.arrived.wait(asked, None);
                continue;
            };
            drop(asked);
            let seat = |number: &usize| self.seats.lock().get(number).cloned();
            match &request {
                Request::Begin(number) => {
                    seat(number).and_then(|seat| seat.block()).into_iter().for_each(&start);
                }
                Request::End(number) => seat(number).into_iter().for_each(|seat| seat.unblock()),
                Request::Call(number, lent) => {
                    let called = |seat: Seat<_>| seat.call(Arc::clone(lent) as _);
                    seat(number).and_then(called).into_iter().for_each(&start);
                }
                Request::Leave(number) => drop(self.seats.lock().remove(number)),
            }
            asked = self.requests.asked.lock();
            asked.workers -= usize::from(matches!(request, Request::Leave(_)));
        }
    }
}

impl Asking {
    /// The worker has left.
    pub(super) fn leave(&self) {
        self.ask(Request::Leave(self.number));
    }

    fn ask(&self, request: Request) {
        self.requests.asked.lock().queue.push_back(request);
        self.requests.arrived.notify_one();
    }
}

impl Compensate for Asking {
    /// A scope's tasks do not know that they are its own.
    fn begin_wait(&self, _own: bool) -> bool {
        self.ask(Request::Begin(self.number));
        true
    }

    fn relieve(&self) -> bool {
        false
    }

    fn end_wait(&self, _relieved: bool) {
        self.ask(Request::End(self.number));
    }

    /// Not seen from here; and no task of a scope is run in place.
    fn is_exhausted(&self) -> bool {
        false
    }

    fn run_recent(&self, _task: TaskId) -> bool {
        false
    }
}

impl Call for Asking {
    fn call(&self, lent: &Arc<Deque>) {
        self.ask(Request::Call(self.number, Arc::clone(lent)));
    }
}
