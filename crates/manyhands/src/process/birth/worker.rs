//! The newborn's side of a birth. It blocks, but never past its limit.

use std::env;
use std::ffi::CString;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};

use super::{Answer, Handover, Hello, MARK, Mark, Opening, PROTOCOL};
use crate::process::launch::null;
use crate::process::link::frames::{Frame, FrameReader, Kind, frame};
use crate::process::stream::{retry, send_all, wait_for};

/// A reason that is longer is cut: the parent reads so much.
const REASON_LIMIT: usize = 32 << 10;

/// The most descriptors that come with a hello: what the system sends at once.
const MOST_FDS: usize = 253;

/// A worker that knows who it is to be.
#[derive(Debug)]
pub struct Arrival {
    /// Who.
    pub hello: Hello,
    /// The link's descriptors.
    pub fds: Vec<OwnedFd>,
    /// How to tell the parent that it is ready, or why not.
    pub reply: Reply,
}

/// What is still to be said to the parent. If nothing is, it learns that the lifeline is closed.
#[derive(Debug)]
#[must_use = "the parent waits for it"]
pub struct Reply {
    socket: OwnedFd,
    handover: Handover,
}

/// Why a marked process cannot be a worker.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// Its parent has another version of this crate. The parent reads this from the standard error.
    #[error(
        "the parent speaks protocol {0} with its workers, and this program {PROTOCOL}: restart it"
    )]
    Protocol(u32),
    /// Its parent is gone.
    #[error("the program that has started this worker is gone")]
    Orphan,
    /// Its parent is another build of the program, and has been told.
    #[error("this worker is another build of the program than its parent: restart the program")]
    Build,
    /// Its parent has not said who it is to be.
    #[error("the parent has not said hello within {0:?}")]
    TimedOut(Duration),
    /// Its parent does not say what a parent says.
    #[error("the parent's hello cannot be understood: {0}")]
    Nonsense(String),
    /// The system refused.
    #[error("the worker cannot start: {0}")]
    Io(#[from] io::Error),
}

/// Whether this process was started as a worker and has not [arrived](arrive) yet. A pool must not be
/// made in one that has not: its workers would make pools too, and theirs again.
pub fn is_worker() -> bool {
    mark().is_some()
}

/// In a process that was started as a worker: learns who it is to be. `None` in any other process.
///
/// To be called first of all: a worker is known by its standard input, in whose place `/dev/null` is put
/// here. From here on, and as long as the calling thread lives, the process dies with its parent.
///
/// # Errors
///
/// The process is to end; saying why on its standard error reaches the parent.
pub fn arrive(build_id: u64, limit: Duration) -> Result<Option<Arrival>, ArrivalError> {
    let Some(mark) = mark() else { return Ok(None) };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    // It may have died before we asked to die with it.
    if getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned()) != Some(mark.parent) {
        return Err(ArrivalError::Orphan);
    }
    name_after_program();
    if mark.protocol != PROTOCOL {
        return Err(ArrivalError::Protocol(mark.protocol));
    }
    // Before anything is started that could inherit it.
    let socket = fcntl_dupfd_cloexec(stdin(), 3).map_err(io::Error::from)?;
    let () = null().and_then(dup2_stdin).map_err(io::Error::from)?;
    arrive_on(socket, build_id, limit).map(Some)
}

/// The part of [`arrive`] that needs no process: hears the hello on `socket`. For tests whose workers
/// are threads; their [`Reply::ready`] must have nothing handed over, or the process prints elsewhere.
///
/// # Errors
///
/// As for [`arrive`].
pub fn arrive_on(socket: OwnedFd, build_id: u64, limit: Duration) -> Result<Arrival, ArrivalError> {
    let (hello, fds) = hear(&socket, limit)?;
    let (opening, hello) = understand(hello)?;
    let sent = usize::from(opening.stdout) + usize::from(opening.stderr) + opening.link as usize;
    if fds.len() != sent {
        let why = format!("{} descriptors came along instead of {sent}", fds.len());
        return Err(ArrivalError::Nonsense(why));
    }
    let mut fds = fds.into_iter();
    let handover = Handover {
        stdout: opening.stdout.then(|| fds.next()).flatten(),
        stderr: opening.stderr.then(|| fds.next()).flatten(),
    };
    let reply = Reply { socket, handover };
    if opening.protocol != PROTOCOL {
        return Err(ArrivalError::Protocol(opening.protocol));
    }
    if hello.build_id != build_id {
        reply.refuse(&ArrivalError::Build.to_string())?;
        return Err(ArrivalError::Build);
    }
    Ok(Arrival { hello, fds: fds.collect(), reply })
}

impl Reply {
    /// Tells the parent that this worker waits for tasks, and prints from now on where the parent
    /// wants it to. Returns the lifeline: the link, or what shows that the parent is gone.
    ///
    /// # Errors
    ///
    /// If the parent is gone, or the system refuses.
    pub fn ready(self) -> io::Result<OwnedFd> {
        // What was printed before goes where it was meant to.
        let _ = io::stdout().flush();
        if let Some(stdout) = self.handover.stdout {
            dup2_stdout(stdout)?;
        }
        if let Some(stderr) = self.handover.stderr {
            dup2_stderr(stderr)?;
        }
        say(&self.socket, &Answer::Ready { pid: std::process::id() })?;
        Ok(self.socket)
    }

    /// Tells the parent that this worker cannot be, and why.
    ///
    /// # Errors
    ///
    /// If the parent is gone.
    pub fn refuse(self, reason: &str) -> io::Result<()> {
        let reason = reason[..reason.floor_char_boundary(REASON_LIMIT)].to_owned();
        say(&self.socket, &Answer::Refused { reason })
    }
}

fn mark() -> Option<Mark> {
    let mark: Mark = env::var(MARK).ok()?.parse().ok()?;
    mark.is_for(stdin()).then_some(mark)
}

/// A program that was started by the link to its own file is called "exe", after the link.
fn name_after_program() {
    let is_exe = rustix::thread::name().is_ok_and(|name| name.as_bytes() == b"exe");
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().map(|name| CString::new(name.as_bytes()));
    if let (true, Some(Ok(name))) = (is_exe, name) {
        // Only for those who look: as "exe" it works just as well.
        let _ = rustix::thread::set_name(&name);
    }
}

fn say(socket: &OwnedFd, answer: &Answer) -> io::Result<()> {
    let answer = postcard::to_stdvec(answer).expect("memory takes everything");
    Ok(send_all(socket, &frame(Kind::Reply, &[&answer]))?)
}

/// The hello, and the descriptors that came with it.
fn hear(socket: &OwnedFd, limit: Duration) -> Result<(Frame, Vec<OwnedFd>), ArrivalError> {
    let end = Instant::now().checked_add(limit);
    let mut reader = FrameReader::new(usize::MAX);
    let mut fds = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(frame)) => return Ok((frame, fds)),
            Ok(None) => {}
            Err(error) => return Err(ArrivalError::Nonsense(error.to_string())),
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if !wait_for(socket, PollFlags::IN, left).map_err(io::Error::from)? {
            return Err(ArrivalError::TimedOut(limit));
        }
        let mut piece = [0; 16 << 10];
        match receive_with(socket, &mut piece, &mut fds).map_err(io::Error::from)? {
            0 => return Err(ArrivalError::Orphan),
            received => reader.feed(&piece[..received]),
        }
    }
}

fn receive_with(
    socket: &OwnedFd,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry(|| {
        recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    // The system has dropped some: this process may not have as many open.
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::MFILE);
    }
    Ok(received.bytes)
}

fn understand(Frame { kind, body }: Frame) -> Result<(Opening, Hello), ArrivalError> {
    let (Kind::Hello, Ok((opening, initializer))) =
        (kind, postcard::take_from_bytes::<Opening>(&body))
    else {
        return Err(ArrivalError::Nonsense(format!("a frame of {} bytes ({kind:?})", body.len())));
    };
    let hello = Hello {
        build_id: opening.build_id,
        seat: opening.seat,
        transport: opening.transport,
        initializer: initializer.to_vec(),
    };
    Ok((opening, hello))
}
