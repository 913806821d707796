//! What is in the body of a request or an answer: a pickle, and where the large buffers lie that
//! belong to it.
//!
//! ```text
//! count u32 · shared u32 · (count + shared) × (offset u64 · length u64 · writable u8) ·
//! note u32 · note · beside u8 · (pickle | offset u64 · length u64)
//! ```
//!
//! First come the buffers that the pickler has put beside the pickle, then those of objects that are
//! shared with other messages. The note is text: of an exception, its traceback in the worker. A long
//! pickle lies beside the message too: it is written once, and read where it lies.

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
    pub(super) pickle: Pickle,
    pub(super) lent: Vec<Lent>,
    /// Lent with other messages too.
    pub(super) shared: Vec<Arc<Block>>,
    /// The futures that go along.
    pub(super) passes: Vec<Py<PyAny>>,
}

pub(super) enum Pickle {
    Here(Vec<u8>),
    Beside(Arc<Block>),
}

pub(super) struct Lent {
    pub(super) block: Arc<Block>,
    pub(super) writable: bool,
}

/// A message as it was received: bytes of this process's, and views of what was lent.
pub(super) struct Received {
    pickle: ReceivedPickle,
    pub(super) note: String,
    buffers: Vec<(Borrowed, bool)>,
    shared: Vec<Borrowed>,
    passes: Option<Passes>,
    /// Both kinds of buffers as Python sees them, once somebody has begun to make the object.
    shown: Option<(Py<PyList>, Py<PyList>)>,
}

enum ReceivedPickle {
    Here(Vec<u8>),
    Beside(Borrowed),
    /// As Python sees it.
    Shown(Py<SharedBuffer>),
}

/// The number of the first of the futures that came along.
pub(super) enum Passes {
    /// With a request.
    With(u64),
    /// With an outcome, in which they are kept until it is opened.
    In(u64, Option<Unopened>),
}

impl Default for Pickle {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

impl Packed {
    /// Writes the body of a message.
    pub(super) fn write(&self, note: &str, into: &mut Vec<u8>) {
        let pickle = match &self.pickle {
            Pickle::Here(pickle) => pickle.len(),
            Pickle::Beside(_) => 16,
        };
        let places = 17 * (self.lent.len() + self.shared.len());
        into.reserve(8 + places + 4 + note.len() + 1 + pickle);
        into.extend(length(self.lent.len()));
        into.extend(length(self.shared.len()));
        let lent = self.lent.iter().map(|Lent { block, writable }| (block, *writable));
        for (block, writable) in lent.chain(self.shared.iter().map(|block| (block, false))) {
            into.extend(place(block));
            into.push(u8::from(writable));
        }
        write_note(note, into);
        match &self.pickle {
            Pickle::Here(pickle) => write_pickle(pickle, into),
            Pickle::Beside(block) => {
                into.push(1);
                into.extend(place(block));
            }
        }
    }

    /// Whether the pickle is long, and so, most likely, is the time that it takes to drop the object.
    pub(super) fn is_long(&self) -> bool {
        matches!(self.pickle, Pickle::Beside(_))
    }

    /// All that goes along in shared memory.
    pub(super) fn into_blocks(self) -> impl Iterator<Item = Arc<Block>> {
        let pickle = match self.pickle {
            Pickle::Here(_) => None,
            Pickle::Beside(block) => Some(block),
        };
        self.lent.into_iter().map(|lent| lent.block).chain(self.shared).chain(pickle)
    }
}

fn write_note(note: &str, into: &mut Vec<u8>) {
    into.extend(length(note.len()));
    into.extend(note.as_bytes());
}

fn write_pickle(pickle: &[u8], into: &mut Vec<u8>) {
    into.push(0);
    into.extend(pickle);
}

fn length(of: usize) -> [u8; 4] {
    u32::try_from(of).unwrap_or(u32::MAX).to_le_bytes()
}

fn place(of: &Block) -> impl Iterator<Item = u8> {
    let Place { offset, len } = of.place();
    offset.to_le_bytes().into_iter().chain(len.to_le_bytes())
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
            let place = take_place(body).ok_or_else(torn)?;
            let writable = take::<1>(body).ok_or_else(torn)? != [0];
            let borrowed = borrow(place, writable)?;
            if number < u64::from(its_own) {
                buffers.push((borrowed, writable));
            } else {
                shared.push(borrowed);
            }
        }
        let note = take_u32(body).ok_or_else(torn)?;
        let (note, mut rest) = body.split_at_checked(note as usize).ok_or_else(torn)?;
        let note = String::from_utf8_lossy(note).into_owned();
        let pickle = if take::<1>(&mut rest).ok_or_else(torn)? == [0] {
            ReceivedPickle::Here(rest.to_vec())
        } else {
            let place = take_place(&mut rest).ok_or_else(torn)?;
            ReceivedPickle::Beside(borrow(place, false)?)
        };
        Ok(Self { pickle, note, buffers, shared, passes: None, shown: None })
    }

    /// The same with the futures that came along.
    pub(super) fn with_passes(self, passes: Option<Passes>) -> Self {
        Self { passes, ..self }
    }

    /// The message again, if all of it is here.
    pub(super) fn again(&self) -> Option<Vec<u8>> {
        let pickle = match &self.pickle {
            ReceivedPickle::Here(pickle) => pickle,
            ReceivedPickle::Beside(borrowed) => borrowed.bytes(),
            ReceivedPickle::Shown(_) => return None,
        };
        let is_whole = self.has_no_buffers() && self.passes.is_none();
        is_whole.then(|| {
            let mut body = [length(0), length(0)].concat();
            write_note(&self.note, &mut body);
            write_pickle(pickle, &mut body);
            body
        })
    }

    /// As [`Packed::is_long`].
    pub(super) fn is_long(&self) -> bool {
        !matches!(self.pickle, ReceivedPickle::Here(_))
    }

    /// Whether nothing of the object will lie in the memory of who has sent it.
    pub(super) fn has_no_buffers(&self) -> bool {
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
        let pickle = self.pickle.show(py)?;
        if self.has_no_buffers() {
            return loads.call1((pickle,));
        }
        let shown = match self.shown.take() {
            Some(shown) => shown,
            None => self.show(py)?,
        };
        let (buffers, shared) = &shown;
        let opened = shared::opening(shared.clone_ref(py), || {
            super::pickle::loads_with(loads, &pickle, buffers.bind(py))
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

impl ReceivedPickle {
    fn show<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Self::Here(pickle) = self {
            return Ok(PyBytes::new(py, pickle).into_any());
        }
        let shown = match std::mem::replace(self, Self::Here(Vec::new())) {
            Self::Beside(borrowed) => {
                Py::new(py, SharedBuffer::new(Shown { borrowed, writable: false }))?
            }
            Self::Shown(shown) => shown,
            Self::Here(_) => unreachable!("it has just been looked at"),
        };
        let object = shown.bind(py).clone().into_any();
        *self = Self::Shown(shown);
        Ok(object)
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

fn take_place(from: &mut &[u8]) -> Option<Place> {
    Some(Place { offset: take_u64(from)?, len: take_u64(from)? })
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    take(from).map(u32::from_le_bytes)
}

fn take_u64(from: &mut &[u8]) -> Option<u64> {
    take(from).map(u64::from_le_bytes)
}
