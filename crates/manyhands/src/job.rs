//! `Job`: a task on its way to be run. One allocation holds it and its future.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};

use crate::call_site::CallSite;
use crate::crossing::{Cross, FunctionType, Remote};
use crate::errors::{BrokenExecutor, Exception};
use crate::function::attempt;
use crate::future::{Core, Future, tell};
use crate::nested::graph::TaskId;
use crate::nested::{self, Running, Source, Sources};
use crate::panic;
use crate::promise::Promise;

/// A task on its way to be run: what an executor is given.
///
/// It is run once, by [`run`](Self::run). One that is dropped unrun cancels its future.
///
/// ```
/// use manyhands::{Executor, Job, Refused};
/// use std::sync::Mutex;
///
/// struct Later(Mutex<Vec<Job<'static>>>);
///
/// impl Executor for Later {
///     fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
///         self.0.lock().unwrap().push(job);
///         Ok(())
///     }
///
///     fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
/// }
///
/// let later = Later(Mutex::default());
/// let (run, dropped) = (later.spawn(|| 6 * 7)?, later.spawn(|| 6 * 9)?);
/// let mut jobs = later.0.into_inner().unwrap();
/// drop(jobs.pop());
/// jobs.remove(0).run();
/// assert_eq!(run.result(None)?, 42);
/// assert!(dropped.cancelled());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Job<'env> {
    task: Option<Arc<dyn Run + 'env>>,
}

/// What a job does, whatever its function and types.
pub(crate) trait Run: Send + Sync {
    /// Runs the task unless it was cancelled, as one of this thread's (see [`nested::run`]). `publish` is called
    /// just before its outcome can be seen, and is told whether nobody is left to be told afterwards.
    /// What is left is the host's to drop, when it has time for it.
    fn run<'env>(self: Arc<Self>, publish: &mut dyn FnMut(bool)) -> Option<Leftover<'env>>
    where
        Self: 'env;
    /// Cancels a task that will not be run.
    fn discard(self: Arc<Self>);
    fn fail(self: Arc<Self>, why: BrokenExecutor);
    /// The same task for an executor that runs it in another process. `None`: it may borrow from this
    /// one's stack.
    fn remote(self: Arc<Self>) -> Option<Arc<dyn Remote>>;
    /// What it calls, if `remote` gives something.
    fn function(&self) -> Option<FunctionType>;
    /// The address of its promise.
    fn id(&self) -> TaskId;
    /// What it is called in errors.
    fn name(&self) -> &'static str;
    /// Where it was submitted; `None` also when it has ended.
    fn place(&self) -> Option<&'static Location<'static>>;
    /// Says that the pool of this number has accepted it, whose workers may run it in place.
    fn set_pool(&self, number: u32);

    /// As the thread that runs it has it on its stack.
    fn running(&self, place: CallSite) -> Running {
        Running { id: self.id(), name: self.name(), place, known_as: 0 }
    }
}

/// What a promise may carry: a call, which can be run where it is waited for, or what makes the outcome from
/// that of others.
pub(crate) trait Carried<T, E>: Send + Sized {
    fn as_run(_core: Arc<Core<Self, T, E>>) -> Option<Arc<dyn Run>> {
        None
    }

    /// For those that are made from it. `None`: nobody knows when it ends.
    fn as_source(_core: Arc<Core<Self, T, E>>) -> Option<Weak<dyn Source>> {
        None
    }

    /// See [`Source::sources`]. `None`: nobody carries this any more.
    fn sources(_carried: Option<&Self>) -> Option<Sources> {
        None
    }
}

impl<T, E> Carried<T, E> for () {}

impl<C, T, E> Carried<T, E> for C
where
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn as_run(core: Arc<Core<Self, T, E>>) -> Option<Arc<dyn Run>> {
        Some(core)
    }

    fn as_source(core: Arc<Core<Self, T, E>>) -> Option<Weak<dyn Source>> {
        Some(source(&core))
    }

    fn sources(carried: Option<&Self>) -> Option<Sources> {
        carried?.sources()
    }
}

/// A promise as one that others are made from.
pub(crate) fn source<J, T, E>(core: &Arc<Core<J, T, E>>) -> Weak<dyn Source>
where
    J: Carried<T, E> + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    let source: Weak<Core<J, T, E>> = Arc::downgrade(core);
    source
}

/// Runs a task in this thread, which would wait for it.
pub(crate) fn run_in_place(task: Arc<dyn Run>) {
    panic::drop_caught(task.run(&mut |_| ()));
}

impl<'env> Job<'env> {
    pub(crate) fn new(task: Arc<dyn Run + 'env>) -> Self {
        Self { task: Some(task) }
    }

    /// Runs the task, here and now, and ends its future; does nothing if it was cancelled. A panic
    /// of the task is its exception and goes no further.
    pub fn run(self) {
        panic::drop_caught(self.run_with(&mut |_| ()));
    }

    pub(crate) fn run_with(mut self, publish: &mut dyn FnMut(bool)) -> Option<Leftover<'env>> {
        self.task.take()?.run(publish)
    }

    /// The address of its promise.
    pub(crate) fn id(&self) -> Option<TaskId> {
        self.task.as_ref().map(|task| task.id())
    }

    /// Says that the pool of this number has accepted it.
    pub(crate) fn set_pool(&self, number: u32) {
        if let Some(task) = &self.task {
            task.set_pool(number);
        }
    }

    /// Where the task was submitted, for an executor that records what it is given. `None`: it has ended, by
    /// [`Future::set_result`] or where somebody waited for it, and there is nothing left to run.
    ///
    /// ```
    /// use manyhands::{Executor, Job, Refused};
    ///
    /// struct Loud;
    ///
    /// impl Executor for Loud {
    ///     fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
    ///         println!("a task from {}", job.place().expect("nobody else has it yet"));
    ///         job.run();
    ///         Ok(())
    ///     }
    ///
    ///     fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
    /// }
    ///
    /// assert_eq!(Loud.spawn(|| 6 * 7)?.result(None)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn place(&self) -> Option<&'static Location<'static>> {
        self.task.as_ref()?.place()
    }

    /// Ends its future with the exception that the executor is broken, without running the task.
    ///
    /// ```
    /// use manyhands::{BrokenThreadPool, Exception, Executor, Job, Refused};
    /// use std::sync::Arc;
    ///
    /// struct Broken;
    ///
    /// impl Executor for Broken {
    ///     fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
    ///         job.fail(BrokenThreadPool { reason: Arc::new("no threads".to_owned()) }.into());
    ///         Ok(())
    ///     }
    ///
    ///     fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
    /// }
    ///
    /// let exception = Broken.spawn(|| 6 * 7)?.exception(None)?;
    /// assert!(matches!(exception, Some(Exception::Broken(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fail(mut self, why: BrokenExecutor) {
        if let Some(task) = self.task.take() {
            task.fail(why);
        }
    }
}

impl Job<'static> {
    /// What it calls, if that can be called in another process at all.
    pub(crate) fn function(&self) -> Option<FunctionType> {
        self.task.as_ref()?.function()
    }

    /// For an executor that runs it in another process. From here on, the task is the caller's to end.
    pub(crate) fn into_remote(mut self) -> Option<Arc<dyn Remote>> {
        self.task.take()?.remote()
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.discard();
        }
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// A value that nobody waits for. Dropping it may take as long as it likes.
pub(crate) type Leftover<'env> = Box<dyn Send + 'env>;

/// What is left of a task when the one who ran it is the last to know it.
pub(crate) fn leftover<'env, J, T, E>(core: Arc<Core<J, T, E>>) -> Option<Leftover<'env>>
where
    J: Send + 'env,
    T: Send + 'env,
    E: Send + Sync + 'env,
{
    let core = Arc::into_inner(core)?;
    let has_drop = std::mem::needs_drop::<T>() || std::mem::needs_drop::<E>();
    has_drop.then(|| Box::new(core) as _)
}

impl<C, T, E> Run for Core<C, T, E>
where
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn run<'env>(self: Arc<Self>, publish: &mut dyn FnMut(bool)) -> Option<Leftover<'env>>
    where
        Self: 'env,
    {
        if let Some((call, place)) = self.claim_placed() {
            nested::run(self.running(place), || {
                end(&self, attempt(call), publish, || Future::task(Arc::clone(&self) as _));
            });
        }
        leftover(self)
    }

    fn discard(self: Arc<Self>) {
        Future::task(self).cancel();
    }

    fn fail(self: Arc<Self>, why: BrokenExecutor) {
        if let Some(call) = self.claim() {
            panic::drop_caught(call);
            end(
                &self,
                Err(Exception::Broken(why)),
                |_| (),
                || Future::task(Arc::clone(&self) as _),
            );
        }
    }

    fn remote(self: Arc<Self>) -> Option<Arc<dyn Remote>> {
        Some(self)
    }

    fn function(&self) -> Option<FunctionType> {
        Some(C::function())
    }

    fn id(&self) -> TaskId {
        std::ptr::from_ref(self).addr()
    }

    fn name(&self) -> &'static str {
        C::function().name
    }

    fn place(&self) -> Option<&'static Location<'static>> {
        Promise::place(self)?.location()
    }

    fn set_pool(&self, number: u32) {
        Promise::set_pool(self, number);
    }
}

/// Ends a claimed task and tells those who wait for it.
pub(crate) fn end<J, T, E>(
    core: &Core<J, T, E>,
    outcome: Result<T, Exception<E>>,
    mut publish: impl FnMut(bool),
    future: impl Fn() -> Future<T, E>,
) where
    T: Send,
    E: Send + Sync,
{
    match core.finish(outcome.map_err(Box::new), &mut publish) {
        Ok(wake) => tell(wake, future),
        // The future was ended from outside, by `set_result`: that counts, and this is for nobody.
        Err((outcome, _)) => {
            publish(false);
            panic::drop_caught(outcome);
        }
    }
}
