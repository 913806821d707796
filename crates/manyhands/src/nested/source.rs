//! What a future that is made from others waits for at this moment, so that a deadlock through it is found.
//!
//! It knows its sources weakly: their values live no longer for it, but no other can get their address.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Weak;

use super::graph::{How, TaskId};
use crate::panic;

/// How many futures are looked at, one behind the other, before one is taken for a task that may end.
const MOST: usize = 10_000;

/// A promise that others may be made from.
pub trait Source: Send + Sync {
    /// Its address.
    fn id(&self) -> TaskId;

    /// Whether it has ended.
    fn is_done(&self) -> bool;

    /// `None`: it is a task. Else what it is made from, as far as it has not heard of it yet: while it has
    /// not heard of any of these, it does not end. With none of them it may end at any moment, unless the
    /// thread waits that calls its function.
    fn sources(&self) -> Option<Sources>;
}

/// Futures that another one is made from.
pub type Sources = Vec<Weak<dyn Source>>;

/// What a task waits for, as the graph has to know it.
pub struct Targets {
    pub(crate) on: Vec<TaskId>,
    pub(crate) how: How,
    pub(crate) made_from: BTreeMap<TaskId, Vec<TaskId>>,
    /// The futures of which that is said: it is so as long as they have not ended.
    pub(crate) links: Sources,
    /// Whether to look again some time.
    pub(crate) may_change: bool,
}

impl Targets {
    /// None yet.
    pub fn new(how: How) -> Self {
        let (on, made_from, links) = Default::default();
        Self { on, how, made_from, links, may_change: false }
    }

    /// One more, with its [`sources`](Source::sources); `own` is itself, if it has any.
    pub fn add(&mut self, id: TaskId, sources: Option<Sources>, own: Option<Weak<dyn Source>>) {
        self.on.push(id);
        let Some(sources) = sources else { return };
        self.may_change = true;
        let mut links = Vec::from_iter(own);
        if let Some(tasks) = made_from(sources, &mut links) {
            self.made_from.insert(id, tasks);
            self.links.append(&mut links);
        }
    }
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Targets").field("on", &self.on).finish_non_exhaustive()
    }
}

/// The tasks behind these, of which one has to end before what is made from them can. `None`: it may end at
/// any moment.
///
/// One rule does for all, also for futures that need every source: a failure of any ends them.
fn made_from(mut left: Sources, links: &mut Sources) -> Option<Vec<TaskId>> {
    let mut seen = BTreeSet::new();
    let mut tasks = Vec::new();
    if left.is_empty() {
        return None;
    }
    while let Some(link) = left.pop() {
        let source = link.upgrade()?;
        if source.is_done() {
            panic::drop_caught(source);
            return None;
        }
        if seen.insert(source.id()) {
            match source.sources() {
                Some(sources) if !sources.is_empty() => left.extend(sources),
                // Its function may be on a thread that waits, as a task may.
                _ => tasks.push(source.id()),
            }
            links.push(link);
        }
        // It may be the last to know it.
        panic::drop_caught(source);
        if seen.len() > MOST {
            return None;
        }
    }
    Some(tasks)
}

/// Whether none of these has ended.
pub(crate) fn are_pending(links: &Sources) -> bool {
    links.iter().all(|link| {
        link.upgrade().is_some_and(|source| {
            let pending = !source.is_done();
            panic::drop_caught(source);
            pending
        })
    })
}
