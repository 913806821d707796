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
//! `build.rs` and `elsewhere.rs` are how tasks get in; `engine/` decides what is run, and when; `host.rs`
//! runs it.

mod build;
mod deps;
mod elsewhere;
pub mod engine;
mod host;
mod node;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::errors::{GraphError, GraphFailed};
use crate::executor::Executor;
use engine::{Dependants, Edges, Plan, Shown, Standing};
use node::{Entry, Outcome};

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
    entries: Vec<Entry>,
    edges: Arc<Edges>,
    /// Who depends on whom, until another task is added.
    dependants: Option<Arc<Dependants>>,
}

impl Graph {
    /// An empty graph.
    #[allow(clippy::new_without_default, reason = "each graph is another one")]
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self { number, entries: Vec::new(), edges: Arc::default(), dependants: None }
    }

    /// Has the value of this node kept once it is computed.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    ///
    /// let mut graph = Graph::new();
    /// let a = graph.task("a", || 1);
    /// graph.task_with("b", a, |a| a + 1);
    /// graph.keep(a);
    /// graph.run(&Arc::new(InlineExecutor::new()))?;
    /// assert_eq!(graph.value(a).as_deref(), Some(&1));
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn keep<T>(&mut self, node: Node<T>) {
        let index = self.index(node);
        self.entries[index].keep = true;
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
        let plan = self.plan(engine::not_done)?;
        self.carry_out(executor, plan)
    }

    /// The value of a node, if it is there; see [`run`](Self::run).
    pub fn value<T: Send + Sync + 'static>(&self, node: Node<T>) -> Option<Arc<T>> {
        let value = self.entries[self.index(node)].outcome.lock().value.clone();
        value.and_then(|value| value.downcast().ok())
    }

    /// Where a node stands; see [`NodeState`].
    pub fn state<T>(&self, node: Node<T>) -> NodeState {
        self.entries[self.index(node)].outcome.lock().state
    }

    /// How long a node's task ran when it was run last.
    ///
    /// ```
    /// use manyhands::{Graph, InlineExecutor};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let mut graph = Graph::new();
    /// let nap = graph.task("nap", || std::thread::sleep(Duration::from_millis(2)));
    /// graph.run(&Arc::new(InlineExecutor::new()))?;
    /// assert!(graph.took(nap) >= Duration::from_millis(2));
    /// # Ok::<(), manyhands::GraphError>(())
    /// ```
    pub fn took<T>(&self, node: Node<T>) -> Duration {
        self.entries[self.index(node)].outcome.lock().took
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
        for stale in self.dependants().all_of(node.index()) {
            let entry = &self.entries[stale as usize];
            // An input has nothing to be computed from.
            if entry.work.is_some() || stale as usize != index {
                *entry.outcome.lock() = Outcome::waiting();
            }
        }
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
        let (path, time) = self.longest_way();
        (path.into_iter().map(|index| self.name(index)).collect(), time)
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
        engine::dot(&self.edges, &self.shown())
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
        engine::mermaid(&self.edges, &self.shown())
    }

    /// How many nodes there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn index<T>(&self, node: Node<T>) -> usize {
        self.own(node.graph());
        node.index() as usize
    }

    fn own(&self, graph: u32) {
        assert!(graph == self.number, "this node belongs to another graph");
    }

    fn name(&self, index: u32) -> &str {
        &self.entries[index as usize].name
    }

    fn longest_way(&self) -> (Vec<u32>, Duration) {
        self.edges.critical_path(|index| self.entries[index as usize].outcome.lock().took)
    }

    fn shown(&self) -> Vec<Shown<'_>> {
        self.entries.iter().map(Entry::shown).collect()
    }

    fn dependants(&mut self) -> Arc<Dependants> {
        let edges = &self.edges;
        let dependants = self.dependants.get_or_insert_with(|| Arc::new(Dependants::of(edges)));
        Arc::clone(dependants)
    }

    fn plan(&mut self, wanted: impl FnOnce(&[Standing]) -> Vec<u32>) -> Result<Plan, GraphError> {
        let dependants = self.dependants();
        let stands: Vec<Standing> = self.entries.iter().map(Entry::standing).collect();
        let plan = Plan::new(&self.edges, &dependants, &stands, wanted(&stands));
        plan.map_err(|index| GraphError::Undefined { name: self.name(index).to_owned() })
    }

    fn carry_out<X: Executor + Clone + 'static>(
        &mut self,
        executor: &X,
        plan: Plan,
    ) -> Result<(), GraphError> {
        let (entries, edges) = (std::mem::take(&mut self.entries), Arc::clone(&self.edges));
        let ended = host::run(executor, entries, edges, self.dependants(), plan);
        self.entries = ended.entries;
        let Some(stopped) = ended.stopped else { return Ok(()) };
        Err(self.failure(&ended.planned).map_or(stopped, GraphError::Failed))
    }

    /// Marks what was planned and has not been run, and says what failed first, in the graph's order.
    fn failure(&self, planned: &[bool]) -> Option<GraphFailed> {
        let mut failed = None;
        let mut not_run = Vec::new();
        for (entry, _) in self.entries.iter().zip(planned).filter(|(_, planned)| **planned) {
            let mut outcome = entry.outcome.lock();
            match outcome.state {
                NodeState::Failed if failed.is_none() => {
                    failed = outcome.cause.clone().map(|cause| (entry.name.to_string(), cause));
                }
                NodeState::Done | NodeState::Failed => (),
                NodeState::Waiting | NodeState::NotRun => {
                    outcome.state = NodeState::NotRun;
                    not_run.push(entry.name.to_string());
                }
            }
        }
        failed.map(|(name, cause)| GraphFailed::new(name, cause, not_run))
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("nodes", &self.entries.len()).finish_non_exhaustive()
    }
}
