//! What a future that is made from others waits for at this moment, so that a deadlock through it is found.
//!
//! It knows its sources weakly: their values live no longer for it, but no other can get their address.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Weak};

use super::Future;
use super::task::{Core, Watcher};
use crate::job::Carried;
use crate::nested::Targets;
use crate::nested::graph::{How, TaskId};
use crate::panic;
use crate::promise::{Held, Promise};

/// How many futures are looked at, one behind the other, before one is taken for a task that may end.
const MOST: usize = 10_000;

/// A promise that others may be made from.
pub(crate) trait Source: Send + Sync {
    fn id(&self) -> TaskId;
    fn is_done(&self) -> bool;
    /// `None`: it is a task. Else what it is made from, as far as it has not heard of it yet: while it has
    /// not heard of any of these, it does not end. It may end at any moment if there are none.
    fn sources(&self) -> Option<Sources>;
}

pub(crate) type Sources = Vec<Weak<dyn Source>>;

impl<J: Carried<T, E>, T: Send, E: Send + Sync> Source for Core<J, T, E> {
    fn id(&self) -> TaskId {
        std::ptr::from_ref(self).addr()
    }

    fn is_done(&self) -> bool {
        self.state().is_done()
    }

    fn sources(&self) -> Option<Sources> {
        let (mut carried, mut follows) = (None, None);
        let Ok(()) = Promise::trace(self, |held| {
            match held {
                Held::Job(job) => carried = Some(J::sources(Some(job))),
                Held::Watcher(Watcher::Follows(source)) => {
                    follows = Some(vec![Weak::clone(source)]);
                }
                Held::Watcher(_) | Held::Done(_) | Held::Failed(_) => (),
            }
            Ok::<_, Infallible>(())
        });
        follows.or_else(|| carried.unwrap_or_else(|| J::sources(None)))
    }
}

/// What a task waits for, from the futures that it waits for.
pub(crate) fn targets<'f, T, E>(
    futures: impl Iterator<Item = &'f Future<T, E>>,
    how: How,
) -> Targets
where
    T: Send + 'f,
    E: Send + Sync + 'f,
{
    let mut targets = Targets::new(how);
    for future in futures {
        let sources = future.handle().sources();
        add_target(&mut targets, future.id(), sources, || future.own_source());
    }
    targets
}

/// The task or future of this number is waited for too.
pub(super) fn add_target(
    targets: &mut Targets,
    id: TaskId,
    sources: Option<Sources>,
    itself: impl FnOnce() -> Option<Weak<dyn Source>>,
) {
    targets.on.push(id);
    let Some(sources) = sources else { return };
    targets.may_change = true;
    let mut links = Vec::from_iter(itself());
    if let Some(tasks) = made_from(sources, &mut links) {
        targets.made_from.insert(id, tasks);
        targets.links.append(&mut links);
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
        if seen.insert(source.id()) {
            let sources = if source.is_done() { Some(Vec::new()) } else { source.sources() };
            match sources {
                None => tasks.push(source.id()),
                Some(sources) if sources.is_empty() || seen.len() > MOST => return None,
                Some(sources) => left.extend(sources),
            }
            links.push(link);
        }
        // It may be the last to know it.
        panic::drop_caught(source);
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

impl<T: Send + 'static, E: Send + Sync + 'static> Future<T, E> {
    /// For one that is made from this one.
    pub(crate) fn as_source(&self) -> Option<Weak<dyn Source>> {
        match &self.0 {
            super::Inner::Bare(core) => {
                let source: Weak<Core<(), T, E>> = Arc::downgrade(core);
                Some(source)
            }
            super::Inner::Task(handle) => Arc::clone(handle).as_source(),
        }
    }
}

impl<T: Send, E: Send + Sync> Future<T, E> {
    /// Itself, if it is made from others.
    pub(super) fn own_source(&self) -> Option<Weak<dyn Source>> {
        match &self.0 {
            super::Inner::Bare(_) => None,
            super::Inner::Task(handle) => Arc::clone(handle).as_source(),
        }
    }
}
