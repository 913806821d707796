//! THE LIFE OF MANY TASKS that came in together: begun in order by any number of workers, and asked for in
//! order by one thread.
//!
//! ```text
//!      jobs ──claim──▶ BEGUN ──finish──▶ ENDED ──take──▶ TAKEN
//!        │               │ withdraw
//!        └──cancel──▶ CANCELLED
//! ```
//!
//! A [`Promise`](crate::promise::Promise) can do more: each has a lock, watchers and sleepers of its own.
//! Here one lock does for all, and a worker visits it once for each task: it leaves the outcome of the last
//! and takes the next.
//!
//! | field | guarded by | written by |
//! |---|---|---|
//! | `body.jobs` | the lock | `claim`, `finish_and_claim`, `cancel` take from its front, or all |
//! | `body.slots` | the lock | one for each task that has been begun or cancelled |
//! | `body.wanted` | the lock | `abandon`; from then on, nothing is kept here |
//! | `body.awaited` | the lock | `wait`, before it sleeps |
//! | `left` | written under the lock, read without it | mirrors `jobs` |
//! | `ended` | written under the lock, read without it | the tasks before the first that has not ended |
//!
//! The block calls nobody and drops nothing of its host's: what it has no use for, it gives back.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use crate::promise::Held;
use crate::spin;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, sabotaged};

/// Tasks that came in together. `I` gives what a worker needs to run each, `T` and `E` are the two kinds
/// of outcome.
///
/// ```
/// use manyhands::block::{Block, Claimed, Ending};
/// use std::sync::Arc;
/// use std::vec::IntoIter;
///
/// fn work(squares: &Block<IntoIter<i32>, i32, String>) {
///     let mut next = squares.claim();
///     while let Some(Claimed { index, job, .. }) = next {
///         let outcome = Ok(job * job);
///         next = match squares.finish_and_claim(index, outcome, || ()) {
///             Ok(another) => Some(another),
///             Err(outcome) => {
///                 assert!(squares.finish(index, outcome, || ()).is_ok());
///                 None
///             }
///         };
///     }
/// }
///
/// let squares = Arc::new(Block::new(vec![1, 2, 3]));
/// let shared = Arc::clone(&squares);
/// let worker = std::thread::spawn(move || work(&shared));
/// for index in 0..squares.len() {
///     assert!(squares.wait(index, None));
///     let square = (index as i32 + 1).pow(2);
///     assert!(matches!(squares.take(index), Some(Ending::Value(value)) if value == square));
/// }
/// # worker.join().unwrap();
/// ```
pub struct Block<I, T, E> {
    len: usize,
    left: AtomicUsize,
    ended: AtomicUsize,
    body: Mutex<Body<I, T, E>>,
    moved: Condvar,
}

struct Body<I, T, E> {
    jobs: I,
    slots: Vec<Slot<T, E>>,
    wanted: bool,
    /// The task that a sleeper waits for.
    awaited: Option<usize>,
}

enum Slot<T, E> {
    Begun,
    Ended(Result<T, E>),
    Cancelled,
    Taken,
}

/// A task that its claimer is to run.
#[derive(Debug)]
pub struct Claimed<J> {
    /// Its place in the block.
    pub index: usize,
    /// What is to be run.
    pub job: J,
    /// Whether it is the last that was left.
    pub last: bool,
}

/// How a task has ended.
#[derive(Debug)]
pub enum Ending<T, E> {
    /// It returned this.
    Value(T),
    /// It failed with this.
    Error(E),
    /// It was cancelled.
    Cancelled,
}

impl<I: ExactSizeIterator + Default, T, E> Block<I, T, E> {
    /// Tasks that nobody has begun. `jobs` is asked for the next with a lock held: it must call nobody.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first", "second"]);
    /// assert_eq!((block.len(), block.left(), block.ended()), (2, 2, 0));
    /// ```
    pub fn new(jobs: impl IntoIterator<IntoIter = I>) -> Self {
        let jobs = jobs.into_iter();
        let (len, slots) = (jobs.len(), Vec::with_capacity(jobs.len()));
        let body = Body { jobs, slots, wanted: true, awaited: None };
        let (left, ended) = (AtomicUsize::new(len), AtomicUsize::new(0));
        Self { len, left, ended, body: Mutex::new(body), moved: Condvar::new() }
    }

    /// How many tasks there have been from the beginning.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many tasks nobody has begun or cancelled.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Acquire)
    }

    /// How many tasks have ended before the first that has not.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    /// The next task, for one who will run it; `None` when none is left.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first", "second"]);
    /// let claimed = block.claim().unwrap();
    /// assert_eq!((claimed.index, claimed.job, claimed.last), (0, "first", false));
    /// let claimed = block.claim().unwrap();
    /// assert_eq!((claimed.index, claimed.job, claimed.last), (1, "second", true));
    /// assert!(block.claim().is_none());
    /// ```
    pub fn claim(&self) -> Option<Claimed<I::Item>> {
        self.next(&mut self.body.lock())
    }

    /// Ends the task that was claimed as `index` and claims the next one. `publish` is called just before
    /// the outcome can be seen, with the lock held.
    ///
    /// # Errors
    /// The outcome, when no other task is left or nobody wants the outcomes: nothing has changed.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first", "second"]);
    /// let first = block.claim().unwrap();
    /// let second = block.finish_and_claim(first.index, Ok(1), || ()).unwrap();
    /// assert_eq!((second.job, block.ended()), ("second", 1));
    /// assert_eq!(block.finish_and_claim(second.index, Ok(2), || ()).unwrap_err(), Ok(2));
    /// ```
    pub fn finish_and_claim(
        &self,
        index: usize,
        outcome: Result<T, E>,
        publish: impl FnOnce(),
    ) -> Result<Claimed<I::Item>, Result<T, E>> {
        let mut body = self.body.lock();
        if !body.wanted {
            return Err(outcome);
        }
        let Some(next) = self.next(&mut body) else { return Err(outcome) };
        publish();
        let awaited = self.end(&mut body, index, Slot::Ended(outcome));
        drop(body);
        self.wake(awaited);
        Ok(next)
    }

    /// Ends the task that was claimed as `index`. `publish` is called just before the outcome can be seen,
    /// with the lock held.
    ///
    /// # Errors
    /// The outcome, when nobody wants it; `publish` has not been called.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first"]);
    /// let first = block.claim().unwrap();
    /// assert!(block.abandon().is_empty());
    /// assert_eq!(block.finish(first.index, Ok(1), || unreachable!()), Err(Ok(1)));
    /// ```
    pub fn finish(
        &self,
        index: usize,
        outcome: Result<T, E>,
        publish: impl FnOnce(),
    ) -> Result<(), Result<T, E>> {
        let mut body = self.body.lock();
        if !body.wanted {
            return Err(outcome);
        }
        publish();
        let awaited = self.end(&mut body, index, Slot::Ended(outcome));
        drop(body);
        self.wake(awaited);
        Ok(())
    }

    /// Cancels the task that was claimed as `index`: it has not been run after all.
    ///
    /// ```
    /// use manyhands::block::{Block, Ending};
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first"]);
    /// block.withdraw(block.claim().unwrap().index);
    /// assert!(matches!(block.take(0), Some(Ending::Cancelled)));
    /// ```
    pub fn withdraw(&self, index: usize) {
        let mut body = self.body.lock();
        if body.wanted {
            let awaited = self.end(&mut body, index, Slot::Cancelled);
            drop(body);
            self.wake(awaited);
        }
    }

    /// Cancels all tasks that nobody has begun, and gives back what they would have needed.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first", "second"]);
    /// let _running = block.claim();
    /// assert!(block.cancel().eq(["second"]));
    /// assert_eq!((block.left(), block.ended()), (0, 0));
    /// ```
    #[must_use = "the host drops it where it may"]
    pub fn cancel(&self) -> I {
        let mut body = self.body.lock();
        let jobs = std::mem::take(&mut body.jobs);
        self.left.store(0, Ordering::Release);
        if body.wanted {
            body.slots.extend((0..jobs.len()).map(|_| Slot::Cancelled));
        }
        let awaited = self.count_ended(&mut body);
        drop(body);
        if !sabotaged("block_cancel_wakes_nobody") {
            self.wake(awaited);
        }
        jobs
    }

    /// Says that nobody will ask for an outcome any more, and gives back those there are. What is left is
    /// run all the same.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first", "second"]);
    /// let first = block.claim().unwrap();
    /// assert!(block.finish(first.index, Ok(1), || ()).is_ok());
    /// assert_eq!((block.abandon(), block.left()), (vec![Ok(1)], 1));
    /// ```
    #[must_use = "the host drops it where it may"]
    pub fn abandon(&self) -> Vec<Result<T, E>> {
        let mut body = self.body.lock();
        if !sabotaged("block_forgets_that_nobody_wants_it") {
            body.wanted = false;
        }
        let slots = std::mem::take(&mut body.slots);
        drop(body);
        let outcomes = slots.into_iter().filter_map(|slot| match slot {
            Slot::Ended(outcome) => Some(outcome),
            Slot::Begun | Slot::Cancelled | Slot::Taken => None,
        });
        outcomes.collect()
    }

    /// Sleeps until this task and all before it have ended, or until `deadline`; whether they have. One
    /// thread at a time waits here.
    ///
    /// ```
    /// use manyhands::block::Block;
    /// use std::time::Instant;
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first"]);
    /// assert!(!block.wait(0, Some(Instant::now())));
    /// drop(block.cancel());
    /// assert!(block.wait(0, None));
    /// ```
    pub fn wait(&self, index: usize, deadline: Option<Instant>) -> bool {
        let ended = || self.ended() > index;
        let patient = || deadline.is_none_or(|deadline| Instant::now() < deadline);
        if ended() || (patient() && spin::for_caller(ended)) {
            return true;
        }
        let mut body = self.body.lock();
        while !ended() {
            if !patient() {
                return false;
            }
            body.awaited = Some(index);
            body = self.moved.wait(body, deadline);
        }
        true
    }

    /// Moves all values into `values` that come one after the other from task `index` on, up to one
    /// that is none; how many these are.
    ///
    /// ```
    /// use manyhands::block::Block;
    /// use std::collections::VecDeque;
    ///
    /// let (block, mut values) = (Block::new(vec!["first", "second", "third"]), VecDeque::new());
    /// let [first, second] = [block.claim().unwrap(), block.claim().unwrap()];
    /// assert!(block.finish(first.index, Ok(1), || ()).is_ok());
    /// assert!(block.finish(second.index, Err("no luck"), || ()).is_ok());
    /// assert_eq!((block.take_values(0, &mut values), values), (1, VecDeque::from([1])));
    /// ```
    pub fn take_values(&self, index: usize, values: &mut VecDeque<T>) -> usize {
        if self.ended() <= index {
            return 0;
        }
        let before = values.len();
        let mut body = self.body.lock();
        let slots = body.slots.get_mut(index..).unwrap_or_default();
        values.extend(slots.iter_mut().map_while(Slot::take_value));
        values.len() - before
    }

    /// Moves out how a task has ended; `None` when it has not, or when this has gone.
    ///
    /// ```
    /// use manyhands::block::{Block, Ending};
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first"]);
    /// assert!(block.take(0).is_none());
    /// assert!(block.finish(block.claim().unwrap().index, Ok(1), || ()).is_ok());
    /// assert!(matches!(block.take(0), Some(Ending::Value(1))));
    /// assert!(block.take(0).is_none());
    /// ```
    pub fn take(&self, index: usize) -> Option<Ending<T, E>> {
        let mut body = self.body.lock();
        let slot = body.slots.get_mut(index)?;
        if matches!(slot, Slot::Begun) {
            return None;
        }
        match std::mem::replace(slot, Slot::Taken) {
            Slot::Ended(Ok(value)) => Some(Ending::Value(value)),
            Slot::Ended(Err(error)) => Some(Ending::Error(error)),
            Slot::Cancelled => Some(Ending::Cancelled),
            Slot::Begun | Slot::Taken => None,
        }
    }

    /// Shows a garbage collector what this block holds, always all of it; see
    /// [`Promise::trace`](crate::promise::Promise::trace). The jobs that are left come as one, and there are
    /// no watchers.
    ///
    /// # Errors
    /// The first one that `visit` gives.
    ///
    /// ```
    /// use manyhands::block::Block;
    /// use manyhands::promise::Held;
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first", "second", "third"]);
    /// assert!(block.finish(block.claim().unwrap().index, Ok(1), || ()).is_ok());
    /// let mut seen = Vec::new();
    /// let all: Result<(), ()> = block.trace(|held| {
    ///     seen.push(match held {
    ///         Held::Job(left) => left.as_slice().join(", "),
    ///         Held::Done(value) => value.to_string(),
    ///         Held::Failed(()) | Held::Watcher(()) => unreachable!("none has failed"),
    ///     });
    ///     Ok(())
    /// });
    /// assert!(all.is_ok());
    /// assert_eq!(seen, ["second, third", "1"]);
    /// ```
    pub fn trace<S>(
        &self,
        mut visit: impl FnMut(Held<'_, I, T, E, ()>) -> Result<(), S>,
    ) -> Result<(), S> {
        let body = self.body.lock();
        visit(Held::Job(&body.jobs))?;
        body.slots.iter().try_for_each(|slot| match slot {
            Slot::Ended(Ok(value)) => visit(Held::Done(value)),
            Slot::Ended(Err(error)) => visit(Held::Failed(error)),
            Slot::Begun | Slot::Cancelled | Slot::Taken => Ok(()),
        })
    }

    #[inline]
    fn next(&self, body: &mut Body<I, T, E>) -> Option<Claimed<I::Item>> {
        let index = self.len - body.jobs.len();
        let job = body.jobs.next()?;
        let left = body.jobs.len();
        self.left.store(left, Ordering::Release);
        if body.wanted {
            body.slots.push(Slot::Begun);
        }
        Some(Claimed { index, job, last: left == 0 })
    }

    /// Whether somebody is to be woken.
    #[inline]
    #[must_use]
    fn end(&self, body: &mut Body<I, T, E>, index: usize, how: Slot<T, E>) -> bool {
        if let Some(slot) = body.slots.get_mut(index) {
            *slot = how;
        }
        self.count_ended(body)
    }

    #[must_use]
    fn count_ended(&self, body: &mut Body<I, T, E>) -> bool {
        let mut ended = self.ended.load(Ordering::Relaxed);
        while body.slots.get(ended).is_some_and(|slot| !matches!(slot, Slot::Begun)) {
            ended += 1;
        }
        self.ended.store(ended, Ordering::Release);
        body.awaited.take_if(|awaited| *awaited < ended).is_some()
    }

    fn wake(&self, awaited: bool) {
        if awaited && !sabotaged("block_end_wakes_nobody") {
            self.moved.notify_all();
        }
    }
}

impl<T, E> Slot<T, E> {
    fn take_value(&mut self) -> Option<T> {
        if !matches!(self, Self::Ended(Ok(_))) {
            return None;
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Ended(Ok(value)) => Some(value),
            _ => None,
        }
    }
}

impl<I, T, E> fmt::Debug for Block<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.left.load(Ordering::Relaxed);
        let ended = self.ended.load(Ordering::Relaxed);
        f.debug_struct("Block").field("left", &left).field("ended", &ended).finish_non_exhaustive()
    }
}
