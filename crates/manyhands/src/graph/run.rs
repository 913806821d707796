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

use super::node::{Cause, Outcome, Tasks, Value};
use super::plan::{Dependants, Plan};
use super::ready::{self, List, Ready};
use crate::crossing::{FunctionType, Remote};
use crate::errors::{BrokenExecutor, Exception, GraphError, Reason};
use crate::executor::Executor;
use crate::future::Future;
use crate::job::{self, Job, Leftover};
use crate::nested::graph::TaskId;
use crate::panic;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use crate::timer::Alarm;

/// How long a ticket runs before it gives way to others.
const TURN: Duration = Duration::from_millis(1);

/// How many tasks to run after the executor has given a ticket straight back, before the next try.
const PATIENCE: u32 = 64;

/// What is left after a run.
pub(super) struct Ended {
    pub(super) tasks: Tasks,
    pub(super) dependants: Dependants,
    pub(super) planned: Vec<bool>,
    /// Why not all has been run, if nothing failed.
    pub(super) stopped: Option<GraphError>,
}

/// Runs what is planned, and waits for the end.
#[track_caller]
pub(super) fn run<X: Executor + Clone + 'static>(
    executor: &X,
    tasks: Tasks,
    dependants: Dependants,
    plan: Plan,
) -> Ended {
    let count = plan.planned.iter().filter(|planned| **planned).count();
    let run = Arc::new(Run {
        tasks,
        dependants,
        planned: plan.planned,
        waits_for: plan.waits_for.into_iter().map(AtomicU32::new).collect(),
        needed_by: plan.needed_by.into_iter().map(AtomicU32::new).collect(),
        ready: Ready::new(plan.ready),
        left: AtomicUsize::new(count),
        queued: AtomicBool::new(false),
        watched: AtomicBool::new(false),
        watch: Mutex::new(None),
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
    // Nothing that is known to wait ends it, so it is in no deadlock.
    while tickets.all_ended.wait_before(None).is_err() {}
    let run = Arc::into_inner(run).expect("tickets let go of their run before they end");
    let broken = run.broken.lock().take();
    let stopped = (run.left.load(Ordering::Acquire) > 0).then(|| match (refused, broken) {
        (Some(reason), _) => GraphError::Refused(reason),
        (None, Some(broken)) => GraphError::Broken(broken),
        (None, None) => GraphError::Cancelled,
    });
    panic::drop_caught(run.executor);
    let Run { tasks, dependants, planned, .. } = run;
    Ended { tasks, dependants, planned, stopped }
}

/// What all tickets of a run share.
struct Run {
    tasks: Tasks,
    dependants: Dependants,
    planned: Vec<bool>,
    waits_for: Vec<AtomicU32>,
    needed_by: Vec<AtomicU32>,
    ready: Ready,
    /// How many have not been done.
    left: AtomicUsize,
    /// Whether a ticket waits in the executor's queue.
    queued: AtomicBool,
    /// Whether a timer is set that looks after what is left lying.
    watched: AtomicBool,
    watch: Mutex<Option<Alarm>>,
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
    /// Unless all have ended.
    fn begin_one(&self) -> bool {
        let one_more = |active: usize| (active > 0).then_some(active + 1);
        self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

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
    let local = run.ready.join();
    let mut turn_began = Instant::now();
    let mut began = turn_began;
    // Until it is known: long, so that nobody waits.
    let mut usual = TURN;
    let mut next = None;
    let mut patience = 0;
    let mut is_new = true;
    while let Some(index) = next.take().or_else(|| run.ready.take(&local, usual)) {
        // Who has just come calls the next for anything that lies anywhere; so they go on coming until
        // there is nothing left. From then on, each looks after what it makes ready itself.
        let ready = if is_new { usize::from(run.ready.is_any()) } else { run.ready.seen(&local) };
        is_new = false;
        patience = match call_help(run, tickets, ready, usual, patience == 0) {
            Called::Returned => PATIENCE,
            Called::NotNow => patience.saturating_sub(1),
        };
        local.begin(began, usual);
        let outcome = match &run.tasks.entries[index as usize].work {
            Some(work) => panic::catch(|| work(&run.tasks.entries)),
            None => unreachable!("what has no function is not planned"),
        };
        let ended = Instant::now();
        let took = ended - began;
        began = ended;
        usual = (usual + took) / 2;
        match outcome {
            Ok(Ok(value)) => next = run.done(index, value, took, &local),
            Ok(Err(cause)) => run.failed(index, cause, took),
            Err(panic) => {
                let exception: Exception<std::convert::Infallible> = Exception::Panic(panic);
                run.failed(index, Arc::new(exception), took);
            }
        }
        if ended - turn_began > TURN {
            turn_began = ended;
            // First, so that the next ticket finds it.
            run.ready.share(&local, next.take());
            if run.ready.is_any() && matches!(submit(run, tickets), Submitted::Queued) {
                break;
            }
        }
    }
    run.ready.leave(&local);
    // It may be that another will soon have done what lies there; but it may be at a long task.
    if run.ready.is_any() {
        look_after(run, tickets);
    }
}

enum Called {
    /// Nobody, or somebody is on the way.
    NotNow,
    /// The executor does not take any ticket.
    Returned,
}

/// Before a task begins while so many others are ready: submits a ticket, if they are worth another
/// worker and the executor `may` take it. If not, this worker will soon have done them, unless the task
/// takes its time: then a timer submits one.
fn call_help(
    run: &Arc<Run>,
    tickets: &Arc<Tickets>,
    ready: usize,
    usual: Duration,
    may: bool,
) -> Called {
    if ready == 0 || run.queued.load(Ordering::Relaxed) {
        return Called::NotNow;
    }
    if may && ready::is_worth_a_worker(ready, usual) {
        let called = !run.queued.swap(true, Ordering::Relaxed);
        if called && !matches!(submit(run, tickets), Submitted::Queued) {
            return Called::Returned;
        }
    } else {
        look_after(run, tickets);
    }
    Called::NotNow
}

/// Has a timer look after what is ready, if none does.
fn look_after(run: &Arc<Run>, tickets: &Arc<Tickets>) {
    if !run.watched.load(Ordering::Relaxed) && !run.watched.swap(true, Ordering::Relaxed) {
        watch(run, tickets);
    }
}

/// Sets a timer that calls help for what is ready then.
fn watch(run: &Arc<Run>, tickets: &Arc<Tickets>) {
    let (alarm, setting) = Alarm::after(TURN);
    let (weak, tickets) = (Arc::downgrade(run), Arc::clone(tickets));
    let before = run.watch.lock().replace(alarm);
    drop(before);
    setting.set(move || {
        // A ticket's place, so that the run does not end meanwhile.
        if !tickets.begin_one() {
            return;
        }
        if let Some(run) = weak.upgrade() {
            run.watched.store(false, Ordering::Relaxed);
            let wanted = run.ready.is_any() && !run.queued.swap(true, Ordering::Relaxed);
            if wanted && !matches!(submit(&run, &tickets), Submitted::Queued) {
                look_after(&run, &tickets);
            }
        }
        tickets.end_one();
    });
}

impl Run {
    /// The task is done; returns one that is ready now, if there is one.
    fn done(&self, index: u32, value: Value, took: Duration, local: &List) -> Option<u32> {
        let entry = &self.tasks.entries[index as usize];
        let before = std::mem::replace(&mut *entry.outcome.lock(), Outcome::done(value, took));
        if before.value.is_some() || before.cause.is_some() {
            panic::drop_caught(before);
        }
        self.left.fetch_sub(1, Ordering::AcqRel);
        for &dep in self.tasks.deps(index) {
            self.needed_once_less(dep);
        }
        let mut next = None;
        for &dependant in self.dependants.on(index) {
            if self.planned[dependant as usize]
                && self.waits_for[dependant as usize].fetch_sub(1, Ordering::AcqRel) == 1
            {
                local.put(next.replace(dependant));
            }
        }
        next
    }

    /// What depends on it is never ready, and keeps what else it needs for the next run.
    fn failed(&self, index: u32, cause: Cause, took: Duration) {
        let entry = &self.tasks.entries[index as usize];
        *entry.outcome.lock() = Outcome::failed(cause, took);
    }

    fn needed_once_less(&self, index: u32) {
        let entry = &self.tasks.entries[index as usize];
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

    fn id(&self) -> TaskId {
        std::ptr::from_ref(self).addr()
    }

    fn name(&self) -> &'static str {
        "tasks of a Graph"
    }

    fn set_pool(&self, _number: u32) {}
}
