//! The only door to atomics, to cells and to pauses: the real ones, or loom's while the models run.

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;
#[cfg(loom)]
pub(crate) use loom::sync::atomic;
#[cfg(loom)]
pub(crate) use loom::thread::{yield_now as nap, yield_now as spin};
#[cfg(not(loom))]
pub(crate) use real::{UnsafeCell, nap};
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop as spin;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic;

pub(crate) use manyhands_sabotage::sabotaged;

/// How often a lock that is held is tried before its caller naps.
pub(crate) const TRIES: u32 = if cfg!(loom) { 1 } else { 100 };

#[cfg(not(loom))]
mod real {
    use std::time::Duration;

    /// Gives the core away to whoever holds the lock, and may have none.
    pub(crate) fn nap() {
        std::thread::sleep(Duration::from_micros(20));
    }

    /// The standard library's, with the face of loom's.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }
}
