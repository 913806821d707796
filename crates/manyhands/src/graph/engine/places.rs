//! When a run has ended: whoever holds a place may still have something to do. And how it is stopped.

use std::fmt;
use std::sync::Arc;

use crate::ready::Ready as Events;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::sabotaged;

/// What the attendant hears of beside the numbers of nodes.
pub(super) const ALL_ENDED: usize = usize::MAX;
pub(super) const LOOK: usize = usize::MAX - 1;

/// Who may still have something to do, counted; and what the attendant hears of.
pub(super) struct Places {
    taken: AtomicUsize,
    pub(super) events: Arc<Events>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { taken: AtomicUsize::new(1), events: Arc::default() }
    }

    /// For one who has a place himself.
    pub(super) fn one_more(self: &Arc<Self>) -> Place {
        if !sabotaged("graph_place_is_not_counted") {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        Place(Arc::clone(self))
    }

    /// Unless the run has ended.
    pub(super) fn one_if_any(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken: usize| (taken > 0).then_some(taken + 1);
        let took = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        took.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// The one that there is from the beginning.
    pub(super) fn first(self: &Arc<Self>) -> Place {
        Place(Arc::clone(self))
    }

    /// Whether there is but one.
    pub(super) fn is_one(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 1
    }
}

/// A place in a run, which goes on for as long as there are any. Drop what is known of the run before it.
pub struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.events.push([ALL_ENDED]);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

/// Stops a run.
pub struct Stopper {
    stopped: Arc<AtomicBool>,
    events: Arc<Events>,
}

impl Stopper {
    pub(super) fn new(stopped: &Arc<AtomicBool>, places: &Places) -> Self {
        Self { stopped: Arc::clone(stopped), events: Arc::clone(&places.events) }
    }

    /// Has nothing begun any more, and tells the attendant.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.events.push([LOOK]);
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopper").field(&self.stopped).finish()
    }
}
