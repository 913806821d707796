//! Telling later: what a thread must not tell itself is left to another.

use std::cell::RefCell;

use crate::panic;

/// Tells those who wait for a task.
pub(crate) type Telling = Box<dyn FnOnce() + Send>;

thread_local! {
    /// What is left to others; `None` where the thread tells by itself.
    static LATER: RefCell<Option<Vec<Telling>>> = const { RefCell::new(None) };
}

/// Tells those who wait for a task now, or leaves it to another thread, where this one only waits for a
/// task of its own: it may hold what their callbacks ask for.
pub fn tell_later(telling: impl FnOnce() + Send + 'static) {
    let mut telling = Some(telling);
    LATER.with(|later| {
        if let Some(list) = &mut *later.borrow_mut() {
            list.extend(telling.take().map(|telling| Box::new(telling) as Telling));
        }
    });
    if let Some(telling) = telling {
        telling();
    }
}

/// Calls `f`; what it would have told is left to the caller to have told.
pub(crate) fn tellings_of(f: impl FnOnce()) -> Vec<Telling> {
    let before = LATER.with(|later| later.borrow_mut().replace(Vec::new()));
    f();
    LATER.with(|later| std::mem::replace(&mut *later.borrow_mut(), before)).unwrap_or_default()
}

/// Tells all; should one panic, the others are told all the same.
pub(crate) fn tell_all(tellings: impl IntoIterator<Item = Telling>) {
    for telling in tellings {
        panic::contain(telling);
    }
}
