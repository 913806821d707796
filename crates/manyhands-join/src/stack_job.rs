//! THE STATE MACHINE of a closure on its owner's stack, and the one pointer to it that goes around.
//!
//! ```text
//!           its owner takes the pointer out of the deque again
//!          ┌───────────────────────────────────────────────────▶ the owner calls it
//!  offered │
//!          └─ a thief takes the pointer ─▶ LENT ──────────────▶ DONE: the result is there
//!                                           │ the owner sleeps  ▲
//!                                           └─▶ AWAITED ────────┤
//!                                                               └ or GIVEN_BACK, uncalled: as if never lent
//! ```
//!
//! The pointer exists once: in a slot of the deque, in its owner's hands again, or in a [`Part`]. While it is in
//! a `Part`, the owner does not leave the function whose stack it points to. With DONE or `GIVEN_BACK` the `Part`
//! gives up its right to the memory: that store is the last it does there.
//!
//! | field | who may touch it, and when |
//! |---|---|
//! | `state` | the thief and the owner |
//! | `waker` | the owner while LENT; the thief once it has seen AWAITED |
//! | `closure`, `result` | who has the pointer; the owner after DONE or GIVEN_BACK |
//! | `thief` | set by the thief; read by the owner |
#![allow(unsafe_code)]

use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread;

use crate::deque::Deque;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{UnsafeCell, sabotaged};

/// The states.
const LENT: u8 = 0;
const AWAITED: u8 = 1;
const DONE: u8 = 2;
const GIVEN_BACK: u8 = 3;

/// A closure on the stack. Its header comes first, so that a pointer to either is one to both.
#[repr(C)]
pub(crate) struct StackJob<B, R> {
    header: Header,
    closure: UnsafeCell<Option<B>>,
    result: UnsafeCell<Option<thread::Result<R>>>,
}

/// What is the same for all closures.
pub(crate) struct Header {
    state: AtomicU8,
    kind: &'static Kind,
    place: &'static Location<'static>,
    waker: UnsafeCell<Option<Waker>>,
    thief: OnceLock<Arc<Deque>>,
}

/// What differs from closure to closure.
struct Kind {
    run: unsafe fn(NonNull<Header>),
    name: fn() -> &'static str,
}

impl<B, R> StackJob<B, R>
where
    B: FnOnce() -> R + Send,
    R: Send,
{
    const KIND: &'static Kind = &Kind { run: Self::run, name: std::any::type_name::<B> };

    #[inline]
    pub(crate) fn new(closure: B, place: &'static Location<'static>) -> Self {
        let header = Header {
            state: AtomicU8::new(LENT),
            kind: Self::KIND,
            place,
            waker: UnsafeCell::new(None),
            thief: OnceLock::new(),
        };
        Self { header, closure: UnsafeCell::new(Some(closure)), result: UnsafeCell::new(None) }
    }

    /// The closure, if it was not called elsewhere. By `&mut`: for the owner who has the pointer again, or has seen
    /// the end of the loan.
    #[inline]
    pub(crate) fn take_closure(&mut self) -> Option<B> {
        // So that loom fails a model in which another thread comes to these after this: they are dropped soon.
        #[cfg(loom)]
        {
            self.header.state.with_mut(|_| ());
            self.header.waker.with_mut(|_| ());
        }
        // SAFETY: by `&mut`, and nobody else has the pointer, as `Deque::join` has seen. Covered by
        // `taken_back_or_stolen…` and `a_part_that_is_dropped…`.
        self.closure.with_mut(|closure| unsafe { (*closure).take() })
    }

    /// What it gave if it was called elsewhere; as `take_closure`. Panics with what it panicked with there.
    pub(crate) fn take_result(&mut self) -> R {
        // SAFETY: by `&mut`, and the thief has stored DONE after its last access, which the owner has loaded.
        // Covered by `taken_back_or_stolen…`.
        let result = self.result.with_mut(|result| unsafe { (*result).take() });
        match result {
            Some(Ok(value)) => value,
            Some(Err(payload)) => resume_unwind(payload),
            None => unreachable!("it was called, here or elsewhere"),
        }
    }

    /// Calls the closure in a thief's thread.
    ///
    /// # Safety
    /// The pointer is that of a `StackJob<B, R>`, and the caller has it for itself, and gives it up.
    unsafe fn run(header: NonNull<Header>) {
        // SAFETY: it points to a whole job, which stays until it is settled, by the contract and by
        // `Deque::join`. Covered by `taken_back_or_stolen…`.
        let job: &Self = unsafe { header.cast().as_ref() };
        if sabotaged("job_is_done_before_it_is_called") {
            job.header.state.store(DONE, Ordering::Release);
        }
        // SAFETY: who has the pointer has the closure. Covered by the same model.
        let closure = job.closure.with_mut(|closure| unsafe { (*closure).take() });
        let result = closure.map(|closure| catch_unwind(AssertUnwindSafe(closure)));
        // SAFETY: the owner looks at it after DONE. Covered by the same model.
        job.result.with_mut(|place| unsafe { *place = result });
        // SAFETY: nothing of this job is touched afterwards.
        unsafe { Header::settle(header, DONE) };
    }
}

impl<B, R> StackJob<B, R> {
    /// The pointer, of which there must be one at a time outside of this frame.
    #[inline]
    pub(crate) fn as_header(&self) -> NonNull<Header> {
        NonNull::from(self).cast()
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
}

impl Header {
    /// Ends a loan, and tells the owner if it sleeps.
    ///
    /// # Safety
    /// The caller has the pointer, and gives it up: the memory may be gone when this returns.
    unsafe fn settle(this: NonNull<Self>, end: u8) {
        // SAFETY: it is there until it is settled, by the contract.
        let header = unsafe { this.as_ref() };
        let settled =
            header.state.compare_exchange(LENT, end, Ordering::Release, Ordering::Acquire);
        if settled.is_ok() {
            return;
        }
        // SAFETY: AWAITED was loaded, so the owner has put its waker there and touches it no more. Covered by
        // `an_owner_that_sleeps…`.
        let take = || header.waker.with_mut(|waker| unsafe { (*waker).take() });
        let late = sabotaged("job_takes_the_waker_late");
        if late {
            header.state.store(end, Ordering::Release);
        }
        let waker = take();
        if !late {
            header.state.store(end, Ordering::Release);
        }
        if let Some(waker) = waker
            && !sabotaged("job_end_wakes_nobody")
        {
            waker.wake();
        }
    }

    /// Whether the loan has ended.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), DONE | GIVEN_BACK)
    }

    /// Has the owner woken at the end of the loan; `false`: it has ended. For the owner alone.
    ///
    /// # Safety
    /// One thread at a time calls this: the owner of the stack.
    pub(crate) unsafe fn wake_at_end(&self, waker: &Waker) -> bool {
        match self.state.load(Ordering::Acquire) {
            LENT => (),
            state => return state == AWAITED,
        }
        // SAFETY: nobody but the owner looks at it while LENT, and it was LENT: only the owner makes it
        // AWAITED. Covered by `an_owner_that_sleeps…`.
        self.waker.with_mut(|place| unsafe { *place = Some(waker.clone()) });
        if sabotaged("job_sleeper_looks_first") {
            let sleeps = !self.is_settled();
            if sleeps {
                self.state.store(AWAITED, Ordering::Release);
            }
            return sleeps;
        }
        let (order, found) = (Ordering::AcqRel, Ordering::Acquire);
        self.state.compare_exchange(LENT, AWAITED, order, found).is_ok()
    }

    /// Who runs it, if it has begun.
    pub(crate) fn thief(&self) -> Option<&Arc<Deque>> {
        self.thief.get()
    }
}

/// A closure of another thread's stack, taken out of its deque: to be [run](Self::run). One that is dropped
/// unrun is given back, and its owner calls it.
///
/// It must end in one of these ways: its owner waits for that.
#[must_use = "its owner waits until it has been run, or is dropped"]
pub struct Part(NonNull<Header>);

// SAFETY: the closure and its result are `Send`, by the bounds of `StackJob::new`, and what else there is has its
// rules in the table above. Covered by all of `loom_models`.
unsafe impl Send for Part {}

impl Part {
    /// # Safety
    /// The pointer was taken out of a slot into which `Deque::join` had put it, by the only one who could.
    #[inline]
    pub(crate) unsafe fn new(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// Calls it, in this thread; a panic is its owner's. `deque` is the one of this thread, out of which the
    /// owner may take in turn what it waits for.
    pub fn run(self, deque: &Arc<Deque>) {
        let header = self.0;
        mem::forget(self);
        // SAFETY: a part has the pointer, and the memory stays until it is settled. Covered by
        // `taken_back_or_stolen…`.
        let it = unsafe { header.as_ref() };
        // Set once: a part is run once.
        let _ = it.thief.set(Arc::clone(deque));
        let run = it.kind.run;
        // SAFETY: the kind was made with the job, for its types, and the pointer is given up.
        unsafe { run(header) };
    }

    /// What it is known by as long as it has not ended: where it lies.
    pub fn id(&self) -> usize {
        self.0.addr().get()
    }

    /// The name of the closure's type.
    pub fn name(&self) -> &'static str {
        (self.header().kind.name)()
    }

    /// Where it was lent.
    pub fn place(&self) -> &'static Location<'static> {
        self.header().place
    }

    fn header(&self) -> &Header {
        // SAFETY: the memory stays as long as this part does. Covered by `taken_back_or_stolen…`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // SAFETY: a part has the pointer, and this is the last that it does with it. Covered by
        // `a_part_that_is_dropped…`.
        unsafe { Header::settle(self.0, GIVEN_BACK) };
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Part").field(&self.name()).finish()
    }
}
