//! Memfd: memory that has a file descriptor, and that nobody can make shorter.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat,
    ftruncate, memfd_create,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// A memfd sealed against shrinking: what is mapped of it stays there, or a look at it would end the
/// process (SIGBUS).
#[derive(Debug)]
pub(crate) struct Memfd {
    fd: OwnedFd,
    len: usize,
}

impl Memfd {
    /// `len` bytes, all zero; none of them takes memory yet.
    pub(crate) fn create(name: &str, len: usize) -> io::Result<Self> {
        // To try would be answered with a signal, which ends the process.
        if getrlimit(Resource::Fsize).current.is_some_and(|most| len as u64 > most) {
            return Err(Errno::FBIG.into());
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
            // Unknown before Linux 6.3.
            Err(Errno::INVAL) => memfd_create(name, flags)?,
            created => created?,
        };
        ftruncate(&fd, len as u64)?;
        fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self { fd, len })
    }

    /// One that came from another process.
    pub(crate) fn open(fd: OwnedFd) -> io::Result<Self> {
        if !Self::is_one(&fd) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this file descriptor is no memory of ours: it is not sealed against shrinking",
            ));
        }
        let len = usize::try_from(fstat(&fd)?.st_size).map_err(io::Error::other)?;
        Ok(Self { fd, len })
    }

    /// Whether this is the descriptor of one.
    pub(crate) fn is_one(fd: impl AsFd) -> bool {
        fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes the memory for these bytes now, so that a lack of it is an error here and not a signal
    /// later.
    pub(crate) fn take(&self, offset: u64, len: u64) -> io::Result<()> {
        loop {
            match fallocate(&self.fd, FallocateFlags::empty(), offset, len) {
                Err(Errno::INTR) => {}
                taken => return Ok(taken?),
            }
        }
    }

    /// Gives the memory of these bytes back; they read as zero.
    pub(crate) fn give_back(&self, offset: u64, len: u64) -> io::Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.fd, hole, offset, len)?)
    }
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
