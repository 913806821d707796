//! Futures in the order in which they complete: [`CompletionQueue`] and [`as_completed`].
//!
//! Each future is watched once, when it is added, and leaves its number in a queue when it ends.
//! So "whichever is done next" costs the same however many are waited for; CPython's
//! `wait(FIRST_COMPLETED)` in a loop looks at every future at every step.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use crate::errors::Deadlock;
use crate::future::{Future, Watcher, deadline, targets};
use crate::nested::graph::How;
use crate::nested::{self, Woken};
use crate::ready::Ready;

/// Futures that were asked for and had not ended when the time was up; or that never will end, because they
/// wait for the task that asked for them: its `result` of one of them tells of that, and so does the log.
///
/// ```
/// use manyhands::{Future, as_completed};
/// use std::time::Duration;
///
/// let pending: Future<i32> = Future::new();
/// let unfinished = as_completed([pending], Duration::ZERO).next().unwrap().unwrap_err();
/// assert_eq!(unfinished.to_string(), "1 (of 1) futures unfinished");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{unfinished} (of {total}) futures unfinished")]
pub struct Unfinished {
    /// How many have not ended.
    pub unfinished: usize,
    /// How many were asked for.
    pub total: usize,
}

/// Hands out futures as they complete, each once; more can be added at any time. (Java's
/// `ExecutorCompletionService`.)
///
/// A step costs the same however many futures are waited for. The queue lets go of a future as it
/// hands it out.
///
/// ```
/// use manyhands::{CompletionQueue, Executor, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let mut queue = CompletionQueue::new();
/// for n in 1..=3 {
///     queue.push(pool.spawn(move || n * n)?);
/// }
/// let mut squares = Vec::new();
/// while let Some(future) = queue.next(None)? {
///     squares.push(future.into_result(None)?);
/// }
/// squares.sort();
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CompletionQueue<T: Send, E: Send + Sync = std::convert::Infallible> {
    ready: Arc<Ready>,
    /// The numbers fetched from `ready`, in their order; the next to be handed out.
    arrived: VecDeque<usize>,
    /// By number; `None` once handed out.
    futures: Vec<Option<Future<T, E>>>,
    /// Numbers that can be given again.
    vacant: Vec<usize>,
    total: usize,
    /// Where a task that waits looks next for one that it may run in place.
    looked: usize,
    /// Whether one was of the pool that added it.
    own: bool,
}

/// Why no future is handed out.
#[derive(Debug)]
pub(crate) enum NotYet {
    TimeIsUp,
    /// None that is left will ever end.
    Deadlock(Deadlock),
}

impl<T: Send, E: Send + Sync> CompletionQueue<T, E> {
    /// An empty queue.
    ///
    /// ```
    /// use manyhands::CompletionQueue;
    ///
    /// let mut queue: CompletionQueue<i32> = CompletionQueue::new();
    /// assert!(queue.next(None)?.is_none());
    /// # Ok::<(), manyhands::Unfinished>(())
    /// ```
    pub fn new() -> Self {
        Self {
            ready: Arc::new(Ready::new()),
            arrived: VecDeque::new(),
            futures: Vec::new(),
            vacant: Vec::new(),
            total: 0,
            looked: 0,
            own: false,
        }
    }

    /// Adds a future. One that has ended already is handed out like the others.
    ///
    /// ```
    /// use manyhands::{CompletionQueue, Executor, InlineExecutor};
    ///
    /// let mut queue = CompletionQueue::new();
    /// let ended = InlineExecutor::new().spawn(|| 5)?;
    /// queue.push(ended.clone());
    /// assert_eq!(queue.next(None)?, Some(ended));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn push(&mut self, future: Future<T, E>) {
        let ended = self.add(future);
        self.ready.push(ended);
    }

    /// The number of the future, if it has ended already and nobody will tell.
    fn add(&mut self, future: Future<T, E>) -> Option<usize> {
        let ended = self.watch(future)?;
        let number = self.number();
        self.total += 1;
        self.futures[number] = Some(ended);
        Some(number)
    }

    /// The future, if it has ended already: then it is not added.
    fn watch(&mut self, future: Future<T, E>) -> Option<Future<T, E>> {
        if future.state().is_notified() {
            return Some(future);
        }
        let number = self.number();
        if future.watch(Watcher::Ready(Arc::clone(&self.ready), number)).is_err() {
            self.vacant.push(number);
            return Some(future);
        }
        self.total += 1;
        self.own |= nested::is_own(future.pool());
        self.futures[number] = Some(future);
        None
    }

    fn number(&mut self) -> usize {
        self.vacant.pop().unwrap_or_else(|| {
            self.futures.push(None);
            self.futures.len() - 1
        })
    }

    /// The next future that has ended, waiting for it `timeout` at the longest (`None`: for as long
    /// as it takes). `Ok(None)`: the queue is empty.
    ///
    /// # Errors
    /// [`Unfinished`] when the time is up; the futures stay in the queue.
    ///
    /// ```
    /// use manyhands::{CompletionQueue, Future};
    /// use std::time::Duration;
    ///
    /// let [slow, quick] = [(); 2].map(|()| Future::<i32>::new());
    /// let mut queue = CompletionQueue::new();
    /// queue.extend([slow.clone(), quick.clone()]);
    /// quick.set_result(1)?;
    /// assert_eq!(queue.next(None)?, Some(quick));
    /// assert!(queue.next(Duration::ZERO).is_err());
    /// slow.set_result(2)?;
    /// assert_eq!(queue.next(None)?, Some(slow));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Future<T, E>>, Unfinished> {
        let next = self.next_before(deadline(timeout.into()));
        next.map_err(|_| Unfinished { unfinished: self.len(), total: self.total })
    }

    pub(crate) fn next_before(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Future<T, E>>, NotYet> {
        if self.is_empty() {
            return Ok(None);
        }
        if self.arrived.is_empty() {
            if nested::in_task() {
                self.wait_in_task(deadline)?;
            }
            self.ready.pop_all(deadline, &mut self.arrived);
        }
        let number = self.arrived.pop_front().ok_or(NotYet::TimeIsUp)?;
        self.vacant.push(number);
        Ok(self.futures[number].take())
    }

    /// Returns when a number has come, or the time is up; see [`nested`].
    #[cold]
    fn wait_in_task(&mut self, deadline: Option<Instant>) -> Result<(), NotYet> {
        if deadline.is_none() {
            while self.ready.is_empty() && self.looked < self.futures.len() {
                if let Some(future) = &self.futures[self.looked] {
                    future.run_in_place();
                }
                self.looked += 1;
            }
        }
        if !self.ready.is_empty() {
            return Ok(());
        }
        let for_any = || targets(self.futures.iter().flatten(), How::Any);
        match nested::sleep_here(&self.ready, 1, self.own, &for_any, deadline) {
            Woken::Deadlock(deadlock) => Err(NotYet::Deadlock(deadlock)),
            Woken::Ended | Woken::TimeIsUp => Ok(()),
        }
    }

    /// How many futures have not been handed out.
    ///
    /// ```
    /// use manyhands::{CompletionQueue, Executor, InlineExecutor};
    ///
    /// let mut queue = CompletionQueue::new();
    /// queue.push(InlineExecutor::new().spawn(|| 5)?);
    /// assert_eq!(queue.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> usize {
        self.futures.len() - self.vacant.len()
    }

    /// Whether all futures have been handed out.
    ///
    /// ```
    /// use manyhands::{CompletionQueue, Executor, InlineExecutor};
    ///
    /// let mut queue = CompletionQueue::new();
    /// queue.push(InlineExecutor::new().spawn(|| 5)?);
    /// assert!(!queue.is_empty());
    /// queue.next(None)?;
    /// assert!(queue.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that have not been handed out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Future<T, E>> {
        let ready = Arc::clone(&self.ready);
        self.arrived.clear();
        self.vacant.clear();
        std::mem::take(&mut self.futures).into_iter().flatten().inspect(move |future| {
            future.forget(&ready);
        })
    }
}

impl<T: Send, E: Send + Sync> Default for CompletionQueue<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send, E: Send + Sync> Extend<Future<T, E>> for CompletionQueue<T, E> {
    fn extend<I: IntoIterator<Item = Future<T, E>>>(&mut self, futures: I) {
        let ended: Vec<_> = futures.into_iter().filter_map(|future| self.add(future)).collect();
        self.ready.push(ended);
    }
}

/// A future that is waited for no more forgets who waited.
impl<T: Send, E: Send + Sync> Drop for CompletionQueue<T, E> {
    fn drop(&mut self) {
        self.drain().for_each(drop);
    }
}

impl<T: Send, E: Send + Sync> fmt::Debug for CompletionQueue<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Iterates over `futures` in the order in which they complete, each once (also one given twice).
/// Those that are done at the call come first. The `timeout` counts from this call, for all of them
/// together; when it is up, the iterator gives one [`Unfinished`] and ends, and the tasks go on.
///
/// The futures may belong to different executors. The iterator lets go of each as it yields it.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor, as_completed};
/// use std::collections::HashMap;
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let mut future_to_word = HashMap::new();
/// for word in ["one", "three"] {
///     future_to_word.insert(pool.spawn(move || word.len())?, word);
/// }
/// for future in as_completed(future_to_word.keys().cloned(), None) {
///     let future = future?;
///     assert_eq!(future.result(None)?, future_to_word[&future].len());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn as_completed<T: Send, E: Send + Sync>(
    futures: impl IntoIterator<Item = Future<T, E>>,
    timeout: impl Into<Option<Duration>>,
) -> AsCompleted<T, E> {
    let deadline = deadline(timeout.into());
    let mut queue = CompletionQueue::new();
    let ended: Vec<_> = distinct(futures).filter_map(|future| queue.watch(future)).collect();
    queue.total += ended.len();
    AsCompleted { ended: ended.into_iter(), queue, deadline }
}

/// Each future once, where it comes first.
pub(crate) fn distinct<T, E>(
    futures: impl IntoIterator<Item = Future<T, E>>,
) -> impl Iterator<Item = Future<T, E>> {
    let mut seen = HashSet::<_, BuildHasherDefault<AddressHasher>>::default();
    // Most tasks that have ended are known to nobody else, and so are not given twice.
    let is_new = move |future: &Future<T, E>| {
        future.is_only_handle() || seen.insert(future.address().addr())
    };
    futures.into_iter().filter(is_new)
}

/// Spreads addresses, which nobody chooses to do harm, many times faster than the standard hasher.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(byte.into());
        }
    }

    fn write_usize(&mut self, address: usize) {
        // Fibonacci hashing: the golden ratio's fraction carries every bit into the high ones, which
        // the table looks at together with the low ones.
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The iterator of [`as_completed`].
#[derive(Debug)]
pub struct AsCompleted<T: Send, E: Send + Sync> {
    /// Those that were done at the call.
    ended: IntoIter<Future<T, E>>,
    queue: CompletionQueue<T, E>,
    deadline: Option<Instant>,
}

impl<T: Send, E: Send + Sync> Iterator for AsCompleted<T, E> {
    type Item = Result<Future<T, E>, Unfinished>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(future) = self.ended.next() {
            return Some(Ok(future));
        }
        let left = self.queue.len();
        let next = self.queue.next_before(self.deadline).transpose();
        let next = next
            .map(|next| next.map_err(|_| Unfinished { unfinished: left, total: self.queue.total }));
        if let Some(Err(_)) = next {
            self.queue.drain().for_each(drop);
        }
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.ended.len() + self.queue.len()))
    }
}

impl<T: Send, E: Send + Sync> FusedIterator for AsCompleted<T, E> {}
