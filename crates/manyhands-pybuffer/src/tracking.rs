//! Objects that the interpreter's collector of cycles is not to look at yet.
//!
//! It goes through all objects that it tracks, again and again while their number grows. Tens of thousands of
//! futures that hold nothing that could lead back to them are work for nothing: a fifth of what their tasks
//! cost. So they are not tracked until they may be part of a cycle, as tuples and dicts are not in CPython. One
//! that is not tracked is safe at all times, and lost if it is part of a cycle.
//!
//! An object whose kind this is for has a [`Hidden`] in itself, and what that shares with others has a
//! [`HiddenObject`], by which they find the object. On an interpreter without the GIL all are tracked.
//!
//! All that is unsafe here is covered by `test_future_cycles.py`, on each Python, and by the chaos test of threads.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

/// An object that is not tracked, for those who share something with it. It does not keep it alive.
#[derive(Debug, Default)]
pub struct HiddenObject(AtomicPtr<ffi::PyObject>);

impl HiddenObject {
    /// Has the object tracked, if there is one that is not.
    #[inline]
    pub fn show(&self, _attached: Python<'_>) {
        let object = self.0.load(Ordering::Relaxed);
        if !object.is_null() {
            self.0.store(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: it has not been dropped, or its `Hidden` would have taken it out, and the thread is
            // attached. Covered by `test_future_cycles.py`.
            unsafe { track(object) };
        }
    }
}

/// Part of an object: what it shares with others.
pub struct Hidden<C: AsRef<HiddenObject>> {
    shared: Arc<C>,
    object: AtomicPtr<ffi::PyObject>,
}

impl<C: AsRef<HiddenObject>> Hidden<C> {
    /// For an object that is tracked.
    pub fn new(shared: Arc<C>) -> Self {
        Self { shared, object: AtomicPtr::default() }
    }

    /// Has the object that this is part of not tracked any more; any other is left alone.
    #[inline]
    pub fn hide(&self, object: &Bound<'_, PyAny>) {
        let (its, pointer) = (&self.shared.as_ref().as_ref().0, object.as_ptr());
        let is_hidden = !its.load(Ordering::Relaxed).is_null();
        if cfg!(Py_GIL_DISABLED) || is_hidden || !self.is_part_of(object) || !is_tracked(object) {
            return;
        }
        its.store(pointer, Ordering::Relaxed);
        self.object.store(pointer, Ordering::Relaxed);
        // SAFETY: it is tracked. Covered by `test_future_cycles.py`.
        unsafe { ffi::PyObject_GC_UnTrack(pointer.cast()) };
    }

    /// It is dropped with the object, then.
    fn is_part_of(&self, object: &Bound<'_, PyAny>) -> bool {
        let pointer = object.as_ptr();
        // SAFETY: each object has a type.
        let class = unsafe { ffi::Py_TYPE(pointer) };
        // SAFETY: the object keeps it. Covered by every submit, in `python/tests`.
        let size = unsafe { (*class).tp_basicsize };
        let offset = ptr::from_ref(self).addr().wrapping_sub(pointer.addr());
        offset < size.unsigned_abs()
    }
}

impl<C: AsRef<HiddenObject>> Deref for Hidden<C> {
    type Target = Arc<C>;

    fn deref(&self) -> &Arc<C> {
        &self.shared
    }
}

impl<C: AsRef<HiddenObject>> Drop for Hidden<C> {
    fn drop(&mut self) {
        let (its, object) = (&self.shared.as_ref().as_ref().0, *self.object.get_mut());
        if !object.is_null() && its.load(Ordering::Relaxed) == object {
            its.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }
}

impl<C: AsRef<HiddenObject> + fmt::Debug> fmt::Debug for Hidden<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

fn is_tracked(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: it is an object, and the thread is attached. Covered by every submit, in `python/tests`.
    unsafe { ffi::PyObject_GC_IsTracked(object.as_ptr()) != 0 }
}

/// Whether an object that holds this one may be part of a cycle.
#[inline]
pub fn may_lead_back(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: it is an object, and the thread is attached. Covered by every task with a result.
    unsafe { ffi::PyObject_IS_GC(object.as_ptr()) != 0 }
}

/// To be called with an object that has not been dropped, by a thread that is attached.
unsafe fn track(object: *mut ffi::PyObject) {
    // SAFETY: the caller's.
    let references = unsafe { ffi::Py_REFCNT(object) };
    // One that is being dropped is not to be tracked any more, or is for as long as its finalizer runs.
    // SAFETY: the caller's.
    if references > 0 && unsafe { ffi::PyObject_GC_IsTracked(object) } == 0 {
        // SAFETY: the caller's, and it is not tracked.
        unsafe { ffi::PyObject_GC_Track(object.cast()) };
    }
}
