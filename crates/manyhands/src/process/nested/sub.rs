//! A task that this worker submits, as the worker has it.

use std::fmt;

use super::protocol::Given;
use super::upward::Upward;
use crate::crossing::Kind;
use crate::process::task::{Loss, Task};

/// What is to be called, as bytes that refer to nothing.
pub struct Call {
    /// In the words of the host.
    pub function: u64,
    /// Of what the body holds.
    pub kind: Kind,
    /// The arguments.
    pub body: Vec<u8>,
    /// The futures among them, which know them by their places in this list.
    pub passes: Vec<PassedOn>,
}

/// A future that goes along with a task of this worker's.
pub struct PassedOn {
    /// It, and those in its outcome.
    pub(super) given: Vec<Given>,
    /// Of those of them that have not ended.
    pub(super) ends: Vec<Box<dyn Ends>>,
}

/// A task that this worker has submitted and that has not ended.
pub(super) struct Sub {
    pub(super) task: Box<dyn Open>,
    pub(super) function: u64,
    /// It is not to be run in place: it has rules of its own, or futures go along with it, or it is none
    /// of this worker's.
    pub(super) stays_away: bool,
    /// The futures that went along with it, until it has ended.
    pub(super) passes: Vec<Box<dyn Ends>>,
}

/// A [`Task`] of any kind.
pub(super) trait Open: Send {
    fn answer(self: Box<Self>, kind: Kind, body: &[u8]);
    fn lose(self: Box<Self>, loss: Loss, kind: Kind, request: &[u8]);
    fn address(&self) -> Option<usize>;
    fn is_wanted(&self) -> bool;
}

/// The body of an answer, and the futures in it.
pub type Answered = (Kind, Vec<u8>, Vec<PassedOn>);

/// A future of this worker's that went along with a task.
pub trait Ends: Send {
    /// Whether it has ended.
    fn is_done(&self) -> bool;

    /// Its outcome, when it has ended. `None`: it was cancelled.
    fn outcome(&self) -> Option<Answered>;
}

impl<T: Task> Open for T {
    fn answer(self: Box<Self>, kind: Kind, body: &[u8]) {
        Task::answer(*self, kind, body);
    }

    fn lose(self: Box<Self>, loss: Loss, kind: Kind, request: &[u8]) {
        Task::lose(*self, loss, kind, request);
    }

    fn address(&self) -> Option<usize> {
        Task::address(self)
    }

    fn is_wanted(&self) -> bool {
        Task::is_wanted(self)
    }
}

/// A task that the pool will not run. Its future is still to be cancelled, which dropping this does.
#[must_use = "dropping it cancels the task's future"]
pub struct Withdrawn {
    /// There until it is dropped.
    pub(super) task: Option<Box<dyn Open>>,
}

impl Drop for Withdrawn {
    fn drop(&mut self) {
        drop(self.task.take());
        if let Some(upward) = Upward::current() {
            upward.tell_ends();
        }
    }
}

impl fmt::Debug for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withdrawn").finish_non_exhaustive()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", &self.function).finish_non_exhaustive()
    }
}

impl fmt::Debug for PassedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PassedOn").field(&self.given).finish()
    }
}
