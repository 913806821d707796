//! The parent of these tests: one worker, and one thread that sees it through its life.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use manyhands::Exit;
use manyhands::process::birth::{Birth, BirthError, Handover, Hello, Progress, Transport};
use manyhands::process::child::Child;
use manyhands::process::last_lines::LastLines;
use manyhands::process::launch::{Launcher, Newborn, ProcessLauncher};
use manyhands::process::link::socket::SocketLink;
use manyhands::process::link::{Link, LinkError};
use manyhands::process::watch::{Seen, Watch, Watched};
use rustix::event::PollFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::worker::BUILD;

/// Starts workers of this binary that are born in a certain way.
pub(crate) fn launcher(how: &str) -> ProcessLauncher {
    ProcessLauncher { args: vec![how.into()], quiet_birth: true, ..ProcessLauncher::default() }
}

pub(crate) fn hello(initializer: &[u8]) -> Hello {
    Hello {
        build_id: BUILD,
        seat: 3,
        transport: Transport::Socket,
        initializer: initializer.to_vec(),
    }
}

/// A worker and all that the parent has of it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) child: Box<dyn Child>,
    pub(crate) lines: LastLines,
    /// What was passed on of the standard error.
    forwarded: OwnedFd,
    /// Once it is born.
    link: Option<SocketLink>,
    watch: Watch,
}

pub(crate) fn start(launcher: &mut ProcessLauncher) -> io::Result<(Worker, OwnedFd, Handover)> {
    let Newborn { child, socket, stderr, handover } = launcher.launch(3)?;
    let (forwarded, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let lines = LastLines::new(stderr.expect("a process has one"), to);
    Ok((Worker { child, lines, forwarded, link: None, watch: Watch::new() }, socket, handover))
}

/// A worker that was not born, and why.
type Failure = Box<(Worker, BirthError)>;

/// Starts a worker and sees it through its birth.
pub(crate) fn bear(how: &str, initializer: &[u8]) -> Result<Worker, Failure> {
    bear_with(&mut launcher(how), initializer, Vec::new())
}

pub(crate) fn bear_with(
    launcher: &mut ProcessLauncher,
    initializer: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<Worker, Failure> {
    let (mut worker, socket, handover) = start(launcher).unwrap();
    let birth = Birth::new(socket, &hello(initializer), handover, fds);
    match worker.see_through(birth) {
        Ok(socket) => {
            worker.link = Some(SocketLink::new(socket, 1 << 20));
            Ok(worker)
        }
        Err(error) => Err(Box::new((worker, error))),
    }
}

impl Worker {
    fn see_through(&mut self, mut birth: Birth) -> Result<OwnedFd, BirthError> {
        let mut seen = Vec::new();
        loop {
            if let Progress::Ready { pid } = birth.advance()? {
                assert_eq!(pid, self.child.pid());
                return birth.into_socket();
            }
            let (fd, flags) = birth.interest();
            let going_on = Watched { seen: Seen::Birth(3), fd, flags };
            let stderr = self.lines.interest();
            let stderr = stderr.map(|(fd, flags)| Watched { seen: Seen::Stderr(3), fd, flags });
            let watched = [going_on, died(&*self.child)].into_iter().chain(stderr);
            self.watch.look(watched, None, &mut seen).unwrap();
            assert!(!seen.is_empty(), "without a limit, it wakes for a reason");
            if seen.contains(&Seen::Stderr(3)) {
                self.lines.advance();
            }
        }
    }

    /// What has been passed on so far.
    pub(crate) fn forwarded(&self) -> String {
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = rustix::io::read(&self.forwarded, &mut piece) {
            text.extend_from_slice(&piece[..length]);
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) fn exit(&mut self) -> Exit {
        wait_for_exit(&mut *self.child)
    }

    pub(crate) fn ask(&mut self, request: &str) -> String {
        self.try_ask(request).unwrap()
    }

    /// Asks and sleeps until there is an answer or the worker is dead.
    pub(crate) fn try_ask(&mut self, request: &str) -> Result<String, LinkError> {
        let link = self.link.as_mut().expect("it is born");
        link.offer(&[request.as_bytes()]).unwrap();
        let mut answer = Vec::new();
        let mut seen = Vec::new();
        while !link.receive(&mut answer)? {
            let answers = link.interest();
            let answers = answers.map(|(fd, flags)| Watched { seen: Seen::Link(3), fd, flags });
            let watched = answers.into_iter().chain([died(&*self.child)]);
            self.watch.look(watched, None, &mut seen).unwrap();
            if seen.contains(&Seen::Died(3)) {
                link.set_dead();
            }
        }
        link.release(1);
        Ok(String::from_utf8(answer).unwrap())
    }

    pub(crate) fn link(&mut self) -> &mut SocketLink {
        self.link.as_mut().expect("it is born")
    }

    /// Closes the link, which ends the worker.
    pub(crate) fn end(mut self) -> Exit {
        self.link = None;
        self.exit()
    }
}

pub(crate) fn wait_for_exit(child: &mut dyn Child) -> Exit {
    loop {
        if let Some(exit) = child.try_wait().unwrap() {
            assert_eq!(child.try_wait().unwrap(), Some(exit), "it stays so");
            return exit;
        }
        let mut seen = Vec::new();
        Watch::new().look([died(child)], None, &mut seen).unwrap();
        assert_eq!(seen, [Seen::Died(3)]);
    }
}

fn died(child: &dyn Child) -> Watched<'_> {
    Watched { seen: Seen::Died(3), fd: child.sentinel(), flags: PollFlags::IN }
}

/// Whether this process is alive: there, and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().unwrap().trim_start();
        !state.starts_with('Z') && !state.starts_with('X')
    })
}

/// A pipe whose reading end does not block.
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    rustix::io::ioctl_fionbio(from.as_fd(), true).unwrap();
    (from, to)
}

/// What is in a pipe now.
pub(crate) fn read_now(from: &OwnedFd) -> String {
    let mut bytes = [0; 4096];
    let length = rustix::io::read(from, &mut bytes).unwrap_or(0);
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

/// Sleeps while others work.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}
