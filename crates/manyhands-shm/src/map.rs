//! Map: a memfd in the address space of this process. All that knows pointers is here.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap};

use crate::control::Control;
use crate::memfd::Memfd;
use crate::sync::Word;

/// A memfd, or a part of one, mapped until it is dropped.
#[derive(Debug)]
pub(crate) struct Map {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process and not to a thread, and `Map` only hands out references
// whose use from several threads its methods answer for. Covered by `tests/streams.rs`, where each
// end has a thread of its own.
unsafe impl Send for Map {}
// SAFETY: as for `Send`.
unsafe impl Sync for Map {}

impl Map {
    pub(crate) fn new(file: &Memfd, writable: bool) -> io::Result<Self> {
        let write = if writable { ProtFlags::WRITE } else { ProtFlags::empty() };
        Self::part(file, 0, file.len(), ProtFlags::READ | write, MapFlags::SHARED)
    }

    /// `len` bytes from `offset` on, whole pages but for the end, to be written with nobody else to see
    /// it: a page shows the memfd's bytes until it is written to here.
    pub(crate) fn private(file: &Memfd, offset: usize, len: usize) -> io::Result<Self> {
        Self::part(file, offset, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }

    fn part(
        file: &Memfd,
        offset: usize,
        len: usize,
        may: ProtFlags,
        flags: MapFlags,
    ) -> io::Result<Self> {
        // Pages are paid for when they are touched, so a huge arena may be mapped.
        let flags = flags | MapFlags::NORESERVE;
        // SAFETY: without a wish for an address the kernel puts the mapping where nothing else is.
        // Covered by `tests::parts_are_where_they_should_be`.
        let start = unsafe { mmap(ptr::null_mut(), len, may, flags, file.as_fd(), offset as u64) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }

    /// Makes `len` bytes from `offset` on read-only in this process; both are whole pages.
    pub(crate) fn forbid_writing(&mut self, offset: usize, len: usize) -> io::Result<()> {
        let start = self.at(offset, len).as_ptr();
        // SAFETY: the pages are ours (`at`), and nobody borrows them: `self` is exclusive.
        // Covered by `tests/streams.rs`, whose workers read such a lane.
        Ok(unsafe { mprotect(start.cast(), len, MprotectFlags::READ) }?)
    }

    /// The words that every worker's memory begins with.
    pub(crate) fn control(&self) -> &Control {
        let control = self.at(0, size_of::<Control>()).cast::<Control>();
        // SAFETY: a page is aligned for it, it lies within the mapping (`at`), which lives as long
        // as `self`; it is atomics throughout, for which any bytes are valid and any writer is fair.
        // Covered by `tests::parts_are_where_they_should_be`.
        unsafe { control.as_ref() }
    }

    /// `count` words from the byte `offset` on.
    pub(crate) fn words(&self, offset: usize, count: usize) -> &[Word] {
        assert!(offset.is_multiple_of(align_of::<Word>()), "words are aligned");
        let words = self.at(offset, count * size_of::<Word>()).cast::<Word>();
        // SAFETY: aligned as asserted (the mapping begins at a page), within the mapping (`at`),
        // which lives as long as `self`; a `Word` is an atomic, for which any bytes are valid and
        // any writer is fair. Covered by `tests::parts_are_where_they_should_be`.
        unsafe { slice::from_raw_parts(words.as_ptr(), count) }
    }

    /// `len` bytes from `offset` on.
    ///
    /// # Safety
    /// Nobody writes them while the slice lives.
    pub(crate) unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        let start = self.at(offset, len);
        // SAFETY: within the mapping (`at`), which lives as long as `self`; bytes have no alignment
        // and no invalid value; the caller answers for writers.
        // Covered by `tests::parts_are_where_they_should_be`.
        unsafe { slice::from_raw_parts(start.as_ptr(), len) }
    }

    /// `len` bytes from `offset` on, of a writable mapping.
    ///
    /// # Safety
    /// The mapping is writable there, and nobody else reads or writes these bytes while the slice
    /// lives.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn bytes_mut(&self, offset: usize, len: usize) -> &mut [u8] {
        let start = self.at(offset, len);
        // SAFETY: as in `bytes`; the caller answers for everybody else.
        // Covered by `tests::parts_are_where_they_should_be`.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) }
    }

    /// The address of `len` bytes from `offset` on, all of which lie within the mapping.
    fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        let end = offset.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.len), "a part of a map lies within the map");
        // SAFETY: `offset` lies within the mapping, or one past it, as asserted.
        // Covered by `tests::parts_lie_within_the_map`.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, unmapped nowhere else, and all that was lent out
        // of it borrows `self`. Covered by `tests/leaks.rs`, which counts mappings.
        // It cannot fail for a whole mapping.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::Ordering;

    use super::Map;
    use crate::memfd::Memfd;

    #[test]
    fn parts_are_where_they_should_be() -> io::Result<()> {
        let file = Memfd::create("test", 3 * 4096)?;
        let (one, other) = (Map::new(&file, true)?, Map::new(&file, false)?);
        one.control().offers.store(0x1122, Ordering::Relaxed);
        assert_eq!(other.control().offers.load(Ordering::Relaxed), 0x1122);
        one.words(4096, 2)[1].store(u64::from_ne_bytes(*b"12345678"));
        // SAFETY: nobody else writes to this memory. Covered by this test.
        assert_eq!(unsafe { other.bytes(4096 + 8, 4) }, b"1234");
        // SAFETY: nobody else has a reference to this page. Covered by this test.
        unsafe { one.bytes_mut(2 * 4096, 4) }.copy_from_slice(b"abcd");
        // SAFETY: the exclusive slice is gone. Covered by this test.
        assert_eq!(unsafe { other.bytes(2 * 4096, 4) }, b"abcd");
        Ok(())
    }

    #[test]
    fn parts_lie_within_the_map() -> io::Result<()> {
        let map = Map::new(&Memfd::create("test", 4096)?, true)?;
        assert_eq!(map.words(4096, 0).len(), 0);
        for (offset, count) in [(4096, 1), (4088, 2), (1 << 40, 0), (usize::MAX - 7, 1)] {
            let words = std::panic::AssertUnwindSafe(|| map.words(offset, count).len());
            assert!(std::panic::catch_unwind(words).is_err(), "{offset} {count}");
        }
        Ok(())
    }
}
