//! Items of `map` that were submitted together, as the Python host has them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use manyhands::block::{self, Guard};
use manyhands::promise::Held;
use manyhands::thread::pool::Joint;
use manyhands_pybuffer::{Attached, Exclusive};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyTuple};

use crate::call::{call, call_one};
use crate::job::Job;
use crate::place::Place;
use crate::task::{self, Outcome};
use crate::{fork, stdlib};

pub(crate) type Claimed = block::Claimed<Argument>;

pub(crate) struct Block {
    pub(crate) items: block::Block<Arguments, Py<PyAny>, Py<PyAny>, ByInterpreter>,
    call: Call,
    /// Until the last item is claimed or cancelled, so that it is dropped with the last that runs.
    function: Mutex<Option<Py<PyAny>>>,
    made_in: u32,
    /// Where `map` was called.
    pub(crate) place: Place,
    /// The number of the pool whose workers run its items; 0 before it is known.
    pool: AtomicU32,
}

/// What guards the items: whoever has to do with them is attached to the interpreter, and with the GIL that is enough.
pub(crate) enum ByInterpreter {}

impl Guard for ByInterpreter {
    type Key<'k> = Attached<'k>;
    type Guarded<T> = Exclusive<T>;

    fn guard<T>(value: T) -> Exclusive<T> {
        Exclusive::new(value)
    }

    #[inline]
    fn with<T, R>(guarded: &Exclusive<T>, key: Attached<'_>, f: impl FnOnce(&mut T) -> R) -> R {
        guarded.with(key, f)
    }
}

/// What one item is: a number of a range is made into an object only where it is used.
pub(crate) enum Argument {
    Object(Py<PyAny>),
    Number(i64),
}

/// The items that nobody has begun.
pub(crate) enum Arguments {
    Objects(std::vec::IntoIter<Py<PyAny>>),
    Numbers(Numbers),
}

/// Numbers of a range, all of which an `i64` can hold.
pub(crate) struct Numbers {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Iterator for Numbers {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        self.count = self.count.checked_sub(1)?;
        let number = self.start;
        // After the last there may be none.
        self.start = number.wrapping_add(self.step);
        Some(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl Iterator for Arguments {
    type Item = Argument;

    #[inline]
    fn next(&mut self) -> Option<Argument> {
        match self {
            Self::Objects(objects) => objects.next().map(Argument::Object),
            Self::Numbers(numbers) => numbers.next().map(Argument::Number),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Objects(objects) => objects.size_hint(),
            Self::Numbers(numbers) => numbers.size_hint(),
        }
    }
}

impl ExactSizeIterator for Arguments {}

impl Default for Arguments {
    fn default() -> Self {
        Self::Objects(Vec::new().into_iter())
    }
}

/// How the function is called with an argument.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// Whether an argument is a tuple of arguments.
    pub(crate) star: bool,
    /// Whether each call runs in a copy of the context it was submitted in. Then an argument is what
    /// to call, `run` of that context, and all its arguments but the function.
    pub(crate) in_context: bool,
}

impl Call {
    /// The argument that an item of the iterables stands for.
    pub(crate) fn argument(self, value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if !self.in_context {
            return Ok(value.unbind());
        }
        let py = value.py();
        let context = stdlib::COPY_CONTEXT.get(py)?.call0()?;
        let run = context.getattr(intern!(py, "run"))?;
        Ok((run, value).into_pyobject(py)?.into_any().unbind())
    }

    /// Drops the argument before anybody sees the outcome.
    #[inline]
    pub(crate) fn call(self, function: &Bound<'_, PyAny>, argument: Argument) -> Outcome {
        let py = function.py();
        let argument = match argument {
            Argument::Object(object) => object.into_bound(py),
            Argument::Number(number) => PyInt::new(py, number).into_any(),
        };
        let called = if self.star || self.in_context {
            self.call_with_several(function, &argument)
        } else {
            call_one(function, &argument)
        };
        task::outcome(py, called)
    }

    fn call_with_several<'py>(
        self,
        function: &Bound<'py, PyAny>,
        argument: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.in_context {
            return Self::call_in_context(function, argument, self.star);
        }
        call(function, argument.cast::<PyTuple>()?, None)
    }

    fn call_in_context<'py>(
        function: &Bound<'py, PyAny>,
        argument: &Bound<'py, PyAny>,
        star: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (run, value) = argument.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
        let mut all = vec![function.clone()];
        match value.cast::<PyTuple>() {
            Ok(args) if star => all.extend(args.iter()),
            _ => all.push(value),
        }
        call(&run, &PyTuple::new(function.py(), all)?, None)
    }
}

impl Block {
    pub(crate) fn new(function: Py<PyAny>, call: Call, arguments: Arguments, place: Place) -> Self {
        let (items, made_in) = (block::Block::new(arguments), fork::generation());
        let (function, pool) = (Mutex::new(Some(function)), AtomicU32::new(0));
        Self { items, call, function, made_in, place, pool }
    }

    pub(crate) fn pool(&self) -> u32 {
        self.pool.load(Ordering::Relaxed)
    }

    /// Says which pool accepts it, before anybody else knows it.
    pub(crate) fn set_pool(&self, number: u32) {
        self.pool.store(number, Ordering::Relaxed);
    }

    /// The next item, and the function to call with it.
    pub(crate) fn claim(&self, py: Python<'_>) -> Option<(Claimed, Function)> {
        // Before it: with the last item that is claimed or cancelled, the function is dropped.
        let function = self.function().as_ref().map(|function| function.clone_ref(py))?;
        let claimed = self.items.claim(py.into())?;
        let function = Function { call: self.call, function };
        self.has_claimed(&claimed);
        Some((claimed, function))
    }

    /// To be called with each item that is claimed.
    pub(crate) fn has_claimed(&self, claimed: &Claimed) {
        if claimed.last {
            self.drop_function();
        }
    }

    /// Ends an item that was claimed.
    pub(crate) fn finish(&self, py: Python<'_>, index: usize, outcome: Outcome) {
        match self.items.finish(py.into(), index, outcome, || ()) {
            Ok(finished) => self.items.tell(finished),
            Err(unwanted) => drop(unwanted),
        }
    }

    /// Cancels what nobody has begun.
    pub(crate) fn cancel(&self, py: Python<'_>) {
        if self.made_in != fork::generation() {
            return; // its lock may be held by a thread that is not there
        }
        let arguments = self.items.cancel(py.into());
        if arguments.len() > 0 {
            self.drop_function();
        }
        drop(arguments);
    }

    /// Says that nobody will ask for a result any more. From then on, when nothing is left of it, it
    /// holds nothing of Python's, and may be dropped anywhere.
    pub(crate) fn abandon(&self, py: Python<'_>) {
        if self.made_in == fork::generation() {
            drop(self.items.abandon(py.into()));
        }
    }

    /// Shows the garbage collector what it holds.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.function())?;
        self.items.trace(visit.into(), |held| match held {
            Held::Job(Arguments::Objects(objects)) => {
                objects.as_slice().iter().try_for_each(|object| visit.call(object))
            }
            Held::Done(object) | Held::Failed(object) => visit.call(object),
            Held::Job(Arguments::Numbers(_)) | Held::Watcher(()) => Ok(()),
        })
    }

    fn drop_function(&self) {
        let function = self.function().take();
        drop(function);
    }

    fn function(&self) -> std::sync::MutexGuard<'_, Option<Py<PyAny>>> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker calls with each item of a block.
pub(crate) struct Function {
    call: Call,
    function: Py<PyAny>,
}

impl Function {
    #[inline]
    pub(crate) fn call(&self, py: Python<'_>, argument: Argument) -> Outcome {
        self.call.call(self.function.bind(py), argument)
    }

    /// Runs an item in the calling thread.
    pub(crate) fn run_here(self, py: Python<'_>, block: &Block, item: Claimed) {
        let outcome = self.call(py, item.job);
        drop(self);
        block.finish(py, item.index, outcome);
    }
}

impl Joint<Job> for Block {
    fn left(&self) -> usize {
        self.items.left()
    }

    fn join(self: Arc<Self>) -> Job {
        Job::Items(self)
    }
}
