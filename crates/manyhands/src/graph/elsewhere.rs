//! Tasks of a graph that run on an executor of their own.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::node::{Cause, End, Value, Work};
use super::{Deps, Graph, Node};
use crate::errors::{FutureError, Refused};
use crate::executor::Executor;
use crate::future::Future;

/// # What is computed elsewhere
impl Graph {
    /// As [`task_with`](Self::task_with), on an executor of its own, whichever the graph runs on: a pool of
    /// more threads, say, for tasks that wait for a network. For worker processes, see
    /// [`future_with`](Self::future_with).
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let downloads = Arc::new(ThreadPoolExecutor::builder().thread_name_prefix("download").build()?);
    /// let mut graph = Graph::new();
    /// let url = graph.input("url", "https://python.org/".to_owned());
    /// let page = graph.task_on("page", &downloads, url, |_url| {
    ///     std::thread::current().name().map(str::to_owned)
    /// });
    /// let page = graph.get(&Arc::new(InlineExecutor::new()), page)?;
    /// assert!(page.as_deref().unwrap().starts_with("download"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task_on<X, T, D, F>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        executor: &X,
        deps: D,
        f: F,
    ) -> Node<T>
    where
        X: Executor + Clone + 'static,
        T: Send + Sync + 'static,
        D: Deps,
        F: for<'a> Fn(D::Refs<'a>) -> T + Send + Sync + 'static,
    {
        let node = self.declare(name);
        let indices = self.indices(&deps);
        let (executor, f) = (executor.clone(), Arc::new(f));
        let work = Work::Future(Box::new(move |entries, end| {
            let (held, f) = (deps.hold(entries), Arc::clone(&f));
            when_ended(executor.spawn(move || f(D::refs(&held))), end);
        }));
        self.put(node, &indices, work);
        node
    }

    /// A task whose function only begins it, and returns what `submit` of any executor does: its value is
    /// the future's. So a node can run on worker processes, with a timeout, or with retries. The function
    /// itself runs on the graph's executor, and should not take long.
    ///
    /// ```
    /// use manyhands::{Executor, Graph, InlineExecutor, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let pool = Arc::new(ThreadPoolExecutor::new(2)?); // or a ProcessPoolExecutor
    /// let mut graph = Graph::new();
    /// let n = graph.input("n", 10_u32);
    /// let power = graph.future_with("power", n, move |n| pool.submit(u64::pow, (2, *n)));
    /// assert_eq!(*graph.get(&Arc::new(InlineExecutor::new()), power)?, 1024);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn future_with<T, E, A, D, F>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        deps: D,
        f: F,
    ) -> Node<T>
    where
        T: Send + Sync + 'static,
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
        A: 'static,
        D: Deps,
        F: for<'a> Fn(D::Refs<'a>) -> Result<Future<T, E>, Refused<A>> + Send + Sync + 'static,
    {
        let node = self.declare(name);
        let indices = self.indices(&deps);
        let work = Work::Future(Box::new(move |entries, end| {
            let held = deps.hold(entries);
            when_ended(f(D::refs(&held)), end);
        }));
        self.put(node, &indices, work);
        node
    }
}

fn when_ended<T, E, A>(begun: Result<Future<T, E>, Refused<A>>, end: End)
where
    T: Send + Sync + 'static,
    E: fmt::Debug + fmt::Display + Send + Sync + 'static,
{
    match begun {
        Ok(future) => future.add_done_callback(move |future| end(outcome(future))),
        Err(refused) => end(Err(cause(FutureError::<E>::Refused(refused.reason)))),
    }
}

fn outcome<T, E>(future: &Future<T, E>) -> Result<Value, Cause>
where
    T: Send + Sync + 'static,
    E: fmt::Debug + fmt::Display + Send + Sync + 'static,
{
    match future.take() {
        Ok(value) => Ok(Arc::new(value)),
        Err(FutureError::Exception(exception)) => Err(cause(exception)),
        Err(other) => Err(cause(other)),
    }
}

fn cause(error: impl Error + Send + Sync + 'static) -> Cause {
    Arc::new(error)
}
