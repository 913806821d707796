//! Models of [`Pool`]: every job that is accepted is run once or given back once, and nobody sleeps
//! while there is something to do.
//!
//! In most of them the worker that runs the last job closes the pool. So a job for which nobody
//! comes leaves everybody asleep, and loom reports a deadlock.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loom::thread::{self, JoinHandle};

use super::{exhaustive, join_all, preempted_at_most};
use crate::block::{Block, Claimed};
use crate::promise::{Promise, Watch};
use crate::ready::Ready;
use crate::thread::pool::{Joint, Pool, Rejection, WhenFull, Worker};

/// The numbers of jobs with which workers are broken in, before the model proper begins.
pub(super) const FIRST: usize = 100;

/// A job that ends only when job [`HELP`] runs at the same time.
const NEEDS_HELP: usize = 10;
pub(super) const HELP: usize = 11;

/// What a worker gets for a joint job.
const JOINT: usize = 12;

/// A joint job: two jobs, which the others need not know.
struct Pair(Block<std::vec::IntoIter<usize>, (), ()>);

impl Joint<usize> for Pair {
    fn left(&self) -> usize {
        self.0.left()
    }

    fn join(self: Arc<Self>) -> usize {
        JOINT
    }
}

/// A pool of numbered jobs, and what has become of them. What loom need not see are std's atomics:
/// they make no schedules of their own.
pub(super) struct Site {
    pub(super) pool: Pool<usize>,
    /// Jobs that are to be run before the pool is closed.
    left: AtomicUsize,
    ran: [AtomicUsize; 16],
    /// Set when nobody may run anything any more.
    over: AtomicBool,
    pub(super) help: Ready,
    pair: Arc<Pair>,
}

impl Site {
    pub(super) fn new(max_workers: usize, max_pending: Option<usize>, jobs: usize) -> Arc<Self> {
        let max_workers = NonZeroUsize::new(max_workers).unwrap();
        Arc::new(Self {
            pool: Pool::new(max_workers, max_pending.and_then(NonZeroUsize::new)),
            left: AtomicUsize::new(jobs),
            ran: Default::default(),
            over: AtomicBool::new(false),
            help: Ready::new(),
            pair: Arc::new(Pair(Block::new(vec![NEEDS_HELP, HELP]))),
        })
    }

    /// Submits jobs of no account; each calls for a worker.
    pub(super) fn add_workers<const N: usize>(&self) -> [Worker<usize>; N] {
        std::array::from_fn(|n| self.submit(FIRST + n).expect("a worker for each job"))
    }

    /// Workers that have run a job and want the next one.
    pub(super) fn break_in<const N: usize>(&self) -> [Worker<usize>; N] {
        let mut workers = self.add_workers();
        for worker in &mut workers {
            assert!(worker.try_next().is_some());
        }
        for worker in &mut workers {
            worker.publish(true);
        }
        workers
    }

    /// A worker in the middle of a job, with these jobs in its local queue. The clock stands still, so it
    /// takes its jobs to be of no length.
    fn with_local_queue(&self, jobs: impl IntoIterator<Item = usize>) -> Worker<usize> {
        let [mut worker] = self.add_workers();
        for job in [FIRST + 1].into_iter().chain(jobs) {
            // Those added for them leave at once.
            drop(self.submit(job));
        }
        assert_eq!(worker.try_next(), Some(FIRST), "taken alone");
        assert_eq!(worker.try_next(), Some(FIRST + 1), "and now all that is there");
        worker
    }

    #[track_caller]
    pub(super) fn submit(&self, job: usize) -> Option<Worker<usize>> {
        self.pool.submit(job, WhenFull::WaitUntil(None)).expect("the pool is open")
    }

    pub(super) fn run(&self, job: usize) {
        assert!(!self.over.load(Ordering::Relaxed), "job {job} after the end");
        match job {
            NEEDS_HELP => assert_eq!(self.help.pop(None), Some(HELP)),
            HELP => self.help.push([HELP]),
            _ => {}
        }
        self.ran[job].fetch_add(1, Ordering::Relaxed);
    }

    /// What the thread of a worker does.
    pub(super) fn work(&self, mut worker: Worker<usize>) {
        while let Some(job) = worker.next() {
            if job == JOINT {
                self.work_jointly(&mut worker);
            } else {
                self.run(job);
                worker.publish(true);
                self.count_down();
            }
        }
    }

    fn work_jointly(&self, worker: &mut Worker<usize>) {
        let block = &self.pair.0;
        let mut next = block.claim(());
        while let Some(Claimed { index, job, last }) = next {
            if last {
                worker.recount();
            }
            self.run(job);
            next = match block.finish_and_claim((), index, Ok(()), || worker.publish_one()) {
                Ok(another) => Some(another),
                Err(outcome) => {
                    block.tell(block.finish((), index, outcome, || worker.publish(true)).unwrap());
                    None
                }
            };
            self.count_down();
        }
    }

    pub(super) fn count_down(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.pool.close(false);
        }
    }

    fn submit_pair(&self) -> Option<Worker<usize>> {
        self.pool.submit_joint(Arc::clone(&self.pair) as _).expect("the pool is open")
    }

    pub(super) fn start(self: &Arc<Self>, worker: Worker<usize>) -> JoinHandle<()> {
        let site = Arc::clone(self);
        thread::spawn(move || site.work(worker))
    }

    #[track_caller]
    pub(super) fn each_ran_once(&self, jobs: impl IntoIterator<Item = usize>) {
        for job in jobs {
            assert_eq!(self.times_run(job), 1, "job {job} ran so many times");
        }
    }

    pub(super) fn times_run(&self, job: usize) -> usize {
        self.ran[job].load(Ordering::Relaxed)
    }
}

#[test]
fn a_job_that_meets_a_worker_on_its_way_to_sleep_is_taken() {
    exhaustive(|| {
        let site = Site::new(1, None, 1);
        let [worker] = site.break_in();
        let working = site.start(worker);
        assert!(site.submit(0).is_none());
        working.join().unwrap();
        site.each_ran_once([0]);
    });
}

#[test]
fn a_joint_job_gets_two_workers() {
    preempted_at_most(2, || {
        let site = Site::new(2, None, 2);
        let working = site.break_in::<2>().map(|worker| site.start(worker));
        assert!(site.submit_pair().is_none());
        join_all(working);
        site.each_ran_once([NEEDS_HELP, HELP]);
    });
}

#[test]
fn who_has_seen_the_end_of_a_joint_job_finds_its_worker_free() {
    exhaustive(|| {
        let site = Site::new(1, None, 3);
        let [worker] = site.break_in();
        site.help.push([HELP]);
        assert!(site.submit_pair().is_none());
        let working = site.start(worker);
        assert!(site.pair.0.awaited((), 1).wait(None));
        site.pool.set_max_workers(NonZeroUsize::new(2).unwrap());
        assert!(site.submit(0).is_none(), "added without need");
        working.join().unwrap();
        site.each_ran_once([0, NEEDS_HELP, HELP]);
    });
}

#[test]
fn a_worker_in_a_joint_job_comes_to_a_local_queue_whose_owner_is_held_up() {
    exhaustive(|| {
        let site = Site::new(2, None, usize::MAX);
        let _held_up = site.with_local_queue([0]);
        let mut worker = site.submit_pair().expect("nobody is free");
        let mut jobs = Vec::new();
        while !jobs.contains(&0) {
            jobs.extend(worker.try_next());
            assert!(jobs.contains(&0) || worker.may_have_to_help(), "it would stay in {jobs:?}");
        }
        assert_eq!(jobs[0], JOINT, "first come, first served, to begin with");
    });
}

#[test]
fn a_drain_that_meets_a_worker_in_a_joint_job_gives_back_what_is_left() {
    exhaustive(|| {
        let site = Site::new(1, None, usize::MAX);
        let [worker] = site.break_in();
        site.help.push([HELP]);
        assert!(site.submit_pair().is_none());
        let working = site.start(worker);
        let given_back = site.pool.close(true);
        let cancelled = if given_back.is_empty() { 0 } else { site.pair.0.cancel(()).len() };
        working.join().unwrap();
        assert_eq!(site.times_run(NEEDS_HELP) + site.times_run(HELP) + cancelled, 2);
    });
}

#[test]
fn two_jobs_get_two_workers() {
    preempted_at_most(2, || {
        let site = Site::new(2, None, 2);
        let working = site.break_in::<2>().map(|worker| site.start(worker));
        assert!(site.submit(NEEDS_HELP).is_none());
        assert!(site.submit(HELP).is_none());
        join_all(working);
        site.each_ran_once([NEEDS_HELP, HELP]);
    });
}

#[test]
fn two_jobs_get_two_workers_where_jobs_have_been_short() {
    preempted_at_most(2, || {
        let site = Site::new(2, None, 2);
        let mut quick = site.with_local_queue([]);
        let [mut other] = site.add_workers();
        assert!(other.try_next().is_some());
        other.publish(true);
        quick.publish(true);
        let working = [quick, other].map(|worker| site.start(worker));
        assert!(site.submit(NEEDS_HELP).is_none());
        assert!(site.submit(HELP).is_none());
        join_all(working);
        site.each_ran_once([NEEDS_HELP, HELP]);
    });
}

#[test]
fn a_job_in_the_local_queue_of_a_worker_that_is_held_up_is_taken_by_another() {
    preempted_at_most(3, || {
        let site = Site::new(2, None, 3);
        let held_up = site.with_local_queue([NEEDS_HELP, HELP]);
        let working = site.start(held_up);
        site.work(site.submit(0).expect("nobody is free"));
        working.join().unwrap();
        site.each_ran_once([0, NEEDS_HELP, HELP]);
    });
}

#[test]
fn a_close_that_meets_workers_on_their_way_to_sleep_sends_them_home() {
    preempted_at_most(3, || {
        let site = Site::new(2, None, 0);
        let working = site.break_in::<2>().map(|worker| site.start(worker));
        assert!(site.pool.close(false).is_empty());
        assert!(site.pool.wait_for_workers(None));
        join_all(working);
    });
}

#[test]
fn a_submit_that_meets_a_close_is_refused_or_its_job_is_run_before_the_end() {
    preempted_at_most(3, || {
        let site = Site::new(1, None, usize::MAX);
        let [worker] = site.break_in();
        let working = site.start(worker);
        let closing = {
            let site = Arc::clone(&site);
            thread::spawn(move || {
                site.pool.close(false);
                site.pool.wait_for_workers(None);
                site.over.store(true, Ordering::Relaxed);
            })
        };
        let refused = match site.pool.submit(0, WhenFull::Refuse) {
            Ok(None) => false,
            Ok(Some(worker)) => {
                site.work(worker);
                false
            }
            Err((job, rejection)) => {
                assert_eq!((job, rejection), (0, Rejection::Closed));
                true
            }
        };
        closing.join().unwrap();
        working.join().unwrap();
        assert_eq!(site.times_run(0), usize::from(!refused));
    });
}

#[test]
fn a_drain_that_meets_a_take_leaves_nothing_behind() {
    exhaustive(|| {
        let site = Site::new(1, None, usize::MAX);
        let mut worker = site.with_local_queue([0, 1]);
        assert!(site.submit(2).is_none());
        let working = {
            let site = Arc::clone(&site);
            thread::spawn(move || {
                loop {
                    let late = site.over.load(Ordering::Relaxed);
                    let Some(job) = worker.next() else { break };
                    assert!(!late, "job {job} was left to be begun");
                    site.ran[job].fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let given_back = site.pool.close(true);
        site.over.store(true, Ordering::Relaxed);
        working.join().unwrap();
        assert!(given_back.is_sorted(), "oldest first: {given_back:?}");
        for job in 0..3 {
            let given_back = usize::from(given_back.contains(&job));
            assert_eq!(site.times_run(job) + given_back, 1, "job {job}");
        }
    });
}

#[test]
fn a_submit_that_meets_a_worker_being_freed_is_served() {
    preempted_at_most(3, || {
        let site = Site::new(2, None, 1);
        let [mut worker] = site.add_workers();
        assert!(worker.try_next().is_some());
        let working = {
            let site = Arc::clone(&site);
            thread::spawn(move || {
                worker.publish(true);
                site.work(worker);
            })
        };
        // Whether another is added depends on who comes first.
        if let Some(another) = site.submit(0) {
            site.work(another);
        }
        working.join().unwrap();
        site.each_ran_once([0]);
    });
}

#[test]
fn who_has_seen_an_outcome_finds_its_worker_free() {
    struct Nobody;
    impl Watch for Nobody {
        fn waits_for_notice(&self) -> bool {
            false
        }
    }
    exhaustive(|| {
        let site = Site::new(2, None, 1);
        let task = Arc::new(Promise::<(), (), (), Nobody>::new(None));
        let [mut worker] = site.add_workers();
        assert!(worker.try_next().is_some());
        let working = {
            let (site, task) = (Arc::clone(&site), Arc::clone(&task));
            thread::spawn(move || {
                assert!(task.finish(Ok(()), |last| worker.publish(last)).is_ok());
                site.work(worker);
            })
        };
        task.wait(None);
        assert!(site.submit(0).is_none(), "added without need");
        working.join().unwrap();
        site.each_ran_once([0]);
    });
}

#[test]
fn a_job_that_counts_on_a_worker_that_gets_busy_finds_another() {
    exhaustive(|| {
        let site = Site::new(2, None, 1);
        let [mut worker] = site.add_workers();
        assert!(worker.try_next().is_some());
        let busy = {
            let site = Arc::clone(&site);
            thread::spawn(move || {
                worker.publish(true);
                if let Some(other) = worker.set_busy() {
                    site.work(other);
                }
                // As if it dropped a value that waits for the job.
                assert_eq!(site.help.pop(None), Some(HELP));
            })
        };
        if let Some(other) = site.submit(HELP) {
            site.work(other);
        }
        busy.join().unwrap();
        site.each_ran_once([HELP]);
    });
}

#[test]
fn a_worker_that_has_not_started_yet_keeps_no_job_from_one_that_sleeps() {
    exhaustive(|| {
        let site = Site::new(2, None, 1);
        let [mut worker, starting] = site.add_workers();
        for _ in 0..2 {
            assert!(worker.try_next().is_some());
            worker.publish(true);
        }
        let working = site.start(worker);
        assert!(site.submit(0).is_none());
        working.join().unwrap();
        drop(starting);
        site.each_ran_once([0]);
    });
}

#[test]
fn a_worker_that_leaves_gives_back_what_is_in_its_local_queue() {
    exhaustive(|| {
        let site = Site::new(2, None, 3);
        let leaver = site.with_local_queue([0, 1]);
        let leaving = thread::spawn(move || drop(leaver));
        site.work(site.submit(2).expect("nobody is free"));
        leaving.join().unwrap();
        site.each_ran_once([0, 1, 2]);
    });
}

#[test]
fn one_who_waits_for_room_gets_it_from_a_take() {
    exhaustive(|| {
        let site = Site::new(1, Some(1), 2);
        let [worker] = site.break_in();
        let working = site.start(worker);
        assert!(site.submit(0).is_none());
        assert!(site.submit(1).is_none());
        working.join().unwrap();
        site.each_ran_once([0, 1]);
    });
}

#[test]
fn one_who_waits_for_room_is_refused_by_a_close() {
    exhaustive(|| {
        let site = Site::new(1, Some(1), usize::MAX);
        let _worker = site.break_in::<1>();
        assert!(site.submit(0).is_none());
        let closing = {
            let site = Arc::clone(&site);
            thread::spawn(move || site.pool.close(true))
        };
        let refused = site.pool.submit(1, WhenFull::WaitUntil(None));
        assert_eq!(refused.unwrap_err(), (1, Rejection::Closed));
        assert_eq!(closing.join().unwrap(), [0]);
    });
}

#[test]
fn one_who_waits_for_room_gets_it_when_the_only_thread_could_not_start() {
    exhaustive(|| {
        let site = Site::new(1, Some(1), usize::MAX);
        let [worker] = site.add_workers();
        let failing = {
            let site = Arc::clone(&site);
            thread::spawn(move || {
                drop(worker);
                assert_eq!(site.pool.drain_if_no_workers(), [FIRST]);
            })
        };
        site.pool.submit(1, WhenFull::WaitUntil(None)).unwrap();
        failing.join().unwrap();
    });
}
