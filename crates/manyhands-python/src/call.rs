//! Calls into a program's code, from which a thread may not come back.
//!
//! Before 3.14, CPython ends a daemon thread that asks for the GIL of an interpreter that is gone by
//! unwinding its stack, which Rust answers with an abort. Here such a thread hangs where it is, as it
//! does in 3.14. It happens to workers whose tasks are still running after Ctrl-C has ended the program
//! (`python/tests/test_faults.py` has them).

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// `function(*args, **kwargs)`.
pub(crate) fn call<'py>(
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let guard = Hang;
    let called = plain(function, args, kwargs);
    std::mem::forget(guard);
    called
}

/// `function(arg)`.
pub(crate) fn call_one<'py>(
    function: &Bound<'py, PyAny>,
    arg: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let guard = Hang;
    let called = plain_one(function, arg);
    std::mem::forget(guard);
    called
}

/// `function(a, b)`.
pub(crate) fn call_two<'py>(
    function: &Bound<'py, PyAny>,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let guard = Hang;
    let called = plain_two(function, a, b);
    std::mem::forget(guard);
    called
}

/// Hangs a thread that is unwound by anything but a panic.
struct Hang;

impl Drop for Hang {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            loop {
                std::thread::park();
            }
        }
    }
}

// The unwinding passes a frame of Rust's only if there is nothing to be dropped in it. So the calls
// themselves are in frames of their own, and own nothing.

#[inline(never)]
fn plain<'py>(
    function: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    match kwargs {
        // The interpreter has a shorter way for these.
        None if args.is_empty() => function.call0(),
        None => function.call1(args),
        Some(_) => function.call(args, kwargs),
    }
}

#[inline(never)]
fn plain_one<'py>(
    function: &Bound<'py, PyAny>,
    arg: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    function.call1((arg,))
}

#[inline(never)]
fn plain_two<'py>(
    function: &Bound<'py, PyAny>,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    function.call1((a, b))
}
