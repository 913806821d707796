//! A run of a graph, as the thread sees it that wants it: started, waited for, and told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use manyhands::NodeState;
use manyhands::graph::engine::{self, Dependants, Edges, Event, Plan};
use pyo3::intern;
use pyo3::prelude::*;

use super::host::{Away, Host, On};
use super::node::Entry;
use crate::awaited::Awaited;
use crate::{park, stdlib};

pub(super) type Attendant = engine::Attendant<Host>;

/// What a run has come to.
pub(super) enum Came {
    ToItsEnd,
    /// A task failed: the first in the graph's order, and all that were not run.
    ToNothing {
        failed: u32,
        not_run: Vec<u32>,
    },
}

/// The attendant of a plan.
pub(super) fn prepare(
    graph: u32,
    entries: Arc<Vec<Entry>>,
    edges: Arc<Edges>,
    dependants: Arc<Dependants>,
    on: On,
    plan: Plan,
) -> Attendant {
    let host = Host::new(graph, entries, Arc::clone(&edges), on);
    Attendant::new(host, edges, dependants, plan)
}

/// Sees a run to its end. An error: somebody wants this thread to stop waiting; the attendant is to be
/// waited for once more, for what is at work at this moment.
pub(super) fn attend(py: Python<'_>, attendant: &mut Attendant) -> PyResult<()> {
    loop {
        // Ctrl-C has come while this thread ran a task or started a worker.
        if let Some(error) = attendant.run().host().take_end_of_program(py) {
            abandon(py, attendant);
            return Err(error);
        }
        // More has often come while the last was seen to.
        let event = match attendant.wait(Some(Instant::now())) {
            Some(event) => event,
            None if work_in_place(attendant) => continue,
            None => wait(py, attendant).inspect_err(|_| abandon(py, attendant))?,
        };
        match event {
            Event::AllEnded => return Ok(()),
            Event::Ended(number) => reap(py, attendant, number),
            Event::Work => {
                attendant.work();
                // A graph of functions that are not Python's gives nobody else a chance.
                py.detach(|| ());
                py.check_signals().inspect_err(|_| abandon(py, attendant))?;
            }
            Event::Stopped => cancel(py, attendant),
        }
    }
}

/// Works off the ticket that is still in the queue of the attendant's own pool; whether there was one.
fn work_in_place(attendant: &Attendant) -> bool {
    let ticket = attendant.run().host().take_back();
    ticket.map(|ticket| drop(ticket.work())).is_some()
}

fn wait(py: Python<'_>, attendant: &mut Attendant) -> PyResult<Event> {
    let waiting = Mutex::new((attendant, None));
    park::wait(py, None, |until| {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.1 = waiting.0.wait(until);
        waiting.1.is_some()
    })?;
    let (_, event) = waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(event.expect("it has been waited for"))
}

/// A task that ran elsewhere has ended.
fn reap(py: Python<'_>, attendant: &mut Attendant, number: usize) {
    let away = attendant.run().host().away().remove(&number);
    let Some(Away { index, place, began, future }) = away else { return };
    let took = began.elapsed();
    let result = future.bind(py).call_method0(intern!(py, "result"));
    drop(future);
    match result {
        // Nobody wanted it any more.
        Err(error) if attendant.run().is_stopped() && is_cancelled(py, &error) => drop(place),
        result => attendant.ended(index, place, crate::task::outcome(py, result), took),
    }
}

fn is_cancelled(py: Python<'_>, error: &PyErr) -> bool {
    stdlib::CANCELLED_ERROR.get(py).is_ok_and(|class| error.is_instance(py, class))
}

/// Cancels what runs elsewhere, and waits no more for what can be cancelled: not every executor says when
/// it has seen that.
fn cancel(py: Python<'_>, attendant: &Attendant) {
    leave(py, attendant, |future| {
        let cancelled = future.call_method0(intern!(py, "cancel"));
        cancelled.and_then(|cancelled| cancelled.is_truthy())
    });
}

/// Has nothing begun any more, and waits for nothing that runs elsewhere.
fn abandon(py: Python<'_>, attendant: &Attendant) {
    attendant.run().stop();
    leave(py, attendant, |future| future.call_method0(intern!(py, "cancel")).map(|_| true));
}

/// Lets go of those that run elsewhere for which `may` says so.
fn leave(py: Python<'_>, attendant: &Attendant, may: impl Fn(&Bound<'_, PyAny>) -> PyResult<bool>) {
    let run = attendant.run();
    let away = std::mem::take(&mut *run.host().away());
    for (number, away) in away {
        let future = away.future.bind(py).clone();
        let left = may(&future).and_then(|may| {
            if may {
                Awaited::new(future).forget(run.events())?;
            }
            Ok(may)
        });
        match left {
            Ok(true) => drop(away),
            Ok(false) => drop(run.host().away().insert(number, away)),
            Err(error) => {
                error.write_unraisable(py, None);
                run.host().away().insert(number, away);
            }
        }
    }
}

/// What a run that has ended has come to. An error: it was cancelled, or nobody would run it.
pub(super) fn finish(py: Python<'_>, attendant: Attendant) -> PyResult<Came> {
    let is_done = attendant.run().is_done();
    let (host, planned) = attendant.finish();
    let raised = host.take_raised();
    if is_done {
        return Ok(Came::ToItsEnd);
    }
    let mut failed = None;
    let mut not_run = Vec::new();
    for (index, entry) in (0..).zip(&*host.entries) {
        if !planned[index as usize] {
            continue;
        }
        let mut outcome = entry.outcome();
        match outcome.state {
            NodeState::Failed => failed = failed.or(Some(index)),
            NodeState::Done => (),
            NodeState::Waiting | NodeState::NotRun => {
                outcome.state = NodeState::NotRun;
                not_run.push(index);
            }
        }
    }
    drop(host);
    match (raised, failed) {
        (_, Some(failed)) => Ok(Came::ToNothing { failed, not_run }),
        (Some(error), None) => Err(error),
        (None, None) => Err(stdlib::CANCELLED_ERROR.bare_error(py)),
    }
}
