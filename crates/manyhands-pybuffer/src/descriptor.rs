//! A file descriptor of Python's, taken over.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;

/// Takes the descriptor from a `socket.socket`, or from another object whose `detach` gives its own
/// descriptor away.
///
/// # Errors
/// What `detach` raises, and `ValueError` if the object was closed.
pub fn take_descriptor(object: &Bound<'_, PyAny>) -> PyResult<OwnedFd> {
    let descriptor: RawFd = object.call_method0(intern!(object.py(), "detach"))?.extract()?;
    if descriptor < 0 {
        return Err(PyValueError::new_err("the socket is closed"));
    }
    // SAFETY: it is open, and `detach` has made it the caller's to close. Covered by every pool of
    // worker processes, in `python/tests/process`.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
