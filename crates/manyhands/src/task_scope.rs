//! `task_scope`: tasks that live and die together. The first failure cancels the others, and nothing is
//! left running when the scope is left.
//!
//! A scope's tasks are entered in a list before they are submitted and leave it when they end. Who
//! fails first closes the list and cancels what is in it; the end of the scope waits for each that is
//! left. It waits by way of the futures, so that all that is done for a thread that waits is done here.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::errors::{Reason, Refused, ScopeFailed};
use crate::executor::Executor;
use crate::function::Function;
use crate::future::Future;
use crate::sync::{Condvar, Mutex};

/// Calls `f` with a scope whose tasks run on this executor, and waits until all of them have ended,
/// also when `f` panics. When a task fails, the others are cancelled: pending ones are not run, running
/// ones are ended where the executor can do that (worker processes), and elsewhere can ask their
/// [`Stop`]. Then the scope accepts no more tasks.
///
/// Tasks borrow nothing here. For those that do there is
/// [`ThreadPoolBuilder::scope`](crate::ThreadPoolBuilder::scope).
///
/// # Errors
/// [`ScopeFailed`] with the first failure of a task, whatever `f` returned. A cancelled task is no
/// failure.
///
/// ```
/// use manyhands::{ThreadPoolExecutor, task_scope};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let sum = task_scope(&pool, |scope| -> Result<i32, Box<dyn std::error::Error>> {
///     let (a, b) = (scope.spawn(|| 40)?, scope.spawn(|| 2)?);
///     Ok(a.result(None)? + b.result(None)?)
/// })?;
/// assert_eq!(sum?, 42);
///
/// let failed = task_scope(&pool, |scope| {
///     let stop = scope.stop();
///     let endless = move || while !stop.is_requested() {};
///     scope.spawn(endless).unwrap(); // ends when the other one fails
///     scope.try_spawn(|| "x".parse::<u8>()).unwrap();
/// });
/// assert!(failed.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn task_scope<X: Executor, R>(
    executor: X,
    f: impl FnOnce(&TaskScope<X>) -> R,
) -> Result<R, ScopeFailed> {
    let scope = TaskScope { executor, tasks: Arc::new(Tasks::new()) };
    let mut leaving = Leaving { tasks: &scope.tasks, in_peace: false };
    let result = f(&scope);
    leaving.in_peace = true;
    drop(leaving);
    match scope.tasks.failure() {
        None => Ok(result),
        Some(failed) => Err(failed),
    }
}

/// Where the tasks of a [`task_scope`] are submitted. A clone, of an executor that can be cloned, can be
/// taken into tasks that submit more.
#[derive(Clone)]
pub struct TaskScope<X> {
    executor: X,
    tasks: Arc<Tasks>,
}

impl<X: Executor> TaskScope<X> {
    /// As [`Executor::spawn`].
    ///
    /// # Errors
    /// [`Refused`] with the closure: as the executor does, or when the scope has failed or been left.
    ///
    /// ```
    /// use manyhands::{InlineExecutor, task_scope};
    ///
    /// let inline = InlineExecutor::new();
    /// let answer = task_scope(&inline, |scope| scope.spawn(|| 6 * 7).unwrap())?;
    /// assert_eq!(answer.result(None).unwrap(), 42);
    /// # Ok::<(), manyhands::ScopeFailed>(())
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(&self, closure: F) -> Result<Future<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let entry = match self.tasks.enter() {
            Ok(entry) => entry,
            Err(reason) => return Err(Refused { reason, task: closure }),
        };
        Ok(entry.watch(self.executor.spawn(closure)?))
    }

    /// As [`Executor::try_spawn`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// ```
    /// use manyhands::{InlineExecutor, task_scope};
    ///
    /// let inline = InlineExecutor::new();
    /// let number = task_scope(&inline, |scope| scope.try_spawn(|| "17".parse::<u8>()).unwrap())?;
    /// assert_eq!(number.result(None).unwrap(), 17);
    /// # Ok::<(), manyhands::ScopeFailed>(())
    /// ```
    #[track_caller]
    pub fn try_spawn<F, T, E>(&self, closure: F) -> Result<Future<T, E>, Refused<F>>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        let entry = match self.tasks.enter() {
            Ok(entry) => entry,
            Err(reason) => return Err(Refused { reason, task: closure }),
        };
        Ok(entry.watch(self.executor.try_spawn(closure)?))
    }

    /// As [`Executor::submit`].
    ///
    /// # Errors
    /// [`Refused`] with the function and its arguments, when [`spawn`](Self::spawn) would refuse.
    ///
    /// ```
    /// use manyhands::{InlineExecutor, task_scope};
    ///
    /// let inline = InlineExecutor::new();
    /// let power = task_scope(&inline, |scope| scope.submit(u32::pow, (2, 5)).unwrap())?;
    /// assert_eq!(power.result(None).unwrap(), 32);
    /// # Ok::<(), manyhands::ScopeFailed>(())
    /// ```
    #[track_caller]
    pub fn submit<F, A>(&self, function: F, args: A) -> Result<Future<F::Output>, Refused<(F, A)>>
    where
        F: Function<A> + Send + 'static,
        A: Send + 'static,
        F::Output: Send + 'static,
    {
        let entry = match self.tasks.enter() {
            Ok(entry) => entry,
            Err(reason) => return Err(Refused { reason, task: (function, args) }),
        };
        Ok(entry.watch(self.executor.submit(function, args)?))
    }

    /// As [`Executor::try_submit`].
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    ///
    /// ```
    /// use manyhands::{InlineExecutor, task_scope};
    ///
    /// let inline = InlineExecutor::new();
    /// let number = task_scope(&inline, |scope| scope.try_submit(str::parse::<u8>, ("17",)).unwrap())?;
    /// assert_eq!(number.result(None).unwrap(), 17);
    /// # Ok::<(), manyhands::ScopeFailed>(())
    /// ```
    #[track_caller]
    pub fn try_submit<F, A, T, E>(
        &self,
        function: F,
        args: A,
    ) -> Result<Future<T, E>, Refused<(F, A)>>
    where
        F: Function<A, Output = Result<T, E>> + Send + 'static,
        A: Send + 'static,
        T: Send + 'static,
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        let entry = match self.tasks.enter() {
            Ok(entry) => entry,
            Err(reason) => return Err(Refused { reason, task: (function, args) }),
        };
        Ok(entry.watch(self.executor.try_submit(function, args)?))
    }
}

impl<X> TaskScope<X> {
    /// What tasks can ask that run where nobody can end them.
    pub fn stop(&self) -> Stop {
        Stop(Arc::clone(&self.tasks))
    }

    /// Cancels all tasks there are, and accepts no more. By itself, that is no failure of the scope.
    ///
    /// ```
    /// use manyhands::{ThreadPoolExecutor, task_scope};
    /// use std::sync::mpsc;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let (starting, started) = mpsc::channel();
    /// task_scope(&pool, |scope| {
    ///     let stop = scope.stop();
    ///     let first = move || { starting.send(()).unwrap(); while !stop.is_requested() {} };
    ///     scope.spawn(first).unwrap();
    ///     started.recv().unwrap();
    ///     let pending = scope.spawn(|| ()).unwrap();
    ///     scope.cancel();
    ///     assert!(pending.cancelled() && scope.spawn(|| ()).is_err());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) {
        self.tasks.cancel(None);
    }
}

impl<X> fmt::Debug for TaskScope<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.tasks.list.lock();
        f.debug_struct("TaskScope")
            .field("tasks", &list.living.len())
            .field("failed", &list.failure)
            .finish_non_exhaustive()
    }
}

/// Whether the tasks of a scope should come to an end; see [`task_scope`] for one in use.
#[derive(Clone)]
pub struct Stop(Arc<Tasks>);

impl Stop {
    /// Whether another task has failed, or the scope was cancelled.
    pub fn is_requested(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.is_requested()).finish()
    }
}

/// The tasks of a scope that have not ended.
struct Tasks {
    list: Mutex<List>,
    left: Condvar,
    /// Follows `list.cancelled`.
    stop: AtomicBool,
}

struct List {
    entered: u64,
    /// Those that are just being submitted have no future yet.
    living: HashMap<u64, Option<Arc<dyn Living>>>,
    closed: bool,
    cancelled: bool,
    /// The first failure, unless the scope was cancelled before it.
    failure: Option<ScopeFailed>,
}

/// A future of any type.
trait Living: Send + Sync {
    fn cancel(&self);
    fn wait(&self);
}

impl<T: Send, E: Send + Sync> Living for Future<T, E> {
    fn cancel(&self) {
        self.cancel_running();
    }

    fn wait(&self) {
        // In a deadlock the task is told too, and will end.
        while self.wait_before(None).is_err() {}
    }
}

impl Tasks {
    fn new() -> Self {
        let list = List {
            entered: 0,
            living: HashMap::new(),
            closed: false,
            cancelled: false,
            failure: None,
        };
        Self { list: Mutex::new(list), left: Condvar::new(), stop: AtomicBool::new(false) }
    }

    fn enter(self: &Arc<Self>) -> Result<Entry, Reason> {
        let mut list = self.list.lock();
        if list.closed {
            return Err(Reason::ScopeOver);
        }
        list.entered += 1;
        let number = list.entered;
        list.living.insert(number, None);
        Ok(Entry { tasks: Arc::clone(self), number })
    }

    fn cancel(&self, failure: Option<ScopeFailed>) {
        let mut list = self.list.lock();
        if !list.cancelled {
            list.failure = failure;
        }
        (list.closed, list.cancelled) = (true, true);
        let living: Vec<_> = list.living.values().flatten().cloned().collect();
        drop(list);
        for task in living {
            task.cancel();
        }
        // Last: a worker that stops what it runs would take the next.
        self.stop.store(true, Ordering::Relaxed);
    }

    fn wait_for_all(&self) {
        let mut list = self.list.lock();
        loop {
            let known =
                list.living.iter().find_map(|(number, task)| Some((*number, task.clone()?)));
            if let Some((number, task)) = known {
                drop(list);
                task.wait();
                list = self.list.lock();
                // It leaves the list a moment after it has ended.
                while list.living.contains_key(&number) {
                    list = self.left.wait(list, None);
                }
            } else if list.living.is_empty() {
                list.closed = true;
                return;
            } else {
                list = self.left.wait(list, None);
            }
        }
    }

    fn failure(&self) -> Option<ScopeFailed> {
        self.list.lock().failure.clone()
    }
}

/// A task's place in the list; dropped without a future, it is free again.
struct Entry {
    tasks: Arc<Tasks>,
    number: u64,
}

impl Entry {
    fn watch<T, E>(self, future: Future<T, E>) -> Future<T, E>
    where
        T: Send + 'static,
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        let mut list = self.tasks.list.lock();
        if let Some(task) = list.living.get_mut(&self.number) {
            *task = Some(Arc::new(future.clone()));
        }
        let cancelled = list.cancelled;
        drop(list);
        // The scope failed when this task was on its way.
        if cancelled {
            future.cancel_running();
        }
        future.add_done_callback(move |future| {
            if let Ok(Some(exception)) = future.exception(None) {
                self.tasks.cancel(Some(ScopeFailed::new(exception)));
            }
            drop(self);
        });
        future
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let task = self.tasks.list.lock().living.remove(&self.number);
        self.tasks.left.notify_all();
        drop(task);
    }
}

/// Leaves the scope: in peace, what is pending still runs; when its closure has panicked, nobody wants
/// that any more.
struct Leaving<'a> {
    tasks: &'a Tasks,
    in_peace: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.in_peace {
            self.tasks.cancel(None);
        }
        self.tasks.wait_for_all();
    }
}
