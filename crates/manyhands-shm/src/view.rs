//! `ArenaView`: an arena of another process.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::param::page_size;

use crate::errors::BadPlace;
use crate::map::Map;
use crate::memfd::Memfd;

/// Where a block lies in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Bytes from the start of the arena.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// What may be done with views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading; writing by mistake ends the process.
    ReadOnly,
    /// Reading and writing. Views must not overlap then.
    ReadWrite,
}

/// An [`Arena`](crate::Arena) of another process, mapped here.
#[derive(Clone, Debug)]
pub struct ArenaView(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    map: Map,
    /// For private views, which have mappings of their own.
    file: Memfd,
    len: u64,
    /// Where the living views begin and end, if they can be written to: no two may overlap.
    writable: Option<Mutex<BTreeMap<u64, u64>>>,
}

impl ArenaView {
    /// Maps the arena whose memory this is.
    ///
    /// # Errors
    /// If it is no arena's memory, or the system has no addresses left.
    pub fn open(memory: OwnedFd, access: Access) -> io::Result<Self> {
        let file = Memfd::open(memory)?;
        let writable = (access == Access::ReadWrite).then(Mutex::default);
        let map = Map::new(&file, writable.is_some())?;
        let len = file.len() as u64;
        Ok(Self(Arc::new(Inner { map, file, len, writable })))
    }

    /// The bytes at a place, which its owner has told. When the view is dropped, the owner is not
    /// told.
    ///
    /// # Errors
    /// If the place does not lie in the arena; with [`Access::ReadWrite`], also if another view
    /// overlaps with it.
    pub fn slice(&self, place: Place) -> Result<View, BadPlace> {
        let (offset, len) = self.0.locate(place)?;
        let end = place.offset + place.len;
        if let Some(mut living) = self.0.living()
            && len > 0
        {
            let before = living.range(..end).next_back();
            if before.is_some_and(|(_, before_end)| *before_end > place.offset) {
                return Err(BadPlace::InUse);
            }
            living.insert(place.offset, end);
        }
        Ok(View { arena: Arc::clone(&self.0), offset, len })
    }

    /// The bytes at a place, to be written with nobody else to see it: a page is copied when it is written
    /// to. Whatever the arena was opened for, and however many look there.
    ///
    /// # Errors
    /// If the place does not lie in the arena, or the system has no memory for what may be written.
    ///
    /// ```
    /// use manyhands_shm::{Access, Arena, ArenaView};
    ///
    /// let arena = Arena::create()?;
    /// let mut block = arena.allocate(5)?;
    /// block.copy_from_slice(b"hello");
    /// let view = ArenaView::open(arena.memory().try_clone_to_owned()?, Access::ReadOnly)?;
    /// let mut private = view.private(block.place())?;
    /// private[0] = b'j';
    /// assert_eq!((&*private, &*block), (&b"jello"[..], &b"hello"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn private(&self, place: Place) -> io::Result<PrivateView> {
        let (offset, len) = self.0.locate(place).map_err(io::Error::other)?;
        let start = offset % page_size();
        // There is no mapping of nothing.
        let map = Map::private(&self.0.file, offset - start, (start + len).max(1))?;
        Ok(PrivateView { map, start, len })
    }
}

impl Inner {
    fn locate(&self, place: Place) -> Result<(usize, usize), BadPlace> {
        let end = place.offset.checked_add(place.len);
        let offset = usize::try_from(place.offset).map_err(|_| BadPlace::OutOfBounds)?;
        let len = usize::try_from(place.len).map_err(|_| BadPlace::OutOfBounds)?;
        if end.is_some_and(|end| end <= self.len) {
            Ok((offset, len))
        } else {
            Err(BadPlace::OutOfBounds)
        }
    }

    fn living(&self) -> Option<MutexGuard<'_, BTreeMap<u64, u64>>> {
        Some(self.writable.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Bytes in an arena of another process. It keeps the mapping alive.
#[derive(Debug)]
pub struct View {
    arena: Arc<Inner>,
    offset: usize,
    len: usize,
}

impl View {
    /// The bytes, to be written; none if the arena was opened [`Access::ReadOnly`].
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.arena.writable.as_ref()?;
        // SAFETY: the map is writable; no other view of it overlaps with this one, which is borrowed
        // exclusively. Other mappings keep to the agreement told at `Arena`.
        // Covered by `tests/arena.rs`, `writable_views_do_not_overlap`.
        Some(unsafe { self.arena.map.bytes_mut(self.offset, self.len) })
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: through this mapping nobody writes these bytes: it is read-only, or no other view
        // overlaps with this one, which is borrowed. Other mappings keep to the agreement told at
        // `Arena`. Covered by `tests/arena.rs`, `writable_views_do_not_overlap`.
        unsafe { self.arena.map.bytes(self.offset, self.len) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(mut living) = self.arena.living()
            && self.len > 0
        {
            living.remove(&(self.offset as u64));
        }
    }
}

/// Bytes in an arena of another process, as its owner has written them, in memory that is this view's own
/// where it is written to.
#[derive(Debug)]
pub struct PrivateView {
    map: Map,
    start: usize,
    len: usize,
}

impl Deref for PrivateView {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: nobody else has this mapping, and it is borrowed. Who writes to the arena keeps to the
        // agreement told at `Arena`. Covered by `tests/arena.rs`,
        // `nobody_else_sees_what_is_written_privately`.
        unsafe { self.map.bytes(self.start, self.len) }
    }
}

impl DerefMut for PrivateView {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, borrowed exclusively, and the mapping is writable. Covered as there.
        unsafe { self.map.bytes_mut(self.start, self.len) }
    }
}
