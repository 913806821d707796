//! Models of who listens for answers: whoever they are for gets them, nobody sleeps for ever, and nobody is
//! woken for what another sees to.
//!
//! Links and doorbells are those of shared memory, with threads for workers. Of the models is only what a
//! pool does between: the manager's loop, what it is to do, and how tasks end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use loom::thread::{self, JoinHandle};
use manyhands_shm::WorkerEnd;

use super::{exhaustive, join_all, preempted_at_most};
use crate::sync::now;

use pool::Pool;

mod intake;
mod pool;

fn manager(pool: &Arc<Pool>) -> JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || pool.manage())
}

fn answer(worker: &mut WorkerEnd) {
    let task = worker.claim().unwrap().unwrap().to_vec();
    worker.send(&[&task]).unwrap();
}

/// A worker that answers what is there.
fn working(mut worker: WorkerEnd, tasks: usize) -> JoinHandle<()> {
    thread::spawn(move || (0..tasks).for_each(|_| answer(&mut worker)))
}

#[test]
fn an_answer_that_meets_a_manager_falling_asleep_is_received() {
    exhaustive(|| {
        let (pool, worker) = Pool::new();
        pool.submit(0);
        let threads = [working(worker, 1), manager(&pool)];
        pool.tasks[0].wait();
        pool.close();
        join_all(threads);
    });
}

#[test]
fn a_call_that_meets_a_manager_falling_asleep_is_heard() {
    exhaustive(|| {
        let (pool, _worker) = Pool::new();
        let managing = manager(&pool);
        pool.call(0);
        pool.tasks[0].wait();
        pool.close();
        managing.join().unwrap();
    });
}

#[test]
fn a_deadline_that_meets_a_manager_falling_asleep_is_kept() {
    exhaustive(|| {
        let (pool, _worker) = Pool::new();
        let managing = manager(&pool);
        let mut state = pool.listening.lock();
        state.deadline = Some(now());
        pool.listening.let_go(state);
        pool.tasks[0].wait();
        pool.close();
        managing.join().unwrap();
    });
}

/// The worker is quicker than the submitter, who still has the lock.
#[test]
fn an_answer_that_meets_its_submitter_wakes_the_manager() {
    exhaustive(|| {
        let (pool, worker) = Pool::new();
        let managing = manager(&pool);
        let mut working_one = None;
        pool.submit_and(0, || working_one = Some(working(worker, 1)));
        pool.tasks[0].wait();
        pool.close();
        join_all([working_one.unwrap(), managing]);
    });
}

#[test]
fn an_answer_that_meets_its_submitter_wakes_the_attendant() {
    exhaustive(|| {
        let (pool, mut worker) = Pool::new();
        let other = Arc::clone(&pool);
        let submitting = thread::spawn(move || other.submit_and(0, || answer(&mut worker)));
        pool.result(0);
        submitting.join().unwrap();
    });
}

/// There is no manager to help.
#[test]
fn an_answer_that_meets_an_attendant_falling_asleep_is_received() {
    exhaustive(|| {
        let (pool, worker) = Pool::new();
        pool.submit(0);
        let working = working(worker, 1);
        pool.result(0);
        working.join().unwrap();
    });
}

#[test]
fn an_attendant_that_falls_asleep_hears_of_an_end_that_others_make() {
    exhaustive(|| {
        let (pool, _worker) = Pool::new();
        let other = Arc::clone(&pool);
        let ending = thread::spawn(move || other.tasks[0].end());
        pool.result(0);
        ending.join().unwrap();
    });
}

#[test]
fn an_answer_that_meets_an_attendant_leaving_is_received_by_the_manager() {
    preempted_at_most(4, || {
        let (pool, worker) = Pool::new();
        pool.submit(1);
        let threads = [manager(&pool), working(worker, 1)];
        pool.look_in();
        pool.tasks[1].wait();
        pool.close();
        join_all(threads);
    });
}

/// It has slept before, so that the links rang its doorbell.
#[test]
fn an_answer_that_meets_an_attendant_waking_to_leave_is_received_by_the_manager() {
    preempted_at_most(2, || {
        let (pool, worker) = Pool::new();
        pool.submit(1);
        let other = Arc::clone(&pool);
        let ending = thread::spawn(move || other.tasks[0].end());
        let threads = [manager(&pool), working(worker, 1), ending];
        pool.result(0);
        pool.tasks[1].wait();
        pool.close();
        join_all(threads);
    });
}

#[test]
fn of_two_that_wait_for_answers_each_gets_its_own() {
    preempted_at_most(2, || {
        let (pool, worker) = Pool::new();
        pool.submit(0);
        pool.submit(1);
        let other = Arc::clone(&pool);
        let waiting = thread::spawn(move || other.result(1));
        let threads = [manager(&pool), working(worker, 2), waiting];
        pool.result(0);
        pool.tasks[1].wait();
        pool.close();
        join_all(threads);
    });
}

#[test]
fn a_close_that_meets_an_attendant_leaving_is_heard_by_all() {
    preempted_at_most(4, || {
        let (pool, _worker) = Pool::new();
        let other = Arc::clone(&pool);
        let closing = thread::spawn(move || {
            other.close();
            other.join();
        });
        let threads = [manager(&pool), closing];
        pool.look_in();
        join_all(threads);
    });
}

/// It takes its first turn, and one to see the end.
#[test]
fn a_manager_hears_nothing_of_an_answer_while_somebody_attends() {
    exhaustive(|| {
        let (pool, worker) = Pool::new();
        pool.submit(0);
        let managing = manager(&pool);
        let mut worker = Some(worker);
        pool.listening.attend(&pool.tasks[0], None, || {
            if let Some(mut worker) = worker.take() {
                answer(&mut worker);
            }
            pool.receive()
        });
        pool.close();
        managing.join().unwrap();
        assert!(pool.turns.load(Relaxed) <= 2, "it was woken for what another has seen to");
    });
}

#[test]
fn a_manager_does_not_spin_for_an_answer_while_somebody_attends() {
    exhaustive(|| {
        let (pool, mut worker) = Pool::new();
        pool.submit(1);
        answer(&mut worker);
        assert!(pool.is_wanted());
        let other = Arc::clone(&pool);
        let leaving = thread::spawn(move || other.look_in());
        let mut leaving = Some(leaving);
        pool.listening.attend(&pool.tasks[0], None, || {
            leaving.take().map(|leaving| leaving.join().unwrap());
            assert!(!pool.is_wanted(), "it is seen to");
            pool.tasks[0].end();
            true
        });
        leaving.map(|leaving| leaving.join().unwrap());
        assert!(pool.is_wanted(), "nobody sees to it any more");
    });
}
