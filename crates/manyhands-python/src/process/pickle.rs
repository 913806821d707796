//! Objects as bytes. What consists of numbers and texts is pickled here and now, by the interpreter's own
//! pickler; all else goes through `python/manyhands/_pickling.py`, which knows `multiprocessing`'s ways of
//! pickling and puts large buffers beside the pickle.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use manyhands::process::host::{self, MOST_IN_FRAME};
use manyhands_pybuffer::Buffer;
use manyhands_shm::{Arena, Block};
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyBytes, PyCFunction, PyComplex, PyDict, PyFloat, PyFunction, PyInt, PyList, PyNone,
    PyString, PyTuple, PyType,
};

use super::message::{Lent, Packed, Pickle};
use super::shared;
use crate::stdlib;

/// The pickle of an object, and what goes beside it. `pickler` is the program's choice, or None.
pub(super) fn pack(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    pickler: &Bound<'_, PyAny>,
    room: Room,
) -> PyResult<Packed> {
    if pickler.is_none() && is_plain(object, 3)? {
        match stdlib::DUMPS.get(py)?.call1((object, 5)) {
            Ok(dumped) => {
                return Ok(Packed { pickle: place(py, &dumped, &room)?, ..Packed::default() });
            }
            // What fails here, a lambda say, may have a way there.
            Err(error) if error.is_instance_of::<PyException>(py) => (),
            Err(error) => return Err(error),
        }
    }
    let (arena, pool) = (room.arena().cloned(), room.pool());
    let lender = Bound::new(py, Lender { room, lent: Mutex::default() })?;
    let pickle_anything = stdlib::PICKLE_ANYTHING.get(py)?;
    let (dumped, (shared, passes)) =
        shared::packing(arena, pool, || pickle_anything.call1((object, pickler, &lender)));
    let pickle = place(py, &dumped?, &lender.get().room)?;
    let lent = std::mem::take(&mut *lender.get().lent());
    Ok(Packed { pickle, lent, shared, passes })
}

/// Copies a pickle to where it goes from: beside the message, if it is long and there is room.
fn place(py: Python<'_>, dumped: &Bound<'_, PyAny>, room: &Room) -> PyResult<Pickle> {
    if let Ok(bytes) = dumped.cast_exact::<PyBytes>()
        && bytes.as_bytes().len() <= MOST_IN_FRAME
    {
        return Ok(Pickle::Here(bytes.as_bytes().to_vec()));
    }
    let bytes = Buffer::of(dumped)?;
    if bytes.len() > MOST_IN_FRAME
        && let Some(mut block) = room.allocate(bytes.len())
    {
        bytes.copy_to(py, &mut block);
        return Ok(Pickle::Beside(Arc::new(block)));
    }
    let mut pickle = vec![0; bytes.len()];
    bytes.copy_to(py, &mut pickle);
    Ok(Pickle::Here(pickle))
}

/// Whether pickling it runs hardly any code but the interpreter's, and leaves nothing to be put beside it.
fn is_plain(object: &Bound<'_, PyAny>, depth: u32) -> PyResult<bool> {
    if object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyNone>()
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyComplex>()
        || object.is_exact_instance_of::<PyCFunction>()
        || object.is_exact_instance_of::<PyType>()
    {
        return Ok(true);
    }
    if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return Ok(bytes.as_bytes().len() <= MOST_IN_FRAME);
    }
    if object.is_exact_instance_of::<PyFunction>() {
        return Ok(main_can_be_imported(object.py())?
            || object.getattr(intern!(object.py(), "__module__"))?.ne("__main__")?);
    }
    if depth == 0 {
        return Ok(false);
    }
    if let Ok(tuple) = object.cast_exact::<PyTuple>() {
        return all_plain(tuple.len(), tuple.iter(), depth - 1);
    }
    if let Ok(list) = object.cast_exact::<PyList>() {
        return all_plain(list.len(), list.iter(), depth - 1);
    }
    if let Ok(dict) = object.cast_exact::<PyDict>() {
        let items = dict.iter().flat_map(|(key, value)| [key, value]);
        return all_plain(dict.len(), items, depth - 1);
    }
    Ok(false)
}

fn all_plain<'py>(
    len: usize,
    mut items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: u32,
) -> PyResult<bool> {
    const MOST_ITEMS: usize = 64;
    if len > MOST_ITEMS {
        return Ok(false);
    }
    // The first that is not, or that fails, ends it.
    let other = items.find_map(|item| match is_plain(&item, depth) {
        Ok(true) => None,
        other => Some(other),
    });
    other.unwrap_or(Ok(true))
}

/// Whether a worker finds what `__main__` defines: decided once.
fn main_can_be_imported(py: Python<'_>) -> PyResult<bool> {
    static DECIDED: PyOnceLock<bool> = PyOnceLock::new();
    let ask = || stdlib::MAIN_CAN_BE_IMPORTED.get(py)?.call0()?.extract::<bool>();
    DECIDED.get_or_try_init(py, ask).copied()
}

/// Calls `loads` with buffers for what lay beside the pickle.
pub(super) fn loads_with<'py>(
    loads: &Bound<'py, PyAny>,
    pickle: &Bound<'py, PyAny>,
    buffers: &Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyAny>> {
    let kwargs = PyDict::new(loads.py());
    kwargs.set_item(intern!(loads.py(), "buffers"), buffers)?;
    loads.call((pickle,), Some(&kwargs))
}

/// Where there is room for what goes beside a pickle.
pub(super) enum Room {
    /// In the arena of a pool, if there is one; and the pool's number, if it goes there with a task.
    Of(Option<Arena>, Option<NonZeroU32>),
    /// In that of this worker.
    Worker,
}

impl Room {
    /// Nowhere but in the pickle.
    pub(super) const NONE: Self = Self::Of(None, None);

    fn arena(&self) -> Option<&Arena> {
        match self {
            Self::Of(arena, _) => arena.as_ref(),
            Self::Worker => None,
        }
    }

    fn pool(&self) -> Option<NonZeroU32> {
        match self {
            Self::Of(_, pool) => *pool,
            Self::Worker => None,
        }
    }

    fn allocate(&self, len: usize) -> Option<Block> {
        match self {
            Self::Of(arena, _) => arena.as_ref()?.allocate(len).ok(),
            Self::Worker => host::room(len),
        }
    }
}

/// The `buffer_callback` of a pickler: puts a large buffer beside the pickle. What is small, or finds
/// no room, stays in it.
#[pyclass(frozen, module = "manyhands._core", name = "_Lender")]
pub(crate) struct Lender {
    room: Room,
    lent: Mutex<Vec<Lent>>,
}

impl Lender {
    fn lent(&self) -> std::sync::MutexGuard<'_, Vec<Lent>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Lender {
    /// Whether the buffer is to stay in the pickle.
    fn __call__(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> bool {
        // One that is not contiguous is pickled as it is.
        let Ok(bytes) = Buffer::of(buffer) else { return true };
        if bytes.len() <= MOST_IN_FRAME {
            return true;
        }
        let Some(mut block) = self.room.allocate(bytes.len()) else { return true };
        bytes.copy_to(py, &mut block);
        let writable = !bytes.is_readonly();
        self.lent().push(Lent { block: Arc::new(block), writable });
        false
    }
}
