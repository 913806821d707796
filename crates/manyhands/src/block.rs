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
//! Here one [`Guard`] does for all, and a worker passes it once for each task: it leaves the outcome of the
//! last and takes the next.
//!
//! | field | guarded by | written by |
//! |---|---|---|
//! | `body.jobs` | the guard | `claim`, `finish_and_claim`, `cancel` take from its front, or all |
//! | `body.slots` | the guard | one for each task that has been begun or cancelled |
//! | `body.wanted` | the guard | `abandon`; from then on, nothing is kept here |
//! | `body.ended` | the guard | the tasks before the first that has not ended |
//! | `body.awaited` | the guard | `awaited`, before its caller may sleep |
//! | `left` | written under the guard, read without it | mirrors `jobs` |
//! | `ended` | only rises; read without the guard | what all may know of `body.ended`, in time |
//! | `asleep` | a lock, taken alone | who sleeps, and who wakes after `ended` has risen |
//!
//! The block calls nobody and drops nothing of its host's: what it has no use for, it gives back.

mod guard;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

pub use guard::{ByLock, Guard, Locked};

use crate::promise::Held;
use crate::spin;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, sabotaged};

/// Tasks that came in together. `I` gives what a worker needs to run each, `T` and `E` are the two kinds
/// of outcome, `G` says what guards them: its key opens most of what follows.
///
/// ```
/// use manyhands::block::{Block, Claimed, Ending};
/// use std::sync::Arc;
/// use std::vec::IntoIter;
///
/// fn work(squares: &Block<IntoIter<i32>, i32, String>) {
///     let mut next = squares.claim(());
///     while let Some(Claimed { index, job, .. }) = next {
///         let outcome = Ok(job * job);
///         next = match squares.finish_and_claim((), index, outcome, || ()) {
///             Ok(another) => Some(another),
///             Err(outcome) => {
///                 squares.tell(squares.finish((), index, outcome, || ()).unwrap());
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
///     assert!(squares.awaited((), index).wait(None));
///     let square = (index as i32 + 1).pow(2);
///     assert!(matches!(squares.take((), index), Some(Ending::Value(value)) if value == square));
/// }
/// # worker.join().unwrap();
/// ```
pub struct Block<I, T, E, G: Guard = ByLock> {
    len: usize,
    left: AtomicUsize,
    ended: AtomicUsize,
    body: G::Guarded<Body<I, T, E>>,
    /// Whether somebody sleeps.
    asleep: Mutex<bool>,
    moved: Condvar,
}

struct Body<I, T, E> {
    jobs: I,
    slots: Vec<Slot<T, E>>,
    wanted: bool,
    ended: usize,
    /// The task that somebody waits for, or will soon.
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

/// What has ended of a block, before anybody knows; see [`Block::tell`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "whoever waits for it sleeps until it is told"]
pub struct Finished {
    ended: usize,
}

/// A task that somebody is going to wait for; see [`Block::awaited`].
#[must_use = "it is there to be waited for"]
pub struct Awaited<'b, I, T, E, G: Guard = ByLock> {
    block: &'b Block<I, T, E, G>,
    index: usize,
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

impl<I: ExactSizeIterator + Default, T, E, G: Guard> Block<I, T, E, G> {
    /// Tasks that nobody has begun. `jobs` is asked for the next under the guard: it must call nobody.
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
        let body = G::guard(Body { jobs, slots, wanted: true, ended: 0, awaited: None });
        let (left, ended) = (AtomicUsize::new(len), AtomicUsize::new(0));
        Self { len, left, ended, body, asleep: Mutex::new(false), moved: Condvar::new() }
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

    /// How many tasks have ended before the first that has not, as far as it has been told.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    /// The next task, for one who will run it; `None` when none is left.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first", "second"]);
    /// let claimed = block.claim(()).unwrap();
    /// assert_eq!((claimed.index, claimed.job, claimed.last), (0, "first", false));
    /// let claimed = block.claim(()).unwrap();
    /// assert_eq!((claimed.index, claimed.job, claimed.last), (1, "second", true));
    /// assert!(block.claim(()).is_none());
    /// ```
    pub fn claim(&self, key: G::Key<'_>) -> Option<Claimed<I::Item>> {
        G::with(&self.body, key, |body| self.next(body))
    }

    /// Ends the task that was claimed as `index` and claims the next one. `publish` is called just before
    /// the outcome can be seen, under the guard.
    ///
    /// # Errors
    /// The outcome, when no other task is left or nobody wants the outcomes: nothing has changed.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first", "second"]);
    /// let first = block.claim(()).unwrap();
    /// let second = block.finish_and_claim((), first.index, Ok(1), || ()).unwrap();
    /// assert_eq!((second.job, block.ended()), ("second", 1));
    /// assert_eq!(block.finish_and_claim((), second.index, Ok(2), || ()).unwrap_err(), Ok(2));
    /// ```
    #[inline]
    pub fn finish_and_claim(
        &self,
        key: G::Key<'_>,
        index: usize,
        outcome: Result<T, E>,
        publish: impl FnOnce(),
    ) -> Result<Claimed<I::Item>, Result<T, E>> {
        let (next, awaited) = G::with(&self.body, key, |body| {
            if !body.wanted {
                return Err(outcome);
            }
            let Some(next) = self.next(body) else { return Err(outcome) };
            publish();
            let Finished { ended } = body.end(index, Slot::Ended(outcome));
            // Nobody has told of more: that would have ended before, or will later.
            self.ended.store(ended, Ordering::Release);
            Ok((next, body.awaited.take_if(|awaited| *awaited < ended).is_some()))
        })?;
        if awaited {
            self.wake();
        }
        Ok(next)
    }

    /// Ends the task that was claimed as `index`, and leaves it to the caller when to [`tell`](Block::tell). `publish`
    /// is called before that, under the guard: one who ends another task may tell of this one too.
    ///
    /// # Errors
    /// The outcome, when nobody wants it; `publish` has not been called.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first"]);
    /// let first = block.claim(()).unwrap();
    /// assert!(block.abandon(()).is_empty());
    /// assert_eq!(block.finish((), first.index, Ok(1), || unreachable!()), Err(Ok(1)));
    /// ```
    pub fn finish(
        &self,
        key: G::Key<'_>,
        index: usize,
        outcome: Result<T, E>,
        publish: impl FnOnce(),
    ) -> Result<Finished, Result<T, E>> {
        G::with(&self.body, key, |body| {
            if !body.wanted {
                return Err(outcome);
            }
            publish();
            Ok(body.end(index, Slot::Ended(outcome)))
        })
    }

    /// Cancels the task that was claimed as `index`: it has not been run after all.
    ///
    /// ```
    /// use manyhands::block::{Block, Ending};
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first"]);
    /// block.withdraw((), block.claim(()).unwrap().index);
    /// assert!(matches!(block.take((), 0), Some(Ending::Cancelled)));
    /// ```
    pub fn withdraw(&self, key: G::Key<'_>, index: usize) {
        let end = |body: &mut Body<I, T, E>| body.wanted.then(|| body.end(index, Slot::Cancelled));
        if let Some(finished) = G::with(&self.body, key, end) {
            self.tell(finished);
        }
    }

    /// Lets all see what has ended, and wakes who waits for it.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first"]);
    /// let finished = block.finish((), block.claim(()).unwrap().index, Ok(1), || ()).unwrap();
    /// assert_eq!(block.ended(), 0);
    /// block.tell(finished);
    /// assert_eq!(block.ended(), 1);
    /// ```
    pub fn tell(&self, Finished { ended }: Finished) {
        if sabotaged("block_tells_less_than_is_known") {
            self.ended.store(ended, Ordering::Release);
        } else {
            self.ended.fetch_max(ended, Ordering::Release);
        }
        // Whether it is awaited or not: one who says so after it has ended and before it is told has not been heard.
        self.wake();
    }

    /// Cancels all tasks that nobody has begun, and gives back what they would have needed.
    ///
    /// ```
    /// use manyhands::block::Block;
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first", "second"]);
    /// let _running = block.claim(());
    /// assert!(block.cancel(()).eq(["second"]));
    /// assert_eq!((block.left(), block.ended()), (0, 0));
    /// ```
    #[must_use = "the host drops it where it may"]
    pub fn cancel(&self, key: G::Key<'_>) -> I {
        let (jobs, finished) = G::with(&self.body, key, |body| {
            let jobs = std::mem::take(&mut body.jobs);
            self.left.store(0, Ordering::Release);
            if body.wanted {
                body.slots.extend((0..jobs.len()).map(|_| Slot::Cancelled));
            }
            (jobs, body.count_ended())
        });
        if !sabotaged("block_cancel_wakes_nobody") {
            self.tell(finished);
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
    /// let first = block.claim(()).unwrap();
    /// block.tell(block.finish((), first.index, Ok(1), || ()).unwrap());
    /// assert_eq!((block.abandon(()), block.left()), (vec![Ok(1)], 1));
    /// ```
    #[must_use = "the host drops it where it may"]
    pub fn abandon(&self, key: G::Key<'_>) -> Vec<Result<T, E>> {
        let slots = G::with(&self.body, key, |body| {
            if !sabotaged("block_forgets_that_nobody_wants_it") {
                body.wanted = false;
            }
            std::mem::take(&mut body.slots)
        });
        let outcomes = slots.into_iter().filter_map(|slot| match slot {
            Slot::Ended(outcome) => Some(outcome),
            Slot::Begun | Slot::Cancelled | Slot::Taken => None,
        });
        outcomes.collect()
    }

    /// Says that the caller is going to wait until this task and all before it have ended. One thread at a
    /// time does, for one task at a time.
    ///
    /// ```
    /// use manyhands::block::Block;
    /// use std::time::Instant;
    ///
    /// let block: Block<_, (), ()> = Block::new(vec!["first"]);
    /// let first = block.awaited((), 0);
    /// assert!(!first.wait(Some(Instant::now())));
    /// drop(block.cancel(()));
    /// assert!(first.wait(None));
    /// ```
    pub fn awaited(&self, key: G::Key<'_>, index: usize) -> Awaited<'_, I, T, E, G> {
        if !sabotaged("block_forgets_who_waits") {
            G::with(&self.body, key, |body| body.awaited = Some(index));
        }
        Awaited { block: self, index }
    }

    /// Moves all values into `values` that come one after the other from task `index` on, up to one
    /// that is none or that nobody has told of; how many these are.
    ///
    /// ```
    /// use manyhands::block::Block;
    /// use std::collections::VecDeque;
    ///
    /// let block: Block<_, _, _> = Block::new(vec!["first", "second", "third"]);
    /// let mut values = VecDeque::new();
    /// let [first, second] = [block.claim(()).unwrap(), block.claim(()).unwrap()];
    /// block.tell(block.finish((), first.index, Ok(1), || ()).unwrap());
    /// block.tell(block.finish((), second.index, Err("no luck"), || ()).unwrap());
    /// assert_eq!((block.take_values((), 0, &mut values), values), (1, VecDeque::from([1])));
    /// ```
    pub fn take_values(&self, key: G::Key<'_>, index: usize, values: &mut VecDeque<T>) -> usize {
        let ended = self.ended();
        if ended <= index {
            return 0;
        }
        let before = values.len();
        G::with(&self.body, key, |body| {
            let slots = body.slots.get_mut(index..ended).unwrap_or_default();
            values.extend(slots.iter_mut().map_while(Slot::take_value));
        });
        values.len() - before
    }

    /// Moves out how a task has ended; `None` when this is not known, or has gone.
    ///
    /// ```
    /// use manyhands::block::{Block, Ending};
    ///
    /// let block: Block<_, i32, ()> = Block::new(vec!["first"]);
    /// assert!(block.take((), 0).is_none());
    /// block.tell(block.finish((), block.claim(()).unwrap().index, Ok(1), || ()).unwrap());
    /// assert!(matches!(block.take((), 0), Some(Ending::Value(1))));
    /// assert!(block.take((), 0).is_none());
    /// ```
    pub fn take(&self, key: G::Key<'_>, index: usize) -> Option<Ending<T, E>> {
        if self.ended() <= index {
            return None;
        }
        G::with(&self.body, key, |body| {
            match std::mem::replace(body.slots.get_mut(index)?, Slot::Taken) {
                Slot::Ended(Ok(value)) => Some(Ending::Value(value)),
                Slot::Ended(Err(error)) => Some(Ending::Error(error)),
                Slot::Cancelled => Some(Ending::Cancelled),
                Slot::Begun | Slot::Taken => None,
            }
        })
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
    /// block.tell(block.finish((), block.claim(()).unwrap().index, Ok(1), || ()).unwrap());
    /// let mut seen = Vec::new();
    /// let all: Result<(), ()> = block.trace((), |held| {
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
        key: G::Key<'_>,
        mut visit: impl FnMut(Held<'_, I, T, E, ()>) -> Result<(), S>,
    ) -> Result<(), S> {
        G::with(&self.body, key, |body| {
            visit(Held::Job(&body.jobs))?;
            body.slots.iter().try_for_each(|slot| match slot {
                Slot::Ended(Ok(value)) => visit(Held::Done(value)),
                Slot::Ended(Err(error)) => visit(Held::Failed(error)),
                Slot::Begun | Slot::Cancelled | Slot::Taken => Ok(()),
            })
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
}

impl<I, T, E, G: Guard> Block<I, T, E, G> {
    /// To be called when `ended` has risen beyond a task that may be awaited.
    fn wake(&self) {
        if *self.asleep.lock() && !sabotaged("block_end_wakes_nobody") {
            self.moved.notify_all();
        }
    }
}

impl<I, T, E, G: Guard> Awaited<'_, I, T, E, G> {
    /// Sleeps until it and all before it have ended, or until `deadline`; whether they have.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        let block = self.block;
        let ended = || block.ended.load(Ordering::Acquire) > self.index;
        let patient = || deadline.is_none_or(|deadline| Instant::now() < deadline);
        if ended() || (patient() && spin::for_caller(ended)) {
            return true;
        }
        let mut asleep = block.asleep.lock();
        while !ended() {
            if !patient() {
                return false;
            }
            *asleep = true;
            asleep = block.moved.wait(asleep, deadline);
            *asleep = false;
        }
        true
    }
}

impl<I, T, E> Body<I, T, E> {
    #[inline]
    fn end(&mut self, index: usize, how: Slot<T, E>) -> Finished {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = how;
        }
        self.count_ended()
    }

    #[inline]
    fn count_ended(&mut self) -> Finished {
        while self.slots.get(self.ended).is_some_and(|slot| !matches!(slot, Slot::Begun)) {
            self.ended += 1;
        }
        Finished { ended: self.ended }
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

impl<I, T, E, G: Guard> fmt::Debug for Block<I, T, E, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.left.load(Ordering::Relaxed);
        let ended = self.ended.load(Ordering::Relaxed);
        f.debug_struct("Block").field("left", &left).field("ended", &ended).finish_non_exhaustive()
    }
}

impl<I, T, E, G: Guard> fmt::Debug for Awaited<'_, I, T, E, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awaited").field("index", &self.index).finish_non_exhaustive()
    }
}
