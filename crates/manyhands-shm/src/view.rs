//! `ArenaView`: an arena of another process.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::param::page_size;

use crate::blocks::PAGE;
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
    /// Reading, and writing that nobody else sees: a page is copied when it is written to. What was
    /// written is gone when the view is dropped. For large data alone: views are of whole pages, as
    /// blocks of 4096 bytes or more are, and must not overlap.
    Private,
}

/// An [`Arena`](crate::Arena) of another process, mapped here.
#[derive(Clone, Debug)]
pub struct ArenaView(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    map: Map,
    len: u64,
    access: Access,
    /// Where the living views begin and end, if they can be written to: no two may overlap.
    writable: Option<Mutex<BTreeMap<u64, u64>>>,
}

impl ArenaView {
    /// Maps the arena whose memory this is.
    ///
    /// # Errors
    /// If it is no arena's memory, or the system has no addresses left. With [`Access::Private`], also
    /// if the system's pages are longer than 4096 bytes, or if it promises no more memory than there
    /// is (`vm.overcommit_memory=2`) and the arena is larger than that.
    pub fn open(memory: OwnedFd, access: Access) -> io::Result<Self> {
        let file = Memfd::open(memory)?;
        let map = match access {
            Access::ReadOnly => Map::new(&file, false)?,
            Access::ReadWrite => Map::new(&file, true)?,
            Access::Private => {
                // Two blocks could lie in one page, and would be thrown away together.
                if page_size() as u64 > PAGE {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        "pages are longer here than an arena's: open it `ReadOnly`, and copy",
                    ));
                }
                Map::private(&file)?
            }
        };
        let writable = (access != Access::ReadOnly).then(Mutex::default);
        Ok(Self(Arc::new(Inner { map, len: file.len() as u64, access, writable })))
    }

    /// The bytes at a place, which its owner has told. When the view is dropped, the owner is not
    /// told.
    ///
    /// # Errors
    /// If the place does not lie in the arena; if views can be written to, also if another view
    /// overlaps with it; with [`Access::Private`], also if it does not begin at a page, or is shorter
    /// than one.
    pub fn slice(&self, place: Place) -> Result<View, BadPlace> {
        let end = place.offset.checked_add(place.len).filter(|end| *end <= self.0.len);
        let end = end.ok_or(BadPlace::OutOfBounds)?;
        let offset = usize::try_from(place.offset).map_err(|_| BadPlace::OutOfBounds)?;
        let len = usize::try_from(place.len).map_err(|_| BadPlace::OutOfBounds)?;
        if self.0.access == Access::Private
            && !(place.offset.is_multiple_of(PAGE) && place.len >= PAGE)
        {
            return Err(BadPlace::NotPages);
        }
        if let Some(mut living) = self.0.living()
            && len > 0
        {
            let before = living.range(..end).next_back();
            if before.is_some_and(|(_, before_end)| *before_end > place.offset) {
                return Err(BadPlace::InUse);
            }
            living.insert(place.offset, end);
        }
        Ok(View { arena: Arc::clone(&self.0), offset, len, is_written: false })
    }
}

impl Inner {
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
    /// It was lent out to be written to.
    is_written: bool,
}

impl View {
    /// The bytes, to be written; none if the arena was opened [`Access::ReadOnly`].
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.arena.writable.as_ref()?;
        self.is_written = true;
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
        if self.is_written && self.arena.access == Access::Private {
            // SAFETY: the mapping is private, and this view is at its end. No other has bytes of its
            // pages: they do not overlap, and each begins at a page (`slice`).
            // Covered by `tests/arena.rs`, `what_was_written_privately_is_gone_with_its_view`.
            let discarded = unsafe { self.arena.map.discard(self.offset, self.len) };
            if discarded.is_err() {
                // Memory that is locked cannot be thrown away. The place stays taken: an error for
                // who wants it next, and not the bytes of somebody else.
                return;
            }
        }
        if let Some(mut living) = self.arena.living()
            && self.len > 0
        {
            living.remove(&(self.offset as u64));
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::mm::mlock;

    use super::{Access, ArenaView};
    use crate::arena::Arena;
    use crate::errors::BadPlace;

    #[test]
    fn what_cannot_be_thrown_away_is_not_shown() {
        let arena = Arena::with_limit(2 * 4096).unwrap();
        let view = ArenaView::open(arena.memory().try_clone_to_owned().unwrap(), Access::Private);
        let (view, block) = (view.unwrap(), arena.allocate(4096).unwrap());
        let mut written = view.slice(block.place()).unwrap();
        let bytes = written.bytes_mut().unwrap();
        // SAFETY: nothing is changed about the memory but that it stays. Covered by this test.
        unsafe { mlock(bytes.as_mut_ptr().cast(), bytes.len()) }.unwrap();
        drop(written);
        assert_eq!(view.slice(block.place()).unwrap_err(), BadPlace::InUse);
    }
}
