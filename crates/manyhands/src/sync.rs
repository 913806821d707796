//! The only door to locks and atomics: std's, or loom's while the models run.
//!
//! A lock here does not poison. No code of a user runs under one of our locks in a way that could
//! leave its data half written, so a panic has nothing to warn the next owner of.

use std::time::Instant;

#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar as RawCondvar, Mutex as RawMutex, MutexGuard, atomic};

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar as RawCondvar, Mutex as RawMutex, atomic};

use std::sync::{PoisonError, TryLockError};

#[cfg(not(loom))]
pub(crate) use manyhands_lock::{WordMutex, WordMutexGuard};
pub(crate) use manyhands_sabotage::sabotaged;

pub(crate) struct Mutex<T>(RawMutex<T>);

impl<T> Mutex<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self(RawMutex::new(value))
    }

    #[cfg(loom)]
    pub(crate) fn new(value: T) -> Self {
        Self(RawMutex::new(value))
    }

    #[cfg(loom)]
    fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(loom)]
    fn is_free(&self) -> bool {
        !matches!(self.0.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Tries for a while before it sleeps, longer than the standard library does: our locks are held
    /// for some tens of nanoseconds, and a sleeper costs the owner a system call.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(not(loom))]
        if let Some(guard) = self.try_for(100, std::hint::spin_loop) {
            return guard;
        }
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(loom)]
        let held = MutexGuard { lock: self, held };
        held
    }
}

impl<T> Mutex<T> {
    /// `None`: it is held for so long that its owner must have stayed behind in a process that this one was
    /// forked from.
    pub(crate) fn lock_unless_orphaned(&self) -> Option<MutexGuard<'_, T>> {
        #[cfg(loom)]
        return Some(self.lock());
        #[cfg(not(loom))]
        self.try_for(100, std::hint::spin_loop).or_else(|| {
            self.try_for(5_000, || std::thread::sleep(std::time::Duration::from_micros(20)))
        })
    }

    /// Tries so many times, with a pause after each that found it held.
    #[cfg(not(loom))]
    #[inline]
    fn try_for(&self, times: u32, pause: impl Fn()) -> Option<MutexGuard<'_, T>> {
        for _ in 0..times {
            match self.0.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => pause(),
            }
        }
        None
    }
}

/// In models, loom's lock: that of `manyhands-lock` has models of its own, and its tries would be many schedules
/// here.
#[cfg(loom)]
pub(crate) struct WordMutex<T> {
    pub(crate) byte: atomic::AtomicU8,
    pub(crate) number: atomic::AtomicU32,
    value: Mutex<T>,
}

#[cfg(loom)]
pub(crate) type WordMutexGuard<'a, T> = MutexGuard<'a, T>;

#[cfg(loom)]
impl<T> WordMutex<T> {
    pub(crate) fn new(byte: u8, number: u32, value: T) -> Self {
        Self {
            byte: atomic::AtomicU8::new(byte),
            number: atomic::AtomicU32::new(number),
            value: Mutex::new(value),
        }
    }

    pub(crate) fn is_free(&self) -> bool {
        self.value.is_free()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock()
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

pub(crate) struct Condvar(RawCondvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(RawCondvar::new())
    }

    /// Sleeps until notified or until `deadline`. The caller checks its condition again: a wake-up
    /// may be spurious, and the deadline may have passed.
    #[cfg(not(loom))]
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

    /// loom knows no time, so a deadline may be over at any moment: as soon as others could come.
    #[cfg(loom)]
    pub(crate) fn wait<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        if sabotaged("condvar_lets_go_before_it_waits") {
            guard = guard.let_go();
        }
        if deadline.is_some() {
            return guard.let_go();
        }
        let MutexGuard { lock, held } = guard;
        MutexGuard { lock, held: self.0.wait(held).unwrap_or_else(PoisonError::into_inner) }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        if sabotaged("condvar_notifies_one_for_all") {
            return self.0.notify_one();
        }
        self.0.notify_all();
    }
}

/// Between a store and a load of two words, where another thread does the same the other way round, and all four
/// are `SeqCst`: that is enough, but loom takes it for less, and knows only fences.
#[inline]
pub(crate) fn all_in_order() {
    #[cfg(loom)]
    loom::sync::atomic::fence(atomic::Ordering::SeqCst);
}

/// The time, for a decision that a model has to see made in the same way each time: there it
/// stands still.
pub(crate) fn now() -> Instant {
    #[cfg(loom)]
    {
        static STOPPED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *STOPPED.get_or_init(Instant::now)
    }
    #[cfg(not(loom))]
    Instant::now()
}

/// loom's guard, and the way back to its lock.
#[cfg(loom)]
pub(crate) struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    held: loom::sync::MutexGuard<'a, T>,
}

#[cfg(loom)]
impl<T> MutexGuard<'_, T> {
    /// Unlocks and locks again: what a wait with a deadline does, and many a sabotage.
    pub(crate) fn let_go(self) -> Self {
        let Self { lock, held } = self;
        drop(held);
        lock.lock()
    }
}

#[cfg(loom)]
impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

#[cfg(loom)]
impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}
