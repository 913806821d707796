//! `Graph`: named tasks that depend on each other, computed once, in parallel.
//!
//! ```text
//!            run / get                  its function returned
//!  WAITING ────────────▶ (planned) ──┬──────────────────────▶ DONE, its value dropped when all
//!     ▲                              │ an error, a panic           that depend on it are done
//!     │                              ├──────────────────────▶ FAILED
//!     │                              │ what it depends on failed, or the executor gave up
//!     │                              └──────────────────────▶ NOT_RUN
//!     └───── invalidate, set: it and all that depends on it
//! ```
//!
//! `plan.rs` decides what has to be run (pure); `run.rs` runs it; `picture.rs` shows it.

mod deps;
mod node;
mod picture;
mod plan;
mod ready;
mod run;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::errors::{Cycle, Exception, GraphError};
use crate::executor::Executor;
use node::{Cause, Entry, Outcome, Tasks, Work};
use plan::{Dependants, Plan, Standing};

pub use deps::Deps;
pub use node::{Node, NodeState};

/// Named tasks that depend on each other.
///
/// [`task`](Self::task) and [`task_with`](Self::task_with) return a [`Node`], a handle with which
/// others can depend on the task; a cycle cannot be written that way. Ask for a node by
/// [`get`](Self::get): it and what it needs is computed, each once, as parallel as the executor is, and
/// kept for the next who asks. [`run`](Self::run) computes all there is.
///
/// A task borrows the values it depends on. A value is dropped when all that depend on it are done, unless
/// it was asked for, by `get` or [`keep`](Self::keep), or nothing depends on it; should it be needed again,
/// it is computed again. When a task fails, those that depend on it are not run and all others are;
/// the next run goes on from there.
///
/// ```
/// use manyhands::{Graph, ThreadPoolExecutor};
/// use std::sync::Arc;
///
/// let pool = Arc::new(ThreadPoolExecutor::new(4)?);
/// let mut graph = Graph::new();
/// let words = graph.input("words", vec!["one", "three"]);
/// let lengths = graph.task_with("lengths", words, |words| words.iter().map(|w| w.len()).collect());
/// let total = graph.task_with("total", lengths, |lengths: &Vec<usize>| lengths.iter().sum::<usize>());
/// let mean = graph.task_with("mean", (total, words), |(total, words)| total / words.len());
/// assert_eq!(*graph.get(&pool, mean)?, 4);
///
/// graph.set(words, vec!["five"]);
/// assert_eq!(*graph.get(&pool, total)?, 4); // computed again, and `mean` not yet
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Graph {
    number: u32,
    tasks: Tasks,
    /// Who depends on whom, until another task is added.
    dependants: Option<Dependants>,
}

impl Graph {
    /// An empty graph.
    #[allow(clippy::new_without_default, reason = "each graph is another one")]
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self { number, tasks: Tasks::new(), dependants: None }
    }

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
        self.tasks.entries[index].keep = true;
        *self.tasks.entries[index].outcome.lock() = Outcome::done(Arc::new(value), Duration::ZERO);
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
        let index =
            u32::try_from(self.tasks.entries.len()).expect("fewer tasks than an index can number");
        self.tasks.entries.push(Entry::new(name.into()));
        self.dependants = None;
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

    /// Has the value of this node kept once it is computed.
    pub fn keep<T>(&mut self, node: Node<T>) {
        let index = self.index(node);
        self.tasks.entries[index].keep = true;
    }

    /// The value of a node; it and what it needs is computed now, as far as it is not there. Waits for
    /// that. The tasks run on the executor, which has to be one that can be cloned: an `Arc` of one.
    ///
    /// # Errors
    /// [`GraphError`], with the names of what failed and of what was not run therefore.
    ///
    /// # Panics
    /// When the node belongs to another graph, as all methods do.
    pub fn get<X, T>(&mut self, executor: &X, node: Node<T>) -> Result<Arc<T>, GraphError>
    where
        X: Executor + Clone + 'static,
        T: Send + Sync + 'static,
    {
        self.keep(node);
        if let Some(value) = self.value(node) {
            return Ok(value);
        }
        let wanted = [node.index()];
        let plan = self.plan(|_| wanted.to_vec())?;
        self.carry_out(executor, plan)?;
        Ok(self.value(node).expect("a value that is kept is there when it is computed"))
    }

    /// Computes all that is not done.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// ```
    /// use manyhands::{Graph, NodeState, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let a = graph.task("a", || 1);
    /// let b = graph.task_with("b", a, |a| a + 1);
    /// graph.run(&Arc::new(ThreadPoolExecutor::new(2)?))?;
    /// assert_eq!((graph.state(a), graph.value(a)), (NodeState::Done, None)); // nobody needs it any more
    /// assert_eq!(graph.value(b).as_deref(), Some(&2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run<X: Executor + Clone + 'static>(&mut self, executor: &X) -> Result<(), GraphError> {
        let plan = self.plan(plan::not_done)?;
        self.carry_out(executor, plan)
    }

    /// The value of a node, if it is there.
    pub fn value<T: Send + Sync + 'static>(&self, node: Node<T>) -> Option<Arc<T>> {
        let value = self.tasks.entries[self.index(node)].outcome.lock().value.clone();
        value.and_then(|value| value.downcast().ok())
    }

    /// Where a node stands.
    pub fn state<T>(&self, node: Node<T>) -> NodeState {
        self.tasks.entries[self.index(node)].outcome.lock().state
    }

    /// How long a node's task ran when it was run last.
    pub fn took<T>(&self, node: Node<T>) -> Duration {
        self.tasks.entries[self.index(node)].outcome.lock().took
    }

    /// Forgets what this node and all that depend on it have come to, so that they are run again: after
    /// a change in what it reads, say. (An input keeps its value.)
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static CLOCK: AtomicU32 = AtomicU32::new(1);
    /// let inline = Arc::new(InlineExecutor::new());
    /// let mut graph = Graph::new();
    /// let clock = graph.task("clock", || CLOCK.load(Ordering::Relaxed));
    /// let next = graph.task_with("next", clock, |clock| clock + 1);
    /// assert_eq!(*graph.get(&inline, next)?, 2);
    /// CLOCK.store(5, Ordering::Relaxed);
    /// assert_eq!(*graph.get(&inline, next)?, 2);
    /// graph.invalidate(clock);
    /// assert_eq!(*graph.get(&inline, next)?, 6);
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn invalidate<T>(&mut self, node: Node<T>) {
        let index = self.index(node);
        let dependants = self.dependants.take().unwrap_or_else(|| Dependants::of(&self.tasks));
        for stale in dependants.all_of(node.index()) {
            let entry = &self.tasks.entries[stale as usize];
            // An input has nothing to be computed from.
            if entry.work.is_some() || stale as usize != index {
                *entry.outcome.lock() = Outcome::waiting();
            }
        }
        self.dependants = Some(dependants);
    }

    /// The chain of tasks that the graph could not have been faster than, by the times of the last runs:
    /// their names, in order, and their time together.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let mut graph = Graph::new();
    /// let slow = graph.task("slow", || std::thread::sleep(Duration::from_millis(5)));
    /// let quick = graph.task("quick", || ());
    /// graph.task_with("end", (slow, quick), |_| ());
    /// graph.run(&Arc::new(InlineExecutor::new()))?;
    /// let (path, time) = graph.critical_path();
    /// assert_eq!(path, ["slow", "end"]);
    /// assert!(time >= Duration::from_millis(5));
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn critical_path(&self) -> (Vec<&str>, Duration) {
        let (path, time) = plan::critical_path(&self.tasks);
        (path.into_iter().map(|index| self.tasks.name(index)).collect(), time)
    }

    /// A picture for Graphviz, with states and times; the critical path in bold.
    ///
    /// ```
    /// use manyhands::Graph;
    ///
    /// let mut graph = Graph::new();
    /// let a = graph.task("a", || 1);
    /// graph.task_with("b", a, |a| a + 1);
    /// assert!(graph.to_dot().contains("n0 -> n1"));
    /// ```
    pub fn to_dot(&self) -> String {
        picture::dot(&self.tasks)
    }

    /// A picture for Mermaid, with states and times; the critical path in bold.
    ///
    /// ```
    /// use manyhands::Graph;
    ///
    /// let mut graph = Graph::new();
    /// let a = graph.task("a", || 1);
    /// graph.task_with("b", a, |a| a + 1);
    /// assert!(graph.to_mermaid().contains("n0 --> n1"));
    /// ```
    pub fn to_mermaid(&self) -> String {
        picture::mermaid(&self.tasks)
    }

    /// How many nodes there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.tasks.entries.len()
    }

    fn index<T>(&self, node: Node<T>) -> usize {
        self.own(node.graph());
        node.index() as usize
    }

    fn own(&self, graph: u32) {
        assert!(graph == self.number, "this node belongs to another graph");
    }

    fn indices<D: Deps>(&self, deps: &D) -> Vec<u32> {
        let mut indices = Vec::new();
        deps.visit(&mut |graph, index| {
            self.own(graph);
            indices.push(index);
        });
        indices
    }

    fn put<T>(&mut self, node: Node<T>, deps: &[u32], work: Work) {
        self.tasks.define(node.index(), deps, work);
        self.dependants = None;
    }

    fn redefine<T>(&mut self, node: Node<T>, deps: &[u32], work: Work) -> Result<(), Cycle> {
        self.index(node);
        if let Some(cycle) = plan::cycle(&self.tasks, node.index(), deps) {
            let name = |index: u32| self.tasks.name(index).to_owned();
            return Err(Cycle { names: cycle.into_iter().map(name).collect() });
        }
        self.put(node, deps, work);
        self.invalidate(node);
        Ok(())
    }

    fn plan(&mut self, wanted: impl FnOnce(&[Standing]) -> Vec<u32>) -> Result<Plan, GraphError> {
        let dependants = self.dependants.take().unwrap_or_else(|| Dependants::of(&self.tasks));
        let stands = plan::standings(&self.tasks);
        let plan = Plan::new(&self.tasks, &dependants, &stands, wanted(&stands));
        self.dependants = Some(dependants);
        plan.map_err(|index| GraphError::Undefined { name: self.tasks.name(index).to_owned() })
    }

    fn carry_out<X: Executor + Clone + 'static>(
        &mut self,
        executor: &X,
        plan: Plan,
    ) -> Result<(), GraphError> {
        let tasks = std::mem::replace(&mut self.tasks, Tasks::new());
        let dependants = self.dependants.take().unwrap_or_else(|| Dependants::of(&tasks));
        let ended = run::run(executor, tasks, dependants, plan);
        self.tasks = ended.tasks;
        self.dependants = Some(ended.dependants);
        let Some(stopped) = ended.stopped else { return Ok(()) };
        let failed = plan::failure(&self.tasks, &ended.planned);
        Err(failed.map_or(stopped, GraphError::Failed))
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("nodes", &self.tasks.entries.len()).finish_non_exhaustive()
    }
}

fn infallible<T, D, F>(deps: D, f: F) -> Work
where
    T: Send + Sync + 'static,
    D: Deps,
    F: for<'a> Fn(D::Refs<'a>) -> T + Send + Sync + 'static,
{
    Box::new(move |entries| {
        let held = deps.hold(entries);
        Ok(Arc::new(f(D::refs(&held))))
    })
}

fn fallible<T, E, D, F>(deps: D, f: F) -> Work
where
    T: Send + Sync + 'static,
    E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    D: Deps,
    F: for<'a> Fn(D::Refs<'a>) -> Result<T, E> + Send + Sync + 'static,
{
    Box::new(move |entries| {
        let held = deps.hold(entries);
        match f(D::refs(&held)) {
            Ok(value) => Ok(Arc::new(value)),
            Err(error) => Err(Arc::new(Exception::Error(Arc::new(error))) as Cause),
        }
    })
}
