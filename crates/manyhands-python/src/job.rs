//! What waits in a pool's queue, and what becomes of it where no worker comes for it: it is run where it is,
//! cancelled, or failed.

use std::sync::Arc;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::block::Block;
use crate::errors::report;
use crate::graph::{Ticket, TicketJob};
use crate::task::{self, Core, Outcome, Value};
use crate::{fat, stdlib};

/// What waits in the pool's queue.
#[derive(Clone)]
pub(crate) enum Job {
    Task(Arc<Core>),
    /// Items of `map`: what is left of them.
    Items(Arc<Block>),
    /// Tasks of a graph, as many as there are.
    Ticket(Arc<TicketJob>),
}

/// Runs a job in the thread that submits it. Ctrl-C is for the thread in which it comes.
pub(crate) fn run_in_caller(py: Python<'_>, job: Job) -> PyResult<()> {
    let Job::Task(core) = job else { return run_here(py, job) };
    let Some(task) = core.life.claim() else { return fat::run(py, &core) };
    let outcome = task.call(py);
    let raised = outcome.as_ref().err().map(|error| PyErr::from_value(error.bind(py).clone()));
    finish_here(py, &core, outcome)?;
    match raised.filter(|error| error.is_instance_of::<PyKeyboardInterrupt>(py)) {
        Some(interrupt) => Err(interrupt),
        None => Ok(()),
    }
}

/// Runs a job in the calling thread.
pub(crate) fn run_here(py: Python<'_>, job: Job) -> PyResult<()> {
    match job {
        Job::Task(core) => match core.life.claim() {
            Some(task) => {
                let outcome = task.call(py);
                finish_here(py, &core, outcome)
            }
            None => fat::run(py, &core),
        },
        Job::Items(block) => {
            while let Some((item, function)) = block.claim(py) {
                function.run_here(py, &block, item);
            }
            Ok(())
        }
        Job::Ticket(job) => {
            drop(job.take().map(Ticket::work));
            Ok(())
        }
    }
}

fn finish_here(py: Python<'_>, core: &Core, outcome: Outcome) -> PyResult<()> {
    core.show_for(py, &outcome);
    match core.life.finish(outcome.map(Value::Here), |_| ()) {
        Ok(wake) => task::tell(py, wake, None),
        Err((ending, _)) => fat::finish(py, core, task::open(py, ending)),
    }
}

/// Cancels jobs that no worker will come for. An error is what the first callback has raised that is no
/// `Exception`.
pub(crate) fn cancel_all(py: Python<'_>, jobs: Vec<Job>) -> PyResult<()> {
    let mut done = Ok(());
    for job in jobs {
        done = done.and(cancel(py, job));
    }
    done
}

fn cancel(py: Python<'_>, job: Job) -> PyResult<()> {
    let told = match &job {
        Job::Task(core) => match task::cancel(py, &core.life, None) {
            Some(told) => told,
            None => fat::cancel(py, core),
        },
        Job::Items(block) => {
            block.cancel(py);
            Ok(())
        }
        Job::Ticket(_) => Ok(()),
    };
    drop(job);
    told
}

/// Ends a job that no worker will come for with an error of its own.
pub(crate) fn fail(py: Python<'_>, job: Job, reason: &str) {
    let error = || stdlib::BROKEN_THREAD_POOL.error(py, reason).into_value(py).into_any();
    let told = match &job {
        Job::Task(core) if core.fat.get().is_some() => fat::fail(py, core, error()),
        Job::Task(core) => finish_here(py, core, Err(error())),
        Job::Items(block) => {
            while let Some((item, function)) = block.claim(py) {
                drop((item.job, function));
                block.finish(py, item.index, Err(error()));
            }
            Ok(())
        }
        Job::Ticket(job) => {
            job.fail(stdlib::BROKEN_THREAD_POOL.error(py, reason));
            Ok(())
        }
    };
    drop(job);
    report(py, told);
}
