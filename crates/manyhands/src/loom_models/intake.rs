//! Models of the pool's intake: a job that is left there without the pool's lock is run or given back, and none
//! is taken in before another that was submitted before it.

use std::sync::{Arc, Mutex};

use loom::thread;

use super::pool::{FIRST, Site};
use super::preempted_at_most;
use crate::thread::pool::{Rejection, WhenFull, Worker};

/// A worker in the middle of a job, the first four jobs in the queue, and the first shard of the intake open.
fn crowded(jobs: usize) -> (Arc<Site>, Worker<usize>) {
    let site = Site::new(1, None, jobs);
    let [mut worker] = site.add_workers();
    assert_eq!(worker.try_next(), Some(FIRST));
    for job in 0..4 {
        submit(&site, 0, job).unwrap();
    }
    (site, worker)
}

fn submit(site: &Site, shard: usize, job: usize) -> Result<(), (usize, Rejection)> {
    let added = site.pool.submit_at(shard, job, WhenFull::WaitUntil(None))?;
    assert!(added.is_none(), "there is a worker, and there may be no other");
    Ok(())
}

#[test]
fn a_job_that_meets_a_worker_who_shuts_the_intake_is_taken() {
    preempted_at_most(3, || {
        let (site, worker) = crowded(5);
        let working = site.start(worker);
        submit(&site, 0, 4).unwrap();
        working.join().unwrap();
        site.each_ran_once(0..5);
    });
}

#[test]
fn jobs_in_two_shards_are_taken_in_the_order_of_their_submits() {
    preempted_at_most(3, || {
        let (site, mut worker) = crowded(usize::MAX);
        let order = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&order);
        let working = thread::spawn(move || {
            while let Some(job) = worker.next() {
                taken.lock().unwrap().push(job);
                worker.publish(true);
            }
        });
        // The third finds its own shard shut, and opens it.
        for (shard, job) in [(0, 4), (1, 5), (0, 6), (1, 7)] {
            submit(&site, shard, job).unwrap();
        }
        site.pool.close(false);
        working.join().unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    });
}

#[test]
fn a_job_that_meets_a_close_is_run_given_back_or_refused() {
    preempted_at_most(3, || {
        let (site, worker) = crowded(usize::MAX);
        let working = site.start(worker);
        let closing = {
            let site = Arc::clone(&site);
            thread::spawn(move || site.pool.close(true))
        };
        let refused = submit(&site, 0, 4).is_err();
        let given_back = closing.join().unwrap();
        working.join().unwrap();
        for job in 0..5 {
            let ends = [given_back.contains(&job), job == 4 && refused, site.times_run(job) == 1];
            assert_eq!(ends.iter().filter(|end| **end).count(), 1, "job {job}: {ends:?}");
        }
    });
}

#[test]
fn a_worker_that_waits_finds_somebody_for_what_was_left() {
    preempted_at_most(3, || {
        let (site, mut worker) = crowded(5);
        let seat = worker.seat();
        let submitting = {
            let site = Arc::clone(&site);
            thread::spawn(move || submit_or_start(&site))
        };
        let in_stead = seat.block().expect("one more works in its stead");
        let working = site.start(in_stead);
        submitting.join().unwrap();
        working.join().unwrap();
        seat.unblock();
        assert_eq!(worker.try_next(), None);
        site.each_ran_once(0..5);
    });
}

/// Once a worker waits, a job may find that there may be one more.
fn submit_or_start(site: &Arc<Site>) {
    let added = site.pool.submit_at(0, 4, WhenFull::WaitUntil(None)).unwrap();
    if let Some(worker) = added {
        site.start(worker).join().unwrap();
    }
}
