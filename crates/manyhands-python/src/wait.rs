//! `wait`, for futures of ours and of the standard library's kind together.

use std::collections::VecDeque;
use std::sync::Arc;

use manyhands::promise::View;
use manyhands::ready::Ready;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::future::PyFuture;
use crate::task::Watcher;
use crate::{fork, park, stdlib, waiter};

/// A future to wait for.
pub(crate) enum Awaited<'py> {
    /// One of ours whose promise keeps its life.
    Lean(Bound<'py, PyFuture>),
    /// One that keeps its waiters in a list: the standard library's, or one of ours that turned fat.
    Listed(Bound<'py, PyAny>),
}

impl<'py> Awaited<'py> {
    pub(crate) fn new(future: Bound<'py, PyAny>) -> Self {
        match future.cast_into::<PyFuture>() {
            Ok(ours) if ours.get().core.fat.get().is_none() => Self::Lean(ours),
            Ok(ours) => Self::Listed(ours.into_any()),
            Err(other) => Self::Listed(other.into_inner()),
        }
    }

    pub(crate) fn into_future(self) -> Bound<'py, PyAny> {
        match self {
            Self::Lean(future) => future.into_any(),
            Self::Listed(future) => future,
        }
    }

    fn future(&self) -> &Bound<'py, PyAny> {
        match self {
            Self::Lean(future) => future.as_any(),
            Self::Listed(future) => future,
        }
    }

    fn is_notified(&self) -> PyResult<bool> {
        match self {
            Self::Lean(future) if future.get().core.fat.get().is_none() => {
                Ok(future.get().core.life.state().is_notified())
            }
            _ => waiter::hold(self.future(), || waiter::is_notified(self.future())),
        }
    }

    /// Whether it has ended with an exception.
    fn has_failed(&self) -> PyResult<bool> {
        match self {
            Self::Lean(future) if future.get().core.fat.get().is_none() => {
                Ok(future.get().core.life.look(|view| matches!(view, View::Failed(_))))
            }
            _ => waiter::hold(self.future(), || {
                let future = self.future();
                let ended = future.getattr(intern!(future.py(), "_state"))?.eq("FINISHED")?;
                Ok(ended && !future.getattr(intern!(future.py(), "_exception"))?.is_none())
            }),
        }
    }

    /// Asks for this number in the queue at the end; `false`: it has ended already.
    pub(crate) fn watch(&self, ready: &Arc<Ready>, number: usize) -> PyResult<bool> {
        if let Self::Lean(future) = self {
            let core = &future.get().core;
            let watched = core.life.watch(Watcher::Ready(Arc::clone(ready), number)).is_ok();
            if watched || core.fat.get().is_none() {
                return Ok(watched);
            }
        }
        waiter::watch(self.future(), ready, number)
    }

    /// Takes back what `watch` has asked.
    pub(crate) fn forget(&self, ready: &Arc<Ready>) -> PyResult<()> {
        if let Self::Lean(future) = self {
            let ours = |watcher: &Watcher| match watcher {
                Watcher::Ready(theirs, _) => Arc::ptr_eq(theirs, ready),
                Watcher::Callback { .. } => false,
            };
            drop(future.get().core.life.unwatch(ours));
            if future.get().core.fat.get().is_none() {
                return Ok(());
            }
        }
        waiter::forget(self.future(), ready)
    }

    /// An error if the workers that would end it are in another process.
    pub(crate) fn check_process(&self) -> PyResult<()> {
        match self {
            Self::Lean(future) if future.get().core.submitted_in > 0 => {
                fork::check(future.get().core.submitted_in, "the executor of a future")
            }
            _ => Ok(()),
        }
    }
}

/// Wait for the futures in `fs`, `timeout` seconds at the longest, until `return_when` holds:
/// FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED. Returns a named tuple of two sets, `done` and
/// `not_done`. The futures may come from different executors, the standard library's among them.
///
/// >>> from manyhands import Future, wait, FIRST_COMPLETED
/// >>> futures = [Future(), Future()]
/// >>> futures[1].set_result("ended")
/// >>> wait(futures, return_when=FIRST_COMPLETED).done == {futures[1]}
/// True
#[pyfunction]
#[pyo3(signature = (fs, timeout=None, return_when="ALL_COMPLETED"))]
pub(crate) fn wait<'py>(
    fs: &Bound<'py, PyAny>,
    timeout: Option<f64>,
    return_when: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let py = fs.py();
    let deadline = park::deadline(timeout);
    let futures: Vec<_> = distinct(fs)?.iter().map(Awaited::new).collect();

    let mut notified = Vec::with_capacity(futures.len());
    for future in &futures {
        notified.push(future.is_notified()?);
    }
    let done = notified.iter().filter(|&&notified| notified).count();
    let mut fulfilled = done == futures.len();
    if !fulfilled {
        fulfilled = match return_when {
            "FIRST_COMPLETED" => done > 0,
            "FIRST_EXCEPTION" => any_failed(&futures, &notified)?,
            "ALL_COMPLETED" => false,
            "RETURN_IMMEDIATELY" => true,
            other => {
                let message = format!("Invalid return condition: '{other}'");
                return Err(PyValueError::new_err(message));
            }
        };
    }
    if !fulfilled {
        let wanted = match return_when {
            "FIRST_COMPLETED" => 1,
            _ => futures.len() - done,
        };
        let until_failed = return_when == "FIRST_EXCEPTION";
        let ready = Arc::new(Ready::new());
        let outcome = wait_on(py, &futures, &notified, &ready, wanted, until_failed, deadline);
        for (future, notified) in futures.iter().zip(&mut notified) {
            if !*notified {
                *notified = future.is_notified()?;
                if !*notified {
                    future.forget(&ready)?;
                }
            }
        }
        outcome?;
    }

    let (done, not_done) = (PySet::empty(py)?, PySet::empty(py)?);
    for (future, notified) in futures.into_iter().zip(notified) {
        let set = if notified { &done } else { &not_done };
        set.add(future.into_future())?;
    }
    stdlib::DONE_AND_NOT_DONE.get(py)?.call1((done, not_done))
}

/// The futures as a set: the one given, if it is one.
pub(crate) fn distinct<'py>(fs: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    if let Ok(set) = fs.cast_exact::<PySet>() {
        return Ok(set.clone());
    }
    let set = PySet::empty(fs.py())?;
    for future in fs.try_iter()? {
        set.add(future?)?;
    }
    Ok(set)
}

fn any_failed(futures: &[Awaited<'_>], notified: &[bool]) -> PyResult<bool> {
    for (future, notified) in futures.iter().zip(notified) {
        if *notified && future.has_failed()? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wait_on(
    py: Python<'_>,
    futures: &[Awaited<'_>],
    notified: &[bool],
    ready: &Arc<Ready>,
    wanted: usize,
    until_failed: bool,
    deadline: Option<std::time::Instant>,
) -> PyResult<()> {
    let mut ended = Vec::new();
    for (number, future) in futures.iter().enumerate() {
        if notified[number] {
            continue;
        }
        future.check_process()?;
        if !future.watch(ready, number)? {
            ended.push(number);
        }
    }
    // Those that have ended by now, perhaps only just: as if they had told the queue themselves.
    ready.push(ended);
    if !until_failed {
        return park::wait(py, deadline, |until| ready.wait_for_all(wanted, until)).map(drop);
    }
    let mut arrived = VecDeque::new();
    for _ in 0..wanted {
        if arrived.is_empty() {
            if !park::wait(py, deadline, |until| ready.wait_for_all(1, until))? {
                return Ok(());
            }
            ready.pop_all(Some(std::time::Instant::now()), &mut arrived);
        }
        let Some(number) = arrived.pop_front() else { return Ok(()) };
        if futures[number].has_failed()? {
            return Ok(());
        }
    }
    Ok(())
}
