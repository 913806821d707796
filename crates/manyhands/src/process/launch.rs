//! Starting a worker: the program itself once more, with a socket for its standard input.
//!
//! Nothing else is handed down: every descriptor of ours is closed on exec, and what the worker
//! needs comes over the socket. So no descriptor ends up in other programs that are started
//! meanwhile, and none of theirs in a worker.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionbio};

use super::birth::{Handover, MARK, Mark};
use super::child::{Child, ChildProcess};

/// Starts workers. What the manager is given, so that tests can give it another.
pub trait Launcher: fmt::Debug + Send {
    /// Starts the worker of a seat.
    ///
    /// On Linux a worker that asks to die with its parent dies with the *thread* that has started it: call
    /// this from one that outlives the workers.
    ///
    /// # Errors
    ///
    /// If the system does not start it.
    fn launch(&mut self, seat: u32) -> io::Result<Newborn>;
}

/// A worker that was started, and has said nothing yet.
#[derive(Debug)]
pub struct Newborn {
    /// Its process.
    pub child: Box<dyn Child>,
    /// The parent's end of its lifeline: for [`Birth`](super::birth::Birth).
    pub socket: OwnedFd,
    /// Where what it prints to its standard error comes out until it is born: for
    /// [`LastLines`](super::last_lines::LastLines).
    pub stderr: Option<OwnedFd>,
    /// What it is to print to from then on: for [`Birth`](super::birth::Birth).
    pub handover: Handover,
}

/// Where a worker prints to.
#[derive(Clone, Debug, Default)]
pub enum Output {
    /// Where the parent does.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// There.
    Descriptor(Arc<OwnedFd>),
}

/// Starts workers as processes.
#[derive(Clone, Debug, Default)]
pub struct ProcessLauncher {
    /// Which program; `None` for the one that is running, even if its file has been replaced.
    pub program: Option<PathBuf>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Whether it starts without the parent's environment.
    pub env_clear: bool,
    /// Variables to set, or with `None` to remove, in this order.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Its working directory; `None` for the parent's.
    pub current_dir: Option<PathBuf>,
    /// Where it prints to.
    pub stdout: Output,
    /// Where its standard error goes, once it is born.
    pub stderr: Output,
    /// Whether what it prints until it is born is thrown away: a test harness announces its tests.
    pub quiet_birth: bool,
}

impl Launcher for ProcessLauncher {
    fn launch(&mut self, _seat: u32) -> io::Result<Newborn> {
        let (ours, theirs) = UnixStream::pair()?;
        let (stderr, stderr_end) = io::pipe()?;
        // The pipe's ends have flags of their own: the worker's blocks.
        ioctl_fionbio(&stderr, true)?;
        let mark = Mark::of(theirs.as_fd())?;
        let stdout = self.stdout.open(rustix::stdio::stdout())?;
        let mut handover =
            Handover { stdout: None, stderr: Some(self.stderr.open(rustix::stdio::stderr())?) };
        let mut command = self.command();
        command
            .env(MARK, mark.to_string())
            .stdin(OwnedFd::from(theirs))
            .stderr(stderr_end)
            .process_group(0);
        if self.quiet_birth {
            command.stdout(Stdio::null());
            handover.stdout = Some(stdout);
        } else {
            command.stdout(stdout);
        }
        let child = ChildProcess::new(command.spawn()?)?;
        Ok(Newborn {
            child: Box::new(child),
            socket: ours.into(),
            stderr: Some(stderr.into()),
            handover,
        })
    }
}

impl ProcessLauncher {
    fn command(&self) -> Command {
        let mut command = match &self.program {
            Some(program) => Command::new(program),
            None => this_program(),
        };
        command.args(&self.args);
        if self.env_clear {
            command.env_clear();
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.current_dir {
            command.current_dir(directory);
        }
        command
    }
}

/// By the link that leads to the very file that is running, whatever lies at its path now. Other
/// systems have none: there it is `current_exe`, and the build id shows when the file was replaced.
fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    command
}

impl Output {
    /// A descriptor of its own; of what is closed in the parent, one that leads nowhere.
    fn open(&self, inherited: impl AsFd) -> io::Result<OwnedFd> {
        let duplicate = |fd: &dyn AsFd| fcntl_dupfd_cloexec(fd.as_fd(), 3);
        let opened = match self {
            Self::Descriptor(fd) => duplicate(fd),
            Self::Inherit => duplicate(&inherited),
            Self::Null => Err(Errno::BADF),
        };
        match opened {
            Err(Errno::BADF) => Ok(null()?),
            opened => Ok(opened?),
        }
    }
}

/// The file that is empty and forgets.
pub(super) fn null() -> Result<OwnedFd, Errno> {
    open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}
