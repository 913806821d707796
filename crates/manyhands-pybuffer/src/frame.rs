//! Where Python's code is: the frame that has called us, and the instruction it is at.
//!
//! The interpreter tells that in a few nanoseconds, but not through an interface that is safe by itself. All that is
//! unsafe here is covered by every submit in `python/tests`, and by `test_deadlock_places.py`, on each Python.
#![allow(unsafe_code)]

use std::ffi::c_int;

use pyo3::prelude::*;
use pyo3::types::PyFrame;
use pyo3::{Borrowed, ffi};

/// The frame that the calling thread is in. `None`: in no code of Python's.
pub fn current_frame(py: Python<'_>) -> Option<Bound<'_, PyFrame>> {
    let frame = frame_pointer(py);
    // SAFETY: it is null, or the frame of the function that has called us, which stays until that goes on.
    let frame = unsafe { Borrowed::from_ptr_or_opt(py, frame.cast()) }?;
    // SAFETY: it is one.
    Some(unsafe { frame.to_owned().cast_into_unchecked() })
}

#[inline]
fn frame_pointer(_attached: Python<'_>) -> *mut ffi::PyFrameObject {
    // SAFETY: the thread is attached. Covered by every submit, in `python/tests`.
    unsafe { ffi::PyEval_GetFrame() }
}

/// A place in a code object, as long as that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    code: usize,
    /// The instruction; before Python 3.11, the line.
    at: c_int,
}

impl Spot {
    /// In no code.
    pub const NONE: Self = Self { code: 0, at: 0 };

    /// Where the calling thread is.
    #[inline]
    pub fn current(py: Python<'_>) -> Self {
        let frame = frame_pointer(py);
        // SAFETY: it stays until the function that has called us goes on.
        if frame.is_null() { Self::NONE } else { unsafe { Self::of_pointer(frame) } }
    }

    /// Where a frame is.
    pub fn of(frame: &Bound<'_, PyFrame>) -> Self {
        // SAFETY: it is a frame, which we hold, and the thread is attached.
        unsafe { Self::of_pointer(frame.as_ptr().cast()) }
    }

    /// To be called with a frame that stays meanwhile, by a thread that is attached.
    #[inline]
    unsafe fn of_pointer(frame: *mut ffi::PyFrameObject) -> Self {
        // SAFETY: the caller's.
        let code = unsafe { ffi::PyFrame_GetCode(frame) };
        // SAFETY: it is a reference that we have been given, and the frame has another.
        unsafe { ffi::Py_DECREF(code.cast()) };
        // SAFETY: the caller's.
        let at = unsafe { instruction(frame) };
        Self { code: code.addr(), at }
    }

    /// A number for a table of places.
    #[inline]
    pub fn hash(self) -> usize {
        (self.code >> 5) ^ (self.at.unsigned_abs() as usize >> 1)
    }
}

/// The instruction that a frame is at; before Python 3.11, which does not tell, the line, which takes longer.
#[inline]
unsafe fn instruction(frame: *mut ffi::PyFrameObject) -> c_int {
    // The interpreter's own function, if it has one, is nearer by than the one below.
    #[allow(unused_imports, clippy::wildcard_imports, reason = "so that it need not be there")]
    use ffi::*;
    // SAFETY: the caller's.
    unsafe { PyFrame_GetLasti(frame) }
}

#[allow(dead_code, non_snake_case, reason = "see `instruction`")]
unsafe fn PyFrame_GetLasti(frame: *mut ffi::PyFrameObject) -> c_int {
    // SAFETY: the caller's.
    unsafe { ffi::PyFrame_GetLineNumber(frame) }
}
