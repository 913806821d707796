//! Futures against a model: after any sequence of operations the same answers, the same callbacks,
//! the same wake-ups, in the same order.

#![cfg(not(loom))]

mod common;

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::watched;
use manyhands::{
    CompletionQueue, Exception, Executor, Future, FutureError, Job, Reason, Refused, ReturnWhen,
    State, ThreadPoolExecutor, as_completed, wait,
};
use proptest::prelude::*;

const FUTURES: usize = 3;

type Tested = Future<u8, u8>;

#[derive(Clone, Debug)]
enum Op {
    Cancel(usize),
    SetRunning(usize),
    SetResult(usize, u8),
    SetException(usize, u8),
    AddCallback(usize),
    Result(usize),
    Exception(usize),
    IntoResult(usize),
    /// So many polls, each by a new party or all by the same one.
    Poll(usize, u8, bool),
    Watch(usize),
    Wait,
    Push(usize),
    Next,
    /// The executor runs the oldest job it has kept, or drops it.
    RunJob,
    DropJob,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let future = || 0..FUTURES;
    let op = prop_oneof![
        2 => future().prop_map(Op::Cancel),
        2 => future().prop_map(Op::SetRunning),
        2 => (future(), any::<u8>()).prop_map(|(f, n)| Op::SetResult(f, n)),
        1 => (future(), any::<u8>()).prop_map(|(f, n)| Op::SetException(f, n)),
        4 => future().prop_map(Op::AddCallback),
        2 => future().prop_map(Op::Result),
        2 => future().prop_map(Op::Exception),
        1 => future().prop_map(Op::IntoResult),
        3 => (future(), 1..20_u8, any::<bool>()).prop_map(|(f, n, new)| Op::Poll(f, n, new)),
        2 => future().prop_map(Op::Watch),
        1 => Just(Op::Wait),
        3 => future().prop_map(Op::Push),
        3 => Just(Op::Next),
        2 => Just(Op::RunJob),
        1 => Just(Op::DropJob),
    ];
    prop::collection::vec(op, 1..60)
}

/// An operation's answer, as text: what both sides must say alike.
type Answer = String;

#[derive(Clone, Debug, PartialEq)]
enum Told {
    Callback(usize),
    Waker(usize),
}

// The model.

#[derive(Clone)]
enum Watcher {
    Told(Told),
    Queue,
}

struct ModelFuture {
    state: State,
    /// `None` once it has been moved out.
    outcome: Option<Result<u8, u8>>,
    /// Whether cancelling is all the notice that is needed, as the promise carries its job.
    has_job: bool,
    watchers: Vec<Watcher>,
}

struct Model {
    futures: Vec<ModelFuture>,
    /// The futures whose jobs the executor has.
    jobs: VecDeque<usize>,
    queue: VecDeque<usize>,
    queued: usize,
    told: Vec<Told>,
}

impl Model {
    fn new(has_job: bool) -> Self {
        let future =
            || ModelFuture { state: State::Pending, outcome: None, has_job, watchers: Vec::new() };
        Self {
            futures: (0..FUTURES).map(|_| future()).collect(),
            jobs: if has_job { (0..FUTURES).collect() } else { VecDeque::new() },
            queue: VecDeque::new(),
            queued: 0,
            told: Vec::new(),
        }
    }

    /// Tells those who need no notice; the queue too, when notice has been given.
    fn tell(&mut self, f: usize) {
        let notified = self.futures[f].state.is_notified();
        for watcher in std::mem::take(&mut self.futures[f].watchers) {
            match watcher {
                Watcher::Told(told) => self.told.push(told),
                Watcher::Queue if notified => self.queue.push_back(f),
                Watcher::Queue => self.futures[f].watchers.push(Watcher::Queue),
            }
        }
    }

    fn finish(&mut self, f: usize, outcome: Result<u8, u8>) -> bool {
        if self.futures[f].state.is_done() {
            return false;
        }
        self.futures[f].state = State::Finished;
        self.futures[f].outcome = Some(outcome);
        self.tell(f);
        true
    }

    fn cancel(&mut self, f: usize) -> bool {
        let future = &mut self.futures[f];
        if future.state == State::Pending {
            future.state =
                if future.has_job { State::CancelledAndNotified } else { State::Cancelled };
            self.tell(f);
        }
        matches!(self.futures[f].state, State::Cancelled | State::CancelledAndNotified)
    }

    fn result(&mut self, f: usize, take: bool) -> Answer {
        let future = &mut self.futures[f];
        match (future.state, future.outcome) {
            (State::Pending | State::Running, _) => "timed out".to_owned(),
            (State::Cancelled | State::CancelledAndNotified, _) => "cancelled".to_owned(),
            (State::Finished, None) => "taken".to_owned(),
            (State::Finished, Some(Err(error))) => format!("error {error}"),
            (State::Finished, Some(Ok(value))) => {
                if take {
                    future.outcome = None;
                }
                format!("value {value}")
            }
        }
    }

    fn poll(&mut self, f: usize, party: usize) -> Answer {
        if self.futures[f].state.is_done() {
            return self.result(f, true);
        }
        let watchers = &mut self.futures[f].watchers;
        watchers.retain(|w| !matches!(w, Watcher::Told(Told::Waker(p)) if *p == party));
        watchers.push(Watcher::Told(Told::Waker(party)));
        "pending".to_owned()
    }

    fn apply(&mut self, op: &Op, number: usize) -> Answer {
        match *op {
            Op::Cancel(f) => self.cancel(f).to_string(),
            Op::SetRunning(f) => match self.futures[f].state {
                State::Pending => {
                    self.futures[f].state = State::Running;
                    "run".to_owned()
                }
                State::Cancelled => {
                    self.futures[f].state = State::CancelledAndNotified;
                    self.tell(f);
                    "skip".to_owned()
                }
                state => format!("invalid in {state}"),
            },
            Op::SetResult(f, value) => self.set(f, Ok(value)),
            Op::SetException(f, error) => self.set(f, Err(error)),
            Op::AddCallback(f) => {
                let told = Told::Callback(number);
                if self.futures[f].state.is_done() {
                    self.told.push(told);
                } else {
                    self.futures[f].watchers.push(Watcher::Told(told));
                }
                String::new()
            }
            Op::Result(f) => self.result(f, false),
            Op::IntoResult(f) => self.result(f, true),
            Op::Exception(f) => match self.result(f, false) {
                answer if answer.starts_with("value") || answer == "taken" => "none".to_owned(),
                answer => answer,
            },
            Op::Poll(f, times, new) => (0..usize::from(times))
                .map(|n| self.poll(f, if new { 100 * (number + 1) + n } else { f }))
                .collect(),
            Op::Watch(f) => self.futures[f].state.is_notified().to_string(),
            Op::Wait => format!(
                "{:?}",
                self.futures.iter().map(|f| f.state.is_notified()).collect::<Vec<_>>()
            ),
            Op::Push(f) => {
                self.queued += 1;
                if self.futures[f].state.is_notified() {
                    self.queue.push_back(f);
                } else {
                    self.futures[f].watchers.push(Watcher::Queue);
                }
                String::new()
            }
            Op::Next => match self.queue.pop_front() {
                Some(f) => {
                    self.queued -= 1;
                    f.to_string()
                }
                None if self.queued == 0 => "empty".to_owned(),
                None => format!("{} left", self.queued),
            },
            Op::RunJob => {
                if let Some(f) = self.jobs.pop_front()
                    && self.futures[f].state == State::Pending
                {
                    self.finish(f, value_of(f));
                }
                String::new()
            }
            Op::DropJob => {
                if let Some(f) = self.jobs.pop_front() {
                    self.cancel(f);
                }
                String::new()
            }
        }
    }

    fn set(&mut self, f: usize, outcome: Result<u8, u8>) -> Answer {
        let state = self.futures[f].state;
        if self.finish(f, outcome) { "set".to_owned() } else { format!("invalid in {state}") }
    }
}

/// What the job of this future gives.
fn value_of(f: usize) -> Result<u8, u8> {
    let value = u8::try_from(f).unwrap();
    if f == 1 { Err(value) } else { Ok(value) }
}

// The futures themselves.

#[derive(Default)]
struct KeepsJobs(Mutex<VecDeque<Job<'static>>>);

impl Executor for KeepsJobs {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        self.0.lock().unwrap().push_back(job);
        Ok(())
    }

    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {
        unreachable!("{}", Reason::Shutdown)
    }
}

type Log = Arc<Mutex<Vec<Told>>>;

struct Party(usize, Log);

impl Wake for Party {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(Told::Waker(self.0));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Futures of no executor.
    Bare,
    /// Futures of tasks, run where the test runs.
    Tasks,
    /// Futures of tasks, run by a pool.
    PoolTasks,
}

struct Real {
    futures: Vec<Tested>,
    executor: KeepsJobs,
    pool: Option<ThreadPoolExecutor>,
    queue: CompletionQueue<u8, u8>,
    /// For each future, one who polls it again and again.
    regulars: Vec<Waker>,
    /// The handles of those who have polled once: a party is known by where its handle is.
    passers_by: Vec<Pin<Box<Tested>>>,
    told: Log,
}

impl Real {
    fn new(kind: Kind) -> Self {
        let has_job = kind != Kind::Bare;
        let pool = (kind == Kind::PoolTasks).then(|| ThreadPoolExecutor::new(1).unwrap());
        let executor = KeepsJobs::default();
        let future = |f| {
            if has_job { executor.try_spawn(move || value_of(f)).unwrap() } else { Future::new() }
        };
        let futures = (0..FUTURES).map(future).collect();
        let told = Log::default();
        let regulars =
            (0..FUTURES).map(|f| Waker::from(Arc::new(Party(f, Arc::clone(&told))))).collect();
        let (queue, passers_by) = (CompletionQueue::new(), Vec::new());
        Self { futures, executor, pool, queue, regulars, passers_by, told }
    }

    /// Runs the job to its very end, callbacks and all.
    fn run(&self, job: Job<'static>) {
        match &self.pool {
            None => job.run(),
            Some(pool) => {
                pool.execute(job).unwrap();
                // The only worker takes this one when it is through with the other.
                pool.spawn(|| ()).unwrap().result(None).unwrap();
            }
        }
    }

    fn poll(&mut self, f: usize, party: Option<usize>) -> Answer {
        let outcome = if let Some(party) = party {
            let waker = Waker::from(Arc::new(Party(party, Arc::clone(&self.told))));
            let mut handle = Box::pin(self.futures[f].clone());
            let outcome = handle.as_mut().poll(&mut Context::from_waker(&waker));
            self.passers_by.push(handle);
            outcome
        } else {
            Pin::new(&mut self.futures[f]).poll(&mut Context::from_waker(&self.regulars[f]))
        };
        match outcome {
            Poll::Pending => "pending".to_owned(),
            Poll::Ready(outcome) => answer(outcome),
        }
    }

    fn apply(&mut self, op: &Op, number: usize) -> Answer {
        let set = |outcome: Result<(), manyhands::InvalidState>| match outcome {
            Ok(()) => "set".to_owned(),
            Err(invalid) => format!("invalid in {}", invalid.state),
        };
        match *op {
            Op::Cancel(f) => self.futures[f].cancel().to_string(),
            Op::SetRunning(f) => match self.futures[f].set_running_or_notify_cancel() {
                Ok(true) => "run".to_owned(),
                Ok(false) => "skip".to_owned(),
                Err(invalid) => format!("invalid in {}", invalid.state),
            },
            Op::SetResult(f, value) => set(self.futures[f].set_result(value)),
            Op::SetException(f, error) => {
                set(self.futures[f].set_exception(Exception::Error(Arc::new(error))))
            }
            Op::AddCallback(f) => {
                let told = Arc::clone(&self.told);
                self.futures[f].add_done_callback(move |_| {
                    told.lock().unwrap().push(Told::Callback(number));
                });
                String::new()
            }
            Op::Result(f) => answer(self.futures[f].result(Duration::ZERO)),
            Op::IntoResult(f) => answer(self.futures[f].clone().into_result(Duration::ZERO)),
            Op::Exception(f) => match self.futures[f].exception(Duration::ZERO) {
                Ok(None) => "none".to_owned(),
                Ok(Some(exception)) => answer(Err(FutureError::Exception(exception))),
                Err(error) => answer(Err(error)),
            },
            Op::Poll(f, times, new) => (0..usize::from(times))
                .map(|n| self.poll(f, new.then_some(100 * (number + 1) + n)))
                .collect(),
            Op::Watch(f) => {
                let twice = [self.futures[f].clone(), self.futures[f].clone()];
                let mut completed = as_completed(twice, Duration::ZERO);
                let first = completed.next().unwrap();
                assert!(completed.next().is_none());
                first.is_ok_and(|future| future == self.futures[f]).to_string()
            }
            Op::Wait => {
                let sorted = wait(self.futures.clone(), Duration::ZERO, ReturnWhen::AllCompleted);
                assert_eq!(sorted.done.len() + sorted.not_done.len(), FUTURES);
                let done = self.futures.iter().map(|future| sorted.done.contains(future));
                format!("{:?}", done.collect::<Vec<_>>())
            }
            Op::Push(f) => {
                self.queue.push(self.futures[f].clone());
                String::new()
            }
            Op::Next => match self.queue.next(Duration::ZERO) {
                Ok(None) => "empty".to_owned(),
                Ok(Some(next)) => {
                    self.futures.iter().position(|future| *future == next).unwrap().to_string()
                }
                Err(unfinished) => format!("{} left", unfinished.unfinished),
            },
            Op::RunJob | Op::DropJob => {
                let job = self.executor.0.lock().unwrap().pop_front();
                match (job, op) {
                    (Some(job), Op::RunJob) => self.run(job),
                    (job, _) => drop(job),
                }
                String::new()
            }
        }
    }
}

fn answer(outcome: Result<u8, FutureError<u8>>) -> Answer {
    match outcome {
        Ok(value) => format!("value {value}"),
        Err(FutureError::TimedOut) => "timed out".to_owned(),
        Err(FutureError::Cancelled) => "cancelled".to_owned(),
        Err(FutureError::Taken) => "taken".to_owned(),
        Err(FutureError::Exception(Exception::Error(error))) => format!("error {error}"),
        Err(other) => format!("{other:?}"),
    }
}

fn compare(ops: &[Op], kind: Kind) -> Result<(), TestCaseError> {
    let (mut model, mut real) = (Model::new(kind != Kind::Bare), Real::new(kind));
    for (number, op) in ops.iter().enumerate() {
        let (expected, got) = (model.apply(op, number), real.apply(op, number));
        prop_assert_eq!(got, expected, "the answer to {}, {:?}", number, op);
        prop_assert_eq!(
            &*real.told.lock().unwrap(),
            &model.told,
            "told after {}, {:?}",
            number,
            op
        );
        for (future, expected) in real.futures.iter().zip(&model.futures) {
            prop_assert_eq!(future.state(), expected.state, "after {}, {:?}", number, op);
        }
        prop_assert_eq!(real.queue.len(), model.queued);
    }
    Ok(())
}

#[test]
fn bare_futures_do_what_the_model_does() {
    let _watched = watched();
    proptest!(|(ops in ops())| compare(&ops, Kind::Bare)?);
}

#[test]
fn futures_with_jobs_do_what_the_model_does() {
    let _watched = watched();
    proptest!(|(ops in ops())| compare(&ops, Kind::Tasks)?);
}

#[test]
fn futures_of_a_pool_do_what_the_model_does() {
    let _watched = watched();
    proptest!(|(ops in ops())| compare(&ops, Kind::PoolTasks)?);
}
