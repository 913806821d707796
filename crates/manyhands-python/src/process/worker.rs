//! THE PYTHON WORKER PROCESS: what it does with a request, and how it ends with its parent.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use manyhands::process::birth::{ArrivalError, arrive_on};
use manyhands::process::host::{self, Borrowed, Kind, Perform, RequestHead, RunInPlace};
use manyhands_pybuffer::take_descriptor;
use manyhands_shm::Place;
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};

use super::BUILD;
use super::message::{Packed, Passes, Received};
use super::pickle::{self, Room};
use crate::stdlib;

/// How long a newborn waits for its parent's first words.
const PATIENCE: Duration = Duration::from_mins(1);

/// A signal ends a worker's sleep, but for one that comes just before it falls asleep.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// Works in this process, which was started as a worker, until its parent has it leave. `begin` is
/// called before the first task; `pickler` is the program's choice, or None. Whether `timed`: the next
/// task's time runs from this one's answer on.
#[pyfunction]
#[pyo3(name = "_work")]
pub(crate) fn work(
    py: Python<'_>,
    lifeline: &Bound<'_, PyAny>,
    parent: i32,
    begin: Py<PyAny>,
    pickler: Py<PyAny>,
    loads: Py<PyAny>,
    timed: bool,
) -> PyResult<()> {
    let parent = Pid::from_raw(parent)
        .ok_or(Errno::SRCH)
        .and_then(|parent| pidfd_open(parent, PidfdFlags::empty()));
    let parent = match parent {
        Ok(parent) => parent,
        Err(Errno::SRCH) => return Ok(()), // it is gone
        Err(errno) => return Err(io::Error::from(errno).into()),
    };
    let lifeline = take_descriptor(lifeline)?;
    die_with(parent)?;
    let calls = Calls { pickler, loads };
    let mut host = Host { begin: Some(begin), calls, timed, left: Vec::new() };
    py.detach(|| {
        // Whoever says hello is alive: it was no other process that got the parent's number.
        let arrival = match arrive_on(lifeline, BUILD, PATIENCE) {
            Ok(arrival) => arrival,
            // It wants no worker any more.
            Err(ArrivalError::Orphan) => return Ok(()),
            Err(error) => return Err(PyRuntimeError::new_err(error.to_string())),
        };
        match host::work(arrival, &mut host) {
            Ok(()) | Err(manyhands::process::link::LinkError::Closed) => Ok(()),
            Err(error) => Err(PyRuntimeError::new_err(error.to_string())),
        }
    })
}

/// Ends this process as soon as that one has ended, whatever it is doing.
fn die_with(parent: OwnedFd) -> io::Result<()> {
    let watch = move || {
        let mut fds = [PollFd::new(&parent, PollFlags::IN)];
        while poll(&mut fds, None) == Err(Errno::INTR) {}
        // Nothing that it could still do is of use to anybody.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    thread::Builder::new().name("manyhands-parent".to_owned()).stack_size(64 << 10).spawn(watch)?;
    Ok(())
}

/// Whether the task that runs in this worker process is asked to stop: it was cancelled, or its time is
/// up. False in a process that is no worker.
#[pyfunction]
pub(crate) fn stop_requested() -> bool {
    manyhands::process::stop_requested()
}

struct Host {
    begin: Option<Py<PyAny>>,
    calls: Calls,
    timed: bool,
    left: Left,
}

/// Large objects of a task that has ended. As in CPython, nobody waits for their end.
type Left = Vec<Py<PyAny>>;

/// How calls are made of bytes, and bytes of what comes of them.
struct Calls {
    pickler: Py<PyAny>,
    loads: Py<PyAny>,
}

impl Perform for Host {
    fn initialise(&mut self, _: &[u8]) -> Result<(), String> {
        let Some(begin) = self.begin.take() else { return Ok(()) };
        Python::attach(|py| match begin.call0(py) {
            Ok(_) => {
                drop(begin);
                Ok(())
            }
            Err(error) => Err(error.value(py).repr().map_or_else(
                |_| "an exception that cannot be shown".to_owned(),
                |it| it.to_string(),
            )),
        })
    }

    fn perform(&mut self, _: RequestHead, body: &[u8], answer: &mut Vec<u8>) -> Kind {
        Python::attach(|py| {
            // What came while there was no task is not for this one.
            hear_signals(py);
            let kind = self.calls.perform(py, body, answer, &mut self.left);
            if self.timed {
                self.left.clear();
            }
            kind
        })
    }

    fn answered(&mut self) -> bool {
        let any = !self.left.is_empty();
        if any {
            Python::attach(|_| self.left.clear());
        }
        any
    }

    fn no_room(&mut self, why: String, answer: &mut Vec<u8>) -> Kind {
        let error = PyMemoryError::new_err(format!("no shared memory for the result: {why}"));
        Python::attach(|py| self.calls.fail(py, error, answer));
        Kind::Failed
    }

    fn patience(&self) -> Option<Duration> {
        Some(LOOK_UP_EVERY)
    }

    fn look_up(&mut self) {
        Python::attach(hear_signals);
    }

    fn in_place(&self) -> Option<Box<dyn RunInPlace>> {
        let Calls { pickler, loads } = &self.calls;
        let calls = Python::attach(|py| Calls {
            pickler: pickler.clone_ref(py),
            loads: loads.clone_ref(py),
        });
        Some(Box::new(calls))
    }
}

impl RunInPlace for Calls {
    fn run(&self, _: u64, _: Kind, body: &[u8], answer: &mut Vec<u8>) -> Kind {
        Python::attach(|py| self.perform(py, body, answer, &mut Left::new()))
    }
}

/// Has signal handlers run while there is no task. Ctrl-C is for the parent, who knows what is to become
/// of its workers.
fn hear_signals(py: Python<'_>) {
    match py.check_signals() {
        Ok(()) => (),
        Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => (),
        Err(error) => error.write_unraisable(py, None),
    }
}

impl Calls {
    fn perform(&self, py: Python<'_>, body: &[u8], answer: &mut Vec<u8>, left: &mut Left) -> Kind {
        match self.answer(py, body, answer, left) {
            Ok(()) => Kind::One,
            Err(error) => {
                answer.clear();
                self.fail(py, error, answer);
                Kind::Failed
            }
        }
    }

    fn answer(
        &self,
        py: Python<'_>,
        body: &[u8],
        answer: &mut Vec<u8>,
        left: &mut Left,
    ) -> PyResult<()> {
        let result = {
            let passes = host::passes();
            let mut received = Received::read(body, borrow)
                .map_err(|why| unread(py, PyRuntimeError::new_err(why)))?
                .with_passes(passes.map(Passes::With));
            let call = received.open(py, self.loads.bind(py)).map_err(|error| unread(py, error))?;
            // What the parent has to hear of is dropped before it is answered.
            if received.is_long() && received.has_no_buffers() && passes.is_none() {
                left.push(call.clone().unbind());
            }
            drop(received);
            let call = call.cast_into::<PyTuple>()?;
            let function = call.get_item(0)?;
            let args = call.get_item(1)?.cast_into::<PyTuple>()?;
            let kwargs = if call.len() > 2 { Some(call.get_item(2)?) } else { None };
            drop(call);
            match kwargs {
                None => function.call1(args)?,
                Some(kwargs) => function.call(args, Some(kwargs.cast::<PyDict>()?))?,
            }
        };
        if self.write(py, &result, "", answer)? {
            left.push(result.unbind());
        }
        Ok(())
    }

    /// Whether the pickle is long.
    fn write(
        &self,
        py: Python<'_>,
        object: &Bound<'_, PyAny>,
        note: &str,
        into: &mut Vec<u8>,
    ) -> PyResult<bool> {
        let packed = pickle::pack(py, object, self.pickler.bind(py), Room::Worker)?;
        packed.write(note, into);
        let is_long = packed.is_long();
        packed.into_blocks().for_each(host::lend);
        Ok(is_long)
    }

    /// Writes an exception, or what can be said of it.
    fn fail(&self, py: Python<'_>, error: PyErr, into: &mut Vec<u8>) {
        let exception = error.into_value(py);
        let told = stdlib::TOLD
            .get(py)
            .and_then(|told| told.call1((&exception,)))
            .and_then(|told| told.extract::<String>());
        let note = told.unwrap_or_else(|_| "it cannot be shown".to_owned());
        let exception = exception.into_any();
        if let Err(unwritten) = self.write(py, exception.bind(py), &note, into) {
            into.clear();
            let unwritten = unwritten.into_value(py).into_any();
            if self.write(py, unwritten.bind(py), &note, into).is_err() {
                into.clear();
                // Whoever reads it finds no exception there, and has the note.
                Packed::default().write(&note, into);
            }
        }
    }
}

/// The error of a task whose arguments cannot be read.
fn unread(py: Python<'_>, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        return error; // As if the task had begun.
    }
    let unread = stdlib::UNREAD_ARGUMENTS.get(py);
    let made = unread.and_then(|unread| unread.call1((error.into_value(py),)));
    match made {
        Ok(made) => PyErr::from_value(made),
        Err(error) => error,
    }
}

/// What was lent with a request.
fn borrow(place: Place, writable: bool) -> Result<Borrowed, String> {
    let private = writable.then(|| host::borrow_private(place).ok()).flatten();
    // Without memory for what may be written, it can only be read.
    private.map_or_else(|| host::borrow(place), Ok)
}
