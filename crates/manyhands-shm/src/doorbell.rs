//! Doorbell: how the workers of a pool wake their parent. An eventfd, or loom's likeness of one.

#[cfg(not(loom))]
pub use real::Doorbell;

#[cfg(loom)]
pub use modelled::Doorbell;

#[cfg(not(loom))]
mod real {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    /// What a parent polls while it sleeps, shared by all workers of a pool.
    ///
    /// The parent calls [`clear`](Self::clear) when it wakes, then looks at its workers; before it
    /// polls again it calls [`ParentEnd::set_asleep`](crate::ParentEnd::set_asleep) for each. A worker
    /// whose parent has not said that it sleeps makes no system call.
    #[derive(Debug)]
    pub struct Doorbell(OwnedFd);

    impl Doorbell {
        /// A doorbell that nobody has rung.
        ///
        /// # Errors
        /// If the system has no more file descriptors or memory.
        pub fn create() -> io::Result<Self> {
            Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        /// To poll for reading, and to pass on to workers.
        pub fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }

        /// Wakes whoever polls, or the next one who does.
        pub fn ring(&self) {
            // Its only failure is a count that is full: then it is rung already.
            let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        }

        /// Whether it was rung since it was last cleared; from now on it is not.
        pub fn clear(&self) -> bool {
            rustix::io::read(&self.0, &mut [0; 8]).is_ok()
        }
    }

    impl From<OwnedFd> for Doorbell {
        /// A doorbell that came from another process.
        fn from(fd: OwnedFd) -> Self {
            Self(fd)
        }
    }
}

#[cfg(loom)]
mod modelled {
    use std::sync::Arc;

    use loom::sync::{Condvar, Mutex};

    /// What a parent polls while it sleeps.
    #[derive(Clone, Debug)]
    pub struct Doorbell(Arc<(Mutex<bool>, Condvar)>);

    impl Doorbell {
        pub(crate) fn new() -> Self {
            Self(Arc::new((Mutex::new(false), Condvar::new())))
        }

        /// Wakes whoever polls, or the next one who does.
        pub fn ring(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }

        /// Polls until it is rung, and clears it.
        #[cfg(test)]
        pub(crate) fn wait(&self) {
            let mut rung = self.0.0.lock().unwrap();
            while !*rung {
                rung = self.0.1.wait(rung).unwrap();
            }
            *rung = false;
        }
    }
}
