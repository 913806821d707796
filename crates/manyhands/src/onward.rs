//! Going on from one future to the next without recursion.
//!
//! The end of a future may end another, which ends a third. Each such step is taken here: the first one
//! in a thread at once, and those that it brings about after it, one by one. So a chain of any length
//! needs the stack of one step. Code of the program's runs outside of this ([`pause`], called where its
//! panics are caught): what it brings about happens at once, for it may wait for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Step = Box<dyn FnOnce()>;

thread_local! {
    static GOING_ON: Cell<bool> = const { Cell::new(false) };
    static LATER: RefCell<VecDeque<Step>> = const { RefCell::new(VecDeque::new()) };
}

/// Takes a step now, or after the one that this thread is at.
pub(crate) fn go(step: impl FnOnce() + 'static) {
    let mut step = Some(step);
    if GOING_ON.get() {
        // In a thread that is nearly gone there is no list: recursion has to do.
        let _ = LATER.try_with(|later| {
            later.borrow_mut().extend(step.take().map(|step| Box::new(step) as Step));
        });
    }
    if let Some(step) = step {
        all(step);
    }
}

/// Takes a step and all that it brings about.
fn all(first: impl FnOnce()) {
    let before = GOING_ON.replace(true);
    // Steps that this thread owes from before a pause are not this call's to take.
    let owed = LATER.try_with(RefCell::take).unwrap_or_default();
    caught(first);
    while let Some(step) = LATER.try_with(|later| later.borrow_mut().pop_front()).ok().flatten() {
        caught(step);
    }
    let _ = LATER.try_with(|later| later.replace(owed));
    GOING_ON.set(before);
}

/// Nothing panics in a step, but a logger may; the other steps are taken all the same.
fn caught(step: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(step)));
}

/// From here on, this thread is at no step, until the guard is dropped.
#[must_use = "it lasts as long as this lives"]
pub(crate) fn pause() -> Pause {
    Pause(GOING_ON.replace(false))
}

pub(crate) struct Pause(bool);

impl Drop for Pause {
    fn drop(&mut self) {
        GOING_ON.set(self.0);
    }
}
