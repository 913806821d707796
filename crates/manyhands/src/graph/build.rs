//! How tasks get into a graph.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Edges;
use super::node::{Cause, Entry, Outcome, Work};
use super::{Deps, Graph, Node};
use crate::errors::{Cycle, Exception};

/// # What there is to compute
impl Graph {
    /// A task that depends on nothing.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let answer = graph.task("answer", || 6 * 7);
    /// assert_eq!(*graph.get(&Arc::new(InlineExecutor::new()), answer)?, 42);
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn task<T: Send + Sync + 'static>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        f: impl Fn() -> T + Send + Sync + 'static,
    ) -> Node<T> {
        self.task_with(name, (), move |()| f())
    }

    /// As [`task`](Self::task), for a function that returns a `Result`; an `Err` is a failure.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let number = graph.try_task("number", || "x".parse::<u8>());
    /// let half = graph.task_with("half", number, |number| number / 2);
    /// let error = graph.get(&Arc::new(InlineExecutor::new()), half).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`number` failed: invalid digit found in string; so these were not run: `half`"
    /// );
    /// ```
    pub fn try_task<T, E>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        f: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Node<T>
    where
        T: Send + Sync + 'static,
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        self.try_task_with(name, (), move |()| f())
    }

    /// A task that depends on others: on one [`Node`], a tuple of up to eight, or a `Vec` of nodes of one
    /// type. It is given references to their values, in the same shape.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor, Node};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let parts: Vec<Node<u64>> =
    ///     (0..10).map(|n| graph.task(format!("part {n}"), move || n * n)).collect();
    /// let sum = graph.task_with("sum", parts, |parts| parts.into_iter().sum::<u64>());
    /// assert_eq!(*graph.get(&Arc::new(InlineExecutor::new()), sum)?, 285);
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn task_with<T, D, F>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        deps: D,
        f: F,
    ) -> Node<T>
    where
        T: Send + Sync + 'static,
        D: Deps,
        F: for<'a> Fn(D::Refs<'a>) -> T + Send + Sync + 'static,
    {
        let node = self.declare(name);
        let indices = self.indices(&deps);
        self.put(node, &indices, infallible(deps, f));
        node
    }

    /// As [`task_with`](Self::task_with), for a function that returns a `Result`.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let text = graph.input("text", "17".to_owned());
    /// let number = graph.try_task_with("number", text, |text| text.parse::<u8>());
    /// assert_eq!(*graph.get(&Arc::new(InlineExecutor::new()), number)?, 17);
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn try_task_with<T, E, D, F>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        deps: D,
        f: F,
    ) -> Node<T>
    where
        T: Send + Sync + 'static,
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
        D: Deps,
        F: for<'a> Fn(D::Refs<'a>) -> Result<T, E> + Send + Sync + 'static,
    {
        let node = self.declare(name);
        let indices = self.indices(&deps);
        self.put(node, &indices, fallible(deps, f));
        node
    }

    /// A value from outside, which [`set`](Self::set) changes.
    ///
    /// ```
    /// use manyhands::Graph;
    ///
    /// let mut graph = Graph::new();
    /// let n = graph.input("n", 5);
    /// assert_eq!(graph.value(n).as_deref(), Some(&5));
    /// ```
    pub fn input<T: Send + Sync + 'static>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: T,
    ) -> Node<T> {
        let node = self.declare(name);
        self.set(node, value);
        node
    }

    /// Gives a node a value from outside, in the place of what it would compute; what depends on it is
    /// to be computed again.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    ///
    /// let inline = Arc::new(InlineExecutor::new());
    /// let mut graph = Graph::new();
    /// let n = graph.input("n", 1);
    /// let more = graph.task_with("more", n, |n| n + 1);
    /// assert_eq!(*graph.get(&inline, more)?, 2);
    /// graph.set(n, 10);
    /// assert_eq!(*graph.get(&inline, more)?, 11);
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn set<T: Send + Sync + 'static>(&mut self, node: Node<T>, value: T) {
        self.invalidate(node);
        let index = self.index(node);
        self.entries[index].keep = true;
        *self.entries[index].outcome.lock() = Outcome::done(Arc::new(value), Duration::ZERO);
    }

    /// A task that others may depend on before it is written, by [`define`](Self::define).
    ///
    /// # Panics
    /// When there are four thousand million others.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let later = graph.declare::<u32>("later");
    /// let more = graph.task_with("more", later, |n| n + 1);
    /// graph.define(later, (), |()| 41)?;
    /// assert_eq!(*graph.get(&Arc::new(InlineExecutor::new()), more)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn declare<T: Send + Sync + 'static>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
    ) -> Node<T> {
        self.entries.push(Entry::new(name.into()));
        let index = self.edges_mut().add();
        Node::new(self.number, index)
    }

    /// Says what a node does that was declared, or that does something else from now on: then it and
    /// what depends on it is to be computed again.
    ///
    /// # Errors
    /// [`Cycle`], which names it, if one of `deps` depends on `node`: nothing has changed.
    ///
    /// ```
    /// use manyhands::Graph;
    ///
    /// let mut graph = Graph::new();
    /// let hen = graph.declare::<u32>("hen");
    /// let egg = graph.task_with("egg", hen, |hens| hens * 10);
    /// let cycle = graph.define(hen, egg, |eggs| eggs / 10).unwrap_err();
    /// assert_eq!(cycle.to_string(), "`hen` would depend on itself: `hen` needs `egg` needs `hen`");
    /// graph.define(hen, (), |()| 2)?;
    /// # Ok::<(), manyhands::Cycle>(())
    /// ```
    pub fn define<T, D, F>(&mut self, node: Node<T>, deps: D, f: F) -> Result<(), Cycle>
    where
        T: Send + Sync + 'static,
        D: Deps,
        F: for<'a> Fn(D::Refs<'a>) -> T + Send + Sync + 'static,
    {
        let indices = self.indices(&deps);
        self.redefine(node, &indices, infallible(deps, f))
    }

    /// As [`define`](Self::define), for a function that returns a `Result`.
    ///
    /// # Errors
    /// As [`define`](Self::define).
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let text = graph.input("text", "17");
    /// let number = graph.declare::<u8>("number");
    /// graph.try_define(number, text, |text| text.parse())?;
    /// assert_eq!(*graph.get(&Arc::new(InlineExecutor::new()), number)?, 17);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_define<T, E, D, F>(&mut self, node: Node<T>, deps: D, f: F) -> Result<(), Cycle>
    where
        T: Send + Sync + 'static,
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
        D: Deps,
        F: for<'a> Fn(D::Refs<'a>) -> Result<T, E> + Send + Sync + 'static,
    {
        let indices = self.indices(&deps);
        self.redefine(node, &indices, fallible(deps, f))
    }

    pub(super) fn indices<D: Deps>(&self, deps: &D) -> Vec<u32> {
        let mut indices = Vec::new();
        deps.visit(&mut |graph, index| {
            self.own(graph);
            indices.push(index);
        });
        indices
    }

    pub(super) fn put<T>(&mut self, node: Node<T>, deps: &[u32], work: Work) {
        self.entries[node.index() as usize].work = Some(work);
        self.edges_mut().set(node.index(), deps);
    }

    fn edges_mut(&mut self) -> &mut Edges {
        self.dependants = None;
        Arc::get_mut(&mut self.edges).expect("a run keeps nothing when it has ended")
    }

    fn redefine<T>(&mut self, node: Node<T>, deps: &[u32], work: Work) -> Result<(), Cycle> {
        self.index(node);
        if let Some(cycle) = self.edges.cycle(node.index(), deps) {
            let name = |index: u32| self.name(index).to_owned();
            return Err(Cycle { names: cycle.into_iter().map(name).collect() });
        }
        self.put(node, deps, work);
        self.invalidate(node);
        Ok(())
    }
}

fn infallible<T, D, F>(deps: D, f: F) -> Work
where
    T: Send + Sync + 'static,
    D: Deps,
    F: for<'a> Fn(D::Refs<'a>) -> T + Send + Sync + 'static,
{
    Work::Value(Box::new(move |entries| {
        let held = deps.hold(entries);
        Ok(Arc::new(f(D::refs(&held))))
    }))
}

fn fallible<T, E, D, F>(deps: D, f: F) -> Work
where
    T: Send + Sync + 'static,
    E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    D: Deps,
    F: for<'a> Fn(D::Refs<'a>) -> Result<T, E> + Send + Sync + 'static,
{
    Work::Value(Box::new(move |entries| {
        let held = deps.hold(entries);
        match f(D::refs(&held)) {
            Ok(value) => Ok(Arc::new(value)),
            Err(error) => Err(Arc::new(Exception::Error(Arc::new(error))) as Cause),
        }
    }))
}
