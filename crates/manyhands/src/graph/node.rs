//! `Node`, a handle on a task of a graph, and what the graph keeps of each.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::Mutex;

/// A handle on a task of a [`Graph`](super::Graph) whose value is a `T`. It can be copied, and means
/// something to its own graph alone.
pub struct Node<T> {
    graph: u32,
    index: u32,
    value: PhantomData<fn() -> T>,
}

impl<T> Node<T> {
    pub(super) fn new(graph: u32, index: u32) -> Self {
        Self { graph, index, value: PhantomData }
    }

    pub(super) fn graph(self) -> u32 {
        self.graph
    }

    pub(super) fn index(self) -> u32 {
        self.index
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Node<T> {}

impl<T> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.index).finish()
    }
}

/// Where a task of a graph stands.
///
/// ```
/// use manyhands::{Graph, NodeState};
///
/// let mut graph = Graph::new();
/// let answer = graph.task("answer", || 42);
/// assert_eq!(graph.state(answer), NodeState::Waiting);
/// assert_eq!(graph.state(answer).to_string(), "waiting");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// It has not been run, or has to be run again.
    Waiting,
    /// It has a value, or had one that nobody needs any more.
    Done,
    /// It has failed.
    Failed,
    /// It was to be run, and something that it depends on failed, or the executor gave up.
    NotRun,
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::NotRun => "not run",
        })
    }
}

pub(super) type Value = Arc<dyn Any + Send + Sync>;
pub(super) type Cause = Arc<dyn Error + Send + Sync>;
pub(super) type Work = Box<dyn Fn(&[Entry]) -> Result<Value, Cause> + Send + Sync>;

/// What a graph keeps of a task.
pub(super) struct Entry {
    pub(super) name: Cow<'static, str>,
    /// `None`: its value comes from outside, or it has only been declared.
    pub(super) work: Option<Work>,
    pub(super) keep: bool,
    pub(super) outcome: Mutex<Outcome>,
}

pub(super) struct Outcome {
    pub(super) state: NodeState,
    pub(super) value: Option<Value>,
    pub(super) cause: Option<Cause>,
    pub(super) took: Duration,
}

/// All tasks of a graph.
pub(super) struct Tasks {
    pub(super) entries: Vec<Entry>,
    /// For each: where those it depends on are in `edges`, and how many they are. Apart from the entries,
    /// which are large, so that a plan is made of what lies close together.
    deps: Vec<(u32, u32)>,
    edges: Vec<u32>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), deps: Vec::new(), edges: Vec::new() }
    }

    /// One that does nothing yet.
    pub(super) fn add(&mut self, name: Cow<'static, str>) {
        self.entries.push(Entry::new(name));
        self.deps.push((0, 0));
    }

    /// What it depends on.
    pub(super) fn deps(&self, index: u32) -> &[u32] {
        let (start, count) = self.deps[index as usize];
        &self.edges[start as usize..][..count as usize]
    }

    /// Says what a task does and what it depends on.
    pub(super) fn define(&mut self, index: u32, deps: &[u32], work: Work) {
        let fits = |count: usize| u32::try_from(count).expect("fewer edges than can be numbered");
        self.deps[index as usize] = (fits(self.edges.len()), fits(deps.len()));
        self.edges.extend(deps);
        self.entries[index as usize].work = Some(work);
    }

    pub(super) fn name(&self, index: u32) -> &str {
        &self.entries[index as usize].name
    }
}

impl Entry {
    fn new(name: Cow<'static, str>) -> Self {
        let outcome = Mutex::new(Outcome::waiting());
        Self { name, work: None, keep: false, outcome }
    }

    pub(super) fn state(&self) -> NodeState {
        self.outcome.lock().state
    }
}

impl Outcome {
    pub(super) fn waiting() -> Self {
        Self { state: NodeState::Waiting, value: None, cause: None, took: Duration::ZERO }
    }

    pub(super) fn done(value: Value, took: Duration) -> Self {
        Self { state: NodeState::Done, value: Some(value), cause: None, took }
    }

    pub(super) fn failed(cause: Cause, took: Duration) -> Self {
        Self { state: NodeState::Failed, value: None, cause: Some(cause), took }
    }
}
