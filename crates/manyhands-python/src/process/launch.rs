//! Starting a worker, as `multiprocessing` starts processes, and seeing it end.
//!
//! A pidfd tells that the process has ended; how it ended is for `multiprocessing` to find out, which
//! would miss it if somebody else did.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use manyhands::Exit;
use manyhands::process::birth::Handover;
use manyhands::process::child::Child;
use manyhands::process::launch::{Launcher, Newborn};
use manyhands_pybuffer::take_descriptor;
use pyo3::intern;
use pyo3::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Starts workers through an object of `python/manyhands/process.py`, which knows the context.
#[derive(Debug)]
pub(super) struct PythonLauncher {
    pub(super) spawner: Py<PyAny>,
}

impl Launcher for PythonLauncher {
    fn launch(&mut self, _seat: u32) -> io::Result<Newborn> {
        Python::try_attach(|py| spawn(self.spawner.bind(py)).map_err(|error| told(py, &error)))
            .unwrap_or_else(|| Err(io::Error::other("the interpreter has ended")))
    }
}

/// Starts a worker here and now.
pub(super) fn spawn(spawner: &Bound<'_, PyAny>) -> PyResult<Newborn> {
    let py = spawner.py();
    let made = spawner.call_method0(intern!(py, "spawn"))?;
    let (process, socket): (Bound<'_, PyAny>, Bound<'_, PyAny>) = made.extract()?;
    take_over(spawner, &process, &socket).inspect_err(|_| {
        // It would wait for us, and nobody else knows of it. What can be said is being said.
        let _ = spawner.call_method1(intern!(py, "give_up"), (&process,));
    })
}

/// Ctrl-C may come in each call of Python's.
fn take_over(
    spawner: &Bound<'_, PyAny>,
    process: &Bound<'_, PyAny>,
    socket: &Bound<'_, PyAny>,
) -> PyResult<Newborn> {
    let py = spawner.py();
    let pid: u32 = process.getattr(intern!(py, "pid"))?.extract()?;
    let socket = take_descriptor(socket)?;
    let pidfd = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let buried = Some((process.clone().unbind(), spawner.clone().unbind()));
    let child = match pidfd {
        Ok(pidfd) => PythonChild { pidfd, pid, process: buried, exit: None, kills: true },
        // It has ended, and a fork server has seen to it already: something that is readable.
        Err(Errno::SRCH) => {
            let (ended, _) = io::pipe()?;
            let pidfd = ended.into();
            PythonChild { pidfd, pid, process: buried, exit: None, kills: false }
        }
        Err(errno) => return Err(io::Error::from(errno).into()),
    };
    Ok(Newborn { child: Box::new(child), socket, stderr: None, handover: Handover::default() })
}

/// An error of Python's in words.
pub(super) fn told(py: Python<'_>, error: &PyErr) -> io::Error {
    io::Error::other(error.value(py).repr().map_or_else(|_| error.to_string(), |it| it.to_string()))
}

/// How a process ended, as `multiprocessing` says it.
pub(super) fn exit_code(exit: Exit) -> Option<i32> {
    match exit {
        Exit::Code(code) => Some(code),
        Exit::Signal(signal) => Some(-signal),
        Exit::Unknown => None,
    }
}

#[derive(Debug)]
struct PythonChild {
    pidfd: OwnedFd,
    pid: u32,
    /// And who buries it. Until that is done: they are dropped by a thread that is attached.
    process: Option<(Py<PyAny>, Py<PyAny>)>,
    exit: Option<Exit>,
    /// Whether there is a process to be sent signals.
    kills: bool,
}

impl PythonChild {
    fn has_ended(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(_) | Err(Errno::INTR) => Ok(!fds[0].revents().is_empty()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Calls a method of the process; whether it has done so.
    fn call(&self, method: &str) -> bool {
        let Some((process, _)) = &self.process else { return false };
        Python::try_attach(|py| process.call_method0(py, method).is_ok()).unwrap_or(false)
    }

    /// Has `multiprocessing` see to the process that has ended.
    fn bury(&mut self) -> Exit {
        let Some((process, spawner)) = self.process.take() else { return Exit::Unknown };
        let code = Python::try_attach(move |py| {
            let buried = spawner.call_method1(py, intern!(py, "bury"), (&process,));
            buried.and_then(|code| code.extract::<Option<i32>>(py)).unwrap_or_else(|error| {
                crate::errors::log(py, "error", "cannot bury a worker", None, &error);
                None
            })
        });
        match code.flatten() {
            Some(code) if code < 0 => Exit::Signal(-code),
            Some(code) => Exit::Code(code),
            None => Exit::Unknown,
        }
    }
}

impl Child for PythonChild {
    fn sentinel(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        if self.exit.is_none() && self.has_ended()? {
            self.exit = Some(self.bury());
        }
        Ok(self.exit)
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if !self.kills || self.exit.is_some() {
            return Ok(());
        }
        // A program's own kind of process may have its own way to end. What must work, works without.
        if signal == Signal::TERM && self.call("terminate") {
            return Ok(());
        }
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => {
                if signal == Signal::KILL {
                    self.call("kill");
                }
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for PythonChild {
    fn drop(&mut self) {
        if self.exit.is_none() && self.signal(Signal::KILL).is_ok() {
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            // Nobody is left to be told of a failure.
            let _ = poll(&mut fds, None);
            self.bury();
        }
    }
}
