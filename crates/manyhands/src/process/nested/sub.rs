//! A task that this worker has submitted, as the worker has it.

use std::fmt;

use crate::crossing::Kind;
use crate::process::task::{Loss, Task};

/// A task that this worker has submitted and that has not ended.
pub(super) struct Sub {
    pub(super) task: Box<dyn Open>,
    pub(super) function: u64,
    /// It has rules of its own, which hold in a worker of its own.
    pub(super) has_rules: bool,
}

/// A [`Task`] of any kind.
pub(super) trait Open: Send {
    fn answer(self: Box<Self>, kind: Kind, body: &[u8]);
    fn lose(self: Box<Self>, loss: Loss, kind: Kind, request: &[u8]);
    fn is_at(&self, address: usize) -> bool;
}

impl<T: Task> Open for T {
    fn answer(self: Box<Self>, kind: Kind, body: &[u8]) {
        Task::answer(*self, kind, body);
    }

    fn lose(self: Box<Self>, loss: Loss, kind: Kind, request: &[u8]) {
        Task::lose(*self, loss, kind, request);
    }

    fn is_at(&self, address: usize) -> bool {
        Task::is_at(self, address)
    }
}

/// A task that the pool will not run. Its future is still to be cancelled, which dropping this does.
#[must_use = "dropping it cancels the task's future"]
pub struct Withdrawn {
    pub(super) _task: Box<dyn Open>,
}

impl fmt::Debug for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withdrawn").finish_non_exhaustive()
    }
}
