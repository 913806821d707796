//! `Executor`: all that an executor must be, and all that comes on top of it.
//!
//! An executor of one's own implements two methods: [`execute`](Executor::execute), which takes a
//! [`Job`] and runs it some time, somewhere, and [`shutdown`](Executor::shutdown). Everything else,
//! from [`submit`](Executor::submit) to [`run_to_results`](Executor::run_to_results), is written
//! once, here, on top of these.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::call_site::CallSite;
use crate::compose::{self, Futures};
use crate::crossing::Cross;
use crate::errors::Refused;
use crate::function::{Fallible, Function, Plain};
use crate::future::{Core, Future};
use crate::future_list::{FutureList, RunToResults};
use crate::job::Job;
use crate::map::Map;
use crate::promise::{Cancel, Promise};
use crate::step::{Each, Star, TryEach, TryStar};
use crate::wait::ReturnWhen;

/// Runs tasks and hands out futures for them.
///
/// A task is a function and a tuple of its arguments ([`submit`](Self::submit)), or a closure
/// ([`spawn`](Self::spawn)). A function of the `try_` family returns a `Result`, whose `Err`
/// becomes the task's exception, as in [`Iterator::try_for_each`].
///
/// The same generic code runs on every executor; which one is decided in one line:
///
/// ```
/// use manyhands::{Executor, InlineExecutor, ThreadPoolExecutor};
///
/// fn sum_of_squares(executor: &impl Executor) -> Result<u64, Box<dyn std::error::Error>> {
///     let mut sum = 0;
///     for square in executor.map(|n: u64| n * n, 1..=10) {
///         sum += square?;
///     }
///     Ok(sum)
/// }
///
/// assert_eq!(sum_of_squares(&ThreadPoolExecutor::new(2)?)?, 385);
/// assert_eq!(sum_of_squares(&InlineExecutor::new())?, 385);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Pointers to executors are executors: a `Box<dyn Executor>` or an `Arc<dyn Executor>`, chosen at
/// run time, has all the methods. So has a `&dyn Executor`, where it is passed on as
/// `&impl Executor` or called through one more reference:
///
/// ```
/// use manyhands::{Executor, InlineExecutor};
///
/// fn answer(executor: &dyn Executor) -> Result<i32, Box<dyn std::error::Error>> {
///     Ok((&executor).spawn(|| 6 * 7)?.result(None)?)
/// }
///
/// let boxed: Box<dyn Executor> = Box::new(InlineExecutor::new());
/// assert_eq!(boxed.spawn(|| 6 * 7)?.result(None)?, 42);
/// assert_eq!(answer(&*boxed)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Executor: Send + Sync {
    /// Accepts a job, to run it by [`Job::run`] some time, here or in another thread. A job that is
    /// dropped instead cancels its future, so that no one waits for it in vain.
    ///
    /// # Errors
    /// [`Refused`] with the job, if it is not accepted.
    ///
    /// ```
    /// use manyhands::{Executor, Job, Refused};
    ///
    /// struct ThreadPerTask;
    ///
    /// impl Executor for ThreadPerTask {
    ///     fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
    ///         std::thread::spawn(|| job.run());
    ///         Ok(())
    ///     }
    ///
    ///     fn shutdown(&self, _wait: bool, _cancel_futures: bool) {} // it keeps no threads
    /// }
    ///
    /// assert_eq!(ThreadPerTask.spawn(|| 6 * 7)?.result(None)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>>;

    /// Accepts nothing from now on. What is pending still runs, unless `cancel_futures` cancels it;
    /// with `wait`, returns when all of it has ended. May be called more than once. Called from one
    /// of the executor's own tasks it cannot wait for itself, and returns at once.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let future = pool.spawn(|| 6 * 7)?;
    /// pool.shutdown(true, false);
    /// assert!(future.done());
    /// assert!(pool.spawn(|| 6 * 7).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn shutdown(&self, wait: bool, cancel_futures: bool);

    /// Submits `function(args…)`.
    ///
    /// # Errors
    /// [`Refused`] with the function and its arguments: after shutdown, when a bounded queue is
    /// full, or when the executor is broken.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// assert_eq!(pool.submit(u32::pow, (2, 5))?.result(None)?, 32);
    ///
    /// pool.shutdown(true, false);
    /// let refused = pool.submit(u32::pow, (2, 5)).unwrap_err();
    /// assert_eq!(refused.to_string(), "task refused: cannot schedule new futures after shutdown");
    /// assert_eq!(refused.task.1, (2, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn submit<F, A>(&self, function: F, args: A) -> Result<Future<F::Output>, Refused<(F, A)>>
    where
        F: Function<A> + Send + 'static,
        A: Send + 'static,
        F::Output: Send + 'static,
        Self: Sized,
    {
        start(self, Plain(function, args)).map_err(|refused| give_back(refused, |c| (c.0, c.1)))
    }

    /// Submits a function that returns a `Result`; its `Err` is the task's exception.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let future = InlineExecutor::new().try_submit(std::fs::read, ("no such file",))?;
    /// assert!(future.exception(None)?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn try_submit<F, A, T, E>(&self, function: F, args: A) -> Result<Future<T, E>, Refused<(F, A)>>
    where
        F: Function<A, Output = Result<T, E>> + Send + 'static,
        A: Send + 'static,
        T: Send + 'static,
        E: Send + Sync + 'static,
        Self: Sized,
    {
        start(self, Fallible(function, args)).map_err(|refused| give_back(refused, |c| (c.0, c.1)))
    }

    /// Submits a closure.
    ///
    /// # Errors
    /// [`Refused`] with the closure, as [`submit`](Self::submit).
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let word = String::from("four");
    /// let future = InlineExecutor::new().spawn(move || word.len())?;
    /// assert_eq!(future.result(None)?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn spawn<F, T>(&self, closure: F) -> Result<Future<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
        Self: Sized,
    {
        start(self, Plain(closure, ())).map_err(|refused| give_back(refused, |c| c.0))
    }

    /// Submits a closure that returns a `Result`; its `Err` is the task's exception.
    ///
    /// # Errors
    /// [`Refused`] with the closure, as [`submit`](Self::submit).
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let future = InlineExecutor::new().try_spawn(|| "17".parse::<u8>())?;
    /// assert_eq!(future.result(None)?, 17);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn try_spawn<F, T, E>(&self, closure: F) -> Result<Future<T, E>, Refused<F>>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + Sync + 'static,
        Self: Sized,
    {
        start(self, Fallible(closure, ())).map_err(|refused| give_back(refused, |c| c.0))
    }

    /// Submits `function(values…)` as soon as these futures have their values: futures as arguments. If
    /// one fails, the task is not run and fails at once with
    /// [`Exception::Dependency`](crate::Exception::Dependency), which says why; if one is cancelled, so is
    /// the task. Until it begins, the task itself can be cancelled, which the futures know nothing of. An
    /// argument that is there already is a [`Future::ready`], many futures are a
    /// [`join_all`](crate::join_all). The values are moved out of the futures.
    ///
    /// The executor has to be there when the time comes, so this is for those that can be cloned: an
    /// `Arc` of one. Should it refuse the task then, that is the task's exception.
    ///
    /// ```
    /// use manyhands::{Executor, Future, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let pool = Arc::new(ThreadPoolExecutor::new(2)?);
    /// let (two, five) = (pool.spawn(|| 2)?, pool.spawn(|| 5)?);
    /// let power = pool.submit_after(u32::pow, (two, five));
    /// let more = pool.submit_after(|a: u32, b: u32| a + b, (power, Future::<u32>::ready(10)));
    /// assert_eq!(more.result(None)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn submit_after<F, D>(&self, function: F, futures: D) -> Future<F::Output>
    where
        F: Function<D::Values> + Send + 'static,
        F::Output: Send + 'static,
        D: Futures,
        Self: Clone + 'static,
    {
        compose::submit_after(Location::caller(), self.clone(), function, futures, Plain)
    }

    /// As [`submit_after`](Self::submit_after), for a function that returns a `Result`.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let pool = Arc::new(ThreadPoolExecutor::new(2)?);
    /// let word = pool.spawn(|| "17")?;
    /// let number = pool.try_submit_after(str::parse::<u8>, (word,));
    /// assert_eq!(number.result(None)?, 17);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn try_submit_after<F, D, T, E>(&self, function: F, futures: D) -> Future<T, E>
    where
        F: Function<D::Values, Output = Result<T, E>> + Send + 'static,
        D: Futures,
        T: Send + 'static,
        E: Send + Sync + 'static,
        Self: Clone + 'static,
    {
        compose::submit_after(Location::caller(), self.clone(), function, futures, Fallible)
    }

    /// Calls `function` with each item, several at a time; the results come in the order of the
    /// items. See [`Map`] for its options: a limit on what is in flight, a timeout, several items a
    /// task, results as they complete.
    ///
    /// ```
    /// use manyhands::{Executor, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let lengths: Result<Vec<_>, _> = pool.map(str::len, ["one", "three"]).collect();
    /// assert_eq!(lengths?, [3, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn map<F, I, T>(&self, function: F, items: I) -> Map<'_, Self, I::IntoIter, Each<F>>
    where
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Send + 'static,
        T: Send + 'static,
        Self: Sized,
    {
        Map::new(self, Each(function), items.into_iter())
    }

    /// As [`map`](Self::map), for a function that returns a `Result`.
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let inline = InlineExecutor::new();
    /// let numbers: Vec<_> = inline.try_map(str::parse::<u8>, ["7", "x", "9"]).collect();
    /// assert!(matches!(numbers[..], [Ok(7), Err(_)])); // the first error ends it
    /// ```
    #[track_caller]
    fn try_map<F, I, T, E>(&self, function: F, items: I) -> Map<'_, Self, I::IntoIter, TryEach<F>>
    where
        F: Fn(I::Item) -> Result<T, E> + Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Send + 'static,
        T: Send + 'static,
        E: Send + Sync + 'static,
        Self: Sized,
    {
        Map::new(self, TryEach(function), items.into_iter())
    }

    /// As [`map`](Self::map), over tuples of arguments: several iterables in step are zipped.
    /// (Python's `map(f, a, b)`, and its `itertools.starmap`.)
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let inline = InlineExecutor::new();
    /// let pairs = std::iter::zip([2, 3], [5, 4]);
    /// let powers: Result<Vec<_>, _> = inline.starmap(u32::pow, pairs).collect();
    /// assert_eq!(powers?, [32, 81]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn starmap<F, I, T>(&self, function: F, items: I) -> Map<'_, Self, I::IntoIter, Star<F>>
    where
        F: Function<I::Item, Output = T> + Clone + Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Send + 'static,
        T: Send + 'static,
        Self: Sized,
    {
        Map::new(self, Star(function), items.into_iter())
    }

    /// As [`starmap`](Self::starmap), for a function that returns a `Result`.
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let inline = InlineExecutor::new();
    /// let calls = [("ff", 16), ("12", 2)];
    /// let numbers: Vec<_> = inline.try_starmap(u8::from_str_radix, calls).collect();
    /// assert!(matches!(numbers[..], [Ok(255), Err(_)]));
    /// ```
    #[track_caller]
    fn try_starmap<F, I, T, E>(
        &self,
        function: F,
        items: I,
    ) -> Map<'_, Self, I::IntoIter, TryStar<F>>
    where
        F: Function<I::Item, Output = Result<T, E>> + Clone + Send + Sync + 'static,
        I: IntoIterator,
        I::Item: Send + 'static,
        T: Send + 'static,
        E: Send + Sync + 'static,
        Self: Sized,
    {
        Map::new(self, TryStar(function), items.into_iter())
    }

    /// Submits `calls` and waits as [`wait`](crate::wait) does. (The 2009 proposal's method; there,
    /// too, it waits by default for all to complete.)
    ///
    /// # Errors
    /// [`Refused`] with the first call that was not accepted; those before it are cancelled.
    ///
    /// ```
    /// use manyhands::{Executor, ReturnWhen, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let calls = ["1", "two"].map(|word| move || word.parse::<u8>());
    /// let list = pool.run_to_futures(calls, None, ReturnWhen::AllCompleted)?;
    /// assert!(list.has_exception_futures());
    /// assert_eq!(list.successful_futures().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn run_to_futures<C, T, E>(
        &self,
        calls: impl IntoIterator<Item = C>,
        timeout: impl Into<Option<Duration>>,
        return_when: ReturnWhen,
    ) -> Result<FutureList<T, E>, Refused<C>>
    where
        C: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + Sync + 'static,
        Self: Sized,
    {
        let list = FutureList::submit(self, calls)?;
        list.wait(timeout, return_when);
        Ok(list)
    }

    /// Submits `calls` and iterates over their results, in order; the `timeout` counts from this
    /// call. The rest is cancelled at the first failure, or when the iterator is dropped. (The 2009
    /// proposal's method.)
    ///
    /// # Errors
    /// As [`run_to_futures`](Self::run_to_futures).
    ///
    /// ```
    /// use manyhands::{Executor, InlineExecutor};
    ///
    /// let calls = ["1", "2"].map(|word| move || word.parse::<u8>());
    /// let inline = InlineExecutor::new();
    /// let results: Result<Vec<_>, _> = inline.run_to_results(calls, None)?.collect();
    /// assert_eq!(results?, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn run_to_results<C, T, E>(
        &self,
        calls: impl IntoIterator<Item = C>,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<RunToResults<T, E>, Refused<C>>
    where
        C: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + Sync + 'static,
        Self: Sized,
    {
        let timeout = timeout.into();
        Ok(RunToResults::new(FutureList::submit(self, calls)?, timeout))
    }
}

macro_rules! through_pointer {
    ($($pointer:ty),*) => {$(
        impl<X: Executor + ?Sized> Executor for $pointer {
            fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
                (**self).execute(job)
            }

            fn shutdown(&self, wait: bool, cancel_futures: bool) {
                (**self).shutdown(wait, cancel_futures);
            }
        }
    )*};
}

through_pointer!(&X, Box<X>, Arc<X>);

#[track_caller]
fn start<X, C>(executor: &X, call: C) -> Result<Future<C::Value, C::Error>, Refused<C>>
where
    X: Executor,
    C: Cross,
    C::Value: Send + 'static,
    C::Error: Send + Sync + 'static,
{
    start_from(Location::caller(), executor, call)
}

/// Gives a call to an executor: one allocation holds its job and its promise. `place` is where it was
/// submitted.
pub(crate) fn start_from<X, C>(
    place: &'static Location<'static>,
    executor: &X,
    call: C,
) -> Result<Future<C::Value, C::Error>, Refused<C>>
where
    X: Executor,
    C: Cross,
    C::Value: Send + 'static,
    C::Error: Send + Sync + 'static,
{
    let core: Arc<Core<C, C::Value, C::Error>> =
        Arc::new(Promise::placed(call, CallSite::of(place)));
    match executor.execute(Job::new(Arc::clone(&core) as _)) {
        Ok(()) => Ok(Future::task(core)),
        Err(refused) => match core.cancel() {
            Cancel::Now(Some(call), _) => Err(Refused { reason: refused.reason, task: call }),
            // The executor has run or cancelled the job it says it refuses: the future tells more.
            _ => Ok(Future::task(core)),
        },
    }
}

fn give_back<C, T>(refused: Refused<C>, unpack: impl FnOnce(C) -> T) -> Refused<T> {
    Refused { reason: refused.reason, task: unpack(refused.task) }
}
