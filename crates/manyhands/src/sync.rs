//! The only door to locks and atomics: std's, or loom's while the models run.
//!
//! A lock here does not poison. No code of a user runs under one of our locks in a way that could
//! leave its data half written, so a panic has nothing to warn the next owner of.

use std::time::Instant;

#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar as RawCondvar, Mutex as RawMutex, MutexGuard, atomic};

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar as RawCondvar, Mutex as RawMutex, MutexGuard, atomic};

use std::sync::PoisonError;

pub(crate) struct Mutex<T>(RawMutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RawMutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Condvar(RawCondvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(RawCondvar::new())
    }

    /// Sleeps until notified or until `deadline`. The caller checks its condition again: a wake-up
    /// may be spurious, and the deadline may have passed.
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        match deadline {
            None => self.0.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.0.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
