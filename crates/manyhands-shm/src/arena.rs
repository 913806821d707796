//! Arena: memory for large data that other processes read where it lies.
#![allow(unsafe_code)]

use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blocks::{Blocks, Found, PAGE};
use crate::errors::NoSpace;
use crate::fork::ForkMark;
use crate::map::Map;
use crate::memfd::Memfd;
use crate::view::Place;

/// How much memory of dropped blocks is kept for the next: pages that are there are several times as
/// fast as pages that the system has to clear first.
const KEEP: u64 = 256 << 20;
const SMALLEST: u64 = 64 << 20;

/// Memory that this process hands out in [`Block`]s and that others can map. Only its creator
/// allocates in it, and what is in use is noted in memory of its own, which nobody else can spoil.
///
/// ```
/// use manyhands_shm::{Access, Arena, ArenaView};
///
/// let arena = Arena::create()?;
/// let mut block = arena.allocate(5)?;
/// block.copy_from_slice(b"hello");
/// // Elsewhere this is another process, which was told the place.
/// let view = ArenaView::open(arena.memory().try_clone_to_owned()?, Access::ReadOnly)?;
/// assert_eq!(&*view.slice(block.place())?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Who may write
///
/// Nothing but agreement keeps two processes from writing the same bytes at once: who was told a
/// [`Place`] looks at it only while its owner holds the block and leaves it alone, and writes to it
/// only while nobody else looks. Who breaks this reads a mixture of old and new bytes. That is all
/// they can do to each other: there are only bytes and numbers here, of which any mixture is valid.
#[derive(Clone, Debug)]
pub struct Arena(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    map: Map,
    file: Memfd,
    blocks: Mutex<Blocks>,
    /// Of the process in which the list of blocks is true. Its forks have a copy of the list but the
    /// same memory.
    mark: ForkMark,
}

impl Arena {
    /// An arena with addresses for twice the memory of this machine. It takes memory as blocks are
    /// allocated.
    ///
    /// # Errors
    /// If the system gives no file descriptor, or not even 64 MiB of addresses.
    pub fn create() -> io::Result<Self> {
        let info = rustix::system::sysinfo();
        let memory = u128::from(info.totalram) * u128::from(info.mem_unit);
        let memory = u64::try_from(memory).unwrap_or(u64::MAX).min(1 << 46);
        let mut len = (2 * memory).next_power_of_two().max(SMALLEST);
        loop {
            match Self::with_limit(len) {
                // A limit on addresses or on the length of files.
                Err(_) if len > SMALLEST => len /= 2,
                arena => return arena,
            }
        }
    }

    /// An arena of `bytes`, rounded up to whole pages.
    ///
    /// # Errors
    /// If the system gives no file descriptor or no addresses.
    pub fn with_limit(bytes: u64) -> io::Result<Self> {
        let len = bytes.max(1).checked_next_multiple_of(PAGE).ok_or(io::ErrorKind::InvalidInput)?;
        let file =
            Memfd::create("manyhands-arena", usize::try_from(len).map_err(io::Error::other)?)?;
        let map = Map::new(&file, true)?;
        Ok(Self::over(map, file))
    }

    /// An arena in memory that another process has made for this one: its [`memory`](Self::memory), in
    /// which it allocates nothing itself.
    ///
    /// # Errors
    /// If it is no arena's memory, or the system has no addresses left.
    ///
    /// ```
    /// use manyhands_shm::{Access, Arena, ArenaView};
    ///
    /// let made = Arena::create()?.memory().try_clone_to_owned()?;
    /// let view = ArenaView::open(made.try_clone()?, Access::ReadWrite)?;
    /// // Elsewhere this is the other process, which was passed the descriptor.
    /// let arena = Arena::adopt(made)?;
    /// let mut block = arena.allocate(5)?;
    /// block.copy_from_slice(b"hello");
    /// assert_eq!(&*view.slice(block.place())?, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn adopt(memory: OwnedFd) -> io::Result<Self> {
        let file = Memfd::open(memory)?;
        let map = Map::new(&file, true)?;
        Ok(Self::over(map, file))
    }

    fn over(map: Map, file: Memfd) -> Self {
        let blocks = Mutex::new(Blocks::new(file.len() as u64, KEEP));
        Self(Arc::new(Inner { map, file, blocks, mark: ForkMark::of_this_process() }))
    }

    /// Whether a block is one of this arena's.
    pub fn holds(&self, block: &Block) -> bool {
        Arc::ptr_eq(&self.0, &block.arena)
    }

    /// What other processes are to open.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }

    /// A block of `len` bytes. They are whatever was there before.
    ///
    /// # Errors
    /// If no free stretch is so long, or the system has no memory left; in a fork of the process that
    /// created the arena.
    pub fn allocate(&self, len: usize) -> Result<Block, NoSpace> {
        let range = self.0.allocate(len as u64, len)?;
        Ok(Block { arena: Arc::clone(&self.0), range, len })
    }
}

impl Inner {
    fn allocate(&self, wanted: u64, len: usize) -> Result<Range<u64>, NoSpace> {
        if self.mark.is_in_a_fork() {
            return Err(NoSpace::Forked);
        }
        let size = Blocks::size(wanted).ok_or(NoSpace::Full { len })?;
        let mut found = self.blocks().allocate(size);
        if found.is_none() {
            let cooling = self.blocks().cool_all();
            self.cool(cooling);
            found = self.blocks().allocate(size);
        }
        match found.ok_or(NoSpace::Full { len })? {
            Found::Warm(range) => Ok(range),
            Found::Cold(stretch) => {
                match self.file.take(stretch.start, stretch.end - stretch.start) {
                    Ok(()) => Ok(self.blocks().fetched(stretch, size)),
                    Err(source) => {
                        self.cool(vec![stretch]);
                        Err(NoSpace::Memory { len, source })
                    }
                }
            }
        }
    }

    fn free(&self, range: Range<u64>) {
        // It is the creator's block too, who may use it still.
        if self.mark.is_in_a_fork() {
            return;
        }
        let cooling = self.blocks().free(range);
        self.cool(cooling);
    }

    /// Gives the memory of free stretches back to the system, with no lock held.
    fn cool(&self, stretches: Vec<Range<u64>>) {
        for stretch in stretches {
            // If it fails, the memory stays: a cold stretch may have some.
            let _ = self.file.give_back(stretch.start, stretch.end - stretch.start);
            self.blocks().cooled(stretch);
        }
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        // No code of others runs under this lock, so there is nothing to be warned of.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of an [`Arena`], aligned to 64 bytes, to 4096 if they are as many. Dropped, they are free
/// for other blocks.
#[derive(Debug)]
pub struct Block {
    arena: Arc<Inner>,
    range: Range<u64>,
    len: usize,
}

impl Block {
    /// Where it lies, to tell another process.
    pub fn place(&self) -> Place {
        Place { offset: self.range.start, len: self.len as u64 }
    }

    fn offset(&self) -> usize {
        // It is an offset within a mapping of this process.
        usize::try_from(self.range.start).unwrap_or(usize::MAX)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: these bytes are no other block's, so in this mapping only `self` writes them, and
        // it is borrowed. Other mappings keep to the agreement told at `Arena`.
        // Covered by `tests/arena.rs`, `blocks_do_not_overlap`.
        unsafe { self.arena.map.bytes(self.offset(), self.len) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the map is writable; these bytes are no other block's, and `self` is borrowed
        // exclusively. Other mappings keep to the agreement told at `Arena`.
        // Covered by `tests/arena.rs`, `blocks_do_not_overlap`.
        unsafe { self.arena.map.bytes_mut(self.offset(), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.free(self.range.clone());
    }
}
