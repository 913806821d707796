//! `Node`, a handle on a task of a graph, and what the graph keeps of each.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::engine::{Shown, Standing};
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
/// Calls it with what a node that ran elsewhere has come to.
pub(super) type End = Box<dyn FnOnce(Result<Value, Cause>) + Send>;

/// What a node does.
pub(super) enum Work {
    Value(Box<Compute>),
    /// Only begins it.
    Future(Box<Begin>),
}

type Compute = dyn Fn(&[Entry]) -> Result<Value, Cause> + Send + Sync;
type Begin = dyn Fn(&[Entry], End) + Send + Sync;

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

impl Entry {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        let outcome = Mutex::new(Outcome::waiting());
        Self { name, work: None, keep: false, outcome }
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        let outcome = self.outcome.lock();
        Shown { name: self.name.as_ref().into(), state: outcome.state, took: outcome.took }
    }

    pub(super) fn standing(&self) -> Standing {
        let outcome = self.outcome.lock();
        Standing {
            is_done: outcome.state == NodeState::Done,
            has_value: outcome.value.is_some(),
            has_work: self.work.is_some(),
        }
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
