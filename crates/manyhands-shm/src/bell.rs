//! Bell: what a worker sleeps on. A futex, or loom's likeness of one.

use std::time::Duration;

#[cfg(not(loom))]
pub(crate) use real::Bell;

#[cfg(loom)]
pub(crate) use modelled::Bell;

#[cfg(not(loom))]
mod real {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::thread::futex::{self, Flags, Timespec};

    use super::Duration;

    /// A count of rings. Who means to sleep takes `seen` *before* saying so to the other side: a ring
    /// that comes in between makes the sleep end at once.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct Bell(AtomicU32);

    impl Bell {
        pub(crate) fn seen(&self) -> u32 {
            self.0.load(Ordering::Acquire)
        }

        pub(crate) fn ring(&self) {
            self.0.fetch_add(1, Ordering::Release);
            // It cannot fail: the word is mapped and aligned. Not private: the sleeper is elsewhere.
            let _ = futex::wake(&self.0, Flags::empty(), 1);
        }

        /// Until a ring after `seen`, the end of the time, a signal, or for no reason.
        pub(crate) fn wait(&self, seen: u32, timeout: Option<Duration>) {
            // A time that no clock can tell is no limit.
            let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
            // Each of its errors is a reason to look again, which is what the caller does anyway.
            let _ = futex::wait(&self.0, Flags::empty(), seen, timeout.as_ref());
        }
    }
}

#[cfg(loom)]
mod modelled {
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};

    use super::Duration;

    /// The kernel compares under the lock of a bucket, which whoever wakes takes too.
    #[derive(Debug)]
    pub(crate) struct Bell {
        count: AtomicU32,
        bucket: Mutex<()>,
        wake: Condvar,
    }

    impl Bell {
        pub(crate) fn new() -> Self {
            Self { count: AtomicU32::new(0), bucket: Mutex::new(()), wake: Condvar::new() }
        }

        pub(crate) fn seen(&self) -> u32 {
            self.count.load(Ordering::Acquire)
        }

        pub(crate) fn ring(&self) {
            self.count.fetch_add(1, Ordering::Release);
            drop(self.bucket.lock());
            self.wake.notify_one();
        }

        /// loom knows no time, so a wait with a limit may end at any moment.
        pub(crate) fn wait(&self, seen: u32, timeout: Option<Duration>) {
            let bucket = self.bucket.lock().unwrap();
            if timeout.is_none() && self.count.load(Ordering::SeqCst) == seen {
                drop(self.wake.wait(bucket));
            }
        }
    }
}
