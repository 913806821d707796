//! What guards the inside of a block: a lock of its own, or what its host has anyway.

use std::fmt;

use crate::sync::Mutex;

/// Lets one thread at a time to a value. A host whose threads take turns as it is, as those of an interpreter with
/// a global lock do, need not lock once more.
///
/// ```
/// use manyhands::block::{Block, Guard};
/// use std::cell::RefCell;
///
/// /// For blocks that one thread has.
/// enum ByBeingAlone {}
///
/// impl Guard for ByBeingAlone {
///     type Key<'k> = ();
///     type Guarded<T> = RefCell<T>;
///
///     fn guard<T>(value: T) -> RefCell<T> {
///         RefCell::new(value)
///     }
///
///     fn with<T, R>(guarded: &RefCell<T>, _: (), f: impl FnOnce(&mut T) -> R) -> R {
///         f(&mut guarded.borrow_mut())
///     }
/// }
///
/// let block: Block<_, (), (), ByBeingAlone> = Block::new(vec!["first", "second"]);
/// assert_eq!(block.claim(()).unwrap().job, "first");
/// ```
pub trait Guard {
    /// What one has to show.
    type Key<'k>: Copy;
    /// A value and its guard.
    type Guarded<T>;

    /// Puts a value under guard.
    fn guard<T>(value: T) -> Self::Guarded<T>;

    /// Calls `f` with the value, which nobody else has meanwhile. A block's `f` takes some tens of nanoseconds, and
    /// calls nobody but the host's `publish`.
    fn with<T, R>(guarded: &Self::Guarded<T>, key: Self::Key<'_>, f: impl FnOnce(&mut T) -> R)
    -> R;
}

/// By a lock. Anybody may take it: the key is `()`.
#[derive(Debug)]
pub enum ByLock {}

/// A value and its lock.
pub struct Locked<T>(Mutex<T>);

impl Guard for ByLock {
    type Key<'k> = ();
    type Guarded<T> = Locked<T>;

    fn guard<T>(value: T) -> Locked<T> {
        Locked(Mutex::new(value))
    }

    #[inline]
    fn with<T, R>(guarded: &Locked<T>, (): (), f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut guarded.0.lock())
    }
}

impl<T> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked").finish_non_exhaustive()
    }
}
