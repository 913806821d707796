//! What a forked child must know: the threads of its parent's pools are not in it.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How many forks lie between this process and the one that imported the module, plus one.
static GENERATION: AtomicU32 = AtomicU32::new(1);

pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Whether there has been any.
pub(crate) fn is_child() -> bool {
    generation() > 1
}

/// Has every fork be noticed from now on: with the module, so that nothing in it can be used without.
pub(crate) fn notice_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let os = py.import("os")?;
    if !os.hasattr("register_at_fork")? {
        return Ok(());
    }
    let hook = wrap_pyfunction!(after_fork_in_child, module)?;
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", hook)?;
    os.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}

#[pyfunction]
#[pyo3(name = "_after_fork_in_child")]
fn after_fork_in_child() {
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
