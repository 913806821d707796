//! What can go wrong with a graph, as types.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::{BrokenExecutor, Reason};

/// Why a [`Graph`](crate::Graph) has not computed what it was asked for.
///
/// ```
/// use manyhands::{Graph, GraphError, InlineExecutor};
/// use std::sync::Arc;
///
/// let mut graph = Graph::new();
/// let missing = graph.declare::<u32>("missing");
/// let error = graph.get(&Arc::new(InlineExecutor::new()), missing).unwrap_err();
/// assert!(matches!(error, GraphError::Undefined { name } if name == "missing"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A task failed.
    #[error(transparent)]
    Failed(GraphFailed),
    /// A task was declared and has not been defined.
    #[error("`{name}` is needed and was only declared; say what it does by `Graph::define`")]
    Undefined {
        /// Its name.
        name: String,
    },
    /// The executor accepted nothing.
    #[error("the executor did not accept the graph: {0}")]
    Refused(Reason),
    /// The executor broke.
    #[error("the executor broke: {0}")]
    Broken(BrokenExecutor),
    /// The executor dropped what it had accepted, as it does in `shutdown(_, true)`.
    #[error("the executor has cancelled the graph's tasks")]
    Cancelled,
}

/// A task of a graph failed, and what depends on it was not run.
#[derive(Clone)]
pub struct GraphFailed(Arc<Failure>);

struct Failure {
    name: String,
    cause: Arc<dyn Error + Send + Sync>,
    not_run: Vec<String>,
}

/// As many names as a reader reads.
const NAMES: usize = 8;

impl GraphFailed {
    pub(crate) fn new(
        name: String,
        cause: Arc<dyn Error + Send + Sync>,
        not_run: Vec<String>,
    ) -> Self {
        Self(Arc::new(Failure { name, cause, not_run }))
    }

    /// The name of the task that failed; of the first in the graph's order, if there were several.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How it failed: an [`Exception`](crate::Exception) of the type that the task has.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0.cause
    }

    /// The names of all that were not run, in the graph's order.
    pub fn not_run(&self) -> &[String] {
        &self.0.not_run
    }
}

impl fmt::Display for GraphFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { name, cause, not_run } = &*self.0;
        write!(f, "`{name}` failed: {cause}")?;
        for (index, name) in not_run.iter().take(NAMES).enumerate() {
            let before = if index == 0 { "; so these were not run: " } else { ", " };
            write!(f, "{before}`{name}`")?;
        }
        if not_run.len() > NAMES {
            write!(f, " and {} more", not_run.len() - NAMES)?;
        }
        Ok(())
    }
}

impl fmt::Debug for GraphFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphFailed")
            .field("name", &self.0.name)
            .field("cause", &self.0.cause)
            .field("not_run", &self.0.not_run.len())
            .finish()
    }
}

impl Error for GraphFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0.cause)
    }
}

/// A task of a graph that would depend on itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The names on the way: each needs the next, and the last is the first.
    pub names: Vec<String>,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.names.first().map_or("", String::as_str);
        write!(f, "`{first}` would depend on itself: `{}`", self.names.join("` needs `"))
    }
}

impl Error for Cycle {}
