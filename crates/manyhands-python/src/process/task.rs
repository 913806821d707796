//! A task in a pool of worker processes: what the pool does with it, and whom it tells.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use manyhands::nested::graph::How;
use manyhands::process::host::{self, Awaited, For, Kind, Loss, tell_later};
use manyhands::promise::{Cancel, Wake};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::message::{Passes, Received, borrow};
use super::sent::{Closed, Sent};
use crate::task::{self, Core, Value, Watcher};
use crate::{errors, fat};

/// The call of a task and where it was submitted, to be told in errors.
pub(super) struct Call {
    pub(super) function: Py<PyAny>,
    pub(super) args: Py<PyTuple>,
    pub(super) kwargs: Option<Py<PyDict>>,
    pub(super) file: String,
    pub(super) line: u32,
}

impl Call {
    pub(super) fn to_tuple(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        let Self { function, args, kwargs, file, line } = self;
        Ok((function, args, kwargs, file, line).into_pyobject(py)?.unbind())
    }
}

pub(super) struct ProcessTask {
    core: Option<Arc<Core>>,
    /// Where errors are to tell of it.
    call: Option<Box<Call>>,
}

impl ProcessTask {
    pub(super) fn new(core: Arc<Core>, call: Option<Box<Call>>) -> Self {
        Self { core: Some(core), call }
    }

    fn finish(mut self, closed: Closed) {
        let Some(core) = self.core.take() else { return };
        if self.call.is_some() && Arc::strong_count(&core) == 1 {
            // Nobody will ask.
            let call = self.call.take();
            tell_later(move || {
                Python::try_attach(|_| drop(call));
            });
        }
        let sent = Value::Sent(Arc::new(Sent::new(closed, self.call.take())));
        match core.life.finish(Ok(sent), |_| ()) {
            Ok(wake) => tell(wake),
            Err((ending, _)) if core.fat.get().is_some() => tell_later(move || {
                attached(|py| fat::answer(py, &core, task::open(py, ending)));
            }),
            // It was cancelled.
            Err(_) => (),
        }
    }
}

impl host::Task for ProcessTask {
    fn begin(&self) -> bool {
        // Whether one with its insides out was cancelled is found out at its end.
        self.core.as_ref().is_some_and(|core| core.life.begin() || core.fat.get().is_some())
    }

    fn answer(self, kind: Kind, body: &[u8]) {
        let first = host::passes();
        let passes = first.map(|first| Passes::In(first, host::unopened(first)));
        let received = Received::read(body, borrow).map(|it| it.with_passes(passes));
        self.finish(match received {
            Err(why) => Closed::Torn(why),
            Ok(received) if kind == Kind::Failed => Closed::Exception(received),
            Ok(received) => Closed::Value(received),
        });
    }

    fn lose(self, loss: Loss, _: Kind, _: &[u8]) {
        if matches!(loss, Loss::Cancelled) {
            return; // Dropping it cancels it.
        }
        self.finish(Closed::Lost(loss));
    }

    fn address(&self) -> Option<usize> {
        self.core.as_ref().map(|core| Arc::as_ptr(core).addr())
    }
}

impl Drop for ProcessTask {
    fn drop(&mut self) {
        let Some(core) = self.core.take() else { return };
        match core.life.cancel_running() {
            (Cancel::Now(_, wake), _) => tell(wake),
            (Cancel::TooLate(_), _) if core.fat.get().is_some() => tell_later(move || {
                attached(|py| fat::cancel(py, &core));
            }),
            _ => (),
        }
    }
}

/// Tells those who wait that the task has ended, or leaves it to another thread.
fn tell(wake: Wake<Watcher>) {
    if wake.is_empty() {
        return;
    }
    tell_later(move || {
        let (callbacks, waiting): (Vec<_>, Vec<_>) =
            wake.partition(|watcher| matches!(watcher, Watcher::Callback { .. }));
        for watcher in waiting {
            watcher.tell_waiting();
        }
        if !callbacks.is_empty() {
            attached(|py| task::call_all(py, callbacks, None));
        }
    });
}

/// Runs Python code in a thread of the pool's; not any more when the interpreter has ended.
pub(super) fn attached(run: impl FnOnce(Python<'_>) -> PyResult<()>) {
    Python::try_attach(|py| {
        if let Err(error) = run(py) {
            errors::log(py, "critical", "Exception in the manager of a process pool", None, &error);
        }
    });
}

struct Waits<'a>(&'a Core);

impl Awaited for Waits<'_> {
    fn address(&self) -> usize {
        address(self.0)
    }

    fn is_done(&self) -> bool {
        self.0.life.state().is_done()
    }

    fn watch(&self, waker: &Waker) -> bool {
        self.0.life.watch(Watcher::Attendant(waker.clone())).is_ok()
    }

    fn unwatch(&self) {
        drop(self.0.life.unwatch(|watcher| matches!(watcher, Watcher::Attendant(_))));
    }
}

fn address(core: &Core) -> usize {
    std::ptr::from_ref(core).addr()
}

/// In a worker: runs this task here, if it is one of the parent's pool and nobody has begun it, for the
/// calling thread waits for it.
pub(crate) fn run_in_place(py: Python<'_>, core: &Core) {
    if is_parents(core) {
        py.detach(|| host::run_in_place(&Waits(core)));
    }
}

/// Whether this process is a worker, and the task one of the pool that it works for.
fn is_parents(core: &Core) -> bool {
    core.life.executor() == Some(host::PARENTS)
}

/// In a worker: the calling thread is about to wait for this task. It may be run here; otherwise the parent
/// is told of the wait as long as what is returned is there.
pub(crate) fn begin_wait(
    py: Python<'_>,
    core: &Core,
    deadline: Option<Instant>,
) -> Option<host::Waits> {
    if !is_parents(core) {
        return None;
    }
    if deadline.is_none() {
        run_in_place(py, core);
    }
    begin_waits(py, deadline, || Some((vec![address(core)], How::All)), |soon| core.life.wait(soon))
}

/// In a worker: the calling thread is about to wait for tasks of which `what` gives the addresses, and how
/// many of them have to end; or for others too, if it gives `None`. `wait` waits until the time given.
pub(crate) fn begin_waits(
    py: Python<'_>,
    deadline: Option<Instant>,
    what: impl FnOnce() -> Option<(Vec<usize>, How)>,
    wait: impl Fn(Option<Instant>) -> bool + Send + Sync,
) -> Option<host::Waits> {
    let what = || what().map(|(tasks, how)| For { tasks, how });
    host::waits(what, deadline, |soon| py.detach(|| wait(soon)))
}

/// In a worker: has the parent cancel its task, if nobody has begun it or if it may be `running`.
pub(crate) fn withdraw(core: &Core, running: bool) -> Option<host::Withdrawn> {
    if is_parents(core) { host::withdraw(address(core), running) } else { None }
}

/// Whether this process is a worker, and the future has come to it with a task.
pub(crate) fn is_passed(core: &Core) -> bool {
    is_parents(core) && host::is_passed(address(core))
}

/// Has the calling thread, which waits for this task, receive the answers of the pool it is in.
pub(crate) fn attend(core: &Core, deadline: Option<Instant>) {
    if let Some(pool) = core.life.executor() {
        host::attend(pool, &Waits(core), deadline);
    }
}
