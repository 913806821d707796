//! Where tasks were submitted, for errors.
//!
//! A place is a number: the interpreter tells which instruction has called in a few nanoseconds, but not the
//! line that is of. So each instruction has its line looked up once, and keeps its code alive, or another
//! could come to lie there. Each thread remembers the last few.
//!
//! That is a twentieth of what the smallest task costs, and for a function that submits one task and returns
//! it is more. So it is done where deadlocks may be: not for the many tasks of a pool of which none waits.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use manyhands_pybuffer::{Spot, current_frame};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyFrame, PyFrameMethods, PyTuple};

use crate::pool::PyThreadPoolExecutor;

/// A line that submits. `None`: nobody knows.
pub(crate) type Place = Option<NonZeroU32>;

/// How many there may be: of a program that goes on to make code and submit from it, not all is kept.
const MOST: usize = 10_000;

/// How many a thread remembers.
const KNOWN: usize = 32;

struct Table {
    numbers: BTreeMap<Spot, NonZeroU32>,
    /// By their numbers, counted from 1.
    places: Vec<(Py<PyCode>, String)>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { numbers: BTreeMap::new(), places: Vec::new() });

/// What is known of a spot.
#[derive(Clone, Copy)]
enum Seen {
    /// It is this package's own, which submits for others too (a scope does): what has called it counts.
    Ours,
    Program(Place),
}

thread_local! {
    static SEEN: [Cell<(Spot, Seen)>; KNOWN] =
        const { [const { Cell::new((Spot::NONE, Seen::Program(None))) }; KNOWN] };
    /// Where the task was submitted that the package submits now, for another time.
    static KEPT: Cell<Option<Place>> = const { Cell::new(None) };
}

/// How many tasks have their places kept after a pool was made, or a task has waited.
const FROM_ONE_ON: u32 = 10_000;

static LEFT: AtomicU32 = AtomicU32::new(FROM_ONE_ON);

/// A task waits, or may soon: places are worth their while.
#[inline]
pub(crate) fn keep_on() {
    if LEFT.load(Ordering::Relaxed) < FROM_ONE_ON / 2 {
        LEFT.store(FROM_ONE_ON, Ordering::Relaxed);
    }
}

/// Where the calling thread is, in the program's own code.
#[inline]
pub(crate) fn current(py: Python<'_>) -> Place {
    let left = LEFT.load(Ordering::Relaxed).checked_sub(1)?;
    // Whether another thread has counted meanwhile is all the same.
    LEFT.store(left, Ordering::Relaxed);
    match seen(Spot::current(py)) {
        Some(Seen::Program(place)) => place,
        _ => look_up(py),
    }
}

#[inline]
fn seen(spot: Spot) -> Option<Seen> {
    let (known, seen) = SEEN.with(|all| all[spot.hash() % KNOWN].get());
    (known == spot).then_some(seen)
}

#[cold]
fn look_up(py: Python<'_>) -> Place {
    let mut frame = current_frame(py)?;
    if let Seen::Program(place) = see(&frame) {
        return place;
    }
    if let Some(kept) = KEPT.take() {
        return kept;
    }
    loop {
        frame = frame.outer()?;
        if let Seen::Program(place) = see(&frame) {
            return place;
        }
    }
}

fn see(frame: &Bound<'_, PyFrame>) -> Seen {
    let spot = Spot::of(frame);
    seen(spot).unwrap_or_else(|| {
        let found = find_out(frame, spot);
        SEEN.with(|all| all[spot.hash() % KNOWN].set((spot, found)));
        found
    })
}

fn find_out(frame: &Bound<'_, PyFrame>, spot: Spot) -> Seen {
    let is = |name: &str, value: &str| {
        let globals = frame.getattr(intern!(frame.py(), "f_globals"));
        let found = globals.and_then(|globals| globals.get_item(name));
        found.and_then(|found| found.eq(value)).unwrap_or(false)
    };
    match (is("__package__", "manyhands"), is("__name__", "threading")) {
        (true, _) => Seen::Ours,
        // It is nobody's: a thread begins.
        (_, true) => Seen::Program(None),
        _ => Seen::Program(of(frame, spot)),
    }
}

/// The place of a frame that is at this spot. `None`: there are too many, or another thread is in between.
fn of(frame: &Bound<'_, PyFrame>, spot: Spot) -> Place {
    if let Some(known) = table()?.numbers.get(&spot) {
        return Some(*known);
    }
    let code = frame.code();
    let file: String = code.getattr(intern!(frame.py(), "co_filename")).ok()?.extract().ok()?;
    let line = format!("{file}:{}", frame.line_number());
    let mut table = table()?;
    if table.places.len() == MOST {
        return None;
    }
    let number = NonZeroU32::new(u32::try_from(table.places.len()).ok()? + 1)?;
    // Another thread may have been quicker: both numbers say the same.
    table.numbers.insert(spot, number);
    table.places.push((code.unbind(), line));
    Some(number)
}

/// `None`: it is in use, perhaps by a thread that is not in this process, but in the one this was forked from.
fn table() -> Option<MutexGuard<'static, Table>> {
    match TABLE.try_lock() {
        Ok(table) => Some(table),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The file and the line.
pub(crate) fn line(place: Place) -> Option<String> {
    let index = usize::try_from(place?.get()).ok()? - 1;
    table()?.places.get(index).map(|(_, line)| line.clone())
}

/// Where the calling thread is, for `_submit_at`; 0 for nobody knows.
#[pyfunction]
#[pyo3(name = "_place")]
pub(crate) fn place(py: Python<'_>) -> u32 {
    current(py).map_or(0, NonZeroU32::get)
}

/// `executor.submit(*args, **kwargs)` for a program that has asked for that at this place.
#[pyfunction]
#[pyo3(name = "_submit_at", signature = (place, executor, /, *args, **kwargs))]
pub(crate) fn submit_at<'py>(
    place: u32,
    executor: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let submit = executor.getattr(intern!(executor.py(), "submit"))?;
    // Others may run the task at once, which may submit something else.
    if executor.is_instance_of::<PyThreadPoolExecutor>() {
        KEPT.set(Some(NonZeroU32::new(place)));
    }
    let submitted = submit.call(args, kwargs);
    KEPT.set(None);
    submitted
}
