//! The pool that a task runs in, as a worker process has it: what is submitted goes up to the parent.
//! The Python class is in `python/manyhands/_process_current.py`.

use std::sync::Arc;

use manyhands::process::host::{Call as Sent, Kind, PARENTS, Upward};
use manyhands::process::supervisor::Rules;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::passed;
use super::pickle::Room;
use super::pool;
use super::task::ProcessTask;
use crate::task::{Core, Task};
use crate::{fork, future, park};

#[pyclass(subclass, frozen, module = "manyhands._core", name = "_CurrentPool")]
pub(crate) struct PyCurrentPool {
    pickler: Py<PyAny>,
    rules: Rules,
}

#[pymethods]
impl PyCurrentPool {
    #[new]
    #[pyo3(signature = (pickler, timeout, retries=None))]
    fn new(pickler: Py<PyAny>, timeout: Option<f64>, retries: Option<u32>) -> Self {
        Self { pickler, rules: Rules { timeout: park::limit(timeout), retries } }
    }

    /// Schedule `fn(*args, **kwargs)` in the pool and return its Future.
    #[pyo3(signature = (r#fn, /, *args, **kwargs))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Py<PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let upward = upward()?;
        py.detach(|| upward.check()).map_err(|reason| pool::refused(py, &reason))?;
        let task = Task {
            function: r#fn,
            args: args.clone().unbind(),
            kwargs: kwargs.map(|it| it.clone().unbind()),
        };
        let core = Arc::new(Core::new(Some(task), fork::generation()));
        let future = future::make(py, Arc::clone(&core))?;
        let Some(task) = core.life.send_away(Some(PARENTS)) else { return Ok(future) };
        // Without shared memory: what lies in this worker's, others cannot see.
        let room = Room::Of(None, Some(PARENTS));
        let pickler = slf.get().pickler.bind(py);
        let packed = pool::pack(py, &task, pickler, room).and_then(|mut packed| {
            let futures = std::mem::take(&mut packed.passes).into_iter();
            let passes = futures.map(|it| passed::pass_on(py, upward, it, pickler));
            Ok((packed, passes.collect::<PyResult<_>>()?))
        });
        let (packed, passes) = match packed {
            Ok(packed) => packed,
            // Ctrl-C, or what a handler of another signal has raised: for the submitter.
            Err(error) if !error.is_instance_of::<PyException>(py) => return Err(error),
            Err(error) => {
                drop(core.life.finish(Err(error.into_value(py).into_any()), |_| ()));
                return Ok(future);
            }
        };
        let call = Some(Box::new(pool::call(py, task)?));
        let mut body = Vec::new();
        packed.write("", &mut body);
        if core.life.begin() {
            let task = ProcessTask::new(core, call);
            let rules = slf.get().rules;
            let call = Sent { function: 0, kind: Kind::One, body, passes };
            py.detach(|| upward.submit(task, call, rules));
        }
        Ok(future)
    }

    /// Whether it is being pickled as part of a task of its own pool.
    #[allow(clippy::unused_self, reason = "a method, as that of the pool itself")]
    fn _is_being_sent(&self) -> bool {
        super::shared::is_packed_for(PARENTS)
    }

    #[pyo3(name = "_close")]
    #[allow(clippy::unused_self, reason = "a method, as that of the pool itself")]
    fn close(&self, py: Python<'_>, cancel_futures: bool) -> PyResult<()> {
        let upward = upward()?;
        py.detach(|| upward.shutdown(cancel_futures));
        Ok(())
    }
}

fn upward() -> PyResult<&'static Arc<Upward>> {
    Upward::current().ok_or_else(|| {
        PyRuntimeError::new_err("this process is no worker of the pool that its parent works for")
    })
}
