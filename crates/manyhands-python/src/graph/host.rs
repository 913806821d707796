//! How the tasks of a graph run in Python: the host of the engine's graph.
//!
//! On a `ThreadPoolExecutor` of ours, tickets go into its queue beside other jobs, and a worker runs many
//! tasks while it is attached. To any other executor each task is submitted for itself, and the thread that
//! waits for the graph hears of its end.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use manyhands::graph::engine::{self, Edges, Elsewhere, Performed, Place, Submitted};
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;

use super::arguments::Values;
use super::node::{self, Entry, Work};
use crate::awaited::Awaited;
use crate::job::Job;
use crate::pool::PyThreadPoolExecutor;
use crate::stdlib;
use crate::task::Outcome;
use crate::worker;
use crate::workers::Workers;

thread_local! {
    /// The number of the graph of which this thread runs a task; 0 for none.
    static PERFORMING: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread runs a task of the graph.
pub(super) fn is_performing(graph: u32) -> bool {
    PERFORMING.get() == graph
}

pub(crate) type Ticket = engine::Ticket<Host>;

pub(crate) struct Host {
    /// The number of the graph.
    graph: u32,
    pub(super) entries: Arc<Vec<Entry>>,
    edges: Arc<Edges>,
    on: On,
    /// The thread that waits, and runs what nobody else does.
    attendant: ThreadId,
    /// Whether that thread is a worker of the pool that the graph runs on.
    waits_in_a_worker: bool,
    /// The tasks that run elsewhere, by their numbers.
    away: Mutex<HashMap<usize, Away>>,
    /// The tickets that were put into the queue of a pool that the attendant is a worker of: it may be all the
    /// workers there are.
    own_queue: Mutex<Vec<Arc<TicketJob>>>,
    /// Why it was stopped.
    raised: Mutex<Option<PyErr>>,
}

/// What a graph runs on.
pub(super) enum On {
    /// Nothing but the thread that waits for it.
    Here,
    /// A pool of ours, and the context that tasks run in copies of.
    Threads(Arc<Workers>, Option<Py<PyAny>>),
    Executor(Py<PyAny>),
}

impl On {
    /// A pool of ours.
    pub(super) fn threads(py: Python<'_>, pool: &PyThreadPoolExecutor) -> PyResult<Self> {
        let workers = pool.workers()?;
        let context = if workers.copy_context {
            Some(stdlib::COPY_CONTEXT.get(py)?.call0()?.unbind())
        } else {
            None
        };
        Ok(Self::Threads(Arc::clone(workers), context))
    }
}

/// A task that runs elsewhere.
pub(super) struct Away {
    pub(super) index: u32,
    pub(super) place: Place,
    pub(super) began: Instant,
    pub(super) future: Py<PyAny>,
}

impl engine::Host for Host {
    type Outcome = Outcome;

    fn perform(&self, index: u32, elsewhere: Elsewhere<'_, Self>) -> Performed<Outcome> {
        Python::attach(|py| {
            let Some(work) = &self.entries[index as usize].work else {
                unreachable!("what has no function is not planned")
            };
            let values = Values { entries: &self.entries, deps: self.edges.of(index) };
            let context = match (&work.executor, &self.on) {
                (Some(executor), _) => {
                    let began = Instant::now();
                    let submitted = submit(py, executor, work, &values);
                    return self.send_away(py, index, &elsewhere, began, submitted);
                }
                (None, On::Executor(executor)) => {
                    let began = Instant::now();
                    let submitted = submit(py, executor, work, &values);
                    if let Err(refused) = submitted {
                        // It takes nothing more, so nothing more is to be tried, and this was not run.
                        self.raise(refused);
                        elsewhere.stop();
                        return Performed::Elsewhere;
                    }
                    return self.send_away(py, index, &elsewhere, began, submitted);
                }
                (None, On::Here) => None,
                (None, On::Threads(_, context)) => context.as_ref(),
            };
            let before = PERFORMING.replace(self.graph);
            let outcome = values.call(py, work, context);
            PERFORMING.set(before);
            if let Err(exception) = &outcome
                && !exception.bind(py).is_instance_of::<PyException>()
                && self.attendant == thread::current().id()
            {
                // Ctrl-C, and what else ends a program, ends it in its own thread.
                self.raise(PyErr::from_value(exception.bind(py).clone()));
                elsewhere.stop();
            }
            Performed::Here(outcome)
        })
    }

    fn keep(&self, index: u32, outcome: Outcome, took: Duration) -> bool {
        let is_done = outcome.is_ok();
        self.entries[index as usize].set(match outcome {
            Ok(value) => node::Outcome::done(value, took),
            Err(exception) => node::Outcome::failed(exception, took),
        });
        is_done
    }

    fn forget(&self, index: u32) {
        self.entries[index as usize].forget();
    }

    fn submit(&self, ticket: Ticket) -> Submitted {
        let On::Threads(workers, _) = &self.on else { return Submitted::Here };
        Python::attach(|py| {
            let job = Arc::new(TicketJob(Mutex::new(Some(ticket))));
            if self.waits_in_a_worker {
                self.own_queue().push(Arc::clone(&job));
            }
            match workers.add(py, Job::Ticket(job)) {
                Ok(()) => Submitted::Queued,
                Err(refused) => {
                    self.raise(refused);
                    Submitted::Refused
                }
            }
        })
    }

    fn has_workers(&self) -> bool {
        matches!(self.on, On::Threads(..))
    }
}

impl Host {
    pub(super) fn new(graph: u32, entries: Arc<Vec<Entry>>, edges: Arc<Edges>, on: On) -> Self {
        let waits_in_a_worker = match &on {
            On::Threads(workers, _) => worker::is_current(workers.number),
            On::Here | On::Executor(_) => false,
        };
        Self {
            graph,
            entries,
            edges,
            on,
            attendant: thread::current().id(),
            waits_in_a_worker,
            away: Mutex::default(),
            own_queue: Mutex::default(),
            raised: Mutex::new(None),
        }
    }

    /// A ticket that nobody may come for as long as the attendant waits.
    pub(super) fn take_back(&self) -> Option<Ticket> {
        let mut own_queue = self.own_queue();
        while let Some(job) = own_queue.pop() {
            if let Some(ticket) = job.take() {
                return Some(ticket);
            }
        }
        None
    }

    fn own_queue(&self) -> MutexGuard<'_, Vec<Arc<TicketJob>>> {
        self.own_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps why it was stopped; the first reason counts.
    pub(super) fn raise(&self, error: PyErr) {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let second = if raised.is_some() { Some(error) } else { raised.replace(error) };
        drop(raised);
        drop(second);
    }

    pub(super) fn take_raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What was raised, if it is to end the program.
    pub(super) fn take_end_of_program(&self, py: Python<'_>) -> Option<PyErr> {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        raised.take_if(|error| !error.is_instance_of::<PyException>(py))
    }

    pub(super) fn away(&self) -> MutexGuard<'_, HashMap<usize, Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_away(
        &self,
        py: Python<'_>,
        index: u32,
        elsewhere: &Elsewhere<'_, Self>,
        began: Instant,
        submitted: PyResult<Bound<'_, PyAny>>,
    ) -> Performed<Outcome> {
        let (number, place) = (index as usize, elsewhere.place());
        let watched = submitted.and_then(|future| {
            let away = Away { index, place, began, future: future.clone().unbind() };
            self.away().insert(number, away);
            Awaited::new(future).watch(elsewhere.events(), number)
        });
        match watched {
            Ok(true) => Performed::Elsewhere,
            Ok(false) => {
                elsewhere.events().push([number]);
                Performed::Elsewhere
            }
            Err(error) => {
                let away = self.away().remove(&number);
                drop(away);
                Performed::Here(Err(error.into_value(py).into_any()))
            }
        }
    }
}

/// `executor.submit(fn, *args, **kwargs)`.
fn submit<'py>(
    py: Python<'py>,
    executor: &Py<PyAny>,
    work: &Work,
    values: &Values<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let kwargs = values.by_name(py, work)?;
    executor.bind(py).call_method(intern!(py, "submit"), values.after(py, work)?, kwargs.as_ref())
}

/// A ticket in a pool's queue.
pub(crate) struct TicketJob(Mutex<Option<Ticket>>);

impl TicketJob {
    pub(crate) fn take(&self) -> Option<Ticket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The pool is broken.
    pub(crate) fn fail(&self, error: PyErr) {
        if let Some(ticket) = self.take()
            && let Some(run) = ticket.run()
        {
            run.host().raise(error);
        }
    }
}
