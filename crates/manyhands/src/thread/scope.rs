//! A thread pool for the length of a scope, whose tasks may borrow from the stack.
//!
//! The threads are scoped threads of the standard library, so that not a line of this needs
//! `unsafe`; the pool they work for is the same as everywhere.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use super::builder::Options;
use super::pool::{Stats, Worker};
use super::standby::{Asking, Standby};
use super::worker_loop::Workers;
use crate::call_site::CallSite;
use crate::crossing::{FunctionType, Remote};
use crate::errors::{BrokenExecutor, Exception, Refused};
use crate::function::{Call, Fallible, Plain, attempt};
use crate::future::{Core, Future};
use crate::job::{Job, Leftover, Run, end, leftover};
use crate::nested;
use crate::nested::graph::TaskId;
use crate::panic;
use crate::promise::Promise;

/// A thread pool for the length of a scope; see
/// [`ThreadPoolBuilder::scope`](super::ThreadPoolBuilder::scope).
///
/// It has [`spawn`](Self::spawn) and [`try_spawn`](Self::try_spawn); `map` and the rest need an
/// [`Executor`](crate::Executor), whose tasks borrow nothing.
///
/// It can be cloned into tasks that submit more tasks, as long as the scope's closure runs: when it
/// has returned, what tasks submit is refused. A task that was cancelled keeps its closure, and
/// what that holds, until a worker passes it by.
#[derive(Clone)]
pub struct Scope<'scope, 'env> {
    workers: Arc<Workers<'scope>>,
    standby: Arc<Standby<'scope>>,
    threads: &'scope std::thread::Scope<'scope, 'env>,
}

pub(super) fn run<'env, R>(
    options: Options,
    f: impl for<'scope> FnOnce(&Scope<'scope, 'env>) -> R,
) -> R {
    std::thread::scope(|threads| {
        let (workers, standby) = (Arc::new(options.workers()), Arc::new(Standby::new()));
        let scope = Scope { workers, standby, threads };
        // Also when `f` panics: the threads end only after this.
        let _closing = Closing(&scope);
        f(&scope)
    })
}

struct Closing<'a, 'scope, 'env>(&'a Scope<'scope, 'env>);

impl Drop for Closing<'_, '_, '_> {
    fn drop(&mut self) {
        self.0.workers.close(false);
        self.0.standby.close();
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Submits a closure that may borrow what outlives the scope, as
    /// [`Executor::spawn`](crate::Executor::spawn) does.
    ///
    /// # Errors
    /// [`Refused`] with the closure.
    ///
    /// ```
    /// use manyhands::ThreadPoolExecutor;
    ///
    /// let mut words = vec!["two", "one"];
    /// ThreadPoolExecutor::builder().scope(|scope| {
    ///     scope.spawn(|| words.sort()).unwrap();
    /// })?;
    /// assert_eq!(words, ["one", "two"]);
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(&self, closure: F) -> Result<Future<T>, Refused<F>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.start(Plain(closure, ()))
            .map_err(|refused| Refused { reason: refused.reason, task: refused.task.0 })
    }

    /// As [`spawn`](Self::spawn), for a closure that returns a `Result`.
    ///
    /// # Errors
    /// [`Refused`] with the closure.
    ///
    /// ```
    /// use manyhands::ThreadPoolExecutor;
    ///
    /// let text = String::from("17");
    /// let number = ThreadPoolExecutor::builder()
    ///     .scope(|scope| scope.try_spawn(|| text.parse::<u8>()).unwrap().result(None))?;
    /// assert_eq!(number?, 17);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn try_spawn<F, T, E>(&self, closure: F) -> Result<Future<T, E>, Refused<F>>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
        E: Send + Sync + 'scope,
    {
        self.start(Fallible(closure, ()))
            .map_err(|refused| Refused { reason: refused.reason, task: refused.task.0 })
    }

    /// What goes on in the pool at this moment.
    ///
    /// ```
    /// use manyhands::ThreadPoolExecutor;
    ///
    /// let stats = ThreadPoolExecutor::builder().scope(|scope| {
    ///     scope.spawn(|| ()).unwrap().result(None).unwrap();
    ///     scope.stats()
    /// })?;
    /// assert_eq!((stats.completed, stats.workers), (1, 1));
    /// # Ok::<(), manyhands::ConfigError>(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.workers.pool.stats()
    }

    /// The future knows nothing of the call, whose borrows its type would have to tell of; so this
    /// takes an allocation for each, where a task without borrows takes one for both.
    #[track_caller]
    fn start<C>(&self, call: C) -> Result<Future<C::Value, C::Error>, Refused<C>>
    where
        C: Call + Send + 'scope,
        C::Value: Send + 'scope,
        C::Error: Send + Sync + 'scope,
    {
        let core = Arc::new(Promise::placed((), CallSite::of(Location::caller())));
        let task = Arc::new(ScopedTask { core: Arc::clone(&core), call: Mutex::new(Some(call)) });
        match self.accept(Job::new(Arc::clone(&task) as _)) {
            Ok(()) => Ok(Future::bare(core)),
            Err(refused) => match task.call() {
                Some(call) => Err(Refused { reason: refused.reason, task: call }),
                None => Ok(Future::bare(core)),
            },
        }
    }

    fn accept(&self, job: Job<'scope>) -> Result<(), Refused<Job<'scope>>> {
        self.workers.execute(job, &|worker| self.start_thread(worker))
    }

    fn start_thread(&self, worker: Worker<Job<'scope>>) -> io::Result<()> {
        let thread = self.workers.thread(worker.index());
        let (first, asking) = self.standby.enter(&worker);
        if first {
            self.stand_by();
        }
        // Takes word also of a thread that is never started.
        let leaving = Leaving(Arc::clone(&asking));
        let scope = self.clone();
        thread.spawn_scoped(self.threads, move || {
            let leaving = leaving;
            scope.workers.work(worker, asking, &|worker| scope.start_thread(worker));
            drop(leaving);
        })?;
        Ok(())
    }

    fn stand_by(&self) {
        let scope = self.clone();
        let start = move || {
            let add = |worker| scope.workers.start(worker, &|worker| scope.start_thread(worker));
            scope.standby.stand_by(add);
        };
        if let Err(error) = std::thread::Builder::new().spawn_scoped(self.threads, start) {
            log::warn!("no task of this scope should wait for another: {error}");
        }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.stats()).finish()
    }
}

/// Says that a worker has left, whatever becomes of its thread.
struct Leaving(Arc<Asking>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

struct ScopedTask<C: Call> {
    core: Arc<Core<(), C::Value, C::Error>>,
    call: Mutex<Option<C>>,
}

impl<C> ScopedTask<C>
where
    C: Call + Send,
    C::Value: Send,
    C::Error: Send + Sync,
{
    fn call(&self) -> Option<C> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<C> Run for ScopedTask<C>
where
    C: Call + Send,
    C::Value: Send,
    C::Error: Send + Sync,
{
    fn run<'env>(self: Arc<Self>, publish: &mut dyn FnMut(bool)) -> Option<Leftover<'env>>
    where
        Self: 'env,
    {
        if let Some(((), place)) = self.core.claim_placed()
            && let Some(call) = self.call()
        {
            nested::run(self.running(place), || {
                end(&self.core, attempt(call), publish, || Future::bare(Arc::clone(&self.core)));
            });
        }
        // Of a task that was cancelled.
        panic::drop_caught(self.call());
        Arc::into_inner(self).and_then(|task| leftover(task.core))
    }

    fn discard(self: Arc<Self>) {
        panic::drop_caught(self.call());
        Future::bare(Arc::clone(&self.core)).cancel();
    }

    fn fail(self: Arc<Self>, why: BrokenExecutor) {
        if self.core.claim().is_some() {
            panic::drop_caught(self.call());
            end(
                &self.core,
                Err(Exception::Broken(why)),
                |_| (),
                || Future::bare(Arc::clone(&self.core)),
            );
        }
    }

    fn remote(self: Arc<Self>) -> Option<Arc<dyn Remote>> {
        None
    }

    fn function(&self) -> Option<FunctionType> {
        None
    }

    fn id(&self) -> TaskId {
        Arc::as_ptr(&self.core).addr()
    }

    fn name(&self) -> &'static str {
        C::name()
    }

    fn place(&self) -> Option<&'static Location<'static>> {
        self.core.place()?.location()
    }

    /// Nobody who waits for it has its call.
    fn set_pool(&self, _number: u32) {}
}
