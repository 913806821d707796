//! What a future of Python's that is made from others waits for at this moment, for the wait-for graph.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use manyhands::nested::graph::{How, TaskId};
use manyhands::nested::{self, Targets};
use manyhands::promise::Held;
use pyo3::prelude::*;

use crate::future::PyFuture;
use crate::task::{Core, Watcher};
use crate::{fork, nested::NOBODY};

/// What a future is made from, in order, without those that it has heard of. Of another executor's futures
/// nothing is known but that they may end: these are like the dead.
pub(crate) struct Sources(Mutex<Vec<Option<Weak<Core>>>>);

impl Sources {
    pub(crate) fn new<'py>(futures: impl Iterator<Item = Bound<'py, PyAny>>) -> Self {
        let source = |future: Bound<'py, PyAny>| match future.cast::<PyFuture>() {
            Ok(ours) => Some(Arc::downgrade(&ours.get().core)),
            Err(_) => Some(Weak::new()),
        };
        Self(Mutex::new(futures.map(source).collect()))
    }

    /// It has heard of this one, and waits for it no more.
    pub(crate) fn remove(&self, index: usize) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get_mut(index) {
            *source = None;
        }
    }

    fn left(&self) -> nested::Sources {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = sources.iter().flatten();
        left.map(|source| Weak::clone(source) as Weak<dyn nested::Source>).collect()
    }
}

impl nested::Source for Core {
    fn id(&self) -> TaskId {
        crate::nested::id(self)
    }

    fn is_done(&self) -> bool {
        self.life.state().is_done()
    }

    fn sources(&self) -> Option<nested::Sources> {
        if self.derived_in() == 0 {
            return None;
        }
        let mut left = Vec::new();
        // In a forked child its lock may be held by a thread that is not there.
        if self.derived_in() == fork::generation() {
            let Ok(()) = self.life.trace(|held| {
                if let Held::Watcher(Watcher::Follows(sources)) = held {
                    left = sources.left();
                }
                Ok::<_, Infallible>(())
            });
        }
        Some(left)
    }
}

/// What a task waits for, from the futures that it waits for; of those without a core nothing is known.
pub(crate) fn targets<'c>(cores: impl Iterator<Item = Option<&'c Arc<Core>>>, how: How) -> Targets {
    let mut targets = Targets::new(how);
    for core in cores {
        let Some(core) = core else {
            targets.add(NOBODY, None, None);
            continue;
        };
        add_to(&mut targets, core);
    }
    targets
}

/// Adds a future to what a wait is for.
pub(crate) fn add_to(targets: &mut Targets, core: &Arc<Core>) {
    let own: Weak<Core> = Arc::downgrade(core);
    targets.add(crate::nested::id(core), nested::Source::sources(&**core), Some(own));
}
