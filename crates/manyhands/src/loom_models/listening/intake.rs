//! Models of the intake: what is left there is sent, in order, whatever the manager is about to do; and a pool is
//! closed behind all that it has accepted.

use std::sync::Arc;

use loom::thread;
use manyhands_shm::WorkerEnd;

use super::super::{exhaustive, preempted_at_most};
use super::manager;
use super::pool::Pool;
use crate::chunks::Chunks;
use crate::listening::Intake;
use crate::sync::Mutex;

/// Waits for this task, and answers it.
fn serve(worker: &mut WorkerEnd, task: u8) {
    while !worker.has_offer() {
        worker.sleep(None);
    }
    assert_eq!(worker.claim().unwrap(), Some(&[task][..]));
    worker.send(&[&[task]]).unwrap();
}

#[test]
fn a_task_that_is_left_to_a_manager_falling_asleep_is_sent() {
    exhaustive(|| {
        let (pool, mut worker) = Pool::whose_manager(true);
        let managing = manager(&pool);
        pool.leave(0);
        serve(&mut worker, 0);
        pool.tasks[0].wait();
        pool.close();
        managing.join().unwrap();
    });
}

#[test]
fn of_two_tasks_the_one_that_was_left_goes_first() {
    preempted_at_most(2, || {
        let (pool, mut worker) = Pool::whose_manager(true);
        let managing = manager(&pool);
        pool.leave(0);
        pool.leave(1);
        serve(&mut worker, 0);
        serve(&mut worker, 1);
        pool.tasks[1].wait();
        pool.close();
        managing.join().unwrap();
    });
}

#[test]
fn a_manager_that_spins_is_called() {
    exhaustive(|| {
        let (pool, worker) = Pool::whose_manager(true);
        pool.intake.open();
        let other = Arc::clone(&pool);
        let leaving = thread::spawn(move || other.leave(0));
        pool.listening.turn(|state| pool.take_in(state));
        leaving.join().unwrap();
        assert!(worker.has_offer() || pool.is_wanted(), "it has not taken it, and was not called");
    });
}

/// What is under a pool's lock.
#[derive(Default)]
struct State {
    closing: bool,
    is_closed: bool,
    accepted: Vec<u8>,
}

struct Closable {
    intake: Intake<u8>,
    state: Mutex<State>,
}

impl Closable {
    fn submit(&self, task: u8) {
        let mut has_place = true;
        if self.intake.reserve() {
            match self.intake.leave(task) {
                Ok(left) => has_place = left.has_place,
                Err(task) => self.state.lock().accept(task),
            }
        }
        if has_place && self.intake.give_back() {
            self.close_if_asked(&mut self.state.lock());
        }
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        self.intake.refuse();
        self.close_if_asked(&mut state);
    }

    fn close_if_asked(&self, state: &mut State) {
        if state.closing && self.intake.is_free() {
            let mut left = Chunks::new();
            self.intake.take(&mut left);
            std::iter::from_fn(|| left.pop_front()).for_each(|task| state.accept(task));
            state.is_closed = true;
        }
    }
}

impl State {
    fn accept(&mut self, task: u8) {
        assert!(!self.is_closed, "a task that has a place came too late");
        self.accepted.push(task);
    }
}

/// Whether it is left or not, and whether another has a place that it will not use.
fn a_close_meets_a_submit(open: bool) {
    exhaustive(move || {
        let state = Mutex::new(State::default());
        let pool = Arc::new(Closable { intake: Intake::new(false), state });
        if open {
            pool.intake.open();
        }
        let other = Arc::clone(&pool);
        let submitting = thread::spawn(move || other.submit(7));
        pool.close();
        submitting.join().unwrap();
        let state = pool.state.lock();
        assert!(state.is_closed, "nobody has closed it");
        let mut left = Chunks::new();
        pool.intake.take(&mut left);
        assert!(left.is_empty(), "a task was left behind");
    });
}

#[test]
fn a_close_comes_behind_a_task_that_is_left() {
    a_close_meets_a_submit(true);
}

#[test]
fn a_close_comes_behind_a_task_that_is_not_left() {
    a_close_meets_a_submit(false);
}
