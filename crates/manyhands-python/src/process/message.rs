//! What is in the body of a request or an answer: a pickle, and where the large buffers lie that
//! belong to it.
//!
//! ```text
//! count u32 · shared u32 · (count + shared) × (offset u64 · length u64 · writable u8) ·
//! note u32 · note · pickle
//! ```
//!
//! First come the buffers that the pickler has put beside the pickle, then those of objects that are
//! shared with other messages. The note is text: of an exception, its traceback in the worker.

use std::sync::Arc;

use manyhands::process::host::{self, Borrowed, Unopened};
use manyhands_pybuffer::{Memory, SharedBuffer};
use manyhands_shm::{Block, Place};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::shared;

/// An object on its way: its pickle, and the blocks of shared memory that go along.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) pickle: Vec<u8>,
    pub(super) lent: Vec<Lent>,
    /// Lent with other messages too.
    pub(super) shared: Vec<Arc<Block>>,
    /// The futures that go along.
    pub(super) passes: Vec<Py<PyAny>>,
}

pub(super) struct Lent {
    pub(super) block: Arc<Block>,
    pub(super) writable: bool,
}

/// A message as it was received: bytes of this process's, and views of what was lent.
pub(super) struct Received {
    pickle: Vec<u8>,
    pub(super) note: String,
    buffers: Vec<(Borrowed, bool)>,
    shared: Vec<Borrowed>,
    passes: Option<Passes>,
    /// Both kinds of buffers as Python sees them, once somebody has begun to make the object.
    shown: Option<(Py<PyList>, Py<PyList>)>,
}

/// The number of the first of the futures that came along.
pub(super) enum Passes {
    /// With a request.
    With(u64),
    /// With an outcome, in which they are kept until it is opened.
    In(u64, Option<Unopened>),
}

impl Packed {
    /// Writes the body of a message.
    pub(super) fn write(&self, note: &str, into: &mut Vec<u8>) {
        into.reserve(8 + self.lent.len() * 17 + note.len() + self.pickle.len());
        into.extend(length(self.lent.len()));
        into.extend(length(self.shared.len()));
        let lent = self.lent.iter().map(|Lent { block, writable }| (block, *writable));
        for (block, writable) in lent.chain(self.shared.iter().map(|block| (block, false))) {
            let Place { offset, len } = block.place();
            into.extend(offset.to_le_bytes());
            into.extend(len.to_le_bytes());
            into.push(u8::from(writable));
        }
        Self::write_rest(note, &self.pickle, into);
    }

    fn write_plain(note: &str, pickle: &[u8], into: &mut Vec<u8>) {
        into.extend(length(0));
        into.extend(length(0));
        Self::write_rest(note, pickle, into);
    }

    fn write_rest(note: &str, pickle: &[u8], into: &mut Vec<u8>) {
        into.extend(length(note.len()));
        into.extend(note.as_bytes());
        into.extend(pickle);
    }
}

fn length(of: usize) -> [u8; 4] {
    u32::try_from(of).unwrap_or(u32::MAX).to_le_bytes()
}

impl Received {
    /// Reads the body of a message, and takes hold of what was lent with it. `borrow` is how.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(
        mut body: &[u8],
        borrow: impl Fn(Place, bool) -> Result<Borrowed, String>,
    ) -> Result<Self, String> {
        let torn = || "the message between the processes is torn".to_owned();
        let body = &mut body;
        let (mut buffers, mut shared) = (Vec::new(), Vec::new());
        let its_own = take_u32(body).ok_or_else(torn)?;
        let others = take_u32(body).ok_or_else(torn)?;
        for number in 0..u64::from(its_own) + u64::from(others) {
            let offset = take_u64(body).ok_or_else(torn)?;
            let len = take_u64(body).ok_or_else(torn)?;
            let writable = take::<1>(body).ok_or_else(torn)? != [0];
            let borrowed = borrow(Place { offset, len }, writable)?;
            if number < u64::from(its_own) {
                buffers.push((borrowed, writable));
            } else {
                shared.push(borrowed);
            }
        }
        let note = take_u32(body).ok_or_else(torn)?;
        let (note, pickle) = body.split_at_checked(note as usize).ok_or_else(torn)?;
        let note = String::from_utf8_lossy(note).into_owned();
        Ok(Self { pickle: pickle.to_vec(), note, buffers, shared, passes: None, shown: None })
    }

    /// The same with the futures that came along.
    pub(super) fn with_passes(self, passes: Option<Passes>) -> Self {
        Self { passes, ..self }
    }

    /// The message again, if all of it is here.
    pub(super) fn again(&self) -> Option<Vec<u8>> {
        let is_whole = self.has_no_buffers() && self.passes.is_none();
        is_whole.then(|| {
            let mut body = Vec::new();
            Packed::write_plain(&self.note, &self.pickle, &mut body);
            body
        })
    }

    fn has_no_buffers(&self) -> bool {
        self.buffers.is_empty() && self.shared.is_empty() && self.shown.is_none()
    }

    /// Makes the object of it. After an error it can be tried again.
    pub(super) fn open<'py>(
        &mut self,
        py: Python<'py>,
        loads: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.passes {
            None => self.open_rest(py, loads),
            Some(Passes::With(first) | Passes::In(first, _)) => {
                shared::receiving(first, || self.open_rest(py, loads))
            }
        }
    }

    fn open_rest<'py>(
        &mut self,
        py: Python<'py>,
        loads: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let pickle = PyBytes::new(py, &self.pickle);
        if self.has_no_buffers() {
            return loads.call1((pickle,));
        }
        let shown = match self.shown.take() {
            Some(shown) => shown,
            None => self.show(py)?,
        };
        let (buffers, shared) = &shown;
        let opened = shared::opening(shared.clone_ref(py), || {
            super::pickle::loads_with(loads, pickle.as_any(), buffers.bind(py))
        });
        self.shown = Some(shown);
        opened
    }

    fn show(&mut self, py: Python<'_>) -> PyResult<(Py<PyList>, Py<PyList>)> {
        let (buffers, shared) = (PyList::empty(py), PyList::empty(py));
        for (borrowed, writable) in std::mem::take(&mut self.buffers) {
            buffers.append(Py::new(py, SharedBuffer::new(Shown { borrowed, writable }))?)?;
        }
        for borrowed in std::mem::take(&mut self.shared) {
            let shown = Shown { borrowed, writable: false };
            shared.append(Py::new(py, SharedBuffer::new(shown))?)?;
        }
        Ok((buffers.unbind(), shared.unbind()))
    }

    /// Lets go of the futures that came along: whoever keeps them is told, without the interpreter.
    pub(super) fn let_passes_go(&mut self, py: Python<'_>) {
        if let Some(Passes::In(_, unopened)) = self.passes.take() {
            py.detach(|| drop(unopened));
        }
    }
}

/// What was borrowed, as Python is to see it.
struct Shown {
    borrowed: Borrowed,
    writable: bool,
}

impl Memory for Shown {
    fn bytes(&self) -> &[u8] {
        self.borrowed.bytes()
    }

    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        if self.writable { self.borrowed.bytes_mut() } else { None }
    }
}

/// What was lent with an answer.
pub(super) fn borrow(place: Place, _writable: bool) -> Result<Borrowed, String> {
    host::borrow(place)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*bytes)
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    take(from).map(u32::from_le_bytes)
}

fn take_u64(from: &mut &[u8]) -> Option<u64> {
    take(from).map(u64::from_le_bytes)
}
