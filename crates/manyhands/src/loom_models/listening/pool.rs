//! The pool of these models: one worker, whose link is that of shared memory, and two tasks, which are known by
//! their numbers. A request is such a number, and so is its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Waker;
use std::time::Instant;

use manyhands_shm::{Doorbell, Lookout, ParentEnd, Shape, WorkerEnd, ends};

use crate::chunks::Chunks;
use crate::listening::{Answers, Awaited, Intake, Listeners, Listening, MANAGERS, Shared, Sleep};
use crate::sync::{Condvar, Mutex, now};

/// A pool with one worker.
pub(super) struct Pool {
    pub(super) listening: Listening<State>,
    pub(super) tasks: [Task; 2],
    pub(super) intake: Intake<u8>,
    /// Whether the manager has who submits leave tasks to it.
    pub(super) opens: bool,
    /// How often the manager took a turn.
    pub(super) turns: AtomicUsize,
}

pub(super) struct State {
    listeners: Listeners,
    link: ParentEnd,
    lookouts: Arc<[Lookout]>,
    /// The task that the manager is to end.
    chore: Option<u8>,
    /// It is to end the first task at this time.
    pub(super) deadline: Option<Instant>,
    done: bool,
}

#[derive(Default)]
struct Life {
    is_done: bool,
    waker: Option<Waker>,
}

pub(super) struct Task(Mutex<Life>, Condvar);

impl Shared for State {
    type Link = ParentEnd;

    fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    fn listeners_and_links(&mut self) -> (&mut Listeners, impl Iterator<Item = &mut ParentEnd>) {
        (&mut self.listeners, std::iter::once(&mut self.link))
    }

    fn lookouts(&self) -> &Arc<[Lookout]> {
        &self.lookouts
    }

    fn has_chores(&self) -> bool {
        self.chore.is_some()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_ending(&self) -> bool {
        false
    }
}

impl Answers for ParentEnd {
    fn is_busy(&self) -> bool {
        self.in_flight() > 0
    }

    fn set_asleep(&mut self, doorbell: usize) -> bool {
        ParentEnd::set_asleep(self, doorbell)
    }

    fn set_awake(&mut self) {
        ParentEnd::set_awake(self);
    }
}

impl Awaited for Task {
    fn address(&self) -> usize {
        0
    }

    fn is_done(&self) -> bool {
        self.0.lock().is_done
    }

    fn watch(&self, waker: &Waker) -> bool {
        let mut life = self.0.lock();
        if !life.is_done {
            life.waker = Some(waker.clone());
        }
        !life.is_done
    }

    fn unwatch(&self) {
        self.0.lock().waker = None;
    }
}

impl Task {
    fn new() -> Self {
        Self(Mutex::new(Life::default()), Condvar::new())
    }

    pub(super) fn end(&self) {
        let mut life = self.0.lock();
        life.is_done = true;
        let waker = life.waker.take();
        self.1.notify_all();
        drop(life);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Leaves it to others to receive its answer.
    pub(super) fn wait(&self) {
        let mut life = self.0.lock();
        while !life.is_done {
            life = self.1.wait(life, None);
        }
    }
}

impl Pool {
    pub(super) fn new() -> (Arc<Self>, WorkerEnd) {
        Self::whose_manager(false)
    }

    pub(super) fn whose_manager(opens: bool) -> (Arc<Self>, WorkerEnd) {
        let doorbells = [Doorbell::new(), Doorbell::to_sleep_on()];
        let (link, worker) = ends(Shape { lane: 64, answers: 64 }, doorbells.clone());
        let lookouts = Arc::new([link.lookout()]);
        let listeners = Listeners::new();
        let state = State { listeners, link, lookouts, chore: None, deadline: None, done: false };
        let listening = Listening::new(state, doorbells);
        let tasks = [Task::new(), Task::new()];
        let (intake, turns) = (Intake::new(false), AtomicUsize::new(0));
        (Arc::new(Self { listening, tasks, intake, opens, turns }), worker)
    }

    pub(super) fn submit(&self, task: u8) {
        self.submit_and(task, || ());
    }

    /// With what happens before anybody is told that there may be an answer.
    pub(super) fn submit_and(&self, task: u8, meanwhile: impl FnOnce()) {
        let mut state = self.listening.lock();
        let State { link, listeners, .. } = &mut *state;
        link.offer(&[&[task]]).unwrap();
        meanwhile();
        listeners.sent(link);
        self.listening.let_go(state);
    }

    /// As who submits does: leaves it to the manager, or sends it behind all that was left.
    pub(super) fn leave(&self, task: u8) {
        self.intake.reserve();
        match self.intake.leave(task) {
            Ok(left) => {
                if left.first {
                    self.listening.call();
                }
            }
            Err(task) => {
                let mut state = self.listening.lock();
                self.take_in(&mut state);
                state.send(task);
                self.listening.let_go(state);
            }
        }
    }

    pub(super) fn take_in(&self, state: &mut State) {
        let mut left = Chunks::new();
        self.intake.take(&mut left);
        std::iter::from_fn(|| left.pop_front()).for_each(|task| state.send(task));
    }

    fn shut_intake(&self) {
        let mut state = self.listening.lock();
        let mut left = Chunks::new();
        self.intake.shut(&mut left);
        std::iter::from_fn(|| left.pop_front()).for_each(|task| state.send(task));
        self.listening.let_go(state);
    }

    pub(super) fn call(&self, task: u8) {
        let mut state = self.listening.lock();
        state.chore = Some(task);
        self.listening.let_go(state);
    }

    pub(super) fn close(&self) {
        let mut state = self.listening.lock();
        state.done = true;
        self.listening.let_go(state);
    }

    pub(super) fn join(&self) {
        let mut state = self.listening.lock();
        while !state.is_over() {
            state = self.listening.wait_until_over(state, None);
        }
    }

    /// As a thread that attends does.
    pub(super) fn receive(&self) -> bool {
        let mut state = self.listening.lock();
        let ended = state.receive();
        self.listening.let_go(state);
        self.end(&ended);
        !ended.is_empty()
    }

    fn end(&self, ended: &[u8]) {
        ended.iter().for_each(|task| self.tasks[usize::from(*task)].end());
    }

    /// As `Future::result` does.
    pub(super) fn result(&self, task: usize) {
        self.listening.attend(&self.tasks[task], None, || self.receive());
        self.tasks[task].wait();
    }

    /// Attends, but the time is over already.
    pub(super) fn look_in(&self) {
        self.listening.attend(&self.tasks[0], Some(now()), || self.receive());
    }

    pub(super) fn manage(&self) {
        loop {
            self.turns.fetch_add(1, Relaxed);
            let mut ended = Vec::new();
            let over = self.listening.turn(|state| {
                ended = state.receive();
                ended.extend(state.chore.take());
                ended.extend(state.deadline.take().map(|_| 0));
                if self.opens {
                    self.take_in(state);
                    self.intake.open();
                }
            });
            self.end(&ended);
            if over {
                return;
            }
            if self.opens {
                self.shut_intake();
            }
            if let Some(Sleep { until }) = self.listening.fall_asleep(|_| ()) {
                if until.is_none() {
                    self.listening.doorbells()[MANAGERS].wait(None).unwrap();
                }
                self.listening.wake_up();
            }
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        let lookouts = Arc::clone(self.listening.lock().lookouts());
        self.listening.is_wanted(&lookouts)
    }
}

impl State {
    fn send(&mut self, task: u8) {
        self.link.offer(&[&[task]]).unwrap();
        self.listeners.sent(&mut self.link);
    }

    fn receive(&mut self) -> Vec<u8> {
        let (mut ended, mut answer) = (Vec::new(), Vec::new());
        while self.link.receive(&mut answer).unwrap() {
            self.link.release(1).unwrap();
            ended.extend(&answer);
        }
        ended
    }
}
