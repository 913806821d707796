//! Waits of tasks in workers, in the wait-for graph of this process.
//!
//! The graph is never asked with the pool's lock held: to be asked whether it still waits may cost a future
//! its last owner. So a wait enters it and leaves it by the manager, in the order in which it was heard of.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::State;
use crate::errors::{Deadlock, WaitingTask};
use crate::nested::graph::{How, TaskId, Wait, Waits};
use crate::nested::{Registered, Sources, Targets, are_pending, register};
use crate::process::nested::{Channel, Down, Passed};
use crate::process::supervisor::Ticket;
use crate::process::task::Task;

/// A task in a worker that waits, as the graph knows it.
pub(super) struct RemoteWait {
    channel: Arc<Channel>,
    token: u64,
    task: (TaskId, WaitingTask),
    how: How,
    /// What it waits for of its own, and of what has come to it.
    own: Vec<TaskId>,
    passed: Vec<Passed>,
    is_over: AtomicBool,
    /// Whether to look again some time at what it waits for.
    may_change: AtomicBool,
    links: Mutex<Sources>,
    registered: Mutex<Option<Registered>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RemoteWait {
    /// The wait of this `task`, which the worker knows by the `token`, for so many of its `own` tasks and of
    /// those that have come to it.
    pub(super) fn new(
        channel: &Arc<Channel>,
        token: u64,
        task: (TaskId, WaitingTask),
        how: How,
        own: Vec<TaskId>,
        passed: Vec<Passed>,
    ) -> Arc<Self> {
        Arc::new(Self {
            channel: Arc::clone(channel),
            token,
            task,
            how,
            own,
            passed,
            is_over: AtomicBool::new(false),
            may_change: AtomicBool::new(false),
            links: Mutex::default(),
            registered: Mutex::default(),
        })
    }

    /// It enters the graph, unless it is over by now; anew if it is there already.
    pub(super) fn enter(self: &Arc<Self>) {
        let mut registered = lock(&self.registered);
        drop(registered.take());
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let mut targets = Targets::new(self.how);
        self.own.iter().for_each(|task| targets.add(*task, None, None));
        self.passed.iter().for_each(|future| future.add_to(&mut targets));
        let Targets { on, how, made_from, links, may_change } = targets;
        *lock(&self.links) = links;
        self.may_change.store(may_change, Ordering::Relaxed);
        let waiter = Arc::clone(self) as _;
        let wait = Wait { tasks: vec![self.task.clone()], on, how, made_from, waiter };
        *registered = Some(register(wait));
    }

    /// Whether what it waits for is made from others, which may go on to wait for something else.
    pub(super) fn may_change(&self) -> bool {
        self.may_change.load(Ordering::Relaxed)
    }

    /// From now on it is no part of a deadlock.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// It leaves the graph.
    pub(super) fn leave(&self) {
        let registered = lock(&self.registered).take();
        drop(registered);
    }
}

impl Waits for RemoteWait {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn is_up_to_date(&self) -> bool {
        // To look at a future may drop it.
        let links = lock(&self.links).clone();
        are_pending(&links)
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
