//! Doorbell: how the workers of a pool wake a thread of their parent. An eventfd for a thread that listens to other
//! things too, a futex for one that only sleeps; or loom's likenesses of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::bell::Bell;
use crate::sync::sabotaged;

#[cfg(not(loom))]
pub use real::Doorbell;

#[cfg(loom)]
pub use modelled::Doorbell;

/// A bell of which one remembers what was heard: a ring between two sleeps ends the second.
#[derive(Debug)]
struct Heard {
    /// Only of the one that sleeps, so no order is needed.
    count: AtomicU32,
}

impl Heard {
    fn nothing() -> Self {
        Self { count: AtomicU32::new(0) }
    }

    /// Whether the bell has rung since; from now on it has not.
    fn clear(&self, bell: &Bell) -> bool {
        let seen = bell.seen();
        self.count.swap(seen, Ordering::Relaxed) != seen
    }

    fn wait(&self, bell: &Bell, timeout: Option<Duration>) -> bool {
        let early = self.clear(bell) && !sabotaged("doorbell_forgets_an_early_ring");
        early || {
            bell.wait(self.count.load(Ordering::Relaxed), timeout);
            self.clear(bell)
        }
    }
}

#[cfg(not(loom))]
mod real {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::io::Errno;
    use rustix::param::page_size;

    use super::Heard;
    use crate::map::Map;
    use crate::memfd::Memfd;

    /// What a thread of a parent sleeps at, shared by all workers of a pool.
    ///
    /// The thread [`clear`](Self::clear)s it when it wakes, then looks at its workers; before it sleeps again it
    /// calls [`ParentEnd::set_asleep`](crate::ParentEnd::set_asleep) for each. A worker whose parent has not said
    /// that it sleeps makes no system call.
    #[derive(Debug)]
    pub struct Doorbell(Kind);

    #[derive(Debug)]
    enum Kind {
        Polled(OwnedFd),
        /// Of the first page, nothing but the bell is used.
        SleptOn {
            map: Map,
            file: Memfd,
            heard: Heard,
        },
    }

    impl Doorbell {
        /// A doorbell that nobody has rung, for a thread that polls other descriptors too.
        ///
        /// # Errors
        /// If the system has no more file descriptors or memory.
        pub fn create() -> io::Result<Self> {
            Ok(Self(Kind::Polled(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
        }

        /// A doorbell that nobody has rung, for a thread that only [`wait`](Self::wait)s for it: half the system
        /// calls. Its descriptor is of no use to `poll`.
        ///
        /// # Errors
        /// If the system has no more file descriptors or memory.
        pub fn to_sleep_on() -> io::Result<Self> {
            let file = Memfd::create("manyhands-doorbell", page_size())?;
            file.take(0, file.len() as u64)?;
            Self::slept_on(file)
        }

        /// One that came from another process, of either kind.
        ///
        /// # Errors
        /// If it cannot be mapped.
        pub fn open(fd: OwnedFd) -> io::Result<Self> {
            if Memfd::is_one(&fd) {
                Self::slept_on(Memfd::open(fd)?)
            } else {
                Ok(Self(Kind::Polled(fd)))
            }
        }

        fn slept_on(file: Memfd) -> io::Result<Self> {
            if file.len() < page_size() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(Self(Kind::SleptOn { map: Map::new(&file, true)?, file, heard: Heard::nothing() }))
        }

        /// To pass on to workers, and to poll for reading if it is for that.
        pub fn fd(&self) -> BorrowedFd<'_> {
            match &self.0 {
                Kind::Polled(fd) => fd.as_fd(),
                Kind::SleptOn { file, .. } => file.as_fd(),
            }
        }

        /// Wakes whoever sleeps at it, or the next one who does.
        pub fn ring(&self) {
            match &self.0 {
                Kind::Polled(fd) => {
                    // Its only failure is a count that is full: then it is rung already.
                    let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
                }
                Kind::SleptOn { map, .. } => map.control().bell.ring(),
            }
        }

        /// Whether it was rung since it was last cleared; from now on it is not.
        pub fn clear(&self) -> bool {
            match &self.0 {
                Kind::Polled(fd) => rustix::io::read(fd, &mut [0; 8]).is_ok(),
                Kind::SleptOn { map, heard, .. } => heard.clear(&map.control().bell),
            }
        }

        /// Sleeps until it is rung, or the time is up, or a signal comes, or for no reason; clears it. Whether it
        /// was rung. For who listens to nothing else.
        ///
        /// # Errors
        /// If the system refuses to poll.
        pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
            let fd = match &self.0 {
                Kind::Polled(fd) => fd,
                Kind::SleptOn { map, heard, .. } => {
                    return Ok(heard.wait(&map.control().bell, timeout));
                }
            };
            // A time that no clock can tell is no limit.
            let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
            match poll(&mut [PollFd::new(fd, PollFlags::IN)], timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => Ok(self.clear()),
                Err(error) => Err(error.into()),
            }
        }
    }
}

#[cfg(loom)]
mod modelled {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::{Condvar, Mutex};

    use super::Heard;
    use crate::bell::Bell;

    /// What a thread of a parent sleeps at.
    #[derive(Clone, Debug)]
    pub struct Doorbell(Arc<Kind>);

    #[derive(Debug)]
    enum Kind {
        Polled(Mutex<bool>, Condvar),
        SleptOn(Bell, Heard),
    }

    impl Doorbell {
        /// One that nobody has rung, as an eventfd.
        #[expect(
            clippy::new_without_default,
            reason = "as little of it as there is of the real one"
        )]
        pub fn new() -> Self {
            Self(Arc::new(Kind::Polled(Mutex::new(false), Condvar::new())))
        }

        /// One that nobody has rung, as a futex.
        pub fn to_sleep_on() -> Self {
            Self(Arc::new(Kind::SleptOn(Bell::new(), Heard::nothing())))
        }

        /// Wakes whoever sleeps at it, or the next one who does.
        #[expect(clippy::missing_panics_doc, reason = "no thread of a model panics and goes on")]
        pub fn ring(&self) {
            match &*self.0 {
                Kind::Polled(rung, wake) => {
                    *rung.lock().unwrap() = true;
                    wake.notify_one();
                }
                Kind::SleptOn(bell, _) => bell.ring(),
            }
        }

        /// Sleeps until it is rung, and clears it; whether it was. loom knows no time, so a wait with a limit
        /// may end at any moment.
        ///
        /// # Errors
        /// None.
        #[expect(clippy::missing_panics_doc, reason = "no thread of a model panics and goes on")]
        pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
            Ok(match &*self.0 {
                Kind::Polled(rung, wake) => {
                    let mut rung = rung.lock().unwrap();
                    while !*rung && timeout.is_none() {
                        rung = wake.wait(rung).unwrap();
                    }
                    std::mem::take(&mut *rung)
                }
                Kind::SleptOn(bell, heard) => heard.wait(bell, timeout),
            })
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::Doorbell;

    fn both() -> [Doorbell; 2] {
        [Doorbell::create().unwrap(), Doorbell::to_sleep_on().unwrap()]
    }

    #[test]
    fn a_wait_ends_with_a_ring_and_clears_it() {
        for doorbell in both() {
            let elsewhere = Doorbell::open(doorbell.fd().try_clone_to_owned().unwrap()).unwrap();
            elsewhere.ring();
            assert!(doorbell.wait(None).unwrap());
            assert!(!doorbell.clear(), "the wait has");
            thread::scope(|scope| {
                scope.spawn(|| elsewhere.ring());
                doorbell.wait(None).unwrap();
            });
        }
    }

    #[test]
    fn a_wait_ends_when_its_time_is_up() {
        for doorbell in both() {
            assert!(!doorbell.wait(Some(Duration::from_millis(1))).unwrap());
        }
    }
}
