//! Blocking: without the GIL, and with an ear for signals.
//!
//! Signal handlers of Python run in the main thread only, and only when it asks for them: so the main
//! thread sleeps in slices.
//!
//! A wait also tells the workers that its thread has let go of the GIL. A worker that finds a job the
//! moment it is submitted would else ask for the GIL while the submitter still has it, on its way to
//! `result()`, and be put to sleep by the interpreter: two wake-ups between cores, for nothing.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyAnyMethods;

use crate::{fork, nested};
use manyhands::process::host;

/// How long Ctrl-C may go unheard.
const SLICE: Duration = Duration::from_millis(50);

/// How many threads are waiting in here.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// How often a worker that has found a job looks whether its submitter is waiting: longer than the
/// way from `submit` to `result` takes.
const LOOKS: u32 = 100;

/// Calls `wait` until it gives `true` or the deadline is over; whether it did. An error is what a
/// signal handler raised.
pub(crate) fn wait(
    py: Python<'_>,
    deadline: Option<Instant>,
    wait: impl Fn(Option<Instant>) -> bool + Send + Sync,
) -> PyResult<bool> {
    let main = on_main_thread(py)?;
    // In a worker process: the parent may have another run in its stead.
    let mut is_done = false;
    let _waits = host::waits(
        || None,
        deadline,
        |soon| {
            is_done = py.detach(|| wait(soon));
            is_done
        },
    );
    if is_done {
        return Ok(true);
    }
    loop {
        let until = if main || host::may_last() {
            let slice = Instant::now() + SLICE;
            Some(deadline.map_or(slice, |deadline| deadline.min(slice)))
        } else {
            deadline
        };
        let done = py.detach(|| {
            WAITING.fetch_add(1, Ordering::Relaxed);
            let done = wait(until);
            WAITING.fetch_sub(1, Ordering::Relaxed);
            done
        });
        // Also if it is done by now: then it is because another one in the cycle was told.
        if let Some(deadlock) = host::told_of_deadlock() {
            return Err(nested::error(py, &deadlock));
        }
        if done {
            return Ok(true);
        }
        py.check_signals()?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        host::lasts(|| nested::this_task(py));
    }
}

/// For a worker that is about to ask for the GIL: lets the thread that waits for its job get to sleep.
pub(crate) fn let_submitter_wait() {
    for _ in 0..LOOKS {
        if WAITING.load(Ordering::Relaxed) > 0 {
            return;
        }
        std::hint::spin_loop();
    }
}

/// A timeout of so many seconds; `None` for none, and for one that is longer than time itself.
pub(crate) fn limit(timeout: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(timeout?.max(0.0)).ok()
}

/// The moment at which `timeout` seconds from now are over, if there is a [`limit`].
pub(crate) fn deadline(timeout: Option<f64>) -> Option<Instant> {
    limit(timeout).and_then(|time| Instant::now().checked_add(time))
}

pub(crate) fn on_main_thread(py: Python<'_>) -> PyResult<bool> {
    thread_local! {
        /// The generation in which it was found out, and the answer: fork makes its caller the main
        /// thread of the child.
        static MAIN: Cell<(u32, bool)> = const { Cell::new((0, false)) };
    }
    let (known_in, main) = MAIN.get();
    if known_in == fork::generation() {
        return Ok(main);
    }
    let threading = py.import("threading")?;
    let ident = threading.call_method0("get_ident")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?.eq(ident)?;
    MAIN.set((fork::generation(), main));
    Ok(main)
}
