//! What a worker and its parent say to each other beside the link, in frames of their own: what the task
//! that runs there wants of its pool, and what becomes of that.
//!
//! ```text
//!  worker                                  parent
//!    │ Submit, the arguments ───────────────▶ │ a task like any other of the pool
//!    │ ◀────── Answered, Lost or Refused ─── │ once for each
//!    │ Waits ───────────────────────────────▶ │ another worker may run in its stead
//!    │ Resumes ─────────────────────────────▶ │
//!    │ Cancel, Take ────────────────────────▶ │
//!    │ ◀──────────────────────────── Replied │
//!    │ Wants ───────────────────────────────▶ │ a future has arrived with a task
//!    │ ◀───────────────── Answered or Lost ── │ when it has ended
//!    │ Forgets ─────────────────────────────▶ │ nobody has it any more
//!    │ ◀─────────────────────────── Deadlock │ to one who Waits
//! ```
//!
//! A frame is one of these words, and then bytes: of arguments, or of an answer.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::crossing::Kind;
use crate::errors::Exit;
use crate::process::link::frames::{self, Frame};
use crate::process::task::Loss;

/// What a worker knows a task of the pool, or another future, by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::process) enum Id {
    /// It has submitted it, and has given it this number.
    Own(u64),
    /// It has come to it by this number.
    Passed(u64),
}

/// A future that a worker passes on. In a list of them, those in the outcome of one come right after it.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Given {
    Task(Id),
    /// It has ended there, with this as the body of an answer, in which so many others are.
    Answered(Kind, Vec<u8>, u32),
    Cancelled,
}

/// The worker's words.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Up {
    /// The arguments follow.
    Submit {
        /// By which the worker knows it.
        id: u64,
        /// How many requests the worker had answered before the one that runs.
        number: u64,
        function: u64,
        kind: Kind,
        timeout: Option<Duration>,
        retries: Option<u32>,
        passes: Vec<Given>,
    },
    Cancel {
        ask: u64,
        id: Id,
        /// Also if a worker has begun it.
        running: bool,
    },
    /// The worker would run it itself, as it waits for it, if nobody has begun it.
    Take {
        ask: u64,
        id: u64,
    },
    Waits {
        token: u64,
        number: u64,
        /// What for; nothing if that may be any of its own.
        ids: Vec<Id>,
        timed: bool,
    },
    /// It has waited for a while, in the thread that runs the task, and is to be in the wait-for graph.
    Lasts {
        token: u64,
        /// It is over as soon as one has ended.
        any: bool,
        /// What the task is called, and where it is.
        name: String,
        place: Option<String>,
    },
    Resumes {
        token: u64,
    },
    Shutdown {
        cancel: bool,
    },
    /// A future has come to it by this number: it is to be told of its end.
    Wants {
        number: u64,
    },
    /// Nobody there has it any more.
    Forgets {
        number: u64,
    },
    /// The futures in an outcome, from this number on, are those that it wants, and no others.
    Opened {
        first: u64,
    },
    /// To `Asks`.
    Tells {
        mailbox: u64,
        /// That one, and those in its outcome: of these, the first that has not ended is in this place now.
        given: Vec<Given>,
        id: u64,
        place: u32,
    },
}

/// The parent's words.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Down {
    /// The body of the answer follows.
    Answered {
        id: Id,
        kind: Kind,
        /// Futures go along with it, by numbers from this on.
        passes: Option<u64>,
    },
    /// The arguments follow.
    Lost {
        id: Id,
        loss: Lost,
        kind: Kind,
    },
    Refused {
        id: u64,
        why: Why,
    },
    /// To `Cancel` and `Take`. If it is the worker's to run, the arguments follow.
    Replied {
        ask: u64,
        reply: Reply,
    },
    /// The pool takes no more tasks.
    Closing,
    /// To one that waits: this never ends.
    Deadlock {
        token: u64,
        cycle: Vec<(String, Option<String>)>,
    },
    /// With the task that the worker has submitted by this number, a future went along that it had been told
    /// the end of, in this place among those that it said had not ended: what was that?
    Asks {
        id: u64,
        place: u32,
        mailbox: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::process) enum Reply {
    TooLate,
    Cancelled,
    Yours(Kind),
}

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Why {
    Shutdown,
    Broken(String),
}

/// A [`Loss`] on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Lost {
    Crashed { worker: u32, pid: u32, exit: Exit, ran: Duration, attempts: u32 },
    TimedOut { worker: u32, timeout: Duration, ran: Duration },
    Cancelled,
    NoWorkerLeft { workers: u32 },
    Broken { reason: String, by: Option<(u32, Exit)> },
}

impl From<Loss> for Lost {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Crashed { worker, pid, exit, ran, attempts } => {
                Self::Crashed { worker, pid, exit, ran, attempts }
            }
            Loss::TimedOut { worker, timeout, ran } => Self::TimedOut { worker, timeout, ran },
            Loss::Cancelled => Self::Cancelled,
            Loss::NoWorkerLeft { workers } => Self::NoWorkerLeft { workers },
            Loss::Refused(reason) => Self::Broken { reason: reason.to_string(), by: None },
            Loss::Broken { reason, by } => Self::Broken { reason: (*reason).clone(), by },
        }
    }
}

impl From<Lost> for Loss {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Crashed { worker, pid, exit, ran, attempts } => {
                Self::Crashed { worker, pid, exit, ran, attempts }
            }
            Lost::TimedOut { worker, timeout, ran } => Self::TimedOut { worker, timeout, ran },
            Lost::Cancelled => Self::Cancelled,
            Lost::NoWorkerLeft { workers } => Self::NoWorkerLeft { workers },
            Lost::Broken { reason, by } => Self::Broken { reason: Arc::new(reason), by },
        }
    }
}

/// A whole frame.
pub(super) fn frame(kind: frames::Kind, words: &impl Serialize, body: &[u8]) -> Vec<u8> {
    let words = postcard::to_stdvec(words).expect("memory takes everything");
    frames::frame(kind, &[&words, body])
}

/// The words of a frame of this kind, and what follows. `None`: it is none.
pub(super) fn parse<T: DeserializeOwned>(kind: frames::Kind, frame: &Frame) -> Option<(T, &[u8])> {
    if frame.kind != kind {
        return None;
    }
    postcard::take_from_bytes(&frame.body).ok()
}
