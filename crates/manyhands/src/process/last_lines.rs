//! What a newborn worker prints to its standard error until it is born: passed on to the parent's
//! own, and the last of it kept, for the report should it die.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::{Errno, read, write};

use super::stream::wait_for;

/// Lines that are kept.
const LINES: usize = 20;
/// Of a line, so much is kept.
const LINE: usize = 1 << 10;
/// What a pipe with room takes without blocking.
const PIECE: usize = 4 << 10;

/// Reads one worker's standard error. It neither blocks nor loses anything: what the parent's own
/// does not take is left in the pipe, and the worker waits.
#[derive(Debug)]
pub struct LastLines {
    pipe: OwnedFd,
    to: OwnedFd,
    /// Read, and not passed on yet.
    pending: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
    /// Whether the last line has ended, so that the next byte begins another.
    line_is_whole: bool,
    ended: bool,
}

impl LastLines {
    /// Reads from `pipe`, which must not block, and passes on to `to`.
    pub fn new(pipe: OwnedFd, to: OwnedFd) -> Self {
        Self {
            pipe,
            to,
            pending: Vec::new(),
            lines: VecDeque::new(),
            line_is_whole: true,
            ended: false,
        }
    }

    /// What to poll for: more text, or room for it. `None` once all has been read and passed on: it
    /// can be dropped.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if !self.pending.is_empty() {
            return Some((self.to.as_fd(), PollFlags::OUT));
        }
        (!self.ended).then(|| (self.pipe.as_fd(), PollFlags::IN))
    }

    /// Reads some and passes it on, as far as that goes without waiting.
    pub fn advance(&mut self) {
        if self.pending.is_empty() && !self.ended {
            self.read();
        }
        self.pass_on();
    }

    /// All that the worker has printed and that is still in the pipe: after its death, and before
    /// [`text`](Self::text) is asked for.
    pub fn drain(&mut self) {
        // A child that it has left behind may print without end.
        const MOST: usize = 1 << 20;
        for _ in 0..MOST / PIECE {
            if self.ended || !self.read() {
                break;
            }
            self.pass_on();
        }
    }

    /// The last lines.
    pub fn text(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        lines.join("\n")
    }

    /// Whether something was there.
    fn read(&mut self) -> bool {
        let mut piece = [0; PIECE];
        match read(&self.pipe, &mut piece) {
            Ok(0) => self.ended = true,
            Ok(length) => {
                self.keep(&piece[..length]);
                self.pending.extend_from_slice(&piece[..length]);
                return true;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.ended = true,
        }
        false
    }

    fn keep(&mut self, text: &[u8]) {
        for part in text.split_inclusive(|&byte| byte == b'\n') {
            if std::mem::replace(&mut self.line_is_whole, part.ends_with(b"\n")) {
                if self.lines.len() == LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(Vec::new());
            }
            let line = self.lines.back_mut().expect("one was begun");
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            line.extend_from_slice(&part[..part.len().min(LINE - line.len())]);
        }
    }

    fn pass_on(&mut self) {
        while !self.pending.is_empty() {
            let has_room = wait_for(&self.to, PollFlags::OUT, Some(Duration::ZERO));
            if !has_room.unwrap_or(true) {
                return;
            }
            match write(&self.to, &self.pending[..self.pending.len().min(PIECE)]) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                // Nobody reads it: the lines are kept all the same.
                Err(_) => self.pending.clear(),
            }
        }
    }
}
