//! `shared(obj)`: an object that is put into shared memory once and goes to any number of tasks.
//!
//! Where the handle is pickled as part of a task, its blocks are lent with that task, and unpickling
//! makes the object of them. So its pickle alone means nothing: whoever packs or opens a message has its
//! blocks at hand, in this thread.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;

use manyhands_shm::{Arena, Block};
use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::message::{Lent, Packed, Pickle};
use super::pickle::{self, Room};
use crate::future::PyFuture;
use crate::stdlib;

thread_local! {
    /// The messages that this thread packs: what goes along with each, and from which arena it may come.
    static PACKING: RefCell<Vec<Packing>> = const { RefCell::new(Vec::new()) };
    /// What came along with the messages that this thread opens.
    static OPENING: RefCell<Vec<Py<PyList>>> = const { RefCell::new(Vec::new()) };
    /// The numbers of the first of the futures that came along with them, in a worker.
    pub(super) static FIRST_PASSED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

struct Packing {
    arena: Option<Arena>,
    /// The number of the pool to which it goes with a task.
    pool: Option<NonZeroU32>,
    blocks: Vec<Arc<Block>>,
    futures: Vec<Py<PyAny>>,
}

/// What goes along with a message: blocks of shared memory that handles stand for, and futures.
pub(super) type Along = (Vec<Arc<Block>>, Vec<Py<PyAny>>);

/// Calls `pack`; what goes along with what it returns.
pub(super) fn packing<R>(
    arena: Option<Arena>,
    pool: Option<NonZeroU32>,
    pack: impl FnOnce() -> R,
) -> (R, Along) {
    let (blocks, futures) = Along::default();
    PACKING.with_borrow_mut(|all| all.push(Packing { arena, pool, blocks, futures }));
    let packed = pack();
    let along = PACKING.with_borrow_mut(|all| all.pop().map(|it| (it.blocks, it.futures)));
    (packed, along.unwrap_or_default())
}

/// Has a future go along with the task that this thread packs at this moment; its place among those that
/// do. `None`: nothing is packed, or it is not for a task.
pub(super) fn pass(future: &Bound<'_, PyFuture>) -> Option<usize> {
    PACKING.with_borrow_mut(|all| {
        let packing = all.last_mut().filter(|packing| packing.pool.is_some())?;
        packing.futures.push(future.clone().into_any().unbind());
        Some(packing.futures.len() - 1)
    })
}

/// Calls `open` with the number of the first of the futures of the message.
pub(super) fn receiving<R>(first: u64, open: impl FnOnce() -> R) -> R {
    FIRST_PASSED.with_borrow_mut(|all| all.push(first));
    let opened = open();
    FIRST_PASSED.with_borrow_mut(Vec::pop);
    opened
}

/// Whether what this thread packs at this moment goes to the pool of this number, with a task.
pub(super) fn is_packed_for(pool: NonZeroU32) -> bool {
    PACKING.with_borrow(|all| all.last().is_some_and(|packing| packing.pool == Some(pool)))
}

/// Calls `open` with these buffers for the handles of the message.
pub(super) fn opening<R>(buffers: Py<PyList>, open: impl FnOnce() -> R) -> R {
    OPENING.with_borrow_mut(|all| all.push(buffers));
    let opened = open();
    let buffers = OPENING.with_borrow_mut(Vec::pop);
    drop(buffers);
    opened
}

/// What `ProcessPoolExecutor.shared` returns: pass it to tasks, which get the object.
#[pyclass(frozen, module = "manyhands._core", name = "_Shared")]
pub(crate) struct Shared {
    /// The pickle, then the buffers beside it.
    blocks: Vec<Arc<Block>>,
    nbytes: usize,
    /// Of the object, for people.
    kind: String,
}

impl Shared {
    pub(super) fn new(
        object: &Bound<'_, PyAny>,
        pickler: &Bound<'_, PyAny>,
        arena: Option<&Arena>,
    ) -> PyResult<Self> {
        let py = object.py();
        let Packed { pickle, lent, shared, .. } =
            pickle::pack(py, object, pickler, Room::Of(arena.cloned(), None))?;
        if !shared.is_empty() {
            return Err(PyTypeError::new_err("a shared object cannot be part of another one"));
        }
        let no_room = |why: String| {
            let message = format!("there is no room in shared memory for the object: {why}");
            PyMemoryError::new_err(message)
        };
        let arena = arena.ok_or_else(|| no_room("the pool has none".to_owned()))?;
        let pickle = match pickle {
            Pickle::Beside(block) => block,
            Pickle::Here(bytes) => {
                let block = arena.allocate(bytes.len());
                let mut block = block.map_err(|error| no_room(error.to_string()))?;
                block.copy_from_slice(&bytes);
                Arc::new(block)
            }
        };
        let lent = lent.into_iter().map(|Lent { block, .. }| block);
        let blocks: Vec<_> = std::iter::once(pickle).chain(lent).collect();
        let nbytes = blocks.iter().map(|block| block.len()).sum();
        let kind = object.get_type().name()?.to_string();
        Ok(Self { blocks, nbytes, kind })
    }
}

#[pymethods]
impl Shared {
    /// How much shared memory it takes, in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.nbytes
    }

    fn __repr__(&self) -> String {
        format!("<shared {} of {} bytes>", self.kind, self.nbytes)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (usize, usize))> {
        let start = PACKING.with_borrow_mut(|all| {
            let packing = all.last_mut()?;
            if !self
                .blocks
                .iter()
                .all(|block| packing.arena.as_ref().is_some_and(|it| it.holds(block)))
            {
                return None;
            }
            let start = packing.blocks.len();
            packing.blocks.extend(self.blocks.iter().cloned());
            Some(start)
        });
        let start = start.ok_or_else(|| {
            PyTypeError::new_err(
                "an object that was shared by ProcessPoolExecutor.shared() can only be passed to \
                 tasks of that pool",
            )
        })?;
        Ok((stdlib::OPEN_SHARED.get(py)?.clone(), (start, self.blocks.len())))
    }
}

/// What the pickle of a handle calls: the object, from the message that is being opened.
#[pyfunction]
#[pyo3(name = "_open_shared")]
pub(crate) fn open_shared(py: Python<'_>, start: usize, count: usize) -> PyResult<Py<PyAny>> {
    let all = OPENING.with_borrow(|all| all.last().map(|buffers| buffers.clone_ref(py)));
    let all = all.ok_or_else(|| PyTypeError::new_err("a shared object was unpickled elsewhere"))?;
    let its = all.bind(py).get_slice(start, start + count);
    let pickle = its.get_item(0)?;
    let buffers = its.get_slice(1, count);
    pickle::loads_with(stdlib::LOADS.get(py)?, &pickle, &buffers).map(Bound::unbind)
}
