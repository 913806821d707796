//! Models of workers that wait inside their jobs: no job is left lying while they do, whoever works in their
//! stead goes when there is one too many, and comes again when called.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::pool::{FIRST, HELP, Site};
use super::{exhaustive, join_all, preempted_at_most};
use crate::thread::pool::Worker;

impl Site {
    /// A thread whose worker, in the middle of a job, waits for help, and then goes on.
    fn start_one_that_waits(self: &Arc<Self>, mut worker: Worker<usize>) -> JoinHandle<()> {
        let site = Arc::clone(self);
        thread::spawn(move || {
            let seat = worker.seat();
            let added = seat.block().map(|other| site.start(other));
            assert_eq!(site.help.pop(None), Some(HELP));
            seat.unblock();
            worker.publish(true);
            site.count_down();
            site.work(worker);
            if let Some(other) = added {
                other.join().unwrap();
            }
        })
    }

    /// A worker that has waited, and one that has worked in its stead; both are in the middle of a job, in a
    /// pool of one.
    fn one_too_many(&self) -> [Worker<usize>; 2] {
        let [mut first] = self.add_workers();
        assert!(first.try_next().is_some());
        let seat = first.seat();
        assert!(seat.block().is_none(), "nothing is queued");
        let mut second = self.submit(FIRST + 1).expect("the only worker waits");
        assert!(second.try_next().is_some());
        seat.unblock();
        [first, second]
    }
}

#[test]
fn a_job_that_meets_the_only_worker_on_its_way_to_wait_for_it_is_run() {
    preempted_at_most(3, || {
        let site = Site::new(1, None, 2);
        let [mut worker] = site.add_workers();
        assert!(worker.try_next().is_some());
        let waiting = site.start_one_that_waits(worker);
        if let Some(other) = site.submit(HELP) {
            site.work(other);
        }
        waiting.join().unwrap();
        site.each_ran_once([HELP]);
    });
}

#[test]
fn a_job_that_counts_on_one_that_becomes_a_spare_is_taken_by_one_that_sleeps() {
    preempted_at_most(2, || {
        let site = Site::new(2, None, 1);
        let [mut sleeper, mut waiter] = site.add_workers();
        assert!(sleeper.try_next().is_some() && waiter.try_next().is_some());
        let seat = waiter.seat();
        assert!(seat.block().is_none(), "nothing is queued");
        let mut spare = site.submit(FIRST + 2).expect("one waits and one is busy");
        assert!(spare.try_next().is_some());
        sleeper.publish(true);
        let sleeping = site.start(sleeper);
        seat.unblock();
        spare.publish(true);
        assert!(site.submit(0).is_none(), "two are free");
        site.work(spare);
        sleeping.join().unwrap();
        site.each_ran_once([0]);
    });
}

#[test]
fn a_job_that_is_waited_for_meets_a_spare_on_its_way_out() {
    preempted_at_most(2, || {
        let site = Site::new(1, None, 2);
        let [waiter, mut spare] = site.one_too_many();
        spare.publish(true);
        let threads = [site.start(spare), site.start_one_that_waits(waiter)];
        if let Some(other) = site.submit(HELP) {
            site.work(other);
        }
        join_all(threads);
        site.each_ran_once([HELP]);
    });
}

#[test]
fn a_close_that_meets_one_too_many_leaves_no_job_behind() {
    preempted_at_most(3, || {
        let site = Site::new(1, None, usize::MAX);
        let working = site.one_too_many().map(|mut worker| {
            worker.publish(true);
            site.start(worker)
        });
        assert!(site.submit(0).is_none(), "two are free");
        assert!(site.pool.close(false).is_empty());
        assert!(site.pool.wait_for_workers(None));
        site.each_ran_once([0]);
        join_all(working);
    });
}

#[test]
fn one_whose_stand_in_could_not_be_started_is_not_one_too_many() {
    exhaustive(|| {
        let site = Site::new(1, None, 1);
        let [mut worker] = site.add_workers();
        assert!(worker.try_next().is_some());
        assert!(site.submit(0).is_none());
        let seat = worker.seat();
        drop(seat.block().expect("a job is queued"));
        seat.unblock();
        worker.publish(true);
        site.work(worker);
        site.each_ran_once([0]);
    });
}
