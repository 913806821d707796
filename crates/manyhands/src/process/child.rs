//! A worker process as its parent sees it: alive, or how it ended.
//!
//! On Linux a pidfd stands for the process: it becomes readable at its death, however it dies, and no
//! signal can reach another process that got the same number. A system without it needs another
//! [`Child`] here, whose sentinel is what tells of a death there (kqueue's `EVFILT_PROC` on macOS).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use crate::errors::Exit;

/// A worker's process. One that is dropped before it was seen to end is killed and waited for, so
/// that neither a process nor a zombie stays behind.
pub trait Child: fmt::Debug + Send {
    /// Readable once the process has ended.
    fn sentinel(&self) -> BorrowedFd<'_>;

    /// How it ended, if it has. Says the same from then on.
    ///
    /// # Errors
    ///
    /// If the system refuses to tell.
    fn try_wait(&mut self) -> io::Result<Option<Exit>>;

    /// Sends a signal. To send one to a process that has ended is no error.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    fn signal(&mut self, signal: Signal) -> io::Result<()>;

    /// Its number. After its end, another process may have it.
    fn pid(&self) -> u32;
}

/// A process that this one has started.
#[derive(Debug)]
pub struct ChildProcess {
    pidfd: OwnedFd,
    pid: u32,
    exit: Option<Exit>,
    /// A forked child of this process has this value too, but the worker is not its own.
    parent: u32,
}

impl ChildProcess {
    /// Takes over what has just been started, and its reaping. On failure it is killed.
    ///
    /// # Errors
    ///
    /// If there is no pidfd to be had (before Linux 5.4, or no more descriptors).
    pub fn new(mut child: process::Child) -> io::Result<Self> {
        let pid = child.id();
        let opened = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match opened {
            Ok(pidfd) => Ok(Self { pidfd, pid, exit: None, parent: process::id() }),
            Err(errno) => {
                child.kill().and_then(|()| child.wait())?;
                Err(errno.into())
            }
        }
    }

    fn wait(&mut self, options: WaitIdOptions) -> io::Result<Option<Exit>> {
        while self.exit.is_none() {
            self.exit = match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Ok(None) => return Ok(None),
                Ok(Some(status)) => {
                    Some(match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => Exit::Code(code),
                        (None, Some(signal)) => Exit::Signal(signal),
                        (None, None) => Exit::Unknown,
                    })
                }
                Err(Errno::CHILD) => Some(Exit::Unknown),
                Err(Errno::INTR) => None,
                Err(errno) => return Err(errno.into()),
            };
        }
        Ok(self.exit)
    }
}

impl Child for ChildProcess {
    fn sentinel(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        self.wait(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Err(Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let is_ours = self.exit.is_none() && self.parent == process::id();
        if is_ours && self.signal(Signal::KILL).is_ok() {
            // Nobody is left to be told of a failure.
            let _ = self.wait(WaitIdOptions::EXITED);
        }
    }
}
