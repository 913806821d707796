//! How the nodes of a `Graph` run: the Rust host of the engine.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{
    Attendant, Dependants, Edges, Elsewhere, Event, Host, Performed, Place, Plan, Submitted, Ticket,
};
use super::node::{Cause, End, Entry, Outcome, Value, Work};
use crate::call_site::CallSite;
use crate::crossing::{FunctionType, Remote};
use crate::errors::{BrokenExecutor, Exception, GraphError};
use crate::executor::Executor;
use crate::job::{self, Job, Leftover};
use crate::nested::graph::TaskId;
use crate::nested::{self, Waiting};
use crate::panic;
use crate::sync::{Mutex, now};

/// What is left after a run.
pub(super) struct Ended {
    pub(super) entries: Vec<Entry>,
    pub(super) planned: Vec<bool>,
    /// Why not all has been run, if nothing failed.
    pub(super) stopped: Option<GraphError>,
}

/// Runs what is planned, and waits for the end.
#[track_caller]
pub(super) fn run<X: Executor + Clone + 'static>(
    executor: &X,
    entries: Vec<Entry>,
    edges: Arc<Edges>,
    dependants: Arc<Dependants>,
    plan: Plan,
) -> Ended {
    let host = RustHost {
        entries,
        executor: Box::new(executor.clone()),
        place: Location::caller(),
        away: Mutex::new(HashMap::new()),
        trouble: Arc::new(Mutex::new(None)),
    };
    let mut attendant = Attendant::new(host, edges, dependants, plan);
    attendant.start();
    loop {
        match next_event(&mut attendant) {
            Some(Event::Ended(number)) => {
                let away = attendant.run().host().away.lock().remove(&number);
                let Some(Away { index, place, began, outcome }) = away else { continue };
                let outcome = outcome.lock().take();
                let outcome = outcome.expect("a node leaves its number after what it has come to");
                attendant.ended(index, place, outcome, began.elapsed());
            }
            Some(Event::Work) => attendant.work(),
            Some(Event::AllEnded) => break,
            Some(Event::Stopped) | None => (),
        }
    }
    let is_done = attendant.run().is_done();
    let (RustHost { entries, executor, trouble, .. }, planned) = attendant.finish();
    panic::drop_caught(executor);
    let trouble = trouble.lock().take();
    let stopped = (!is_done).then(|| trouble.unwrap_or(GraphError::Cancelled));
    Ended { entries, planned, stopped }
}

/// What the thread is to see to next.
fn next_event(attendant: &mut Attendant<RustHost>) -> Option<Event> {
    if !nested::in_task() {
        return attendant.wait(None);
    }
    attendant.wait(Some(now())).or_else(|| {
        // Which pool runs the nodes is not known here: perhaps the one whose worker this is.
        let _waiting = Waiting::begin(true);
        attendant.wait(None)
    })
}

struct RustHost {
    entries: Vec<Entry>,
    executor: Box<dyn Executor>,
    place: &'static Location<'static>,
    /// The nodes that wait for a future, by their numbers.
    away: Mutex<HashMap<usize, Away>>,
    trouble: Arc<Mutex<Option<GraphError>>>,
}

struct Away {
    index: u32,
    place: Place,
    began: Instant,
    outcome: Arc<Mutex<Option<Result<Value, Cause>>>>,
}

impl Host for RustHost {
    type Outcome = Result<Value, Cause>;

    fn perform(&self, index: u32, elsewhere: Elsewhere<'_, Self>) -> Performed<Self::Outcome> {
        let performed = match &self.entries[index as usize].work {
            Some(Work::Value(work)) => panic::catch(|| work(&self.entries)),
            Some(Work::Future(work)) => {
                let end = self.send_away(index, &elsewhere);
                match panic::catch(|| work(&self.entries, end)) {
                    Ok(()) => return Performed::Elsewhere,
                    Err(panic) => {
                        self.away.lock().remove(&(index as usize));
                        Err(panic)
                    }
                }
            }
            None => unreachable!("what has no function is not planned"),
        };
        Performed::Here(performed.unwrap_or_else(|panic| {
            let exception: Exception<std::convert::Infallible> = Exception::Panic(panic);
            Err(Arc::new(exception) as Cause)
        }))
    }

    fn keep(&self, index: u32, outcome: Self::Outcome, took: Duration) -> bool {
        let (outcome, is_done) = match outcome {
            Ok(value) => (Outcome::done(value, took), true),
            Err(cause) => (Outcome::failed(cause, took), false),
        };
        let entry = &self.entries[index as usize];
        let before = std::mem::replace(&mut *entry.outcome.lock(), outcome);
        if before.value.is_some() || before.cause.is_some() {
            panic::drop_caught(before);
        }
        is_done
    }

    fn forget(&self, index: u32) {
        let entry = &self.entries[index as usize];
        if !entry.keep {
            let value = entry.outcome.lock().value.take();
            panic::drop_caught(value);
        }
    }

    fn submit(&self, ticket: Ticket<Self>) -> Submitted {
        let (place, trouble) = (self.place, Arc::clone(&self.trouble));
        let job = Job::new(Arc::new(TicketJob { ticket, place, trouble }));
        match catch_unwind(AssertUnwindSafe(|| self.executor.execute(job))) {
            Ok(Ok(())) => Submitted::Queued,
            Ok(Err(refused)) => {
                self.trouble.lock().get_or_insert(GraphError::Refused(refused.reason));
                Submitted::Refused
            }
            Err(_) => {
                log::error!("an executor has panicked when it was given tasks of a graph");
                Submitted::Here
            }
        }
    }
}

impl RustHost {
    fn send_away(&self, index: u32, elsewhere: &Elsewhere<'_, Self>) -> End {
        let (number, began) = (index as usize, Instant::now());
        let outcome = Arc::new(Mutex::new(None));
        let (place, events) = (elsewhere.place(), Arc::clone(elsewhere.events()));
        let away = Away { index, place, began, outcome: Arc::clone(&outcome) };
        self.away.lock().insert(number, away);
        Box::new(move |came_to| {
            *outcome.lock() = Some(came_to);
            events.push([number]);
        })
    }
}

/// A job that takes part in a run.
struct TicketJob {
    ticket: Ticket<RustHost>,
    /// Where the run was asked for.
    place: &'static Location<'static>,
    trouble: Arc<Mutex<Option<GraphError>>>,
}

impl job::Run for TicketJob {
    fn run<'env>(self: Arc<Self>, publish: &mut dyn FnMut(bool)) -> Option<Leftover<'env>>
    where
        Self: 'env,
    {
        let running = self.running(CallSite::of(self.place));
        // A job has its task alone.
        let job = Arc::into_inner(self)?;
        nested::run(running, || {
            let place = job.ticket.work();
            publish(false);
            drop(place);
        });
        None
    }

    fn discard(self: Arc<Self>) {}

    fn fail(self: Arc<Self>, why: BrokenExecutor) {
        *self.trouble.lock() = Some(GraphError::Broken(why));
    }

    fn remote(self: Arc<Self>) -> Option<Arc<dyn Remote>> {
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

    fn place(&self) -> Option<&'static Location<'static>> {
        Some(self.place)
    }

    fn set_pool(&self, _number: u32) {}
}
