//! Waits inside tasks of a thread pool: the engine's rules (`manyhands::nested`) with Python's threads,
//! objects and frames.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use manyhands::nested::graph::NOBODY;
use manyhands::nested::graph::{How, TaskId};
use manyhands::nested::{self, CallSite, Compensate, Running, Targets, Waiting, Woken};
use manyhands::process::host;
use manyhands::promise::Held;
use manyhands::ready::Ready;
use manyhands::thread::pool::{Moving, Seat, Worker};
use manyhands::{Deadlock, State, WaitingTask};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::block::Block;
use crate::job::{self, Job};
use crate::place::Place;
use crate::source::targets;
use crate::task::{Core, Watcher};
use crate::workers::Workers;
use crate::{errors, park, place, process, stdlib};

/// How often one who waits for an item of a block looks whether it is in a deadlock.
const LOOK: Duration = Duration::from_millis(50);

/// The modules whose frames lie below those of tasks.
const RUN_TASKS: [&str; 2] = ["manyhands.thread", "manyhands._process_worker"];

thread_local! {
    /// What the tasks of this thread are called that its frames do not tell, the innermost last: those that
    /// it runs in place, and the functions of futures that are made from others. Each with the number of
    /// the tasks below it on the stack.
    static NAMES: RefCell<Vec<(usize, Name)>> = const { RefCell::new(Vec::new()) };
}

enum Name {
    Known(WaitingTask),
    /// That of a function.
    Function(Py<PyAny>),
}

/// A task of the calling thread has this name, as long as this lives.
struct Named;

impl Named {
    fn new(name: Name) -> Self {
        NAMES.with_borrow_mut(|names| names.push((nested::depth(), name)));
        Self
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        drop(NAMES.with_borrow_mut(Vec::pop));
    }
}

pub(crate) use manyhands::nested::{Awaited, go_on_with, in_task};

/// Runs a task of the calling thread.
#[inline]
pub(crate) fn run<R>(id: TaskId, place: Place, run: impl FnOnce() -> R) -> R {
    let known_as = place.map_or(0, NonZeroU32::get);
    nested::run(Running { id, name: "", place: CallSite::UNKNOWN, known_as }, run)
}

/// Calls the function of a future that is made from others.
pub(crate) fn run_function<R>(
    id: TaskId,
    function: &Bound<'_, PyAny>,
    call: impl FnOnce() -> R,
) -> R {
    let _named = Named::new(Name::Function(function.clone().unbind()));
    run(id, None, call)
}

pub(crate) fn id(core: &Core) -> TaskId {
    std::ptr::from_ref(core).addr()
}

/// Whether it is of the pool that the calling thread works for.
pub(crate) fn is_own(core: &Core) -> bool {
    nested::is_own(core.life.pool())
}

/// An item of a block: an address has room for its number in the bits that no address uses.
#[inline]
pub(crate) fn item_id(block: &Block, index: usize) -> TaskId {
    std::ptr::from_ref(block).addr() ^ (index << 48)
}

/// Has others work in the stead of a worker whose task waits.
pub(crate) struct InStead {
    pub(crate) workers: Arc<Workers>,
    pub(crate) seat: Seat<Job>,
}

impl InStead {
    fn start(&self, added: Option<Worker<Job>>) {
        if let Some(worker) = added {
            Python::attach(|py| errors::report(py, self.workers.start(py, worker)));
        }
    }
}

impl Compensate for InStead {
    fn begin_wait(&self, own: bool) -> bool {
        // In a forked child the pool's lock may be held by a thread that is not there.
        if self.workers.is_from_before_fork() {
            return true;
        }
        self.start(self.seat.begin_wait(own));
        own
    }

    fn relieve(&self) -> bool {
        match self.seat.relieve() {
            Ok(added) => self.start(added),
            Err(Moving) => return false,
        }
        true
    }

    fn end_wait(&self, relieved: bool) {
        if !self.workers.is_from_before_fork() {
            self.seat.end_wait(relieved);
        }
    }

    fn is_exhausted(&self) -> bool {
        !self.workers.is_from_before_fork() && self.seat.is_last()
    }

    fn run_recent(&self, task: TaskId) -> bool {
        if self.workers.is_from_before_fork() {
            return false;
        }
        let is_it = |job: &Job| matches!(job, Job::Task(core) if id(core) == task);
        let Some(Job::Task(core)) = self.seat.take_recent(is_it) else { return false };
        Python::attach(|py| errors::report(py, run_in_place(py, &core)));
        true
    }
}

/// Waits for a task in another one of this thread; whether it has ended. See `manyhands::nested`.
#[cold]
pub(crate) fn wait_in_task(
    py: Python<'_>,
    core: &Arc<Core>,
    deadline: Option<Instant>,
) -> PyResult<bool> {
    if deadline.is_none() {
        try_in_place(py, core)?;
    }
    if core.life.state().is_done() {
        return Ok(true);
    }
    let executor = core.life.executor().filter(|_| core.derived_in() == 0);
    if executor == Some(host::PARENTS) {
        let _waits = process::begin_wait(py, core, deadline);
        return Waiting::begin(false).wait_by(deadline, |until| {
            park::wait(py, until, |until| {
                process::attend(core, until);
                core.life.wait(until)
            })
        });
    }
    let ready = Arc::default();
    if core.life.watch(Watcher::Task(Arc::clone(&ready))).is_err() {
        return Ok(true);
    }
    let targets = || targets(std::iter::once(Some(core)), How::All);
    let own = is_own(core);
    let awaited = Awaited { ready: &ready, wanted: 1, own, targets: &targets };
    let slept = match executor {
        None => sleep(py, &awaited, deadline),
        Some(_) => {
            sleep_by(py, &awaited, deadline, |until| wait_attending(py, core, &ready, until))
        }
    };
    let is_it =
        |watcher: &Watcher| matches!(watcher, Watcher::Task(other) if Arc::ptr_eq(other, &ready));
    drop(core.life.unwatch(is_it));
    // A deadlock counts also if the task has ended by now: it has because another in the cycle was told.
    Ok(slept? || core.life.state().is_done())
}

/// Waits for a task of a process pool until the time given, and sees to its answer; whether it has ended,
/// or the wait is interrupted.
fn wait_attending(
    py: Python<'_>,
    core: &Core,
    ready: &Ready,
    until: Option<Instant>,
) -> PyResult<bool> {
    loop {
        // Who attends hears of nothing else.
        let look = Instant::now() + LOOK;
        let before = until.map_or(look, |until| look.min(until));
        let is_over = |_| {
            process::attend(core, Some(before));
            ready.wait_for_all(1, Some(before)) || ready.is_interrupted()
        };
        if park::wait(py, Some(before), is_over)? {
            return Ok(true);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(false);
        }
    }
}

/// Runs a task in place if it is pending in the pool of this thread. An error is no `Exception`.
pub(crate) fn try_in_place(py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
    place::keep_on();
    if core.life.state() == State::Pending
        && core.derived_in() == 0
        && nested::runs_in_place(core.life.pool())
        && !nested::run_recent(id(core))
    {
        run_in_place(py, core)?;
    }
    Ok(())
}

fn run_in_place(py: Python<'_>, core: &Arc<Core>) -> PyResult<()> {
    let mut called = None;
    let _ = core.life.trace(|held| {
        if let Held::Job(task) = held {
            called = Some(task.function.clone_ref(py));
        }
        Ok::<(), ()>(())
    });
    let name = called.map_or_else(nameless, |called| function(called.bind(py)));
    let _named = Named::new(Name::Known(name));
    run(id(core), core.place, || job::run_here(py, Job::Task(Arc::clone(core))))
}

/// Runs items of a block in place up to the one of this number, as far as nobody else has begun them.
pub(crate) fn try_items_in_place(py: Python<'_>, block: &Block, index: usize) {
    place::keep_on();
    while block.items.len() - block.items.left() <= index && nested::runs_in_place(block.pool()) {
        let Some((item, function)) = block.claim(py) else { return };
        let id = item_id(block, item.index);
        let named = WaitingTask { name: "an item of `map`".to_owned(), place: None };
        let _named = Named::new(Name::Known(named));
        run(id, block.place, || function.run_here(py, block, item));
    }
}

/// Sleeps in a task until so many have ended; whether they have, or the time is over.
pub(crate) fn sleep(
    py: Python<'_>,
    awaited: &Awaited<'_>,
    deadline: Option<Instant>,
) -> PyResult<bool> {
    let (ready, wanted) = (awaited.ready, awaited.wanted);
    sleep_by(py, awaited, deadline, |until| {
        park::wait(py, until, |until| ready.wait_for_all(wanted, until) || ready.is_interrupted())
    })
}

/// Sleeps in a task until an item of a block has ended; whether it has, or the time is over.
pub(crate) fn sleep_until_ended(
    py: Python<'_>,
    block: &Block,
    index: usize,
    deadline: Option<Instant>,
) -> PyResult<bool> {
    let ready = Arc::default();
    let targets = || {
        let mut targets = Targets::new(How::All);
        targets.add(item_id(block, index), None, None);
        targets
    };
    let own = nested::is_own(block.pool());
    let item = block.items.awaited(py.into(), index);
    let awaited = Awaited { ready: &ready, wanted: 1, own, targets: &targets };
    sleep_by(py, &awaited, deadline, |until| {
        loop {
            // Nobody wakes one who waits for a block but its workers.
            let look = Instant::now() + LOOK;
            let before = until.map_or(look, |until| look.min(until));
            if park::wait(py, Some(before), |until| item.wait(until))? || ready.is_interrupted() {
                return Ok(true);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(false);
            }
        }
    })
}

fn sleep_by(
    py: Python<'_>,
    awaited: &Awaited<'_>,
    deadline: Option<Instant>,
    wait: impl FnMut(Option<Instant>) -> PyResult<bool>,
) -> PyResult<bool> {
    place::keep_on();
    match nested::sleep(awaited, deadline, |depth, task| describe(py, depth, task), wait)? {
        Woken::Ended => Ok(true),
        Woken::TimeIsUp => Ok(false),
        Woken::Deadlock(deadlock) => Err(error(py, &deadlock)),
    }
}

/// Python's `DeadlockError`.
pub(crate) fn error(py: Python<'_>, deadlock: &Deadlock) -> PyErr {
    let cycle = deadlock.cycle().iter().map(|task| (task.name.clone(), task.place.clone()));
    let made = PyList::new(py, cycle)
        .and_then(|cycle| stdlib::DEADLOCK_ERROR.get(py)?.call1((deadlock.to_string(), cycle)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// What is told of a task of this thread, with so many others below it on the stack.
fn describe(py: Python<'_>, depth: usize, task: Running) -> WaitingTask {
    let WaitingTask { name, place } = name(py, depth);
    let submitted = place::line(NonZeroU32::new(task.known_as));
    let submitted = submitted.map(|line| format!("submitted at {line}"));
    // Where a function is written tells little beside it.
    let place = place.filter(|place| submitted.is_none() || !place.starts_with(WRITTEN));
    let places: Vec<_> = submitted.into_iter().chain(place).collect();
    WaitingTask { name, place: (!places.is_empty()).then(|| places.join(", ")) }
}

fn name(py: Python<'_>, depth: usize) -> WaitingTask {
    let named = NAMES.with_borrow(|names| {
        let (_, name) = names.iter().find(|(below, _)| *below == depth)?;
        Some(match name {
            Name::Known(task) => Name::Known(task.clone()),
            Name::Function(function) => Name::Function(function.clone_ref(py)),
        })
    });
    match named {
        Some(Name::Known(task)) => task,
        Some(Name::Function(called)) => function(called.bind(py)),
        None if depth == 0 => outermost(py).ok().flatten().unwrap_or_else(nameless),
        None => nameless(),
    }
}

/// The task of a worker process that this thread runs.
pub(crate) fn this_task(py: Python<'_>) -> WaitingTask {
    outermost(py).ok().flatten().unwrap_or_else(nameless)
}

fn nameless() -> WaitingTask {
    WaitingTask { name: "a task".to_owned(), place: None }
}

/// The function that this thread's first task is in, and the line it is at.
fn outermost(py: Python<'_>) -> PyResult<Option<WaitingTask>> {
    let mut frame = stdlib::GET_FRAME.get(py)?.call1((0,))?;
    let mut found = None;
    while !frame.is_none() {
        let code = frame.getattr(intern!(py, "f_code"))?;
        let globals = frame.getattr(intern!(py, "f_globals"))?;
        let module = globals.get_item("__name__").and_then(|name| name.extract::<String>());
        if module.is_ok_and(|module| RUN_TASKS.contains(&module.as_str())) {
            break;
        }
        let file: String = code.getattr(intern!(py, "co_filename"))?.extract()?;
        let line: Option<u32> = frame.getattr(intern!(py, "f_lineno"))?.extract()?;
        found = Some((code.clone(), file, line));
        frame = frame.getattr(intern!(py, "f_back"))?;
    }
    let Some((code, file, line)) = found else { return Ok(None) };
    let name = code.getattr(intern!(py, "co_name"))?.extract()?;
    let place = line.map_or(file.clone(), |line| format!("{file}:{line}"));
    Ok(Some(WaitingTask { name, place: Some(format!("waits at {place}")) }))
}

/// How the place of a function begins.
const WRITTEN: &str = "written";

/// What a function is called, and where it is written.
fn function(function: &Bound<'_, PyAny>) -> WaitingTask {
    let py = function.py();
    let name = function.getattr(intern!(py, "__name__")).and_then(|name| name.extract());
    let place = || -> PyResult<String> {
        let code = function.getattr(intern!(py, "__code__"))?;
        let file: String = code.getattr(intern!(py, "co_filename"))?.extract()?;
        let line: u32 = code.getattr(intern!(py, "co_firstlineno"))?.extract()?;
        Ok(format!("{WRITTEN} at {file}:{line}"))
    };
    WaitingTask { name: name.unwrap_or_else(|_| nameless().name), place: place().ok() }
}
