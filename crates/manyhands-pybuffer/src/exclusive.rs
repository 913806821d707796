//! A value that one thread at a time has to do with, and only while it is attached to the interpreter.
//!
//! With the GIL, no other thread looks whether the value is free while this one does. So what says it is an ordinary
//! word, and the two atomic steps of a mutex are saved: some 10 ns for each item of an iterator. Without the GIL it is
//! a mutex.
//!
//! It is taken for as long as one likes, and others are told that it is ([`Exclusive::take`]), or only for a few steps,
//! and others come after one another ([`Exclusive::with`]).
//!
//! All that is unsafe here is covered by `test_iterators_of_several_threads.py`, on each Python.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use pyo3::gc::PyVisit;
use pyo3::prelude::*;

#[cfg(not(Py_GIL_DISABLED))]
use with_gil as lock;
#[cfg(Py_GIL_DISABLED)]
use without_gil as lock;

/// A value that one thread at a time has.
pub struct Exclusive<T>(lock::Lock<T>);

/// Its value, until this is dropped; in the thread that has taken it, whether others run meanwhile or not.
#[must_use = "nobody else can have it until it is dropped"]
pub struct Held<'a, 'py, T> {
    value: lock::Taken<'a, T>,
    _attached: Attached<'py>,
}

/// Says that the calling thread is attached to the interpreter, also where it may not call it: in a `__traverse__`.
#[derive(Debug, Clone, Copy)]
pub struct Attached<'a>(PhantomData<(&'a (), *const ())>);

impl<'py> From<Python<'py>> for Attached<'py> {
    #[inline]
    fn from(_: Python<'py>) -> Self {
        Self(PhantomData)
    }
}

/// The collector of cycles runs in a thread that is attached, and this is there only meanwhile.
impl<'a> From<&'a PyVisit<'_>> for Attached<'a> {
    fn from(_: &'a PyVisit<'_>) -> Self {
        Self(PhantomData)
    }
}

impl<T> Exclusive<T> {
    /// One that nobody has.
    pub fn new(value: T) -> Self {
        Self(lock::Lock::new(value))
    }

    /// `None` if somebody has it, who may have let others run meanwhile.
    #[inline]
    pub fn take<'py>(&self, attached: impl Into<Attached<'py>>) -> Option<Held<'_, 'py, T>> {
        let attached = attached.into();
        Some(Held { value: self.0.take(attached)?, _attached: attached })
    }

    /// Calls `f` with it, in which nobody is to let others run.
    ///
    /// # Panics
    /// With the GIL, if somebody has it all the same. Without the GIL, this waits until it is free.
    #[inline]
    pub fn with<'py, R>(
        &self,
        attached: impl Into<Attached<'py>>,
        f: impl FnOnce(&mut T) -> R,
    ) -> R {
        f(self.0.wait(attached.into()).get_mut())
    }

    /// For one who has it alone.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T> Deref for Held<'_, '_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value.get()
    }
}

impl<T> DerefMut for Held<'_, '_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> fmt::Debug for Exclusive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive").finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(not(Py_GIL_DISABLED))]
mod with_gil {
    use std::cell::{Cell, UnsafeCell};

    use super::Attached;

    pub(super) struct Lock<T> {
        taken: Cell<bool>,
        value: UnsafeCell<T>,
    }

    // SAFETY: `take` and `wait` are called by threads that have the GIL, so one sees what another has done before, and
    // one that finds it free has it alone. A `Taken` is dropped by the thread that has taken it, which has the GIL
    // then. Covered by `test_iterators_of_several_threads.py`.
    unsafe impl<T: Send> Sync for Lock<T> {}

    pub(super) struct Taken<'a, T>(&'a Lock<T>);

    impl<T> Lock<T> {
        pub(super) fn new(value: T) -> Self {
            Self { taken: Cell::new(false), value: UnsafeCell::new(value) }
        }

        #[inline]
        pub(super) fn take(&self, _: Attached<'_>) -> Option<Taken<'_, T>> {
            (!self.taken.replace(true)).then(|| Taken(self))
        }

        /// For those who let nobody else run while they have it.
        #[inline]
        pub(super) fn wait(&self, attached: Attached<'_>) -> Taken<'_, T> {
            self.take(attached).expect("whoever has it lets nobody else run")
        }

        pub(super) fn get_mut(&mut self) -> &mut T {
            self.value.get_mut()
        }
    }

    impl<T> Taken<'_, T> {
        #[inline]
        pub(super) fn get(&self) -> &T {
            // SAFETY: there is no other `Taken`. Covered by `test_iterators_of_several_threads.py`.
            unsafe { &*self.0.value.get() }
        }

        #[inline]
        pub(super) fn get_mut(&mut self) -> &mut T {
            // SAFETY: there is no other `Taken`. Covered by `test_iterators_of_several_threads.py`.
            unsafe { &mut *self.0.value.get() }
        }
    }

    impl<T> Drop for Taken<'_, T> {
        #[inline]
        fn drop(&mut self) {
            self.0.taken.set(false);
        }
    }
}

#[cfg(Py_GIL_DISABLED)]
mod without_gil {
    use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

    use super::Attached;

    pub(super) struct Lock<T>(Mutex<T>);

    pub(super) struct Taken<'a, T>(MutexGuard<'a, T>);

    impl<T> Lock<T> {
        pub(super) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(super) fn take(&self, _: Attached<'_>) -> Option<Taken<'_, T>> {
            match self.0.try_lock() {
                Ok(value) => Some(Taken(value)),
                Err(TryLockError::Poisoned(poisoned)) => Some(Taken(poisoned.into_inner())),
                Err(TryLockError::WouldBlock) => None,
            }
        }

        pub(super) fn wait(&self, _: Attached<'_>) -> Taken<'_, T> {
            Taken(self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }

        pub(super) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl<T> Taken<'_, T> {
        pub(super) fn get(&self) -> &T {
            &self.0
        }

        pub(super) fn get_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}
