//! Models of parts of running jobs: whoever is about to sleep sees one or is called for it, and a closed pool is
//! left by all.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::sync::Notify;
use loom::thread::{self, JoinHandle};
use manyhands_join::{Deque, Part, Stolen};

use super::{exhaustive, join_all, preempted_at_most};
use crate::ready::Ready;
use crate::thread::pool::{self, Idle, Parts, Pool, Seat, WhenFull, Worker};

/// What a worker of these pools gets.
enum Job {
    /// What the model itself plays.
    Lends,
    Part(Part),
}

impl Parts<Job> for Deque {
    fn take_part(&self) -> Option<Job> {
        self.take().map(Job::Part)
    }

    fn has_parts(&self) -> bool {
        Deque::has_parts(self)
    }

    fn is_in_use(&self) -> bool {
        !self.seems_empty()
    }
}

/// A worker in the middle of a job that lends, and the pool knows where.
struct Lender {
    worker: Worker<Job>,
    seat: Seat<Job>,
    idle: Idle,
    deque: Arc<Deque>,
}

fn pool<const N: usize>() -> (Pool<Job>, [Lender; N]) {
    let pool = Pool::new(NonZeroUsize::new(N + 2).unwrap(), None);
    let lenders = std::array::from_fn(|_| {
        let mut worker = add_worker(&pool);
        assert!(matches!(worker.try_next(), Some(Job::Lends)));
        let (seat, idle, deque) = (worker.seat(), worker.idle(), Arc::new(Deque::new()));
        // For a worker that is never started.
        drop(seat.call(Arc::clone(&deque) as _));
        Lender { worker, seat, idle, deque }
    });
    (pool, lenders)
}

fn add_worker(pool: &Pool<Job>) -> Worker<Job> {
    let Ok(added) = pool.submit(Job::Lends, WhenFull::Refuse) else { panic!("it is open") };
    added.expect("nobody is free")
}

/// The threads of workers that have done their first job and come for more.
fn start<const N: usize>(pool: &Pool<Job>) -> [JoinHandle<()>; N] {
    let workers: [_; N] = std::array::from_fn(|_| {
        let mut worker = add_worker(pool);
        assert!(matches!(worker.try_next(), Some(Job::Lends)));
        worker
    });
    workers.map(|mut worker| {
        worker.publish(true);
        thread::spawn(move || {
            let deque = Arc::new(Deque::new());
            while let Some(Job::Part(part)) = worker.next() {
                part.run(&deque);
            }
        })
    })
}

impl Lender {
    fn call(&self) {
        assert!(
            self.seat.call(Arc::clone(&self.deque) as _).is_none(),
            "there are as many as may be"
        );
    }
}

/// Wakes an owner that sleeps.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn sleep(stolen: &Stolen<'_>) {
    let bell = Arc::new(Bell(Notify::new()));
    while stolen.wake_when_over(&Waker::from(Arc::clone(&bell))) {
        bell.0.wait();
    }
}

#[test]
fn a_part_that_meets_one_who_says_that_he_is_idle_is_seen_by_one_of_both() {
    exhaustive(|| {
        let (idle, deque) = (Idle::new(), Arc::new(Deque::new()));
        idle.set(false);
        let bell = Arc::new(Notify::new());
        let (other_idle, other_deque, rung) = (idle.clone(), Arc::clone(&deque), Arc::clone(&bell));
        let sleeper = thread::spawn(move || {
            let part = loop {
                match other_idle.look(|| other_deque.take()) {
                    Some(part) => break part,
                    None => rung.wait(),
                }
            };
            part.run(&Arc::new(Deque::new()));
        });
        let called = Ready::new();
        let by_another = || assert_eq!(called.pop(None), Some(0));
        let offered = || {
            if idle.take() {
                bell.notify();
            }
        };
        deque.join(by_another, || called.push([0]), offered, sleep);
        sleeper.join().unwrap();
    });
}

#[test]
fn a_part_that_meets_a_worker_on_its_way_to_sleep_is_taken() {
    preempted_at_most(3, || {
        let (pool, [lender]) = pool();
        pool.set_max_workers(NonZeroUsize::new(2).unwrap());
        let threads: [_; 1] = start(&pool);
        let called = Ready::new();
        let offered = || {
            if lender.idle.take() {
                lender.call();
            }
        };
        let by_another = || assert_eq!(called.pop(None), Some(0));
        lender.deque.join(by_another, || called.push([0]), offered, sleep);
        pool.close(false);
        drop(lender);
        join_all(threads);
    });
}

#[test]
fn of_two_parts_that_share_a_call_each_is_taken() {
    // Both are asleep by then, or one of them. What is left are the orders in which they come.
    preempted_at_most(0, || {
        let (pool, [one, two]) = pool();
        let threads: [_; 2] = start(&pool);
        thread::yield_now();
        let [first_begins, second_begins, both_end] = [(); 3].map(|()| Ready::new());
        // One asks, is held up, and the other one, which asks after it, gets no for an answer.
        let asked = std::cell::Cell::new(false);
        let both = || {
            let offered = || {
                if asked.get() || two.idle.take() {
                    one.call();
                }
            };
            let second = || {
                second_begins.push([0]);
                assert_eq!(first_begins.pop(None), Some(0), "it runs meanwhile");
                both_end.push([2]);
            };
            let by_others = || assert!(both_end.wait_for_all(2, None));
            two.deque.join(by_others, second, offered, sleep);
        };
        let first = || {
            first_begins.push([0]);
            assert_eq!(second_begins.pop(None), Some(0), "it runs meanwhile");
            both_end.push([1]);
        };
        one.deque.join(both, first, || asked.set(one.idle.take()), sleep);
        pool.close(false);
        drop((one, two));
        join_all(threads);
    });
}

#[test]
fn a_closed_pool_is_left_by_those_who_wait_for_parts() {
    preempted_at_most(2, || {
        let (pool, [lender]) = pool();
        let threads: [_; 1] = start(&pool);
        let offered = || {
            if lender.idle.take() {
                drop(lender.seat.call(Arc::clone(&lender.deque) as _));
            }
        };
        lender.deque.join(|| drop(pool.close(false)), || (), offered, sleep);
        let Lender { mut worker, .. } = lender;
        worker.publish(true);
        assert!(worker.next().is_none());
        drop(worker);
        assert!(pool.wait_for_workers(None));
        join_all(threads);
    });
}

/// A thread that is no worker, and lends to a pool of one.
struct Outsider {
    lender: pool::Lender<Job>,
    deque: Arc<Deque>,
}

fn pool_of_one() -> (Pool<Job>, [JoinHandle<()>; 1], Outsider) {
    let pool = Pool::new(NonZeroUsize::MIN, None);
    let threads = start(&pool);
    let deque = Arc::new(Deque::new());
    let lender = pool.lender(Arc::clone(&deque) as _);
    (pool, threads, Outsider { lender, deque })
}

impl Outsider {
    fn join<RA, RB: Send>(&self, a: impl FnOnce() -> RA, b: impl FnOnce() -> RB + Send) {
        let offered = || {
            if self.lender.idle().take() {
                assert!(self.lender.call().is_none(), "there are as many as may be");
            }
        };
        self.deque.join(a, b, offered, sleep);
    }
}

#[test]
fn what_a_thread_lends_that_is_no_worker_is_taken_by_one_on_its_way_to_sleep() {
    preempted_at_most(3, || {
        let (pool, threads, outsider) = pool_of_one();
        let called = Ready::new();
        let by_a_worker = || assert_eq!(called.pop(None), Some(0));
        outsider.join(by_a_worker, || called.push([0]));
        pool.close(false);
        drop(outsider);
        join_all(threads);
    });
}

#[test]
fn a_closed_pool_is_left_while_a_thread_lends_that_is_no_worker() {
    preempted_at_most(3, || {
        let (pool, threads, outsider) = pool_of_one();
        let shut_down = || {
            pool.close(false);
            join_all(threads);
        };
        outsider.join(shut_down, || ());
        outsider.join(|| (), || ());
    });
}
