//! `map`: one function over many items, with a limit on what is in flight.

use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::num::NonZeroUsize;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::completion::{CompletionQueue, NotYet};
use crate::crossing::{Answer, Body, Cross, Declared, DecodeError, EncodeError, FunctionType};
use crate::errors::{Exception, FutureError, Reason};
use crate::executor::{Executor, start_from};
use crate::function::Call;
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
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
    executor: &'x X,
    /// Where the map was called.
    place: &'static Location<'static>,
    step: Arc<Shared<S>>,
    items: Fuse<I>,
    called: Instant,
    deadline: Option<Instant>,
    buffersize: Option<NonZeroUsize>,
    chunksize: NonZeroUsize,
    /// What a full queue gave back: the first to be submitted when there is room.
    held: Option<ChunkOf<S, I::Item>>,
    in_flight: InFlight<I::Item, S::Value, S::Error>,
    /// Emptied, for the next chunks.
    #[allow(clippy::vec_box, reason = "a tray travels in its box")]
    spare: Vec<Box<TrayOf<S, I::Item>>>,
    /// Items submitted whose results have not been fetched.
    ahead: usize,
    /// The rest of the chunk that is being yielded.
    results: std::vec::IntoIter<S::Value>,
    /// Fetched while more was being submitted: the next to be yielded.
    gathered: Vec<S::Value>,
    /// What comes after those gathered.
    met: Option<Exception<S::Error>>,
    failure: Option<FutureError<S::Error>>,
    ended: bool,
}

/// The function behind a second counter, which is renewed now and then: all tasks on one counter
/// would have all threads write to one line of memory.
struct Shared<S>(Arc<S>);

/// The items of one task. One alone needs no allocation.
enum Chunk<V, T, E> {
    One(V),
    Many(Box<Tray<V, T, E>>),
}

/// What the task of one chunk gives. If one item alone fails, the task does.
enum Values<V, T, E> {
    One(T),
    Many(Box<Tray<V, T, E>>),
}

/// Carries several items to a worker and their values back. All its memory is asked for and given
/// back by the thread of the map: workers that did would wait for each other in the allocator.
struct Tray<V, T, E> {
    items: Vec<V>,
    /// Those up to the first failure.
    values: Vec<T>,
    failure: Option<Exception<E>>,
}

type TrayOf<S, V> = Tray<V, <S as Step<V>>::Value, <S as Step<V>>::Error>;

type ChunkOf<S, V> = Chunk<V, <S as Step<V>>::Value, <S as Step<V>>::Error>;

type ValuesOf<S, V> = Values<V, <S as Step<V>>::Value, <S as Step<V>>::Error>;

type Fetched<S, V> = Result<ValuesOf<S, V>, FutureError<<S as Step<V>>::Error>>;

enum InFlight<V: Send, T: Send, E: Send + Sync> {
    Ordered(VecDeque<Future<Values<V, T, E>, E>>),
    Unordered(CompletionQueue<Values<V, T, E>, E>),
}

/// How many chunks are submitted between two looks for results.
const LOOK_EVERY: usize = 6;

/// How many chunks' results are taken at one look. More than were submitted since, so that it
/// catches up, and so few that an allocator which keeps some freed blocks a thread keeps them all.
const TAKE: usize = 7;

/// How many tasks share one counter of users.
const SHARERS: usize = 32;

impl<'x, X, I, S> Map<'x, X, I, S>
where
    X: Executor,
    I: Iterator,
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
    #[track_caller]
    pub(crate) fn new(executor: &'x X, step: S, items: I) -> Self {
        Self {
            executor,
            place: Location::caller(),
            step: Arc::new(Shared(Arc::new(step))),
            items: items.fuse(),
            called: Instant::now(),
            deadline: None,
            buffersize: None,
            chunksize: NonZeroUsize::MIN,
            held: None,
            in_flight: InFlight::Ordered(VecDeque::new()),
            spare: Vec::new(),
            ahead: 0,
            results: Vec::new().into_iter(),
            gathered: Vec::new(),
            met: None,
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
        assert!(self.outstanding() == 0, "`unordered` must come before the map starts");
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

    /// All results, or the first failure: what `collect::<Result<Vec<_>, _>>()` gives, sooner, for
    /// whole chunks move at once, and their memory is used again while the last are submitted.
    ///
    /// # Errors
    /// The first failure, as the iterator would give it.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let squares = pool.map(|n: u64| n * n, 0..10_000).chunksize(1_000).into_vec()?;
    /// assert_eq!(squares[9_999], 99_980_001);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_vec(mut self) -> Result<Vec<S::Value>, FutureError<S::Error>> {
        let mut all = Vec::new();
        // Only a hint: an endless input may end with a failure.
        let _ = all.try_reserve(self.items.size_hint().0);
        while self.submit_some() {
            self.gather();
            all.append(&mut self.gathered);
        }
        while let Some(result) = self.next() {
            all.push(result?);
            all.extend(std::mem::take(&mut self.results));
        }
        Ok(all)
    }

    /// Submits as much as may be in flight.
    fn feed(&mut self) {
        while self.submit_some() {
            self.gather();
        }
    }

    /// Submits some chunks; whether there may be more to submit.
    fn submit_some(&mut self) -> bool {
        (0..LOOK_EVERY)
            .all(|_| !self.ended && self.failure.is_none() && self.has_room() && self.submit_one())
    }

    fn submit_one(&mut self) -> bool {
        let Some(chunk) = self.held.take().or_else(|| self.next_chunk()) else { return false };
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.failure = Some(FutureError::TimedOut);
            return false;
        }
        let size = chunk.len();
        let call = ChunkCall { step: Arc::clone(&self.step), chunk };
        match start_from(self.place, self.executor, call) {
            Ok(future) => {
                self.ahead += size;
                self.in_flight.push(future);
                return true;
            }
            Err(refused) => {
                let full = matches!(refused.reason, Reason::Full { .. });
                if full && self.outstanding() > 0 {
                    self.held = Some(refused.task.chunk);
                } else {
                    self.failure = Some(FutureError::Refused(refused.reason));
                }
            }
        }
        false
    }

    fn has_room(&self) -> bool {
        self.buffersize.is_none_or(|size| {
            let outstanding = self.outstanding();
            outstanding == 0 || outstanding + self.chunksize.get() <= size.get()
        })
    }

    /// Takes the results that are there, so that their memory serves the next chunks while it is
    /// in the cache. A failure is only met by this: nobody has come to it yet.
    fn gather(&mut self) {
        if Arc::strong_count(&self.step) > SHARERS {
            self.step = Arc::new(Shared(Arc::clone(&self.step.0)));
        }
        let InFlight::Ordered(futures) = &mut self.in_flight else { return };
        // The next in line is being written by its worker: to look at it would slow both.
        if !futures.get(TAKE - 1).is_some_and(Future::done) {
            return;
        }
        for _ in 0..TAKE {
            if self.met.is_some() {
                return;
            }
            let Some(future) = futures.pop_front_if(|future| future.done()) else { return };
            match future.take() {
                Ok(Values::One(value)) => {
                    self.ahead -= 1;
                    self.gathered.push(value);
                }
                Ok(Values::Many(mut tray)) => {
                    self.ahead -= tray.values.len();
                    self.gathered.append(&mut tray.values);
                    self.met = tray.failure.take();
                    self.spare.push(tray);
                }
                // An error stays in its future.
                Err(_) => return futures.push_front(future),
            }
        }
    }

    fn next_chunk(&mut self) -> Option<ChunkOf<S, I::Item>> {
        let most = self.buffersize.map_or(self.chunksize, |size| size.min(self.chunksize)).get();
        if most == 1 {
            return self.items.next().map(Chunk::One);
        }
        let mut tray = self.spare.pop().unwrap_or_default();
        tray.items.extend(self.items.by_ref().take(most));
        if tray.items.is_empty() {
            self.spare = Vec::new();
            return None;
        }
        tray.values.reserve(tray.items.len());
        Some(Chunk::Many(tray))
    }

    /// Whether more is to be submitted before each result is yielded. As in CPython, work goes on
    /// while the caller uses it.
    #[inline]
    fn feeds_on(&self) -> bool {
        self.buffersize.is_some() || self.held.is_some()
    }

    #[inline]
    fn yielded(&mut self, value: S::Value) -> S::Value {
        if self.feeds_on() {
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
            if !self.gathered.is_empty() {
                self.results = std::mem::take(&mut self.gathered).into_iter();
            }
            if let Some(value) = self.results.next() {
                return Some(Ok(self.yielded(value)));
            }
            if let Some(exception) = self.met.take() {
                self.end();
                return Some(Err(FutureError::Exception(exception)));
            }
            if self.in_flight.is_empty() {
                if let Some(failure) = self.failure.take() {
                    self.end();
                    return Some(Err(failure));
                }
                self.feed();
                if self.met.is_some() || !self.gathered.is_empty() {
                    continue;
                }
            }
            let values = match self.fetch() {
                Some(Ok(values)) => values,
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
            match values {
                Values::One(value) => {
                    self.ahead -= 1;
                    return Some(Ok(self.yielded(value)));
                }
                Values::Many(mut tray) => {
                    self.ahead -= tray.values.len();
                    self.results = std::mem::take(&mut tray.values).into_iter();
                    if let Some(exception) = tray.failure.take() {
                        self.cancel();
                        self.failure = Some(FutureError::Exception(exception));
                    } else if self.feeds_on() {
                        self.spare.push(tray);
                    }
                }
            }
        }
    }

    /// The results of the next chunk, when it has ended.
    fn fetch(&mut self) -> Option<Fetched<S, I::Item>> {
        match &mut self.in_flight {
            InFlight::Ordered(futures) => {
                let future = futures.pop_front()?;
                let failure = match future.wait_before(self.deadline) {
                    Ok(true) => return Some(future.take()),
                    Ok(false) => FutureError::TimedOut,
                    Err(deadlock) => FutureError::Deadlock(deadlock),
                };
                futures.push_front(future);
                Some(Err(failure))
            }
            InFlight::Unordered(queue) => match queue.next_before(self.deadline) {
                Ok(future) => Some(future?.take()),
                Err(NotYet::TimeIsUp) => Some(Err(FutureError::TimedOut)),
                Err(NotYet::Deadlock(deadlock)) => Some(Err(FutureError::Deadlock(deadlock))),
            },
        }
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
            Some(value) => Some(Ok(self.yielded(value))),
            None => self.next_chunk_of_results(),
        }
    }

    /// At least what is there already: a failure may end it after that.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let there = self.results.len() + self.gathered.len();
        if self.ended {
            return (there, Some(there));
        }
        let held = self.held.as_ref().map_or(0, Chunk::len);
        let known = there + self.ahead + held;
        let known = known + usize::from(self.failure.is_some() || self.met.is_some());
        (there, self.items.size_hint().1.and_then(|rest| rest.checked_add(known)))
    }

    /// So that `for_each`, `sum` and the like go through a chunk in one tight loop.
    fn fold<A, G>(mut self, init: A, mut fold: G) -> A
    where
        G: FnMut(A, Self::Item) -> A,
    {
        let mut folded = init;
        while let Some(first) = self.next() {
            folded = fold(folded, first);
            if !self.feeds_on() {
                folded = std::mem::take(&mut self.results).map(Ok).fold(folded, &mut fold);
            }
        }
        folded
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
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
    /// Items submitted and not yet yielded.
    fn outstanding(&self) -> usize {
        self.ahead + self.gathered.len() + self.results.len()
    }

    fn end(&mut self) {
        self.ended = true;
        self.held = None;
        self.cancel();
    }

    /// Cancels all that is in flight, and forgets it.
    fn cancel(&mut self) {
        match &mut self.in_flight {
            // The last first: a worker that gets free does not begin one in between.
            InFlight::Ordered(futures) => futures.drain(..).rev().for_each(|future| {
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
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<X, I, S> fmt::Debug for Map<'_, X, I, S>
where
    I: Iterator,
    I::Item: Send + 'static,
    S: Step<I::Item>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("outstanding", &self.outstanding()).finish_non_exhaustive()
    }
}

impl<V: Send, T: Send, E: Send + Sync> InFlight<V, T, E> {
    fn push(&mut self, future: Future<Values<V, T, E>, E>) {
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

impl<V, T, E> Default for Tray<V, T, E> {
    fn default() -> Self {
        Self { items: Vec::new(), values: Vec::new(), failure: None }
    }
}

impl<V, T, E> Chunk<V, T, E> {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(tray) => tray.items.len(),
        }
    }
}

/// The task of one chunk. A failure ends the chunk, and costs no result before it.
struct ChunkCall<S: Step<V>, V> {
    step: Arc<Shared<S>>,
    chunk: ChunkOf<S, V>,
}

impl<S: Step<V>, V> Call for ChunkCall<S, V> {
    type Value = ValuesOf<S, V>;
    type Error = S::Error;

    fn name() -> &'static str {
        S::function().name
    }

    fn call(self) -> Result<ValuesOf<S, V>, S::Error> {
        let mut tray = match self.chunk {
            Chunk::One(item) => return self.step.0.step(item).map(Values::One),
            Chunk::Many(tray) => tray,
        };
        let Tray { items, values, failure } = &mut *tray;
        *failure = match panic::catch(|| self.step.0.steps(items.drain(..), values)) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Exception::Error(Arc::new(error))),
            Err(panic) => Some(Exception::Panic(panic)),
        };
        Ok(Values::Many(tray))
    }
}

impl<S: Step<V>, V: Send + 'static> Cross for ChunkCall<S, V> {
    fn function() -> FunctionType {
        S::function()
    }

    fn pack(self, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        match self.chunk {
            Chunk::One(item) => S::pack(item, declared, body),
            Chunk::Many(tray) => {
                body.begin_chunk(tray.items.len(), S::FALLIBLE);
                tray.items.into_iter().try_for_each(|item| S::pack(item, declared, body))
            }
        }
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<Self::Value, Self::Error>, DecodeError> {
        let Some(count) = answer.chunk()? else {
            return Ok(S::unpack(declared, answer)?.map(Values::One));
        };
        let mut tray = Box::new(Tray::default());
        for _ in 0..count {
            match S::unpack(declared, answer)? {
                Ok(value) => tray.values.push(value),
                Err(error) => {
                    tray.failure = Some(Exception::Error(Arc::new(error)));
                    break;
                }
            }
        }
        if tray.failure.is_none() {
            tray.failure = answer.failure()?;
        }
        Ok(Ok(Values::Many(tray)))
    }
}
