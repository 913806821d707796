//! Carrying out a plan on an executor.
//!
//! A task of a graph is no job of its own. Jobs are *tickets*: whoever runs one takes tasks that are
//! ready, one after the other, as long as there are any; what a task makes ready, its worker goes on
//! with. When more is ready and no ticket waits in the executor's queue, another is submitted, so that as
//! many workers come as the executor has and the graph needs. A ticket that has run for [`TURN`] goes to
//! the end of the queue, behind what others have submitted.
//!
//! A run has ended when all its tickets have. Each lets go of the run before it says so; thus whoever
//! waits has it alone then, and takes the tasks out.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::node::{Cause, Entry, Outcome, Value};
use super::plan::{Dependants, Plan};
use crate::crossing::{FunctionType, Remote};
use crate::errors::{BrokenExecutor, Exception, GraphError, Reason};
use crate::executor::Executor;
use crate::future::Future;
use crate::job::{self, Job, Leftover};
use crate::panic;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// How long a ticket runs before it gives way to others.
const TURN: Duration = Duration::from_millis(1);

/// How many tasks to run after the executor has given a ticket straight back, before the next try.
const PATIENCE: u32 = 64;

/// What is left after a run.
pub(super) struct Ended {
    pub(super) entries: Vec<Entry>,
    pub(super) dependants: Dependants,
    pub(super) planned: Vec<bool>,
    /// Why not all has been run, if nothing failed.
    pub(super) stopped: Option<GraphError>,
}

/// Runs what is planned, and waits for the end.
#[track_caller]
pub(super) fn run<X: Executor + Clone + 'static>(
    executor: &X,
    entries: Vec<Entry>,
    dependants: Dependants,
    plan: Plan,
) -> Ended {
    let count = plan.planned.iter().filter(|planned| **planned).count();
    let run = Arc::new(Run {
        entries,
        dependants,
        planned: plan.planned,
        waits_for: plan.waits_for.into_iter().map(AtomicU32::new).collect(),
        needed_by: plan.needed_by.into_iter().map(AtomicU32::new).collect(),
        ready_count: AtomicUsize::new(plan.ready.len()),
        ready: Mutex::new(plan.ready),
        left: AtomicUsize::new(count),
        queued: AtomicBool::new(false),
        executor: Box::new(executor.clone()),
        broken: Mutex::new(None),
        place: Location::caller(),
    });
    let tickets = Arc::new(Tickets { active: AtomicUsize::new(1), all_ended: Future::new() });
    let mut refused = None;
    if count > 0 {
        match submit(&run, &tickets) {
            Submitted::Queued => (),
            Submitted::Returned => work(&run, &tickets),
            Submitted::Refused(reason) => refused = Some(reason),
        }
    }
    tickets.end_one();
    tickets.all_ended.wait_before(None);
    let run = Arc::into_inner(run).expect("tickets let go of their run before they end");
    let broken = run.broken.lock().take();
    let stopped = (run.left.load(Ordering::Acquire) > 0).then(|| match (refused, broken) {
        (Some(reason), _) => GraphError::Refused(reason),
        (None, Some(broken)) => GraphError::Broken(broken),
        (None, None) => GraphError::Cancelled,
    });
    panic::drop_caught(run.executor);
    let Run { entries, dependants, planned, .. } = run;
    Ended { entries, dependants, planned, stopped }
}

/// What all tickets of a run share.
struct Run {
    entries: Vec<Entry>,
    dependants: Dependants,
    planned: Vec<bool>,
    waits_for: Vec<AtomicU32>,
    needed_by: Vec<AtomicU32>,
    /// The newest last: it is taken first, while what it needs is warm.
    ready: Mutex<Vec<u32>>,
    /// Mirrors `ready`, for those who only look.
    ready_count: AtomicUsize,
    /// How many have not been done.
    left: AtomicUsize,
    /// Whether a ticket waits in the executor's queue.
    queued: AtomicBool,
    executor: Box<dyn Executor>,
    broken: Mutex<Option<BrokenExecutor>>,
    place: &'static Location<'static>,
}

/// The tickets that have not ended, and the thread that waits.
struct Tickets {
    active: AtomicUsize,
    all_ended: Future<()>,
}

impl Tickets {
    fn end_one(&self) {
        if self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            let ended = self.all_ended.set_result(());
            debug_assert!(ended.is_ok(), "there is one last ticket");
        }
    }
}

thread_local! {
    /// The run that this thread is submitting a ticket of.
    static SUBMITTING: Cell<usize> = const { Cell::new(0) };
}

enum Submitted {
    Queued,
    /// The executor ran it in this very thread, which is at work already.
    Returned,
    Refused(Reason),
}

/// Submits a ticket; `queued` is set.
fn submit(run: &Arc<Run>, tickets: &Arc<Tickets>) -> Submitted {
    tickets.active.fetch_add(1, Ordering::Relaxed);
    run.queued.store(true, Ordering::Relaxed);
    let returned = Arc::new(AtomicBool::new(false));
    let ticket = Ticket {
        run: Arc::clone(run),
        tickets: Arc::clone(tickets),
        returned: Arc::clone(&returned),
    };
    let before = SUBMITTING.replace(Arc::as_ptr(run).addr());
    let job = Job::new(Arc::new(ticket), run.place);
    let accepted = catch_unwind(AssertUnwindSafe(|| run.executor.execute(job)));
    SUBMITTING.set(before);
    match accepted {
        Ok(Err(refused)) => Submitted::Refused(refused.reason),
        Ok(Ok(())) if returned.load(Ordering::Relaxed) => Submitted::Returned,
        Ok(Ok(())) => Submitted::Queued,
        Err(_) => {
            log::error!("an executor has panicked when it was given tasks of a graph");
            Submitted::Returned
        }
    }
}

/// Takes tasks that are ready and runs them, until there are none or the turn is over.
fn work(run: &Arc<Run>, tickets: &Arc<Tickets>) {
    let mut turn_began = Instant::now();
    let mut began = turn_began;
    let mut next = None;
    let mut patience = 0;
    while let Some(index) = next.take().or_else(|| run.take_ready()) {
        if patience > 0 {
            patience -= 1;
        } else if run.needs_help() && !matches!(submit(run, tickets), Submitted::Queued) {
            patience = PATIENCE;
        }
        let entry = &run.entries[index as usize];
        let outcome = match &entry.work {
            Some(work) => panic::catch(|| work(&run.entries)),
            None => unreachable!("what has no function is not planned"),
        };
        let ended = Instant::now();
        let took = ended - began;
        began = ended;
        match outcome {
            Ok(Ok(value)) => next = run.done(index, value, took),
            Ok(Err(cause)) => run.failed(index, cause, took),
            Err(panic) => {
                let exception: Exception<std::convert::Infallible> = Exception::Panic(panic);
                run.failed(index, Arc::new(exception), took);
            }
        }
        if ended - turn_began > TURN {
            turn_began = ended;
            if let Some(next) = next.take() {
                run.put_ready([next]);
            }
            if run.ready_count.load(Ordering::Acquire) > 0
                && matches!(submit(run, tickets), Submitted::Queued)
            {
                return;
            }
        }
    }
}

impl Run {
    fn take_ready(&self) -> Option<u32> {
        if self.ready_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut ready = self.ready.lock();
        let index = ready.pop();
        self.ready_count.store(ready.len(), Ordering::Release);
        index
    }

    fn put_ready(&self, indices: impl IntoIterator<Item = u32>) {
        let mut ready = self.ready.lock();
        ready.extend(indices);
        self.ready_count.store(ready.len(), Ordering::Release);
    }

    /// Whether another ticket is to be submitted; whoever is told so has to do it.
    fn needs_help(&self) -> bool {
        self.ready_count.load(Ordering::Relaxed) > 0
            && !self.queued.load(Ordering::Relaxed)
            && !self.queued.swap(true, Ordering::Relaxed)
    }

    /// The task is done; returns one that is ready now, if there is one.
    fn done(&self, index: u32, value: Value, took: Duration) -> Option<u32> {
        let entry = &self.entries[index as usize];
        let before = std::mem::replace(&mut *entry.outcome.lock(), Outcome::done(value, took));
        panic::drop_caught(before);
        self.left.fetch_sub(1, Ordering::AcqRel);
        for &dep in &entry.deps {
            self.needed_once_less(dep);
        }
        let mut next = None;
        let mut others = Vec::new();
        for &dependant in self.dependants.on(index) {
            if self.planned[dependant as usize]
                && self.waits_for[dependant as usize].fetch_sub(1, Ordering::AcqRel) == 1
            {
                match next {
                    None => next = Some(dependant),
                    Some(_) => others.push(dependant),
                }
            }
        }
        if !others.is_empty() {
            self.put_ready(others);
        }
        next
    }

    /// What depends on it is never ready, and keeps what else it needs for the next run.
    fn failed(&self, index: u32, cause: Cause, took: Duration) {
        let entry = &self.entries[index as usize];
        *entry.outcome.lock() = Outcome::failed(cause, took);
    }

    fn needed_once_less(&self, index: u32) {
        let entry = &self.entries[index as usize];
        if self.needed_by[index as usize].fetch_sub(1, Ordering::AcqRel) == 1 && !entry.keep {
            let value = entry.outcome.lock().value.take();
            panic::drop_caught(value);
        }
    }
}

/// A job that takes part in a run.
struct Ticket {
    run: Arc<Run>,
    tickets: Arc<Tickets>,
    returned: Arc<AtomicBool>,
}

impl Ticket {
    fn end(self: Arc<Self>, before: impl FnOnce()) {
        // A job has its task alone.
        if let Some(Self { run, tickets, .. }) = Arc::into_inner(self) {
            drop(run);
            before();
            tickets.end_one();
        }
    }
}

impl job::Run for Ticket {
    fn run<'env>(self: Arc<Self>, publish: &mut dyn FnMut(bool)) -> Option<Leftover<'env>>
    where
        Self: 'env,
    {
        self.run.queued.store(false, Ordering::Relaxed);
        if SUBMITTING.get() == Arc::as_ptr(&self.run).addr() {
            self.returned.store(true, Ordering::Relaxed);
        } else {
            work(&self.run, &self.tickets);
        }
        self.end(|| publish(false));
        None
    }

    fn discard(self: Arc<Self>) {
        self.run.queued.store(false, Ordering::Relaxed);
        self.end(|| ());
    }

    fn fail(self: Arc<Self>, why: BrokenExecutor) {
        *self.run.broken.lock() = Some(why);
        self.discard();
    }

    fn remote(self: Arc<Self>) -> Option<Arc<dyn Remote>> {
        self.discard();
        None
    }

    fn function(&self) -> Option<FunctionType> {
        None
    }
}
