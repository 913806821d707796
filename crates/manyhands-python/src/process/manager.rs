//! The manager of a pool of processes, as its Python thread has it.

use std::sync::Arc;

use manyhands::process::host::Pool;
use manyhands::process::supervisor::Event;
use pyo3::prelude::*;

use super::task::ProcessTask;

/// What the manager's thread runs.
#[pyclass(frozen, module = "manyhands._core", name = "_ProcessPoolManager")]
pub(crate) struct PyManager {
    pub(super) pool: Arc<Pool<ProcessTask>>,
}

#[pymethods]
impl PyManager {
    /// Manage the pool until it is closed and its workers have left.
    fn run(&self, py: Python<'_>) {
        py.detach(|| self.pool.manage());
    }

    /// Accept nothing any more.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.pool.close(false));
    }

    /// End all workers at once.
    fn kill(&self, py: Python<'_>) {
        py.detach(|| self.pool.tell(Event::Kill));
    }
}
