//! A Rust future as one that others are made from, and that is made from others.

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use super::Future;
use super::task::{Core, Watcher};
use crate::job::Carried;
use crate::nested::graph::{How, TaskId};
use crate::nested::{Source, Sources, Targets};
use crate::promise::{Held, Promise};

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
        future.add_to(&mut targets);
    }
    targets
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
    /// Adds it to what a wait is for.
    pub(crate) fn add_to(&self, targets: &mut Targets) {
        targets.add(self.id(), self.handle().sources(), self.own_source());
    }

    /// Itself, if it is made from others.
    pub(super) fn own_source(&self) -> Option<Weak<dyn Source>> {
        match &self.0 {
            super::Inner::Bare(_) => None,
            super::Inner::Task(handle) => Arc::clone(handle).as_source(),
        }
    }
}
