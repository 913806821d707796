//! A mark that a fork takes away: whether this process is a copy that was forked off.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

/// The address of a byte that is 1, and 0 in forked copies of the process that made it; 0 where there is
/// none.
static NEWEST: AtomicUsize = AtomicUsize::new(0);

/// A process's own mark. The first one costs two system calls, a look at it a load.
///
/// ```
/// use manyhands_shm::ForkMark;
///
/// let mark = ForkMark::of_this_process();
/// assert!(!mark.is_in_a_fork());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ForkMark {
    address: usize,
}

impl ForkMark {
    /// The mark of this process; in a copy that is forked off later, [`is_in_a_fork`] shows it.
    ///
    /// [`is_in_a_fork`]: Self::is_in_a_fork
    pub fn of_this_process() -> Self {
        let newest = Self { address: NEWEST.load(Ordering::Acquire) };
        if newest.address != 0 && !newest.is_in_a_fork() {
            return newest;
        }
        let address = make().unwrap_or(0);
        NEWEST.store(address, Ordering::Release);
        Self { address }
    }

    /// Whether this process was forked off the one that the mark was made in. `false` on a system
    /// (before Linux 4.14) that cannot tell.
    pub fn is_in_a_fork(self) -> bool {
        if self.address == 0 {
            return false;
        }
        // SAFETY: `make` has mapped a page there, which stays for the life of the process and of its
        // forks, and of which nobody but `make` ever writes a byte. Covered by `tests/fork.rs`.
        let mark = unsafe { &*std::ptr::with_exposed_provenance::<AtomicU8>(self.address) };
        mark.load(Ordering::Relaxed) == 0
    }
}

fn make() -> Option<usize> {
    const PAGE: usize = 4096;
    // SAFETY: a new mapping of its own, which nothing else knows. Covered by `tests/fork.rs`.
    let page = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            PAGE,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    let page = page.ok()?;
    // SAFETY: the page was just mapped, and it is only advised. Covered by `tests/fork.rs`.
    unsafe { madvise(page, PAGE, Advice::LinuxWipeOnFork) }.ok()?;
    // SAFETY: the page is writable, and nobody knows of it yet. Covered by `tests/fork.rs`.
    unsafe { page.cast::<u8>().write(1) };
    Some(page.expose_provenance())
}
