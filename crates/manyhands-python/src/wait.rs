//! `wait`, for futures of ours and of the standard library's kind together.

use std::sync::Arc;
use std::time::Instant;

use manyhands::nested::graph::How;
use manyhands::ready::Ready;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::bell::Bell;
use crate::future::PyFuture;
use crate::source::targets;
use crate::task::{Core, Watcher};
use crate::{nested, park, process, stdlib, waiter};

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

    /// Its promise, if that keeps its life.
    pub(crate) fn core(&self) -> Option<&Arc<Core>> {
        match self {
            Self::Lean(future) => Some(&future.get().core),
            Self::Listed(_) => None,
        }
    }

    fn is_notified(&self) -> PyResult<bool> {
        if let Self::Lean(future) = self
            && let Some(state) = future.get().state()
        {
            return Ok(state.is_notified());
        }
        waiter::hold(self.future(), || waiter::is_notified(self.future()))
    }

    /// Whether it has ended with an exception.
    fn has_failed(&self) -> PyResult<bool> {
        if let Self::Lean(future) = self
            && future.get().state().is_some()
        {
            future.get().check_lock()?;
            return future.get().has_failed(future.py());
        }
        waiter::hold(self.future(), || {
            let future = self.future();
            let ended = future.getattr(intern!(future.py(), "_state"))?.eq("FINISHED")?;
            Ok(ended && !future.getattr(intern!(future.py(), "_exception"))?.is_none())
        })
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
                _ => false,
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
            Self::Lean(future) => future.get().check_process(),
            Self::Listed(future) => match future.cast::<PyFuture>() {
                Ok(future) => future.get().check_process(),
                Err(_) => Ok(()),
            },
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
    let all = distinct(fs)?;
    let mut futures = Vec::with_capacity(all.len());
    let mut notified = Vec::with_capacity(all.len());
    for future in &all {
        let future = Awaited::new(future);
        notified.push(future.is_notified()?);
        futures.push(future);
    }
    let done = notified.iter().filter(|&&notified| notified).count();
    let fulfilled = done == futures.len()
        || match return_when {
            "FIRST_COMPLETED" => done > 0,
            "FIRST_EXCEPTION" => any_failed(&futures, &notified)?,
            "ALL_COMPLETED" => false,
            "RETURN_IMMEDIATELY" => true,
            other => {
                let message = format!("Invalid return condition: '{other}'");
                return Err(PyValueError::new_err(message));
            }
        };
    if !fulfilled {
        for (future, _) in futures.iter().zip(&notified).filter(|(_, notified)| !**notified) {
            future.check_process()?;
        }
        if return_when == "FIRST_COMPLETED" {
            Bell::with(|bell| wait_for_any(py, &futures, bell, deadline))?;
        } else {
            let until_failed = return_when == "FIRST_EXCEPTION";
            wait_for_all(py, &futures, &notified, until_failed, deadline)?;
        }
        for (future, notified) in futures.iter().zip(&mut notified) {
            *notified = *notified || future.is_notified()?;
        }
    }

    // What is left of the set is the other set: no walk through all of them a second time.
    let done = PySet::empty(py)?;
    for (future, _) in futures.into_iter().zip(notified).filter(|(_, notified)| *notified) {
        let future = future.into_future();
        all.discard(&future)?;
        done.add(future)?;
    }
    stdlib::DONE_AND_NOT_DONE.get(py)?.call1((done, all))
}

/// The futures as a set of our own, which nobody changes while we wait.
pub(crate) fn distinct<'py>(fs: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    if let Ok(set) = fs.cast_exact::<PySet>() {
        return Ok(set.call_method0(intern!(fs.py(), "copy"))?.cast_into::<PySet>()?);
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

/// Waits until the first of futures of which none had ended.
fn wait_for_any(
    py: Python<'_>,
    futures: &[Awaited<'_>],
    bell: &Arc<Bell>,
    deadline: Option<Instant>,
) -> PyResult<()> {
    let listed = || futures.iter().filter(|future| matches!(future, Awaited::Listed(_)));
    let mut asked = Ok(true);
    for future in listed() {
        asked = asked.and_then(|_| future.watch(bell.rung(), 0));
    }
    let waited = asked.and_then(|_| {
        loop {
            bell.reset();
            for future in futures {
                let hung = match future {
                    Awaited::Lean(future) => bell.hang_on(&future.get().core),
                    Awaited::Listed(_) => true,
                };
                if !hung || future.is_notified()? {
                    return Ok(());
                }
            }
            if !wait_until(py, futures, bell.rung(), (1, How::Any), deadline)? {
                return Ok(());
            }
        }
    });
    for future in listed() {
        future.forget(bell.rung())?;
    }
    waited
}

/// Waits until all that had not ended have, or until the first of them fails.
fn wait_for_all(
    py: Python<'_>,
    futures: &[Awaited<'_>],
    notified: &[bool],
    until_failed: bool,
    deadline: Option<Instant>,
) -> PyResult<()> {
    let ready = Arc::new(Ready::new());
    let waited = watch(futures, notified, &ready).and_then(|pending| {
        if until_failed {
            return wait_for_failure(py, futures, &ready, pending, deadline);
        }
        if deadline.is_none() {
            for core in futures.iter().filter_map(Awaited::core) {
                process::run_in_place(py, core);
            }
        }
        wait_until(py, futures, &ready, (pending, How::All), deadline).map(drop)
    });
    for (future, notified) in futures.iter().zip(notified) {
        if !notified && !future.is_notified()? {
            future.forget(&ready)?;
        }
    }
    waited
}

/// Waits until so many numbers are there; whether they are.
fn wait_until(
    py: Python<'_>,
    futures: &[Awaited<'_>],
    ready: &Arc<Ready>,
    (wanted, how): (usize, How),
    deadline: Option<Instant>,
) -> PyResult<bool> {
    if !nested::in_task() {
        let what = || {
            let known = || futures.iter().map(Awaited::core);
            // One of another kind may end, whoever does it.
            let all_known = how == How::All || known().all(|core| core.is_some());
            let left = known().flatten().filter(|core| !core.life.state().is_done());
            all_known.then(|| (left.map(|core| nested::id(core)).collect(), how))
        };
        let wait = |until| ready.wait_for_all(wanted, until);
        let _waits = process::begin_waits(py, deadline, what, wait);
        return park::wait(py, deadline, wait);
    }
    let cores = || futures.iter().filter_map(Awaited::core);
    // All are wanted, so nothing is lost by running one in place.
    if how == How::All && deadline.is_none() {
        cores().try_for_each(|core| nested::try_in_place(py, core))?;
    }
    let left = || {
        let left = cores().filter(|core| !core.life.state().is_done());
        // One of another kind may end, whoever does it.
        let unknown = futures.iter().any(|future| future.core().is_none());
        targets(left.map(Some).chain((unknown && how == How::Any).then_some(None)), how)
    };
    let own = cores().any(|core| nested::is_own(core));
    nested::sleep(py, &nested::Awaited { ready, wanted, own, targets: &left }, deadline)
}

/// Asks all that had not ended for their numbers; how many these are.
fn watch(futures: &[Awaited<'_>], notified: &[bool], ready: &Arc<Ready>) -> PyResult<usize> {
    let mut ended = Vec::new();
    let mut pending = 0;
    for (number, future) in futures.iter().enumerate().filter(|&(number, _)| !notified[number]) {
        pending += 1;
        if !future.watch(ready, number)? {
            ended.push(number);
        }
    }
    // Those that have ended by now, perhaps only just: as if they had told the queue themselves.
    ready.push(ended);
    Ok(pending)
}

fn wait_for_failure(
    py: Python<'_>,
    futures: &[Awaited<'_>],
    ready: &Arc<Ready>,
    pending: usize,
    deadline: Option<Instant>,
) -> PyResult<()> {
    for _ in 0..pending {
        if !wait_until(py, futures, ready, (1, How::Any), deadline)? {
            return Ok(());
        }
        let Some(number) = ready.pop(Some(Instant::now())) else { return Ok(()) };
        if futures[number].has_failed()? {
            return Ok(());
        }
    }
    Ok(())
}
