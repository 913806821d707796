//! The parent's end of what is said beside a worker's link.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use manyhands_shm::Doorbell;

use super::passed::{Ended, Known, Mailbox, number_for_graph};
use super::protocol::{Down, Id, Lost, Reply, Up, frame, parse};
use crate::crossing::Kind;
use crate::nested::graph::TaskId;
use crate::process::link::frames;
use crate::process::pool::MANAGERS;
use crate::process::stream::{Filled, Inbox, send_now};
use crate::process::supervisor::Ticket;
use crate::process::task::{Loss, Task};

/// The longest thing that a worker may say.
const MOST_BYTES: usize = 1 << 31;

/// How much is taken in at once: more than a socket holds, but not all that a worker may ever say.
const PIECES_AT_ONCE: usize = 64;

/// To one worker: anybody may speak, and nobody blocks.
pub(in crate::process) struct Channel {
    socket: OwnedFd,
    unsent: Mutex<Unsent>,
    /// The futures that have come to the worker.
    pub(super) known: Mutex<Known>,
    /// A look at whether there is something, for the manager, who sends it when there is room.
    any: AtomicBool,
    doorbells: Arc<[Doorbell; 2]>,
}

#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    /// The worker is gone.
    deaf: bool,
}

impl Channel {
    pub(in crate::process) fn new(socket: OwnedFd, doorbells: Arc<[Doorbell; 2]>) -> Self {
        let (unsent, known) = Default::default();
        Self { socket, unsent, known, any: AtomicBool::new(false), doorbells }
    }

    pub(in crate::process) fn say(&self, words: &Down, body: &[u8]) {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        unsent.bytes.append(&mut frame(frames::Kind::Down, words, body));
        let had_unsent = self.any.load(Ordering::Relaxed);
        if !had_unsent && self.send(&mut unsent) {
            self.doorbells[MANAGERS].ring();
        }
    }

    /// Sends what could not be sent at once.
    pub(in crate::process) fn flush(&self) {
        if self.has_unsent() {
            let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
            self.send(&mut unsent);
        }
    }

    /// Sends what the system takes; whether something is left.
    fn send(&self, unsent: &mut Unsent) -> bool {
        while !unsent.deaf && unsent.sent < unsent.bytes.len() {
            match send_now(&self.socket, &unsent.bytes[unsent.sent..]) {
                Ok(0) => break,
                Ok(sent) => unsent.sent += sent,
                Err(_) => unsent.deaf = true,
            }
        }
        let left = !unsent.deaf && unsent.sent < unsent.bytes.len();
        if !left {
            unsent.bytes = Vec::new();
            unsent.sent = 0;
        } else if unsent.sent > unsent.bytes.len() / 2 {
            unsent.bytes.drain(..unsent.sent);
            unsent.sent = 0;
        }
        self.any.store(left, Ordering::Relaxed);
        left
    }

    pub(in crate::process) fn has_unsent(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(in crate::process) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What is heard of one worker, by one thread at a time.
pub(in crate::process) struct Ear {
    channel: Arc<Channel>,
    inbox: Inbox,
}

/// What the worker has said, and the bytes that follow.
pub(in crate::process) type Said = (Up, Vec<u8>);

impl Ear {
    pub(in crate::process) fn new(channel: Arc<Channel>) -> Self {
        Self { channel, inbox: Inbox::new(MOST_BYTES) }
    }

    /// What has been said, and whether more may be.
    ///
    /// # Errors
    /// Why what came last makes no sense.
    pub(in crate::process) fn listen(&mut self) -> (Vec<Said>, Result<bool, String>) {
        let mut said = Vec::new();
        for _ in 0..PIECES_AT_ONCE {
            let filled = self.inbox.fill(&self.channel.socket);
            loop {
                match self.inbox.next_frame() {
                    Ok(Some(frame)) => match parse::<Up>(frames::Kind::Up, &frame) {
                        Some((up, body)) => said.push((up, body.to_vec())),
                        None => return (said, Err("its words are none".to_owned())),
                    },
                    Ok(None) => break,
                    Err(error) => return (said, Err(error.to_string())),
                }
            }
            match filled {
                Ok(Filled::Some) => (),
                Ok(Filled::Nothing) => break,
                Ok(Filled::End) | Err(_) => return (said, Ok(false)),
            }
        }
        (said, Ok(true))
    }
}

/// A task of the pool that a task in one of its workers has submitted: its outcome goes there.
pub(in crate::process) struct SubTask {
    pub(in crate::process) channel: Arc<Channel>,
    pub(in crate::process) id: u64,
    /// The worker has asked, by this number, to run it itself.
    pub(in crate::process) taken: Option<u64>,
    /// It has been told of.
    pub(in crate::process) told: bool,
    /// In the wait-for graph.
    node: TaskId,
    /// Its future goes along with other tasks.
    mailbox: Option<Arc<Mailbox>>,
}

impl SubTask {
    pub(in crate::process) fn new(channel: Arc<Channel>, id: u64) -> Self {
        let node = number_for_graph();
        Self { channel, id, taken: None, told: false, node, mailbox: None }
    }

    /// Where it leaves its outcome for others.
    pub(in crate::process) fn mailbox(&mut self, ticket: Ticket) -> Arc<Mailbox> {
        let node = self.node;
        let new = || Mailbox::new(Some((node, ticket)));
        Arc::clone(self.mailbox.get_or_insert_with(new))
    }

    /// Whether others wait for it too, or may.
    pub(in crate::process) fn is_passed(&self) -> bool {
        self.mailbox.is_some()
    }

    fn leave(&mut self, ended: impl FnOnce() -> Ended) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.end(ended());
        }
    }

    fn tell(&mut self, words: &Down, body: &[u8]) {
        if !self.told {
            self.told = true;
            self.channel.say(words, body);
        }
    }
}

impl Task for SubTask {
    fn begin(&self) -> bool {
        true
    }

    fn answer(mut self, kind: Kind, body: &[u8]) {
        let id = Id::Own(self.id);
        self.tell(&Down::Answered { id, kind, passes: None }, body);
        self.leave(|| Ended::Answered(kind, body.to_vec(), Vec::new()));
    }

    fn lose(mut self, loss: Loss, kind: Kind, request: &[u8]) {
        self.leave(|| Ended::Lost(loss.clone(), kind, request.to_vec()));
        match (self.taken, loss) {
            (Some(ask), Loss::Cancelled) => {
                self.tell(&Down::Replied { ask, reply: Reply::Yours(kind) }, request);
            }
            (_, loss) => {
                let id = Id::Own(self.id);
                self.tell(&Down::Lost { id, loss: loss.into(), kind }, request);
            }
        }
    }

    fn address(&self) -> Option<usize> {
        Some(self.node)
    }
}

impl Drop for SubTask {
    fn drop(&mut self) {
        let (id, kind) = (Id::Own(self.id), Kind::One);
        self.leave(|| Ended::Lost(Loss::Cancelled, kind, Vec::new()));
        self.tell(&Down::Lost { id, loss: Lost::Cancelled, kind }, &[]);
    }
}

/// A task of the host's, or one that came from a worker.
pub(in crate::process) enum Whose<T> {
    Host(T),
    /// There are few of them, and they are large.
    Worker(Box<SubTask>),
}

impl<T: Task> Task for Whose<T> {
    fn begin(&self) -> bool {
        match self {
            Self::Host(task) => task.begin(),
            Self::Worker(task) => task.begin(),
        }
    }

    fn answer(self, kind: Kind, body: &[u8]) {
        match self {
            Self::Host(task) => task.answer(kind, body),
            Self::Worker(task) => task.answer(kind, body),
        }
    }

    fn lose(self, loss: Loss, kind: Kind, request: &[u8]) {
        match self {
            Self::Host(task) => task.lose(loss, kind, request),
            Self::Worker(task) => task.lose(loss, kind, request),
        }
    }

    fn address(&self) -> Option<usize> {
        match self {
            Self::Host(task) => task.address(),
            Self::Worker(task) => task.address(),
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Host(task) => task.place(),
            Self::Worker(task) => task.place(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use proptest::prelude::*;
    use rustix::io::write;

    use super::*;

    fn ear() -> (Ear, OwnedFd) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let doorbells = Arc::new([Doorbell::create().unwrap(), Doorbell::create().unwrap()]);
        (Ear::new(Arc::new(Channel::new(ours.into(), doorbells))), theirs.into())
    }

    #[test]
    fn what_is_said_is_heard_and_nonsense_after_it_is_told_apart() {
        let (mut ear, theirs) = ear();
        assert!(matches!(ear.listen(), (said, Ok(true)) if said.is_empty()));
        let timeout = Some(Duration::from_millis(7));
        let (id, number, function, kind) = (3, 4, 5, Kind::Chunk);
        let (retries, passes) = (Some(2), Vec::new());
        let up = Up::Submit { id, number, function, kind, timeout, retries, passes };
        write(&theirs, &frame(frames::Kind::Up, &up, b"body")).unwrap();
        write(&theirs, &frame(frames::Kind::Up, &Up::Resumes { token: 9 }, b"")).unwrap();
        write(&theirs, &frames::frame(frames::Kind::Up, &[&[200]])).unwrap();
        let (said, more) = ear.listen();
        assert!(more.is_err() && said.len() == 2, "{said:?}");
        assert!(matches!(&said[0], (Up::Submit { id: 3, .. }, body) if body == b"body"));
        assert!(matches!(said[1], (Up::Resumes { token: 9 }, _)));
    }

    #[test]
    fn the_end_is_no_nonsense() {
        let (mut ear, theirs) = ear();
        drop(theirs);
        assert!(matches!(ear.listen(), (said, Ok(false)) if said.is_empty()));
    }

    proptest! {
        #[test]
        fn a_hostile_worker_is_understood_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (mut ear, theirs) = ear();
            write(&theirs, &frames::frame(frames::Kind::Up, &[&bytes])).unwrap();
            write(&theirs, &bytes).unwrap();
            let (said, _) = ear.listen();
            prop_assert!(said.len() <= bytes.len() + 1);
        }
    }
}
