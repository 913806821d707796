//! `as_completed`: futures in the order in which they end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use manyhands::nested::graph::How;
use manyhands::ready::Ready;
use manyhands_pybuffer::{Exclusive, Held};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::awaited::Awaited;
use crate::source::targets;
use crate::task::Core;
use crate::wait::distinct;
use crate::{errors, nested, park, process, stdlib};

/// An iterator over futures in the order in which they end, each once. It lets go of each as it
/// yields it.
#[pyclass(frozen, module = "manyhands._core", name = "AsCompleted")]
pub(crate) struct AsCompleted {
    ready: Arc<Ready>,
    deadline: Option<Instant>,
    rest: Exclusive<Rest>,
}

struct Rest {
    /// By their numbers; none where one has been yielded.
    futures: Vec<Option<Py<PyAny>>>,
    arrived: VecDeque<usize>,
    unfinished: usize,
    /// Where a task that waits looks next for one that it may run in place.
    looked: usize,
    /// Whether one was of the pool whose task added it.
    own: bool,
}

impl AsCompleted {
    #[inline]
    fn rest<'py>(&self, py: Python<'py>) -> PyResult<Held<'_, 'py, Rest>> {
        errors::not_waited_in(&self.rest, py)
    }

    /// Waits until a number is there; whether one is.
    fn wait(&self, py: Python<'_>, rest: &mut Rest) -> PyResult<bool> {
        let ready = &self.ready;
        let left = |futures: &[Option<Py<PyAny>>]| -> Vec<Option<Arc<Core>>> {
            let left = futures.iter().flatten();
            let core = |future: &Py<PyAny>| Awaited::new(future.bind(py).clone()).core().cloned();
            left.map(core).collect()
        };
        if !nested::in_task() {
            let what = || {
                let left: Option<Vec<_>> = left(&rest.futures).into_iter().collect();
                Some((left?.iter().map(|core| nested::id(core)).collect(), How::Any))
            };
            let wait = |until| ready.wait_for_all(1, until);
            let _waits = process::begin_waits(py, self.deadline, what, wait);
            return park::wait(py, self.deadline, wait);
        }
        while self.deadline.is_none() && ready.is_empty() && rest.looked < rest.futures.len() {
            for core in left(&rest.futures[rest.looked..=rest.looked]).iter().flatten() {
                nested::try_in_place(py, core)?;
            }
            rest.looked += 1;
        }
        let targets = || targets(left(&rest.futures).iter().map(Option::as_ref), How::Any);
        let awaited = nested::Awaited { ready, wanted: 1, own: rest.own, targets: &targets };
        Ok(!ready.is_empty() || nested::sleep(py, &awaited, self.deadline)?)
    }
}

#[pymethods]
impl AsCompleted {
    #[new]
    #[pyo3(signature = (fs, timeout=None))]
    fn new(fs: &Bound<'_, PyAny>, timeout: Option<f64>) -> PyResult<Self> {
        let deadline = park::deadline(timeout);
        let made = Self {
            ready: Arc::new(Ready::new()),
            deadline,
            rest: Exclusive::new(Rest {
                futures: Vec::new(),
                arrived: VecDeque::new(),
                unfinished: 0,
                looked: 0,
                own: false,
            }),
        };
        made.add(&distinct(fs)?)?;
        Ok(made)
    }

    /// More futures to wait for, not among those there are.
    fn add(&self, fs: &Bound<'_, PySet>) -> PyResult<()> {
        let mut rest = self.rest(fs.py())?;
        let mut ended = Vec::new();
        for future in fs {
            let future = Awaited::new(future);
            let number = rest.futures.len();
            rest.own |= future.core().is_some_and(|core| nested::is_own(core));
            if future.watch(&self.ready, number)? {
                future.check_process()?;
            } else {
                ended.push(number);
            }
            rest.futures.push(Some(future.into_future().unbind()));
            rest.unfinished += 1;
        }
        self.ready.push(ended);
        Ok(())
    }

    /// How many have not been yielded.
    fn __length_hint__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.rest(py)?.unfinished)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut rest = self.rest(py)?;
        if rest.unfinished == 0 {
            return Ok(None);
        }
        if rest.arrived.is_empty() {
            if !self.ready.wait_for_all(1, Some(Instant::now())) && !self.wait(py, &mut rest)? {
                let message =
                    format!("{} (of {}) futures unfinished", rest.unfinished, rest.futures.len());
                drop(rest);
                self.close(py)?;
                return Err(stdlib::TIMEOUT_ERROR.error(py, message));
            }
            self.ready.pop_all(Some(Instant::now()), &mut rest.arrived);
        }
        let Some(number) = rest.arrived.pop_front() else { return Ok(None) };
        rest.unfinished -= 1;
        Ok(rest.futures[number].take())
    }

    /// Stop waiting; the futures are forgotten.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut rest = self.rest(py)?;
        rest.unfinished = 0;
        rest.arrived.clear();
        let futures = std::mem::take(&mut rest.futures);
        drop(rest);
        for future in futures.into_iter().flatten() {
            Awaited::new(future.into_bound(py)).forget(&self.ready)?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(rest) = self.rest.take(&visit) else { return Ok(()) };
        rest.futures.iter().flatten().try_for_each(|future| visit.call(future))
    }

    fn __clear__(&self) {
        let futures = Python::attach(|py| {
            self.rest.take(py).map(|mut rest| std::mem::take(&mut rest.futures))
        });
        drop(futures);
    }
}

/// A future that is waited for no more forgets who waited.
impl Drop for AsCompleted {
    fn drop(&mut self) {
        let futures = std::mem::take(&mut self.rest.get_mut().futures);
        if futures.iter().any(Option::is_some) {
            Python::attach(|py| {
                for future in futures.into_iter().flatten() {
                    let _ = Awaited::new(future.into_bound(py)).forget(&self.ready);
                }
            });
        }
    }
}
