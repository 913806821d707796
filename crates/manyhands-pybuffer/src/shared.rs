//! `SharedBuffer`: memory of ours, as Python sees it.
#![allow(unsafe_code)]

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::memory::{Exposed, Memory};

/// Bytes that lie in shared memory, for memoryviews and arrays. They are there until the last of those
/// is gone.
#[pyclass(frozen, weakref, module = "manyhands._core")]
#[derive(Debug)]
pub struct SharedBuffer(Exposed);

impl SharedBuffer {
    /// Shows these bytes to Python, which may write to them if [`Memory::bytes_mut`] gives them.
    pub fn new(memory: impl Memory) -> Self {
        Self(Exposed::new(memory))
    }
}

#[pymethods]
impl SharedBuffer {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Contiguous unsigned bytes. Nothing has to be done when they are released: a look at them keeps
    /// this object alive, and they stay where they are for as long as it lives.
    ///
    /// # Safety
    /// `view` is null, or a `Py_buffer` that may be written to.
    unsafe fn __getbuffer__(
        slf: &Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let exposed = &slf.get().0;
        // A slice is never longer than that.
        let len = isize::try_from(exposed.len()).unwrap_or(isize::MAX);
        let readonly = c_int::from(!exposed.is_writable());
        let start = exposed.start().cast();
        // SAFETY: the caller answers for `view`. The bytes may be read, and written unless `readonly`
        // says no, as long as `slf` lives, to which `view` gets a reference. Covered by
        // `python/tests/process/test_process_data.py`.
        let filled =
            unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len, readonly, flags) };
        if filled == 0 {
            return Ok(());
        }
        // SAFETY: the caller answers for `view`. Covered by `python/tests/process/test_process_data.py`.
        if let Some(view) = unsafe { view.as_mut() } {
            // As the protocol wants it of a request that failed.
            view.obj = std::ptr::null_mut();
        }
        Err(PyErr::fetch(slf.py()))
    }
}
