//! `wait`, for futures of ours and of the standard library's kind together.

use std::sync::Arc;
use std::time::Instant;

use manyhands::nested::graph::How;
use manyhands::ready::Ready;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::awaited::Awaited;
use crate::bell::{self, Bell, Heard};
use crate::source::targets;
use crate::{fork, nested, park, process, stdlib};

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
    let ended = if return_when == "FIRST_COMPLETED" {
        Bell::with(|bell| wait_for_first(py, &all, bell, deadline))?
    } else {
        wait_for_more(py, &all, return_when, deadline)?
    };
    // What is left of the set is the other set: no walk through all of them a second time.
    let done = PySet::empty(py)?;
    for future in ended {
        all.discard(&future)?;
        done.add(future)?;
    }
    stdlib::DONE_AND_NOT_DONE.get(py)?.call1((done, all))
}

/// Waits for more than the first; those that have ended.
fn wait_for_more<'py>(
    py: Python<'py>,
    all: &Bound<'py, PySet>,
    return_when: &str,
    deadline: Option<Instant>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut futures = Vec::with_capacity(all.len());
    let mut notified = Vec::with_capacity(all.len());
    for future in all {
        let future = Awaited::new(future);
        notified.push(future.is_notified()?);
        futures.push(future);
    }
    let fulfilled = notified.iter().all(|notified| *notified)
        || match return_when {
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
        let until_failed = return_when == "FIRST_EXCEPTION";
        wait_for_all(py, &futures, &notified, until_failed, deadline)?;
        for (future, notified) in futures.iter().zip(&mut notified) {
            *notified = *notified || future.is_notified()?;
        }
    }
    let ended = futures.into_iter().zip(notified).filter(|(_, notified)| *notified);
    Ok(ended.map(|(future, _)| future.into_future()).collect())
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

/// Waits until the first has ended; those that have.
fn wait_for_first<'py>(
    py: Python<'py>,
    all: &Bound<'py, PySet>,
    bell: &Arc<Bell>,
    deadline: Option<Instant>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    // Whoever rings after this is heard, and whoever has rung before is seen. A look at each future has to do: in
    // a loop, that is what each turn costs.
    let _ = bell.hear();
    let mut futures = Vec::with_capacity(all.len());
    let (mut ended, mut all_ring) = (Vec::new(), true);
    for future in all {
        let future = Awaited::new(future);
        all_ring &= future.core().is_some_and(|core| bell.hangs_on(core));
        if future.is_notified()? {
            ended.push(future.future().clone());
        }
        futures.push(future);
    }
    if !ended.is_empty() || futures.is_empty() {
        return Ok(ended);
    }
    if fork::is_child() {
        futures.iter().try_for_each(Awaited::check_process)?;
    }
    if all_ring {
        return first_to_ring(py, &futures, bell, deadline);
    }
    let listed = || futures.iter().filter(|future| future.core().is_none());
    let mut asked = Ok(true);
    for future in listed() {
        asked = asked.and_then(|_| future.watch(bell.rung(), bell::BY_ANOTHER));
    }
    let waited = asked.and_then(|_| {
        for core in futures.iter().filter_map(Awaited::core) {
            bell.hang_on(core);
        }
        // One that had ended by then has not rung, perhaps.
        let ended = ended_of(&futures)?;
        if ended.is_empty() { first_to_ring(py, &futures, bell, deadline) } else { Ok(ended) }
    });
    for future in listed() {
        future.forget(bell.rung())?;
    }
    waited
}

/// Sleeps until somebody has rung that is one of these; none when the time is up.
fn first_to_ring<'py>(
    py: Python<'py>,
    futures: &[Awaited<'py>],
    bell: &Bell,
    deadline: Option<Instant>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    while wait_until(py, futures, bell.rung(), (1, How::Any), deadline)? {
        let ended = match bell.hear() {
            Heard::Anybody => ended_of(futures)?,
            Heard::These(addresses) => {
                let is_one = |future: &&Awaited<'_>| {
                    future.core().is_some_and(|core| addresses.contains(&bell::address(core)))
                };
                ended_of(futures.iter().filter(is_one))?
            }
        };
        if !ended.is_empty() {
            return Ok(ended);
        }
    }
    ended_of(futures)
}

fn ended_of<'a, 'py: 'a>(
    futures: impl IntoIterator<Item = &'a Awaited<'py>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut ended = Vec::new();
    for future in futures {
        if future.is_notified()? {
            ended.push(future.future().clone());
        }
    }
    Ok(ended)
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
