//! `Buffer`: the bytes of an object of Python's, to be copied.
#![allow(unsafe_code)]

use std::ptr;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// From here on a copy takes so long that others should run meanwhile. To be attached again may take
/// 5 ms, while another thread computes.
const LARGE: usize = 1 << 20;

/// The contiguous bytes of an object, in the order in which they lie in memory. They stay there, and
/// the object cannot change its size, until this is dropped.
#[derive(Debug)]
pub struct Buffer(PyBuffer<u8>);

impl Buffer {
    /// The bytes of a `pickle.PickleBuffer`, or of any object with the buffer protocol, whatever it has
    /// in them: numbers of any kind, in C's or Fortran's order.
    ///
    /// # Errors
    /// `BufferError` if they do not lie side by side, `TypeError` if the object has none.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        static PICKLE_BUFFER: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let py = object.py();
        let pickle_buffer = PICKLE_BUFFER.import(py, "pickle", "PickleBuffer")?.call1((object,))?;
        let bytes = PyBuffer::get(&pickle_buffer.call_method0(intern!(py, "raw"))?)?;
        // It always is, unless the program has put something else in the place of `PickleBuffer`.
        if bytes.is_c_contiguous() {
            Ok(Self(bytes))
        } else {
            Err(PyBufferError::new_err("the buffer is not contiguous"))
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len_bytes()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the object forbids to write them.
    pub fn is_readonly(&self) -> bool {
        self.0.readonly()
    }

    /// Copies all the bytes, detached from the interpreter if they are many. What a thread writes to
    /// them meanwhile is in the copy or is not, byte by byte.
    ///
    /// # Panics
    /// If `to` is not [as long](Self::len).
    pub fn copy_to(&self, py: Python<'_>, to: &mut [u8]) {
        assert_eq!(to.len(), self.len(), "a buffer is copied to where there is room for it");
        if to.len() < LARGE {
            self.copy(to);
        } else {
            py.detach(|| self.copy(to));
        }
    }

    /// Never inlined: the compiler must not look at the original again where the copy is meant.
    #[inline(never)]
    fn copy(&self, to: &mut [u8]) {
        let start = self.0.buf_ptr().cast();
        // SAFETY: so many bytes (`copy_to`) lie there side by side (`of`) until the buffer is released,
        // and `to`, which is borrowed exclusively, is not among them. A thread that writes to them
        // meanwhile, as Python lets it, makes the copy a mixture of bytes, which are all valid; this
        // is what `hashlib` and sockets rest on too. Covered by `python/tests/process/test_process_data.py`.
        unsafe { ptr::copy_nonoverlapping(start, to.as_mut_ptr(), to.len()) };
    }
}
