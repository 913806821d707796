//! `map`: one function over many items, with a limit on what is in flight.

use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::completion::CompletionQueue;
use crate::errors::{Exception, FutureError, Reason};
use crate::executor::Executor;
use crate::future::Future;
use crate::panic;
use crate::step::Step;

/// What [`Executor::map`] and its kin return: an iterator over the results.
///
/// It starts at the first `next`, or at [`start`](Self::start): then it submits all items, or, with
/// [`buffersize`](Self::buffersize), only so many ahead of what has been taken. An error is the
/// last thing it gives: what is pending then is cancelled, as it is when the iterator is dropped.
///
/// Of its types, `X` is the executor, `I` the items, and `S` one of [`Each`](crate::Each),
/// [`TryEach`](crate::TryEach), [`Star`](crate::Star) and [`TryStar`](crate::TryStar), which only
/// name the four ways to call the function.
#[must_use = "nothing is submitted before the first `next`, or `start`"]
pub struct Map<'x, X, I, S>
where
    I: Iterator,
    S: Step<I::Item>,
{
    executor: &'x X,
    step: Arc<S>,
    items: Fuse<I>,
    called: Instant,
    deadline: Option<Instant>,
    buffersize: Option<NonZeroUsize>,
    chunksize: NonZeroUsize,
    /// What a full queue gave back: the first to be submitted when there is room.
    held: Option<Chunk<I::Item>>,
    in_flight: InFlight<S::Value, S::Error>,
    /// Items submitted and not yet yielded.
    outstanding: usize,
    /// The rest of the chunk that is being yielded.
    results: std::vec::IntoIter<S::Value>,
    failure: Option<FutureError<S::Error>>,
    ended: bool,
}

/// One or more items. The first lies apart, so that a chunk of one needs no allocation.
struct Chunk<V> {
    first: V,
    rest: Vec<V>,
}

/// What the task of one chunk gives: the values up to the first failure.
struct Outcome<T, E> {
    first: Option<T>,
    rest: Vec<T>,
    failure: Option<Exception<E>>,
}

type OutcomeOf<S, V> = Outcome<<S as Step<V>>::Value, <S as Step<V>>::Error>;

type Fetched<S, V> = Result<OutcomeOf<S, V>, FutureError<<S as Step<V>>::Error>>;

enum InFlight<T: Send, E: Send + Sync> {
    Ordered(VecDeque<Future<Outcome<T, E>>>),
    Unordered(CompletionQueue<Outcome<T, E>>),
}

impl<'x, X, I, S> Map<'x, X, I, S>
where
    X: Executor,
    I: Iterator,
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
    pub(crate) fn new(executor: &'x X, step: S, items: I) -> Self {
        Self {
            executor,
            step: Arc::new(step),
            items: items.fuse(),
            called: Instant::now(),
            deadline: None,
            buffersize: None,
            chunksize: NonZeroUsize::MIN,
            held: None,
            in_flight: InFlight::Ordered(VecDeque::new()),
            outstanding: 0,
            results: Vec::new().into_iter(),
            failure: None,
            ended: false,
        }
    }

    /// Submits at most `buffersize` items beyond those taken, and at least one chunk, and pulls the
    /// items only as it submits them: the input may be endless. (As in CPython 3.14.)
    ///
    /// # Panics
    /// If `buffersize` is 0.
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let inline = InlineExecutor::new();
    /// let mut squares = inline.map(|n: u64| n * n, 1..).buffersize(4);
    /// assert_eq!(squares.nth(9).unwrap()?, 100);
    /// # Ok::<(), manyhands::FutureError>(())
    /// ```
    pub fn buffersize(mut self, buffersize: usize) -> Self {
        self.buffersize =
            Some(NonZeroUsize::new(buffersize).expect("buffersize must be greater than 0"));
        self
    }

    /// Puts `chunksize` items into each task: for a function so quick that a task for each item
    /// costs more than the work. The results are the same.
    ///
    /// # Panics
    /// If `chunksize` is 0.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let sum: u64 = pool.map(|n: u64| n + 1, 0..10_000).chunksize(1_000).flatten().sum();
    /// assert_eq!(sum, 50_005_000);
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    pub fn chunksize(mut self, chunksize: usize) -> Self {
        self.chunksize = NonZeroUsize::new(chunksize).expect("chunksize must be greater than 0");
        self
    }

    /// Gives up when `timeout`, counted from the call of `map`, is over and the next result is not
    /// there: the iterator gives [`FutureError::TimedOut`] and ends, and what is pending is
    /// cancelled. A result that is there is given even then. A submit that blocks on a full queue
    /// is not interrupted.
    ///
    /// ```
    /// use manyhands::{Executor, FutureError, ThreadPoolExecutor};
    /// use std::time::Duration;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let mut squares = pool.map(|n: u64| n * n, 1..=3).timeout(Duration::ZERO);
    /// assert!(matches!(squares.next(), Some(Err(FutureError::TimedOut))));
    /// assert!(squares.next().is_none());
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = self.called.checked_add(timeout);
        self
    }

    /// Gives the results as they complete instead of in the order of the items.
    ///
    /// # Panics
    /// If something has been submitted already, as by [`start`](Self::start).
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let squares: Result<Vec<_>, _> = pool.map(|n: u64| n * n, 1..=3).unordered().collect();
    /// let mut squares = squares?;
    /// squares.sort();
    /// assert_eq!(squares, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unordered(mut self) -> Self {
        assert!(self.outstanding == 0, "`unordered` must come before the map starts");
        self.in_flight = InFlight::Unordered(CompletionQueue::new());
        self
    }

    /// Submits now what the first `next` would submit.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let squares = pool.map(|n: u64| n * n, 1..=3).start();
    /// pool.shutdown(true, false); // all three have been submitted
    /// assert_eq!(squares.collect::<Result<Vec<_>, _>>()?, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(mut self) -> Self {
        self.feed();
        self
    }

    /// Submits as much as may be in flight.
    fn feed(&mut self) {
        while !self.ended && self.failure.is_none() && self.has_room() {
            let Some(chunk) = self.held.take().or_else(|| self.next_chunk()) else { break };
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.failure = Some(FutureError::TimedOut);
                break;
            }
            let size = 1 + chunk.rest.len();
            let step = Arc::clone(&self.step);
            match self.executor.submit(run_chunk, (step, chunk)) {
                Ok(future) => {
                    self.outstanding += size;
                    self.in_flight.push(future);
                }
                Err(refused) => {
                    let full = matches!(refused.reason, Reason::Full { .. });
                    if full && !self.in_flight.is_empty() {
                        self.held = Some(refused.task.1.1);
                    } else {
                        self.failure = Some(FutureError::Refused(refused.reason));
                    }
                    break;
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.buffersize.is_none_or(|size| {
            self.outstanding == 0 || self.outstanding + self.chunksize.get() <= size.get()
        })
    }

    fn next_chunk(&mut self) -> Option<Chunk<I::Item>> {
        let most = self.buffersize.map_or(self.chunksize, |size| size.min(self.chunksize)).get();
        let first = self.items.next()?;
        let rest =
            if most == 1 { Vec::new() } else { self.items.by_ref().take(most - 1).collect() };
        Some(Chunk { first, rest })
    }

    /// A result that is about to be yielded. Before that, as in CPython, more is submitted: work
    /// goes on while the caller uses it.
    #[inline]
    fn taken(&mut self, value: S::Value) -> S::Value {
        self.outstanding -= 1;
        if self.buffersize.is_some() || self.held.is_some() {
            self.feed();
        }
        value
    }

    /// The first result of the next chunk, or what there is instead.
    fn next_chunk_of_results(&mut self) -> Option<Result<S::Value, FutureError<S::Error>>> {
        loop {
            if self.ended {
                return None;
            }
            if self.in_flight.is_empty() {
                if let Some(failure) = self.failure.take() {
                    self.end();
                    return Some(Err(failure));
                }
                self.feed();
            }
            let outcome = match self.fetch() {
                Some(Ok(outcome)) => outcome,
                Some(Err(error)) => {
                    self.end();
                    return Some(Err(error));
                }
                None if self.failure.is_some() => continue,
                None => {
                    self.ended = true;
                    return None;
                }
            };
            self.results = outcome.rest.into_iter();
            if let Some(exception) = outcome.failure {
                self.cancel();
                self.failure = Some(FutureError::Exception(exception));
            }
            if let Some(value) = outcome.first {
                return Some(Ok(self.taken(value)));
            }
        }
    }

    /// The results of the next chunk, when it has ended.
    fn fetch(&mut self) -> Option<Fetched<S, I::Item>> {
        let future = match &mut self.in_flight {
            InFlight::Ordered(futures) => {
                let future = futures.pop_front()?;
                if !future.wait_before(self.deadline) {
                    futures.push_front(future);
                    return Some(Err(FutureError::TimedOut));
                }
                future
            }
            InFlight::Unordered(queue) => match queue.next_before(self.deadline) {
                Ok(future) => future?,
                Err(_) => return Some(Err(FutureError::TimedOut)),
            },
        };
        Some(future.take().map_err(|error| match error {
            FutureError::Exception(Exception::Panic(panic)) => {
                FutureError::Exception(Exception::Panic(panic))
            }
            FutureError::Exception(Exception::Broken(broken)) => {
                FutureError::Exception(Exception::Broken(broken))
            }
            FutureError::Exception(Exception::Error(never)) => match *never {},
            FutureError::TimedOut => FutureError::TimedOut,
            FutureError::Cancelled => FutureError::Cancelled,
            FutureError::Taken => FutureError::Taken,
            FutureError::Refused(reason) => FutureError::Refused(reason),
        }))
    }
}

impl<X, I, S> Iterator for Map<'_, X, I, S>
where
    X: Executor,
    I: Iterator,
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
    type Item = Result<S::Value, FutureError<S::Error>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.results.next() {
            Some(value) => Some(Ok(self.taken(value))),
            None => self.next_chunk_of_results(),
        }
    }
}

impl<X, I, S> FusedIterator for Map<'_, X, I, S>
where
    X: Executor,
    I: Iterator,
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
}

impl<X, I, S> Map<'_, X, I, S>
where
    I: Iterator,
    S: Step<I::Item>,
{
    fn end(&mut self) {
        self.ended = true;
        self.held = None;
        self.cancel();
    }

    /// Cancels all that is in flight, and forgets it.
    fn cancel(&mut self) {
        match &mut self.in_flight {
            InFlight::Ordered(futures) => futures.drain(..).for_each(|future| {
                future.cancel();
            }),
            InFlight::Unordered(queue) => queue.drain().for_each(|future| {
                future.cancel();
            }),
        }
    }
}

impl<X, I, S> Drop for Map<'_, X, I, S>
where
    I: Iterator,
    S: Step<I::Item>,
{
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<X, I, S> fmt::Debug for Map<'_, X, I, S>
where
    I: Iterator,
    S: Step<I::Item>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("outstanding", &self.outstanding).finish_non_exhaustive()
    }
}

impl<T: Send, E: Send + Sync> InFlight<T, E> {
    fn push(&mut self, future: Future<Outcome<T, E>>) {
        match self {
            Self::Ordered(futures) => futures.push_back(future),
            Self::Unordered(queue) => queue.push(future),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Ordered(futures) => futures.is_empty(),
            Self::Unordered(queue) => queue.is_empty(),
        }
    }
}

/// The task of one chunk. A failure ends the chunk, and costs no result before it.
#[allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]
fn run_chunk<S: Step<V>, V>(step: Arc<S>, chunk: Chunk<V>) -> OutcomeOf<S, V> {
    let mut first = None;
    let mut rest = Vec::with_capacity(chunk.rest.len());
    let ended = panic::catch(|| {
        first = Some(step.step(chunk.first)?);
        for item in chunk.rest {
            rest.push(step.step(item)?);
        }
        Ok(())
    });
    let failure = match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Exception::Error(Arc::new(error))),
        Err(panic) => Some(Exception::Panic(panic)),
    };
    Outcome { first, rest, failure }
}
