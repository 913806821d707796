//! Doorbell: how the workers of a pool wake their parent. An eventfd, or loom's likeness of one.

#[cfg(not(loom))]
pub use real::Doorbell;

#[cfg(loom)]
pub use modelled::Doorbell;

#[cfg(not(loom))]
mod real {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::io::Errno;

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

        /// Sleeps until it is rung, or the time is up, or a signal comes; clears it. For who listens to
        /// nothing else.
        ///
        /// # Errors
        /// If the system refuses to poll.
        pub fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
            // A time that no clock can tell is no limit.
            let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {
                    self.clear();
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
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
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::{Condvar, Mutex};

    /// What a parent polls while it sleeps.
    #[derive(Clone, Debug)]
    pub struct Doorbell(Arc<(Mutex<bool>, Condvar)>);

    impl Doorbell {
        /// One that nobody has rung.
        #[expect(
            clippy::new_without_default,
            reason = "as little of it as there is of the real one"
        )]
        pub fn new() -> Self {
            Self(Arc::new((Mutex::new(false), Condvar::new())))
        }

        /// Wakes whoever polls, or the next one who does.
        pub fn ring(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }

        /// Sleeps until it is rung, and clears it. loom knows no time, so a wait with a limit may end at any
        /// moment.
        ///
        /// # Errors
        /// None.
        #[expect(clippy::missing_panics_doc, reason = "no thread of a model panics and goes on")]
        pub fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
            let mut rung = self.0.0.lock().unwrap();
            while !*rung && timeout.is_none() {
                rung = self.0.1.wait(rung).unwrap();
            }
            *rung = false;
            Ok(())
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::Doorbell;

    #[test]
    fn a_wait_ends_with_a_ring_and_clears_it() {
        let doorbell = Doorbell::create().unwrap();
        doorbell.ring();
        doorbell.wait(None).unwrap();
        assert!(!doorbell.clear(), "the wait has");
        thread::scope(|scope| {
            scope.spawn(|| doorbell.ring());
            doorbell.wait(None).unwrap();
        });
    }

    #[test]
    fn a_wait_ends_when_its_time_is_up() {
        Doorbell::create().unwrap().wait(Some(Duration::from_millis(1))).unwrap();
    }
}
