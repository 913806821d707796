//! A lock of one byte, with a byte and a number in the same word that anybody reads without it: what a future is
//! guarded by. The standard library's takes eight bytes for itself, and as much again for what lies beside it.
//!
//! ```
//! use manyhands_lock::WordMutex;
//! use std::sync::atomic::Ordering;
//!
//! let account = WordMutex::new(0, 7, vec!["opened"]);
//! let mut entries = account.lock();
//! entries.push("closed");
//! account.byte.store(1, Ordering::Release);
//! drop(entries);
//! assert_eq!((account.byte.load(Ordering::Acquire), account.number.load(Ordering::Relaxed)), (1, 7));
//! assert_eq!(account.into_inner(), ["opened", "closed"]);
//! assert_eq!(size_of::<WordMutex<usize>>(), 16);
//! ```
//!
//! It is made for sections of some tens of nanoseconds. Who finds it held tries again for about a microsecond, and
//! then sleeps for 20 us at a time; so to let go is one store, which never wakes anybody, and no owner that stayed
//! behind in a process that this one was forked from holds up a table that others need. It does not poison.

#[cfg(all(test, loom))]
mod loom_models;
mod sync;

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use crate::sync::{TRIES, UnsafeCell, nap, sabotaged, spin};

/// A value behind a lock, and beside the lock what is read without it.
pub struct WordMutex<T> {
    held: AtomicBool,
    /// Guarded by nobody; whoever changes it together with the value does so while it has the lock.
    pub byte: AtomicU8,
    /// Guarded by nobody.
    pub number: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: a reference to the lock gives away the value to one thread at a time, by reference or, while it is swapped
// for another, as it is: for that it has to be `Send`, and need not be `Sync`. Models: `loom_models`.
#[allow(unsafe_code, reason = "a lock is what makes a cell one that threads may share")]
unsafe impl<T: Send> Sync for WordMutex<T> {}

impl<T> WordMutex<T> {
    /// A free lock.
    pub fn new(byte: u8, number: u32, value: T) -> Self {
        Self {
            held: AtomicBool::new(false),
            byte: AtomicU8::new(byte),
            number: AtomicU32::new(number),
            value: UnsafeCell::new(value),
        }
    }

    /// Whether nobody holds it at this moment.
    pub fn is_free(&self) -> bool {
        !self.held.load(Ordering::Relaxed)
    }

    /// `None`: somebody holds it.
    #[inline]
    pub fn try_lock(&self) -> Option<WordMutexGuard<'_, T>> {
        let order =
            if sabotaged("lock_is_taken_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        let taken = self.held.compare_exchange(false, true, order, Ordering::Relaxed).is_ok()
            || sabotaged("lock_is_taken_twice");
        taken.then(|| WordMutexGuard { lock: self, _value: PhantomData })
    }

    /// Waits until nobody else holds it: for ever, where that is the calling thread.
    #[inline]
    pub fn lock(&self) -> WordMutexGuard<'_, T> {
        self.try_lock().unwrap_or_else(|| self.lock_contended())
    }

    #[cold]
    fn lock_contended(&self) -> WordMutexGuard<'_, T> {
        loop {
            for _ in 0..TRIES {
                spin();
                if self.is_free()
                    && let Some(guard) = self.try_lock()
                {
                    return guard;
                }
            }
            nap();
        }
    }

    /// The value, of a lock that nobody else knows.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> fmt::Debug for WordMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordMutex").field("byte", &self.byte).finish_non_exhaustive()
    }
}

/// The value, for as long as this lives.
#[must_use = "it is locked as long as this lives"]
pub struct WordMutexGuard<'a, T> {
    lock: &'a WordMutex<T>,
    /// It may go to another thread, or be seen by another, where the value may.
    _value: PhantomData<&'a mut T>,
}

impl<T> Deref for WordMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: one guard at a time is there for a lock, and while it is borrowed it gives no `&mut`. Models:
        // `loom_models`.
        #[allow(unsafe_code, reason = "see above")]
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for WordMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: one guard at a time is there for a lock, and it is borrowed for as long as what it gives. Models:
        // `loom_models`.
        #[allow(unsafe_code, reason = "see above")]
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for WordMutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let order =
            if sabotaged("lock_is_let_go_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        self.lock.held.store(false, order);
    }
}

impl<T: fmt::Debug> fmt::Debug for WordMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::WordMutex;
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn it_takes_one_word() {
        assert_eq!(size_of::<WordMutex<[u64; 2]>>(), 24);
    }

    #[test]
    fn who_finds_it_held_for_long_gets_it_in_the_end() {
        let lock = WordMutex::new(0, 0, 0);
        thread::scope(|scope| {
            let mut guard = lock.lock();
            let waits = scope.spawn(|| *lock.lock());
            thread::sleep(Duration::from_millis(20));
            assert!(!lock.is_free() && lock.try_lock().is_none());
            assert!(!waits.is_finished());
            *guard = 5;
            drop(guard);
            assert_eq!(waits.join().unwrap(), 5);
        });
        assert!(lock.is_free());
    }

    #[test]
    fn one_that_panics_lets_go() {
        let lock = WordMutex::new(0, 0, 0);
        thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let mut guard = lock.lock();
                *guard += 1;
                panic!("on purpose");
            });
            assert!(panics.join().is_err());
        });
        assert_eq!(*lock.try_lock().expect("it is free"), 1);
    }

    #[test]
    fn what_many_threads_count_is_not_lost() {
        const EACH: u32 = 20_000;
        let lock = WordMutex::new(0, 0, 0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        *lock.lock() += 1;
                        lock.number.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!((lock.number.load(Ordering::Relaxed), lock.into_inner()), (4 * EACH, 4 * EACH));
    }
}
