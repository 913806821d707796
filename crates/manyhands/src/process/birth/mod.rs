//! What a parent and its newborn worker say to each other before the first task.
//!
//! ```text
//!  parent                                        newborn
//!    │ starts it: a socket for stdin,               │ arrive: asks the system to die with its parent;
//!    │ a mark in the environment                    │   am I marked? is my parent still there?
//!    │ Hello, descriptors ────────────────────────▶ │ same protocol, same build?
//!    │   who you are, what to run first             │ the initializer
//!    │ ◀──────────────────────────── Ready, Refused │ ready, refuse
//! ```
//!
//! The socket is the worker's lifeline from then on, and the link if there is no other.
//!
//! What a worker's `main` begins with:
//!
//! ```
//! use std::time::Duration;
//!
//! use manyhands::process::birth::arrive;
//! use manyhands::process::link::WorkerLink;
//! use manyhands::process::link::socket::SocketWorkerLink;
//!
//! # let build_id = 1;
//! if let Some(arrival) = arrive(build_id, Duration::from_secs(30))? {
//!     let mut link = match std::str::from_utf8(&arrival.hello.initializer) {
//!         Ok(_) => SocketWorkerLink::new(arrival.reply.ready()?),
//!         Err(error) => return Ok(arrival.reply.refuse(&error.to_string())?),
//!     };
//!     while let Ok(Some(request)) = link.claim(None) {
//!         let answer = request.to_ascii_uppercase();
//!         link.answer(&[&answer])?;
//!     }
//!     return Ok(());
//! }
//! // Any other process is the program.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::str::FromStr;

use rustix::fs::{FileType, fstat};
use serde::{Deserialize, Serialize};

mod parent;
mod worker;

pub use parent::{Birth, BirthError, Progress};
pub use worker::{Arrival, ArrivalError, Reply, arrive, arrive_on, is_worker};

/// Both sides must speak the same one. It counts up with every change of what is said here and on
/// the links.
pub const PROTOCOL: u32 = 2;

/// The environment variable that marks a worker.
pub const MARK: &str = "MANYHANDS_WORKER";

/// Who a worker is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Of the parent's program. A worker of another build refuses: a function's name or its arguments
    /// may mean something else there.
    pub build_id: u64,
    /// Its place in the pool.
    pub seat: u32,
    /// How requests will come.
    pub transport: Transport,
    /// What to run first: bytes for the host to understand.
    pub initializer: Vec<u8>,
}

/// How requests reach a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// Over the lifeline.
    Socket,
    /// Over rings in shared memory, whose descriptors come along.
    SharedMemory,
}

/// What a worker prints to once it is born; with `None`, what it was started with.
#[derive(Debug, Default)]
pub struct Handover {
    /// Its standard output.
    pub stdout: Option<OwnedFd>,
    /// Its standard error.
    pub stderr: Option<OwnedFd>,
}

/// A hello on the wire; the initializer follows. The descriptors that come along are those that are
/// said to be there, in this order, and then the link's.
#[derive(Debug, Serialize, Deserialize)]
struct Opening {
    protocol: u32,
    build_id: u64,
    seat: u32,
    transport: Transport,
    stdout: bool,
    stderr: bool,
    /// How many descriptors for the link.
    link: u32,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    Ready { pid: u32 },
    Refused { reason: String },
}

/// What the environment variable says: which protocol, whose worker, and which socket must be its
/// standard input. A worker's own children inherit the variable, but not the socket, so they are not
/// taken for workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    protocol: u32,
    parent: u32,
    socket: u64,
}

impl Mark {
    /// For a worker of this process that gets `socket`.
    ///
    /// # Errors
    ///
    /// If the system does not know the socket.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let socket = fstat(socket)?.st_ino;
        Ok(Self { protocol: PROTOCOL, parent: std::process::id(), socket })
    }

    fn is_for(self, stdin: BorrowedFd<'_>) -> bool {
        fstat(stdin).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::Socket && stat.st_ino == self.socket
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.protocol, self.parent, self.socket)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (protocol, rest) = text.split_once('.').ok_or(())?;
        let (parent, socket) = rest.split_once('.').ok_or(())?;
        Ok(Self {
            protocol: protocol.parse().map_err(drop)?,
            parent: parent.parse().map_err(drop)?,
            socket: socket.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_mark_is_for_one_socket() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mark: Mark = Mark::of(theirs.as_fd()).unwrap().to_string().parse().unwrap();
        assert_eq!((mark.protocol, mark.parent), (PROTOCOL, std::process::id()));
        assert!(mark.is_for(theirs.as_fd()));
        assert!(!mark.is_for(ours.as_fd()));
        let (pipe, _) = std::io::pipe().unwrap();
        assert!(!mark.is_for(pipe.as_fd()));
        let lookalike = Mark { socket: fstat(&pipe).unwrap().st_ino, ..mark };
        assert!(!lookalike.is_for(pipe.as_fd()), "a number of another kind of file");
    }

    #[test]
    fn what_is_no_mark_marks_nobody() {
        for text in ["", "1", "1.2", "1.2.", ".2.3", "1.2.3.4", "a.b.c", "1.-2.3", "1. 2.3"] {
            assert_eq!(text.parse::<Mark>(), Err(()), "{text:?}");
        }
    }
}
