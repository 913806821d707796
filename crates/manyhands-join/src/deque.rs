//! `Deque`: the closures that one thread has lent and not yet come back to, where others find them.
//!
//! A slot holds the one pointer to a closure, or none. The owner puts it there and takes it out again; others
//! swap the slot for an empty one. Whoever gets the pointer has it, so nothing else has to be agreed on. The
//! depth of the owner's stack says which slot is the next, and which is the oldest: a hint, on which nothing
//! depends but the order.
//!
//! There are 64 slots. What finds its slot taken, because nobody has come for all these, is not lent.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::Waker;

use crate::stack_job::{Header, Part, StackJob};
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::{sabotaged, yield_now};

#[cfg(not(loom))]
const SLOTS: usize = 64;
#[cfg(loom)]
const SLOTS: usize = 2;

/// What one thread has lent; see [the crate](crate).
// Two lines of a cache: they are fetched in pairs.
#[repr(align(128))]
pub struct Deque {
    /// How many calls of `join` its owner is in.
    depth: AtomicUsize,
    slots: [AtomicPtr<Header>; SLOTS],
}

impl Deque {
    /// Nothing is lent.
    pub fn new() -> Self {
        Self {
            depth: AtomicUsize::new(0),
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }

    /// Calls `a` here, and `b` here afterwards or in another thread meanwhile. If `a` panics, what is still here of
    /// `b` is dropped.
    ///
    /// `offered` is called when others can find `b`, before `a`. `wait` is called when `a` has ended and another
    /// thread has `b`: it is to wait until that [is over](Stolen::is_over), and is called again if it is not.
    ///
    /// A deque is one thread's. If another calls this too, what is lent may be found in another order.
    ///
    /// # Panics
    /// If `a` or `b` panics, when the other is not in use by anybody any more.
    #[inline]
    #[track_caller]
    pub fn join<A, B, RA, RB>(
        &self,
        a: A,
        b: B,
        offered: impl FnOnce(),
        mut wait: impl FnMut(&Stolen<'_>),
    ) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        let mut job = place(StackJob::new(b, Location::caller()));
        let depth = self.depth.load(Ordering::Relaxed);
        self.depth.store(depth + 1, Ordering::Relaxed);
        let lent = Lent { job: &job, deque: self, depth, put: self.put(depth, job.as_header()) };
        offered();
        let a = a();
        self.depth.store(depth, Ordering::Relaxed);
        if !lent.take_back() {
            while !job.header().is_settled() {
                wait(&Stolen { header: job.header(), of_this_thread: PhantomData });
            }
        }
        mem::forget(lent);
        // The pointer is nobody's any more.
        let b = match job.take_closure() {
            Some(b) => b(),
            None => job.take_result(),
        };
        (a, b)
    }

    /// Whether there was room.
    #[inline]
    fn put(&self, depth: usize, pointer: NonNull<Header>) -> bool {
        let relaxed = sabotaged("job_offer_is_not_released");
        let order = if relaxed { Ordering::Relaxed } else { Ordering::SeqCst };
        let (none, put) = (ptr::null_mut(), pointer.as_ptr());
        self.slot(depth).compare_exchange(none, put, order, Ordering::Relaxed).is_ok()
    }

    fn slot(&self, depth: usize) -> &AtomicPtr<Header> {
        &self.slots[depth % SLOTS]
    }

    /// The oldest that nobody has taken.
    pub fn take(&self) -> Option<Part> {
        let oldest = self.depth.load(Ordering::Relaxed).saturating_sub(SLOTS);
        (oldest..oldest + SLOTS).find_map(|at| {
            let slot = &self.slots[at % SLOTS];
            let there = slot.load(Ordering::SeqCst);
            if there.is_null() {
                return None;
            }
            let there = if sabotaged("job_thief_looks_first") {
                slot.store(ptr::null_mut(), Ordering::SeqCst);
                there
            } else {
                slot.swap(ptr::null_mut(), Ordering::SeqCst)
            };
            // SAFETY: what was in a slot was put there by `join`, and this swap has taken it out. Covered by
            // `taken_back_or_stolen…`.
            NonNull::new(there).map(|header| unsafe { Part::new(header) })
        })
    }

    /// Whether there is nothing to take, as far as its owner's depth tells.
    #[inline]
    pub fn seems_empty(&self) -> bool {
        self.depth.load(Ordering::Relaxed) == 0
    }

    /// Whether there is something to take. If [`join`](Self::join) has called `offered`, and nobody has taken
    /// what was offered, this finds it.
    pub fn has_parts(&self) -> bool {
        self.slots.iter().any(|slot| !slot.load(Ordering::SeqCst).is_null())
    }
}

impl Default for Deque {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Deque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deque")
            .field("depth", &self.depth.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// On the stack. In a model it outlives its frame, so that loom sees who comes too late.
#[cfg(not(loom))]
#[inline]
fn place<J>(job: J) -> J {
    job
}

#[cfg(loom)]
fn place<J>(job: J) -> mem::ManuallyDrop<Box<J>> {
    mem::ManuallyDrop::new(Box::new(job))
}

/// A job whose pointer may be in a slot, or with a thief: its frame must not be left. Where code that is called
/// meanwhile unwinds, dropping this waits.
struct Lent<'a, B, R> {
    job: &'a StackJob<B, R>,
    deque: &'a Deque,
    depth: usize,
    /// Whether it was put into a slot.
    put: bool,
}

impl<B, R> Lent<'_, B, R> {
    /// Whether the pointer is the owner's again.
    #[inline]
    fn take_back(&self) -> bool {
        if !self.put {
            return true;
        }
        let slot = self.deque.slot(self.depth);
        let (own, none) = (self.job.as_header().as_ptr(), ptr::null_mut());
        if sabotaged("job_owner_looks_first") {
            let is_own = slot.load(Ordering::SeqCst) == own;
            if is_own {
                slot.store(none, Ordering::SeqCst);
            }
            return is_own;
        }
        slot.compare_exchange(own, none, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl<B, R> Drop for Lent<'_, B, R> {
    #[cold]
    fn drop(&mut self) {
        self.deque.depth.store(self.depth, Ordering::Relaxed);
        if !self.take_back() {
            while !self.job.header().is_settled() {
                yield_now();
            }
        }
    }
}

/// A closure that another thread has, as its owner sees it.
pub struct Stolen<'a> {
    header: &'a Header,
    /// Only the owner's thread may leave a waker.
    of_this_thread: PhantomData<*const ()>,
}

impl Stolen<'_> {
    /// Whether it has been called, or given back.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.header.is_settled()
    }

    /// Wakes this when it is over; `false`: it is. Only the first one counts.
    #[must_use = "nobody is woken if it is over"]
    pub fn wake_when_over(&self, waker: &Waker) -> bool {
        // SAFETY: `Stolen` stays in the thread of `Deque::join`, which owns the stack. Covered by
        // `an_owner_that_sleeps…`.
        unsafe { self.header.wake_at_end(waker) }
    }

    /// The deque of who runs it, once that has begun: what is in there has to be done before this is over.
    #[inline]
    pub fn thief(&self) -> Option<&Arc<Deque>> {
        self.header.thief()
    }

    /// As [`Part::id`].
    pub fn id(&self) -> usize {
        ptr::from_ref(self.header).addr()
    }
}

impl fmt::Debug for Stolen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stolen").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}
