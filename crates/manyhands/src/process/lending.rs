//! Lending: blocks of shared memory that go along with a frame, and come back.
//!
//! Parent and worker have an arena each, in which they alone allocate. What lies in a block is written
//! once by its owner, and looked at by the other side where it lies. The owner keeps the block until
//! the other side says that it has done with it, in the next frame that it sends anyway. A parent takes
//! a worker's answer for that, unless the answer says that the worker still looks at something.
//!
//! While arguments or results are written or read, the thread has a [`Carrier`], from which a
//! [`Buffer`](super::Buffer) in them learns where to put itself, and where it comes from.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use manyhands_shm::{Arena, ArenaView, Block, Place, PrivateView, View};

use super::passing::Passing;

/// The most numbers of blocks in a frame, of each kind: frames are short, whatever goes along.
pub(super) const MOST_IN_FRAME: usize = 2048;

thread_local! {
    static CARRIER: RefCell<Option<Carrier>> = const { RefCell::new(None) };
}

/// What goes along while something is written or read.
#[derive(Default)]
pub(super) struct Carrier {
    /// Where large data is put; with none, it goes into the frame.
    pub(super) arena: Option<Arena>,
    /// What was put there, or lay there already.
    pub(super) lent: Vec<Arc<Block>>,
    /// Where large data comes from.
    pub(super) source: Option<ArenaView>,
    /// What the data that is read belongs to.
    pub(super) lease: Option<Arc<Lease>>,
    /// The number of the first of the futures that came along.
    pub(super) passes: Option<u64>,
    /// The futures in what is written, where they can go along.
    pub(super) passing: Option<Passing>,
    /// Only its looks are wanted.
    pub(super) for_show: bool,
}

/// Calls `f` with a carrier for this thread; gives it back as `f` has left it.
pub(super) fn carrying<R>(carrier: Carrier, f: impl FnOnce() -> R) -> (R, Carrier) {
    /// Also if `f` panics.
    struct Restore(Option<Carrier>);

    impl Drop for Restore {
        fn drop(&mut self) {
            CARRIER.with(|at| *at.borrow_mut() = self.0.take());
        }
    }

    let restore = Restore(CARRIER.with(|at| at.borrow_mut().replace(carrier)));
    let result = f();
    let carrier = CARRIER.with(|at| at.borrow_mut().take()).unwrap_or_default();
    drop(restore);
    (result, carrier)
}

/// Gives this thread a carrier for good.
pub(super) fn install(carrier: Carrier) {
    CARRIER.with(|at| *at.borrow_mut() = Some(carrier));
}

/// Looks at this thread's carrier; `None` if nothing is being written or read.
pub(super) fn with_carrier<R>(look: impl FnOnce(&mut Carrier) -> R) -> Option<R> {
    CARRIER.with(|carrier| carrier.try_borrow_mut().ok()?.as_mut().map(look))
}

/// Notes the number of the first of the futures that came with the request that is performed.
pub(super) fn set_passes(first: Option<u64>) {
    CARRIER.with(|carrier| {
        if let Ok(mut carrier) = carrier.try_borrow_mut() {
            carrier.get_or_insert_default().passes = first;
        }
    });
}

impl Carrier {
    /// A view of what was lent with what is being read.
    pub(super) fn view(&self, place: Place) -> Result<Borrowed, String> {
        let view = self.source()?.slice(place).map_err(|error| error.to_string())?;
        Ok(Borrowed { view: Seen::Shared(view), lease: self.lease.clone() })
    }

    /// One that can be written to, with nobody else to see it.
    pub(super) fn private_view(&self, place: Place) -> Result<Borrowed, String> {
        let view = self.source()?.private(place).map_err(|error| error.to_string())?;
        Ok(Borrowed { view: Seen::Private(view), lease: self.lease.clone() })
    }

    fn source(&self) -> Result<&ArenaView, String> {
        self.source.as_ref().ok_or_else(|| "there is no shared memory".to_owned())
    }
}

/// Data of the other side's, looked at where it lies.
#[derive(Debug)]
pub struct Borrowed {
    // Before the lease: once that is over, others may lie here.
    view: Seen,
    lease: Option<Arc<Lease>>,
}

#[derive(Debug)]
enum Seen {
    Shared(View),
    Private(PrivateView),
}

impl Borrowed {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.view {
            Seen::Shared(view) => view,
            Seen::Private(view) => view,
        }
    }

    /// To be written, if nobody else looks at it.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let is_shared = self.lease.as_ref().is_some_and(|lease| lease.is_shared);
        match &mut self.view {
            Seen::Private(view) => Some(view),
            Seen::Shared(_) if is_shared => None,
            Seen::Shared(view) => view.bytes_mut(),
        }
    }
}

/// What was lent with one frame. When the last who looks at it has gone, the owner is told.
#[derive(Debug)]
pub(super) struct Lease {
    /// By what the owner knows it.
    ids: Vec<u64>,
    /// The owner looks at it too.
    is_shared: bool,
    returned: Arc<Returned>,
}

impl Lease {
    pub(super) fn new(ids: Vec<u64>, is_shared: bool, returned: &Arc<Returned>) -> Self {
        Self { ids, is_shared, returned: Arc::clone(returned) }
    }

    /// Ends it without telling the owner, who will learn of it otherwise.
    pub(super) fn end_quietly(mut self) {
        self.ids.clear();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.returned.push(&self.ids);
    }
}

/// What is done with, and whose owner has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Returned {
    ids: Mutex<Vec<u64>>,
    /// A look that costs nothing. Who comes too early for it tells the owner with the next frame.
    any: AtomicBool,
}

impl Returned {
    pub(super) fn push(&self, ids: &[u64]) {
        if !ids.is_empty() {
            let mut all = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(ids);
            self.any.store(true, Ordering::Release);
        }
    }

    /// So many of them as one frame is to tell of.
    pub(super) fn take(&self) -> Vec<u64> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut all = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.len().saturating_sub(MOST_IN_FRAME);
        self.any.store(left > 0, Ordering::Relaxed);
        all.split_off(left)
    }
}
