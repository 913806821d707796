//! What holds for every executor: those of the crate, and those that a user writes.

#![cfg(not(loom))]

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use common::{Counter, PLANNED, block_on, watched};
use manyhands::{
    BrokenThreadPool, Exception, Executor, Future, FutureError, InlineExecutor, Job, Reason,
    Refused, ReturnWhen, State, ThreadPoolExecutor, as_completed, wait,
};

/// Keeps jobs and runs them, in order, when more than `most` are kept, or at shutdown.
struct Delayed {
    most: usize,
    jobs: Mutex<Option<VecDeque<Job<'static>>>>,
    taken: AtomicUsize,
}

impl Delayed {
    fn new(most: usize) -> Self {
        Self { most, jobs: Mutex::new(Some(VecDeque::new())), taken: AtomicUsize::new(0) }
    }
}

impl Executor for Delayed {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        let mut jobs = self.jobs.lock().unwrap();
        let Some(kept) = &mut *jobs else {
            return Err(Refused { reason: Reason::Shutdown, task: job });
        };
        self.taken.fetch_add(1, Ordering::SeqCst);
        kept.push_back(job);
        let due = if kept.len() > self.most { kept.pop_front() } else { None };
        drop(jobs);
        if let Some(job) = due {
            job.run();
        }
        Ok(())
    }

    fn shutdown(&self, _wait: bool, cancel_futures: bool) {
        for job in self.jobs.lock().unwrap().take().into_iter().flatten() {
            if cancel_futures { drop(job) } else { job.run() }
        }
    }
}

struct RefusesAll;

impl Executor for RefusesAll {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        Err(Refused { reason: Reason::Full { max_pending: 0 }, task: job })
    }

    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
}

struct DropsAll;

impl Executor for DropsAll {
    fn execute(&self, _job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        Ok(())
    }

    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
}

struct FailsAll;

impl Executor for FailsAll {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        job.fail(BrokenThreadPool { reason: "out of order".to_owned().into() }.into());
        Ok(())
    }

    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
}

/// Runs the job and says that it refuses it, by giving another one back.
struct Lies;

impl Executor for Lies {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        job.run();
        Err(Refused { reason: Reason::Shutdown, task: spare_job() })
    }

    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
}

fn spare_job() -> Job<'static> {
    let spare = Delayed::new(1);
    drop(spare.spawn(|| ()).unwrap());
    let jobs = spare.jobs.into_inner().unwrap();
    jobs.into_iter().flatten().next().unwrap()
}

/// A thread for each job.
struct ThreadEach;

impl Executor for ThreadEach {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        std::thread::spawn(move || job.run());
        Ok(())
    }

    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
}

/// What every executor that runs its tasks has in common.
fn common_behaviour(executor: &impl Executor) {
    let power = executor.submit(u32::pow, (2, 5)).unwrap();
    let parsed = executor.try_submit(str::parse::<u8>, ("x",)).unwrap();
    let closure = executor.spawn(|| 6).unwrap();
    let tried = executor.try_spawn(|| Ok::<_, String>(7)).unwrap();
    let panicked = executor.spawn(|| panic!("{PLANNED}common")).unwrap();
    let panicked: Future<()> = panicked;
    let (sender, told) = mpsc::channel();
    power.add_done_callback(move |power| sender.send(power.result(None).unwrap()).unwrap());
    // Enough to push those before out of an executor that keeps a few.
    let later: Vec<_> = (0..20).map(|n| executor.spawn(move || n).unwrap()).collect();

    assert_eq!(power.result(None).unwrap(), 32);
    assert_eq!(told.recv().unwrap(), 32);
    assert!(matches!(parsed.exception(None).unwrap(), Some(Exception::Error(_))));
    assert_eq!(closure.clone().into_result(None).unwrap(), 6);
    assert!(matches!(closure.result(None), Err(FutureError::Taken)));
    assert_eq!(block_on(tried).unwrap(), 7);
    assert!(matches!(panicked.exception(None).unwrap(), Some(Exception::Panic(_))));
    assert!(!power.cancel());
    let early = later[..10].to_vec();
    assert!(wait(early.clone(), None, ReturnWhen::AllCompleted).not_done.is_empty());
    assert_eq!(as_completed(early, None).map(Result::unwrap).count(), 10);

    executor.shutdown(true, false);
    assert!(later.iter().map(|future| future.result(None).unwrap()).eq(0..20));
    let refused = executor.submit(u32::pow, (2, 5)).unwrap_err();
    assert_eq!((refused.reason, refused.task.1), (Reason::Shutdown, (2, 5)));
    let mut map = executor.map(|n: u32| n, [1]);
    assert!(matches!(map.next(), Some(Err(FutureError::Refused(Reason::Shutdown)))));
    executor.shutdown(true, true);
}

/// Maps and lists need an executor that ends what it has without being asked.
fn composite_behaviour(executor: &impl Executor) {
    assert!(executor.map(|n: u32| n * n, 0..50).map(Result::unwrap).eq((0..50).map(|n| n * n)));
    let mut sums: Vec<_> = executor
        .starmap(|a: i32, b: i32| a + b, std::iter::zip([1, 2], [10, 20]))
        .unordered()
        .map(Result::unwrap)
        .collect();
    sums.sort_unstable();
    assert_eq!(sums, [11, 22]);
    let calls = ["1", "x"].map(|text| move || text.parse::<u8>());
    let list = executor.run_to_futures(calls, None, ReturnWhen::AllCompleted).unwrap();
    assert!(list.has_successful_futures() && list.has_exception_futures());
    let results = executor.run_to_results(["1", "2"].map(|text| move || text.parse::<u8>()), None);
    assert!(results.unwrap().map(Result::unwrap).eq([1, 2]));
}

#[test]
fn all_behave_alike() {
    let _watched = watched();
    let (inline, one) = (InlineExecutor::new(), ThreadPoolExecutor::new(1).unwrap());
    let (four, immediate) = (ThreadPoolExecutor::new(4).unwrap(), Delayed::new(0));
    composite_behaviour(&inline);
    composite_behaviour(&one);
    composite_behaviour(&four);
    composite_behaviour(&immediate);
    common_behaviour(&inline);
    common_behaviour(&one);
    common_behaviour(&four);
    common_behaviour(&immediate);
    common_behaviour(&Delayed::new(7));
}

#[test]
fn through_pointers_and_as_objects_too() {
    let _watched = watched();
    let boxed: Box<dyn Executor> = Box::new(ThreadPoolExecutor::new(2).unwrap());
    let shared: Arc<dyn Executor> = Arc::new(InlineExecutor::new());
    let delayed = Delayed::new(3);
    let object: &dyn Executor = &delayed;
    composite_behaviour(&boxed);
    composite_behaviour(&shared);
    common_behaviour(&boxed);
    common_behaviour(&shared);
    common_behaviour(&object);
    assert!(delayed.taken.load(Ordering::SeqCst) >= 25);
    common_behaviour(&Box::new(Arc::new(InlineExecutor::new())));
    let executors: Vec<Box<dyn Executor>> =
        vec![Box::new(InlineExecutor::new()), Box::new(ThreadPoolExecutor::new(1).unwrap())];
    let sum: i32 = executors.iter().map(|x| x.spawn(|| 2).unwrap().result(None).unwrap()).sum();
    assert_eq!(sum, 4);
}

#[test]
fn an_inline_future_is_done_at_once() {
    let _watched = watched();
    let inline = InlineExecutor::default();
    let mut order = inline.map(|n: u32| n, 0..3);
    assert_eq!(order.next().unwrap().unwrap(), 0);
    let future = inline.spawn(|| std::thread::current().id()).unwrap();
    assert!(future.done() && !future.running() && !future.cancel());
    assert_eq!(future.result(None).unwrap(), std::thread::current().id());
}

#[test]
fn a_kept_task_can_be_cancelled_and_is_not_run() {
    let _watched = watched();
    let (delayed, counter, ran) = (Delayed::new(100), Counter::new(), Counter::new());
    let values: Vec<_> = (0..3).map(|_| (counter.value(), ran.clone())).collect();
    let futures: Vec<_> = values
        .into_iter()
        .map(|(value, ran)| delayed.spawn(move || (value, ran.value())).unwrap())
        .collect();
    assert!(futures.iter().all(|future| future.state() == State::Pending));
    assert!(futures[1].cancel());
    assert_eq!(counter.alive(), 2);
    assert_eq!(wait([futures[1].clone()], None, ReturnWhen::AllCompleted).done.len(), 1);
    delayed.shutdown(false, false);
    assert_eq!(ran.alive(), 2);
    assert!(futures[0].result(None).is_ok() && futures[1].cancelled());
}

#[test]
fn a_kept_job_knows_its_place_until_it_has_an_outcome() {
    let _watchdog = watched();
    let delayed = Delayed::new(2);
    let line = line!() + 1;
    let (cancelled, ended) = (delayed.spawn(|| 1).unwrap(), delayed.spawn(|| 2).unwrap());
    let place = |index: usize| delayed.jobs.lock().unwrap().as_ref().unwrap()[index].place();
    for index in [0, 1] {
        let known = place(index).expect("it is pending");
        assert_eq!((known.file(), known.line()), (file!(), line));
    }
    assert!(cancelled.cancel());
    ended.set_result(5).unwrap();
    assert_eq!(place(0).map(std::panic::Location::line), Some(line));
    assert_eq!(place(1), None);
}

#[test]
fn a_shutdown_that_cancels_drops_the_jobs_and_so_cancels_them() {
    let _watched = watched();
    let delayed = Delayed::new(100);
    let futures: Vec<_> = (0..3).map(|n| delayed.spawn(move || n).unwrap()).collect();
    delayed.shutdown(true, true);
    assert!(futures.iter().all(|future| future.state() == State::CancelledAndNotified));
}

#[test]
fn what_is_refused_comes_back() {
    let _watched = watched();
    let counter = Counter::new();
    let value = counter.value();
    let refused = RefusesAll.spawn(move || value).unwrap_err();
    assert_eq!(refused.reason, Reason::Full { max_pending: 0 });
    assert_eq!(counter.alive(), 1);
    drop((refused.task)());
    assert_eq!(counter.alive(), 0);
    assert_eq!(RefusesAll.submit(u8::pow, (2, 3)).unwrap_err().task.1, (2, 3));
    assert!(RefusesAll.map(|n: u8| n, [1, 2]).next().unwrap().is_err());
    let calls = ["1"].map(|text| move || text.parse::<u8>());
    let refused = RefusesAll.run_to_futures(calls, None, ReturnWhen::AllCompleted).unwrap_err();
    assert_eq!((refused.task)(), Ok(1));
    assert!(RefusesAll.run_to_results(calls, None).is_err());
}

#[test]
fn what_is_dropped_is_cancelled() {
    let _watched = watched();
    let counter = Counter::new();
    let value = counter.value();
    let future = DropsAll.spawn(move || value).unwrap();
    assert_eq!((future.state(), counter.alive()), (State::CancelledAndNotified, 0));
    assert!(matches!(future.result(None).map(drop), Err(FutureError::Cancelled)));
    let mut map = DropsAll.map(|n: u8| n, [1, 2]);
    assert!(matches!(map.next(), Some(Err(FutureError::Cancelled))));
    assert!(map.next().is_none());
    let calls = ["1", "2"].map(|text| move || text.parse::<u8>());
    let list = DropsAll.run_to_futures(calls, None, ReturnWhen::AllCompleted).unwrap();
    assert_eq!(list.cancelled_futures().count(), 2);
}

#[test]
fn what_fails_says_why() {
    let _watched = watched();
    let future = FailsAll.spawn(|| 1).unwrap();
    assert!(matches!(future.exception(None).unwrap(), Some(Exception::Broken(_))));
    let text = future.result(None).unwrap_err().to_string();
    assert_eq!(text, "the thread pool cannot run the task: out of order");
    let mut map = FailsAll.map(|n: u8| n, [1, 2]);
    assert!(matches!(map.next(), Some(Err(FutureError::Exception(Exception::Broken(_))))));
}

#[test]
fn a_task_that_has_run_is_not_refused_whatever_the_executor_says() {
    let _watched = watched();
    assert_eq!(Lies.spawn(|| 1).unwrap().result(None).unwrap(), 1);
}

#[test]
fn a_job_is_run_where_its_executor_likes() {
    let _watched = watched();
    composite_behaviour(&ThreadEach);
    let here = std::thread::current().id();
    let there = ThreadEach.spawn(|| std::thread::current().id()).unwrap();
    assert_ne!(there.result(None).unwrap(), here);
}
