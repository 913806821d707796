//! An iterator's next object, where it is at hand, without what every call into Rust is wrapped in.
//!
//! `PyO3` counts how deep a thread is in calls, and is ready to catch a panic: 7 ns, as much as the rest of such a
//! call. So the slot of the type asks [`AtHand::at_hand`] first, which needs neither, and only then goes the usual way.
//!
//! All that is unsafe here is covered by every `map` in `python/tests`, on each Python.
#![allow(unsafe_code)]

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::{Borrowed, PyClass, ffi};

use crate::Attached;

/// An iterator that has its next object at hand, now and then.
pub trait AtHand: PyClass<Frozen = True> + Sync {
    /// The next object. It drops nothing of Python's, does not call the interpreter, and does not panic.
    fn at_hand(&self, attached: Attached<'_>) -> Option<Py<PyAny>>;

    /// Where the usual way is kept, of this class alone.
    fn usual() -> &'static OnceLock<UsualWay>;
}

/// What the class has for `__next__`.
#[derive(Debug)]
pub struct UsualWay(ffi::iternextfunc);

/// From now on, what is at hand is given at once. To be called while the module is made, before anybody iterates.
pub fn give_at_once<T: AtHand>(py: Python<'_>) {
    let class = T::type_object_raw(py);
    // SAFETY: a class of ours is there for good. Covered by every `map` in `python/tests`.
    let slot = unsafe { &raw mut (*class).tp_iternext };
    // SAFETY: the same. Covered by every `map` in `python/tests`.
    let Some(usual) = (unsafe { slot.read() }) else { return };
    if T::usual().set(UsualWay(usual)).is_ok() {
        // SAFETY: nobody has an object of the class yet. Covered by every `map` in `python/tests`.
        unsafe { slot.write(Some(next::<T>)) };
    }
}

/// The slot.
///
/// # Safety
/// As the interpreter does: attached, with an object of this class.
unsafe extern "C" fn next<T: AtHand>(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls it. Covered by every `map` in `python/tests`.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: it is an object, and there is a reference to it as long as this is called. Covered by every `map` in
    // `python/tests`.
    let iterator = unsafe { Borrowed::from_ptr(py, object) };
    // SAFETY: it is one of this class, which has no others below it. Covered by every `map` in `python/tests`.
    let iterator = unsafe { iterator.cast_unchecked::<T>() };
    if let Some(object) = iterator.get().at_hand(py.into()) {
        return object.into_ptr();
    }
    let Some(UsualWay(usual)) = T::usual().get() else { return std::ptr::null_mut() };
    // SAFETY: it is what the interpreter would have called. Covered by every `map` in `python/tests`.
    unsafe { usual(object) }
}
