//! THE WAIT-FOR GRAPH: who waits for whom, and which of them would wait for ever (pure).
//!
//! A node is a *wait*: one thread, asleep, with the tasks that are on its stack. These are more than one
//! where a task runs another in place; each of them goes on only when that wait is over. An edge leads
//! from a wait to a task that it waits for, and so to the wait of the thread that this task is on. A task
//! that is on no waiting thread may end: it is running, or pending, or nobody knows.
//!
//! What is waited for may be no task but a future that is *made from* others. It ends some time after they
//! have, and perhaps as soon as one of them has: a failure of any is theirs all. So it does not end if none
//! of them does, and nothing else is said of it here.
//!
//! A wait for all of several tasks is *stuck* if one of these is on a stuck wait; a wait for any of them, if
//! all are. Of all sets of which this is true, the largest counts: waits that hold up each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::errors::{Deadlock, WaitingTask};

/// A task, by the address of its promise, which stays as long as it is on a stack or is waited for.
pub type TaskId = usize;

/// What cannot be waited for, or what may end whoever sees to it.
pub const NOBODY: TaskId = 0;

/// How many of the tasks that a wait is for have to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Every one.
    All,
    /// Any one.
    Any,
}

/// One who waits, as the graph knows it.
pub trait Waits: Send + Sync {
    /// Whether it has what it waits for, or has been told to give up: it only has not come yet to say so.
    fn is_over(&self) -> bool;

    /// Whether all that its wait says of what futures are made from is still so. Called without the graph's
    /// lock.
    fn is_up_to_date(&self) -> bool {
        true
    }

    /// Tells it that it would wait for ever. Called with the graph locked.
    fn give_up(&self, deadlock: &Deadlock);
}

/// A wait, as its thread declares it.
#[derive(Debug)]
pub struct Wait<W: ?Sized> {
    /// The tasks on the thread's stack, the innermost last.
    pub tasks: Vec<(TaskId, WaitingTask)>,
    /// What it waits for.
    pub on: Vec<TaskId>,
    /// How many of these.
    pub how: How,
    /// For those that are made from others: the tasks of which one has to end before they can.
    pub made_from: BTreeMap<TaskId, Vec<TaskId>>,
    /// Who is to be told of a deadlock.
    pub waiter: Arc<W>,
}

impl<W: ?Sized> Wait<W> {
    /// What has to end before this can: itself, and what it is made from.
    fn ends_after<'w>(&'w self, awaited: &'w TaskId) -> impl Iterator<Item = &'w TaskId> {
        std::iter::once(awaited).chain(self.made_from.get(awaited).into_iter().flatten())
    }
}

/// The number of a wait in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitId(u64);

/// All waits there are.
#[derive(Debug)]
pub struct WaitGraph<W: ?Sized> {
    waits: BTreeMap<WaitId, Wait<W>>,
    by_task: BTreeMap<TaskId, WaitId>,
    added: u64,
}

impl<W: Waits + ?Sized> WaitGraph<W> {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { waits: BTreeMap::new(), by_task: BTreeMap::new(), added: 0 }
    }

    /// A thread begins to wait.
    pub fn add(&mut self, wait: Wait<W>) -> WaitId {
        let id = WaitId(self.added);
        self.added += 1;
        let known = wait.tasks.iter().filter(|(task, _)| *task != NOBODY);
        self.by_task.extend(known.map(|(task, _)| (*task, id)));
        self.waits.insert(id, wait);
        id
    }

    /// A thread waits no more.
    pub fn remove(&mut self, id: WaitId) -> Option<Wait<W>> {
        let wait = self.waits.remove(&id)?;
        for (task, _) in &wait.tasks {
            self.by_task.remove(task);
        }
        Some(wait)
    }

    /// The waits that hold up each other, if this one is stuck: each waits for the next one, and the last
    /// for the first.
    pub fn cycle(&self, id: WaitId) -> Option<Vec<WaitId>> {
        let stuck = self.stuck(id);
        if !stuck.contains(&id) {
            return None;
        }
        let mut path = vec![id];
        loop {
            let wait = &self.waits[path.last()?];
            let held_up_by = |task: &TaskId| self.held_up_by(wait, *task, &stuck);
            let (_, next) = wait.on.iter().find_map(held_up_by)?;
            if let Some(begin) = path.iter().position(|&seen| seen == next) {
                return Some(path.split_off(begin));
            }
            path.push(next);
        }
    }

    /// The tasks of such waits: each waits for the next one, be it in place.
    pub fn describe(&self, cycle: &[WaitId]) -> Vec<WaitingTask> {
        let before = cycle.iter().cycle().skip(cycle.len().saturating_sub(1));
        let mut described = Vec::new();
        for (before, id) in before.zip(cycle) {
            let awaited = |task: &&TaskId| self.by_task.get(task) == Some(id);
            let before = &self.waits[before];
            let entered = before.on.iter().flat_map(|task| before.ends_after(task)).find(awaited);
            let stack = self.waits[id].tasks.iter();
            let from = stack.skip_while(|(task, _)| Some(task) != entered);
            described.extend(from.map(|(_, task)| task.clone()));
        }
        described
    }

    /// Those that would wait for ever among all that a wait depends on, if it is one of them.
    pub fn stuck_with(&self, id: WaitId) -> Option<BTreeSet<WaitId>> {
        Some(self.stuck(id)).filter(|stuck| stuck.contains(&id))
    }

    /// Who is to be told.
    pub fn waiters<'g>(
        &'g self,
        waits: impl IntoIterator<Item = &'g WaitId>,
    ) -> impl Iterator<Item = &'g Arc<W>> {
        waits.into_iter().filter_map(|id| self.waits.get(id)).map(|wait| &wait.waiter)
    }

    /// Those that are stuck among all that can be reached from a wait.
    fn stuck(&self, id: WaitId) -> BTreeSet<WaitId> {
        let mut stuck = BTreeSet::from([id]);
        let mut found = vec![id];
        let mut looked = 0;
        while let Some(id) = found.get(looked) {
            looked += 1;
            let wait = &self.waits[id];
            for task in wait.on.iter().flat_map(|task| wait.ends_after(task)) {
                if let Some(&next) = self.by_task.get(task)
                    && stuck.insert(next)
                {
                    found.push(next);
                }
            }
        }
        loop {
            let before = stuck.len();
            // From the far end, so that a chain of any length takes one turn.
            for id in found.iter().rev() {
                if stuck.contains(id) && self.goes_on(*id, &stuck) {
                    stuck.remove(id);
                }
            }
            if stuck.len() == before {
                return stuck;
            }
        }
    }

    /// Whether a wait ends if these do not.
    fn goes_on(&self, id: WaitId, stuck: &BTreeSet<WaitId>) -> bool {
        let wait = &self.waits[&id];
        let stays = |task: &TaskId| self.held_up_by(wait, *task, stuck).is_some();
        wait.waiter.is_over()
            || match wait.how {
                How::All => !wait.on.iter().any(stays),
                // What has ended already is not among those that are waited for.
                How::Any => wait.on.is_empty() || !wait.on.iter().all(stays),
            }
    }

    /// A stuck wait because of which a task does not end, or a future that is made from others, and the task
    /// that is on its stack.
    fn held_up_by(
        &self,
        wait: &Wait<W>,
        awaited: TaskId,
        stuck: &BTreeSet<WaitId>,
    ) -> Option<(TaskId, WaitId)> {
        let on_stuck = |task: TaskId| Some((task, self.on_thread_of(task, stuck)?));
        on_stuck(awaited).or_else(|| {
            let made_from = wait.made_from.get(&awaited)?;
            let first = on_stuck(*made_from.first()?);
            first.filter(|_| made_from.iter().all(|task| on_stuck(*task).is_some()))
        })
    }

    fn on_thread_of(&self, task: TaskId, among: &BTreeSet<WaitId>) -> Option<WaitId> {
        self.by_task.get(&task).copied().filter(|id| among.contains(id))
    }
}

impl<W: Waits + ?Sized> Default for WaitGraph<W> {
    fn default() -> Self {
        Self::new()
    }
}
