//! What a forked child must know: the threads of its parent's pools are not in it.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How many forks lie between this process and the one that imported the module, plus one.
static GENERATION: AtomicU32 = AtomicU32::new(1);

pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Registered by the package with `os.register_at_fork`.
#[pyfunction]
#[pyo3(name = "_after_fork_in_child")]
pub(crate) fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// An error for what was made before the last fork.
pub(crate) fn check(made_in: u32, what: &str) -> PyResult<()> {
    if made_in == generation() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!(
        "{what} was made before fork(), and its threads or workers are not this process's: \
         make a new executor in the child"
    )))
}
