//! `map`: one function over many items, without a future for each.
//!
//! An item is a promise in a block that all items submitted together share: no allocation for each,
//! and no Python object but its argument and its result. The pool knows items as it knows tasks, so
//! order, head-count and fairness are those of `submit`.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use manyhands::promise::{Promise, View};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyRange, PyTuple, PyWeakrefReference};

use crate::call::{call, call_one};
use crate::pool::PyThreadPoolExecutor;
use crate::task::{self, Life, Outcome};
use crate::worker::Job;
use crate::{errors, fork, park, stdlib};

/// The most items of a block: as many as stay in the caches on their way into the queue.
const BLOCK: usize = 256;

/// Items that were submitted together.
pub(crate) struct Block {
    /// Whether an argument is a tuple of arguments.
    star: bool,
    lives: Vec<Life<Argument>>,
}

/// What the function is called with.
pub(crate) struct Argument {
    /// With each item, so that it is dropped with the last that runs.
    function: Py<PyAny>,
    value: Py<PyAny>,
    /// `run` of the context to call it in.
    run: Option<Py<PyAny>>,
}

/// One item.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) block: Arc<Block>,
    index: usize,
}

impl Item {
    pub(crate) fn life(&self) -> &Life<Argument> {
        &self.block.lives[self.index]
    }

    /// Drops the argument before anybody sees the outcome.
    pub(crate) fn call(&self, py: Python<'_>, argument: Argument) -> Outcome {
        let Argument { function, value, run } = argument;
        let (function, value) = (function.bind(py), value.bind(py));
        let args = || match value.cast::<PyTuple>() {
            Ok(args) if self.block.star => Ok(args.clone()),
            _ => PyTuple::new(py, [value]),
        };
        let called = match run {
            None if self.block.star => args().and_then(|args| call(function, &args, None)),
            None => call_one(function, value),
            Some(run) => args().and_then(|args| {
                let all = std::iter::once(function.clone()).chain(args.iter());
                let all = PyTuple::new(py, all.collect::<Vec<_>>())?;
                call(run.bind(py), &all, None)
            }),
        };
        task::outcome(py, called)
    }
}

/// An iterator over the results of `map`. Closing or dropping it, once it has begun, cancels what has
/// not started.
#[pyclass(frozen, module = "manyhands._core", name = "ResultIterator")]
pub(crate) struct ResultIterator {
    deadline: Option<Instant>,
    made_in: u32,
    rest: Mutex<Rest>,
}

struct Rest {
    /// The next results, taken out of a block that nobody else holds any more.
    ready: VecDeque<Py<PyAny>>,
    /// Blocks with results to come, and which of each is the next.
    ahead: VecDeque<Item>,
    /// Where more items come from, when not all have been submitted.
    source: Option<Source>,
    /// Whether anybody has asked for a result. As in CPython, one that nobody has asked may be
    /// dropped, and its items are run all the same.
    begun: bool,
}

struct Source {
    function: Py<PyAny>,
    star: bool,
    copy_context: bool,
    items: Py<PyIterator>,
    executor: Py<PyWeakrefReference>,
}

/// Submits the items, all or as many as may be ahead.
pub(crate) fn start<'py>(
    executor: &Bound<'py, PyThreadPoolExecutor>,
    function: Bound<'py, PyAny>,
    iterables: &Bound<'py, PyTuple>,
    deadline: Option<Instant>,
    buffersize: Option<NonZeroUsize>,
    copy_context: bool,
) -> PyResult<ResultIterator> {
    let py = executor.py();
    let star = iterables.len() != 1;
    let items = if star {
        py.import("builtins")?.call_method1("zip", iterables)?.try_iter()?
    } else {
        iterables.get_item(0)?.try_iter()?
    };
    let source = Source {
        function: function.unbind(),
        star,
        copy_context,
        items: items.unbind(),
        executor: PyWeakrefReference::new(executor.as_any())?.unbind(),
    };
    let mut rest =
        Rest { ready: VecDeque::new(), ahead: VecDeque::new(), source: None, begun: false };
    match buffersize {
        None => {
            let most = if iterables.iter().all(|it| knows_its_items(&it)) { BLOCK } else { 1 };
            while rest.submit(executor, &source, most)? {}
        }
        Some(buffersize) => {
            let mut left = buffersize.get();
            while left > 0 && rest.submit(executor, &source, 1)? {
                left -= 1;
            }
            rest.source = (left == 0).then_some(source);
        }
    }
    Ok(ResultIterator { deadline, made_in: fork::generation(), rest: Mutex::new(rest) })
}

/// Whether one gets all items at once. Others may take long to give the next one, or wait until the one
/// before has been dealt with: these are submitted as they come.
fn knows_its_items(iterable: &Bound<'_, PyAny>) -> bool {
    iterable.is_exact_instance_of::<PyRange>()
        || iterable.is_exact_instance_of::<PyList>()
        || iterable.is_exact_instance_of::<PyTuple>()
}

impl Rest {
    /// Submits up to `most` items as one block; whether there were so many.
    fn submit(
        &mut self,
        executor: &Bound<'_, PyThreadPoolExecutor>,
        source: &Source,
        most: usize,
    ) -> PyResult<bool> {
        let py = executor.py();
        let items = source.items.bind(py).clone();
        let expected = if most == 1 { 1 } else { items.size_hint().0.min(most) };
        let mut lives = Vec::with_capacity(expected);
        for value in items.take(most) {
            let run = if source.copy_context {
                let context = stdlib::COPY_CONTEXT.get(py)?.call0()?;
                Some(context.getattr(intern!(py, "run"))?.unbind())
            } else {
                None
            };
            let (function, value) = (source.function.clone_ref(py), value?.unbind());
            lives.push(Promise::new(Some(Argument { function, value, run })));
        }
        let count = lives.len();
        if count == 0 {
            return Ok(false);
        }
        let block = Arc::new(Block { star: source.star, lives });
        self.ahead.push_back(Item { block: Arc::clone(&block), index: 0 });
        let items = (0..count).map(|index| Item { block: Arc::clone(&block), index });
        executor.get().workers()?.add_all(py, items.map(Job::Item).collect())?;
        Ok(count == most)
    }

    /// Submits one more item if there is one and the executor lives.
    fn submit_one_more(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some(source) = self.source.take() else { return Ok(()) };
        let Some(executor) = source.executor.bind(py).upgrade() else { return Ok(()) };
        let executor = executor.cast_into::<PyThreadPoolExecutor>()?;
        if self.submit(&executor, &source, 1)? {
            self.source = Some(source);
        }
        Ok(())
    }

    /// The next result if it is there, is a value, and is all that is to be dealt with.
    fn take_ready(&mut self) -> Option<Py<PyAny>> {
        if self.source.is_some() {
            return None;
        }
        if self.ready.is_empty() {
            self.collect_ready();
        }
        if let Some(value) = self.ready.pop_front() {
            return Some(value);
        }
        let value = self.ahead.front()?.life().take()?;
        self.advance();
        Some(value)
    }

    /// Takes the values out of the next block, up to one that is none, if the workers are through
    /// with it: no lock is needed then.
    fn collect_ready(&mut self) {
        let Some(front) = self.ahead.front_mut() else { return };
        if Arc::strong_count(&front.block) > 1 {
            return;
        }
        let Some(block) = Arc::get_mut(&mut front.block) else { return };
        self.ready.extend(block.lives[front.index..].iter_mut().map_while(Promise::take_mut));
        front.index += self.ready.len();
        if front.index == block.lives.len() {
            self.ahead.pop_front();
        }
    }

    /// The next item whose result is to be yielded.
    fn pop(&mut self) -> Option<Item> {
        let item = self.ahead.front()?.clone();
        self.advance();
        Some(item)
    }

    fn advance(&mut self) {
        let Some(front) = self.ahead.front_mut() else { return };
        front.index += 1;
        if front.index == front.block.lives.len() {
            self.ahead.pop_front();
        }
    }

    /// Takes all that is ahead, and forgets where more would come from. The results are to be dropped
    /// without the lock.
    fn end(&mut self) -> (VecDeque<Item>, VecDeque<Py<PyAny>>) {
        self.source = None;
        (std::mem::take(&mut self.ahead), std::mem::take(&mut self.ready))
    }
}

fn cancel(py: Python<'_>, ahead: VecDeque<Item>) -> PyResult<()> {
    let mut told = Ok(());
    for Item { block, index } in ahead {
        for life in &block.lives[index..] {
            told = told.and(task::cancel(py, life, None).unwrap_or(Ok(())));
        }
    }
    told
}

impl ResultIterator {
    fn lock(&self) -> PyResult<MutexGuard<'_, Rest>> {
        errors::not_waited_in(self.rest.try_lock())
    }

    fn result(&self, py: Python<'_>, item: &Item) -> PyResult<Py<PyAny>> {
        let life = item.life();
        if !life.state().is_done() {
            fork::check(self.made_in, "the executor of this map")?;
            if !park::wait(py, self.deadline, |until| life.wait(until))? {
                // As in CPython, the one that was waited for is cancelled with the rest.
                task::cancel(py, life, None).unwrap_or(Ok(()))?;
                return Err(stdlib::TIMEOUT_ERROR.bare_error(py));
            }
        }
        if let Some(value) = life.take() {
            return Ok(value);
        }
        let exception = life.look(|view| match view {
            View::Failed(exception) => Some(exception.clone_ref(py)),
            _ => None,
        });
        let Some(exception) = exception else {
            return Err(stdlib::CANCELLED_ERROR.bare_error(py));
        };
        let error = PyErr::from_value(exception.into_bound(py));
        if !error.is_instance_of::<PyStopIteration>(py) {
            return Err(error);
        }
        let visible = PyRuntimeError::new_err("generator raised StopIteration");
        visible.set_cause(py, Some(error));
        Err(visible)
    }
}

#[pymethods]
impl ResultIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut rest = self.lock()?;
        rest.begun = true;
        if let Some(value) = rest.take_ready() {
            return Ok(Some(value));
        }
        let Some(item) = rest.pop() else { return Ok(None) };
        let mut result = self.result(py, &item);
        drop(item);
        if result.is_ok() && rest.source.is_some() {
            // As in CPython, before the result is yielded: work goes on while it is used.
            if let Err(error) = rest.submit_one_more(py) {
                result = Err(error);
            }
        }
        if result.is_err() {
            let (ahead, _) = rest.end();
            drop(rest);
            cancel(py, ahead)?;
        }
        result.map(Some)
    }

    /// End the iterator. What has not started is cancelled, if any result has been asked for.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut rest = self.lock()?;
        let (ahead, ready) = rest.end();
        let begun = rest.begun;
        drop(rest);
        drop(ready);
        if begun { cancel(py, ahead) } else { Ok(()) }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(rest) = self.rest.try_lock() else { return Ok(()) };
        if let Some(source) = &rest.source {
            visit.call(&source.function)?;
            visit.call(&source.items)?;
            visit.call(&source.executor)?;
        }
        for value in &rest.ready {
            visit.call(value)?;
        }
        for Item { block, .. } in &rest.ahead {
            if Arc::strong_count(block) == 1 {
                for life in &block.lives {
                    task::traverse(life, &visit, |argument: &Argument| {
                        visit.call(&argument.function)?;
                        visit.call(&argument.value)?;
                        visit.call(&argument.run)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let ended = self.rest.lock().unwrap_or_else(PoisonError::into_inner).end();
        drop(ended);
    }
}

/// An iterator that has been begun and that nobody has any more cancels what has not started.
impl Drop for ResultIterator {
    fn drop(&mut self) {
        let rest = self.rest.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (ahead, _) = rest.end();
        if rest.begun && !ahead.is_empty() && self.made_in == fork::generation() {
            Python::attach(|py| {
                if let Err(error) = cancel(py, ahead) {
                    error.write_unraisable(py, None);
                }
            });
        }
    }
}
