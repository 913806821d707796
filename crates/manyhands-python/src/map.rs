//! `map`: one function over many items, without a future for each.
//!
//! Items that are submitted together are a block: one allocation for all, one entry in the queue, and no
//! Python object for an item but its argument and its result. Each worker that comes for the block takes
//! the items one by one, as the others leave them, so order and fairness are those of `submit`.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use manyhands::block::Ending;
use manyhands_pybuffer::{AtHand, Attached, Exclusive, Held, UsualWay};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyRange, PyRangeMethods, PyTuple, PyWeakrefReference};

use crate::block::{Arguments, Block, Call, Numbers};
use crate::place::Place;
use crate::pool::PyThreadPoolExecutor;
use crate::{errors, fork, nested, park, place, stdlib};

/// The most items of a block: as many as stay in the caches on their way into the queue.
const BLOCK: usize = 256;

/// An iterator over the results of `map`. Closing or dropping it, once it has begun, cancels what has
/// not started.
#[pyclass(frozen, module = "manyhands._core", name = "ResultIterator")]
pub(crate) struct ResultIterator {
    deadline: Option<Instant>,
    made_in: u32,
    rest: Exclusive<Rest>,
}

struct Rest {
    /// The next results, taken out of the first block.
    ready: VecDeque<Py<PyAny>>,
    /// Blocks with results to come.
    ahead: VecDeque<Ahead>,
    /// Where more items come from, when not all have been submitted.
    source: Option<Source>,
    /// Whether anybody has asked for a result. As in CPython, one that nobody has asked may be
    /// dropped, and its items are run all the same.
    begun: bool,
}

/// A block, and which of its items is the next whose result is to be yielded.
struct Ahead {
    block: Arc<Block>,
    next: usize,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        Python::attach(|py| self.block.abandon(py));
    }
}

struct Source {
    function: Py<PyAny>,
    call: Call,
    items: Py<PyIterator>,
    executor: Py<PyWeakrefReference>,
    place: Place,
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
        call: Call { star, in_context: copy_context },
        items: items.unbind(),
        executor: PyWeakrefReference::new(executor.as_any())?.unbind(),
        place: place::current(py),
    };
    let mut rest =
        Rest { ready: VecDeque::new(), ahead: VecDeque::new(), source: None, begun: false };
    match buffersize {
        None => {
            let bounded = executor.get().workers()?.pool.max_pending().is_some();
            let at_once = !bounded && iterables.iter().all(|it| knows_its_items(&it));
            let most = if at_once { BLOCK } else { 1 };
            let alone =
                if at_once && !star && !copy_context { iterables.get_item(0).ok() } else { None };
            match alone.and_then(|iterable| numbers(&iterable)) {
                Some(numbers) => rest.submit_numbers(executor, &source, numbers)?,
                None => while rest.submit(executor, &source, most)? {},
            }
        }
        Some(buffersize) => {
            let mut left = buffersize.get();
            while left > 0 && rest.submit(executor, &source, 1)? {
                left -= 1;
            }
            rest.source = (left == 0).then_some(source);
        }
    }
    Ok(ResultIterator { deadline, made_in: fork::generation(), rest: Exclusive::new(rest) })
}

/// Whether one gets all items at once. Others may take long to give the next one, or wait until the one
/// before has been dealt with: these are submitted as they come.
fn knows_its_items(iterable: &Bound<'_, PyAny>) -> bool {
    iterable.is_exact_instance_of::<PyRange>()
        || iterable.is_exact_instance_of::<PyList>()
        || iterable.is_exact_instance_of::<PyTuple>()
}

/// The numbers of a range, if this is one and they are not too large.
fn numbers(iterable: &Bound<'_, PyAny>) -> Option<Numbers> {
    let range = iterable.cast_exact::<PyRange>().ok()?;
    // No number lies beyond the stop: where that fits, they all do.
    range.stop().ok()?;
    let (start, step) = (range.start().ok()?, range.step().ok()?);
    let (start, step) = (i64::try_from(start).ok()?, i64::try_from(step).ok()?);
    Some(Numbers { start, step, count: range.len().ok()? })
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
        let mut arguments = Vec::with_capacity(expected);
        for value in items.take(most) {
            arguments.push(source.call.argument(value?)?);
        }
        let count = arguments.len();
        if count == 0 {
            return Ok(false);
        }
        self.submit_block(executor, source, Arguments::Objects(arguments.into_iter()))?;
        Ok(count == most)
    }

    /// Submits all numbers of a range, which are made into objects where they are used.
    fn submit_numbers(
        &mut self,
        executor: &Bound<'_, PyThreadPoolExecutor>,
        source: &Source,
        mut numbers: Numbers,
    ) -> PyResult<()> {
        while numbers.count > 0 {
            let count = numbers.count.min(BLOCK);
            let block = Numbers { count, ..numbers };
            self.submit_block(executor, source, Arguments::Numbers(block))?;
            numbers.nth(count - 1);
        }
        Ok(())
    }

    fn submit_block(
        &mut self,
        executor: &Bound<'_, PyThreadPoolExecutor>,
        source: &Source,
        arguments: Arguments,
    ) -> PyResult<()> {
        let py = executor.py();
        let block = Arc::new(Block::new(
            source.function.clone_ref(py),
            source.call,
            arguments,
            source.place,
        ));
        self.ahead.push_back(Ahead { block: Arc::clone(&block), next: 0 });
        executor.get().workers()?.add_block(py, block)
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
    fn take_ready(&mut self, py: Python<'_>) -> Option<Py<PyAny>> {
        if self.source.is_some() {
            return None;
        }
        if self.ready.is_empty() {
            self.collect_ready(py);
        }
        self.ready.pop_front()
    }

    /// Takes the values out of the next block, as far as they are there, up to one that is none.
    fn collect_ready(&mut self, py: Python<'_>) {
        let Some(front) = self.ahead.front() else { return };
        let count = front.block.items.take_values(py.into(), front.next, &mut self.ready);
        self.advance(count);
    }

    fn advance(&mut self, count: usize) {
        let Some(front) = self.ahead.front_mut() else { return };
        front.next += count;
        if front.next == front.block.items.len() {
            self.ahead.pop_front();
        }
    }

    /// Takes all that is ahead, and forgets where more would come from. The results are to be dropped
    /// without the lock.
    fn end(&mut self) -> (VecDeque<Ahead>, VecDeque<Py<PyAny>>) {
        self.source = None;
        (std::mem::take(&mut self.ahead), std::mem::take(&mut self.ready))
    }
}

fn cancel(py: Python<'_>, ahead: &VecDeque<Ahead>) {
    for Ahead { block, .. } in ahead {
        block.cancel(py);
    }
}

impl ResultIterator {
    #[inline]
    fn rest<'py>(&self, py: Python<'py>) -> PyResult<Held<'_, 'py, Rest>> {
        errors::not_waited_in(&self.rest, py)
    }

    /// Waits until an item has ended; whether it has.
    fn wait(&self, py: Python<'_>, block: &Block, index: usize) -> PyResult<bool> {
        if !nested::in_task() {
            let item = block.items.awaited(py.into(), index);
            return park::wait(py, self.deadline, |until| item.wait(until));
        }
        if self.deadline.is_none() {
            nested::try_items_in_place(py, block, index);
        }
        nested::sleep_until_ended(py, block, index, self.deadline)
    }

    /// The next result, waiting for it.
    fn result(&self, py: Python<'_>, next: &Ahead) -> PyResult<Py<PyAny>> {
        let (items, index) = (&next.block.items, next.next);
        if items.ended() <= index {
            fork::check(self.made_in, "the executor of this map")?;
            if !self.wait(py, &next.block, index)? {
                return Err(stdlib::TIMEOUT_ERROR.bare_error(py));
            }
            // As in the `result` of a future.
            py.check_signals()?;
        }
        let exception = match items.take(py.into(), index) {
            Some(Ending::Value(value)) => return Ok(value),
            Some(Ending::Error(exception)) => exception,
            Some(Ending::Cancelled) | None => return Err(stdlib::CANCELLED_ERROR.bare_error(py)),
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
        let mut rest = self.rest(py)?;
        rest.begun = true;
        if let Some(value) = rest.take_ready(py) {
            return Ok(Some(value));
        }
        let Some(next) = rest.ahead.front() else { return Ok(None) };
        let mut result = self.result(py, next);
        if result.is_ok() {
            rest.advance(1);
            // As in CPython, before the result is yielded: work goes on while it is used.
            if let Err(error) = rest.submit_one_more(py) {
                result = Err(error);
            }
        }
        if result.is_err() {
            // As in CPython, one that was waited for in vain is cancelled with the rest.
            let (ahead, _) = rest.end();
            drop(rest);
            cancel(py, &ahead);
        }
        result.map(Some)
    }

    /// End the iterator. What has not started is cancelled, if any result has been asked for.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut rest = self.rest(py)?;
        let (ahead, ready) = rest.end();
        let begun = rest.begun;
        drop(rest);
        drop(ready);
        if begun {
            cancel(py, &ahead);
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(rest) = self.rest.take(&visit) else { return Ok(()) };
        if let Some(source) = &rest.source {
            visit.call(&source.function)?;
            visit.call(&source.items)?;
            visit.call(&source.executor)?;
        }
        for value in &rest.ready {
            visit.call(value)?;
        }
        for Ahead { block, .. } in &rest.ahead {
            if Arc::strong_count(block) == 1 {
                block.traverse(&visit)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let ended = Python::attach(|py| self.rest.take(py).map(|mut rest| rest.end()));
        drop(ended);
    }
}

impl AtHand for ResultIterator {
    #[inline]
    fn at_hand(&self, attached: Attached<'_>) -> Option<Py<PyAny>> {
        // Filled by one who has begun it, and empty while items are to be submitted as others are yielded.
        self.rest.take(attached)?.ready.pop_front()
    }

    fn usual() -> &'static OnceLock<UsualWay> {
        static USUAL: OnceLock<UsualWay> = OnceLock::new();
        &USUAL
    }
}

/// An iterator that has been begun and that nobody has any more cancels what has not started.
impl Drop for ResultIterator {
    fn drop(&mut self) {
        let rest = self.rest.get_mut();
        if rest.begun {
            Python::attach(|py| cancel(py, &rest.ahead));
        }
    }
}
