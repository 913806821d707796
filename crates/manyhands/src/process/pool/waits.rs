//! Waits of tasks in workers, in the wait-for graph of this process.
//!
//! The graph is never asked with the pool's lock held: to be asked whether it still waits may cost a future
//! its last owner. So a wait enters it and leaves it by the manager, in the order in which it was heard of.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::state::State;
use crate::errors::{Deadlock, WaitingTask};
use crate::nested::graph::{How, TaskId, Wait, Waits};
use crate::nested::{Registered, register};
use crate::process::nested::{Channel, Down, Passed};
use crate::process::supervisor::Ticket;
use crate::process::task::Task;

/// A task in a worker that waits, as the graph knows it.
pub(super) struct RemoteWait {
    channel: Arc<Channel>,
    token: u64,
    is_over: AtomicBool,
    registered: Mutex<Option<Registered>>,
    /// Whose addresses the graph knows.
    _passed: Vec<Passed>,
}

impl RemoteWait {
    /// The wait of this `task`, which the worker knows by the `token`, for those that the graph knows as
    /// `on`, or any of them: some of which have come to it.
    pub(super) fn new(
        channel: &Arc<Channel>,
        token: u64,
        task: (TaskId, WaitingTask),
        any: bool,
        on: Vec<TaskId>,
        passed: Vec<Passed>,
    ) -> (Arc<Self>, Wait<dyn Waits>) {
        let waiter = Arc::new(Self {
            channel: Arc::clone(channel),
            token,
            is_over: AtomicBool::new(false),
            registered: Mutex::default(),
            _passed: passed,
        });
        let how = if any { How::Any } else { How::All };
        let tasks = vec![task];
        let wait = Wait {
            tasks,
            on,
            how,
            made_from: std::collections::BTreeMap::default(),
            waiter: Arc::clone(&waiter) as _,
        };
        (waiter, wait)
    }

    /// It enters the graph, unless it is over by now.
    pub(super) fn register(&self, wait: Wait<dyn Waits>) {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_over.load(Ordering::Relaxed) {
            *registered = Some(register(wait));
        }
    }

    /// From now on it is no part of a deadlock.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// It leaves the graph.
    pub(super) fn leave(&self) {
        drop(self.registered.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Waits for RemoteWait {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn give_up(&self, deadlock: &Deadlock) {
        if !self.is_over.swap(true, Ordering::Relaxed) {
            let told = |task: &WaitingTask| (task.name.clone(), task.place.clone());
            let cycle = deadlock.cycle().iter().map(told).collect();
            self.channel.say(&Down::Deadlock { token: self.token, cycle }, &[]);
        }
    }
}

impl fmt::Debug for RemoteWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWait").field("token", &self.token).finish_non_exhaustive()
    }
}

impl<T: Task> State<T> {
    /// What the graph knows a task of the pool by.
    pub(super) fn node(&self, ticket: Ticket) -> Option<TaskId> {
        self.supervisor.payload(ticket)?.task.address()
    }

    /// A task that waits, as its worker describes it.
    pub(super) fn waiting_task(
        &self,
        ticket: Ticket,
        described: WaitingTask,
    ) -> Option<(TaskId, WaitingTask)> {
        let task = &self.supervisor.payload(ticket)?.task;
        let place = task.place().or(described.place);
        Some((task.address()?, WaitingTask { place, ..described }))
    }
}
