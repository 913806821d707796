//! THE ENGINE OF A GRAPH, for any host: what has to be run, what is ready, who runs it. It knows nodes by
//! their numbers; what they do and what they come to is the host's.
//!
//! ```text
//!  Edges, Dependants ──▶ Plan::new ──▶ Attendant::start ──▶ Host::submit(Ticket) ──▶ the executor's queue
//!                                          │ wait, work, ended                          │ Ticket::work
//!                                          ▼                                            ▼
//!                                  looks after what lies there,        takes nodes that are ready:
//!                                  hears of nodes run elsewhere        Host::perform, Host::keep, Host::forget
//! ```
//!
//! `edges.rs`, `plan.rs`: what depends on what, and what has to be run (pure); `run.rs`: tickets;
//! `places.rs`: when all have ended; `ready.rs`: what is ready; `attendant.rs`: the thread that waits; `picture.rs`: DOT and Mermaid.

mod attendant;
mod edges;
mod picture;
mod places;
mod plan;
mod ready;
mod run;

use std::time::Duration;

pub use attendant::{Attendant, Event};
pub use edges::{Dependants, Edges};
pub use picture::{Shown, dot, mermaid};
pub use places::{Place, Stopper};
pub use plan::{Plan, Standing, not_done};
pub use run::{Elsewhere, Run, Ticket};

/// Whoever has nodes run.
///
/// ```
/// use manyhands::graph::engine::*;
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// /// Notes what runs; has no executor, so its nodes run in the thread that waits.
/// struct Notes(Mutex<Vec<u32>>);
///
/// impl Host for Notes {
///     type Outcome = u32;
///
///     fn perform(&self, index: u32, _: Elsewhere<'_, Self>) -> Performed<u32> {
///         Performed::Here(index)
///     }
///
///     fn keep(&self, _: u32, outcome: u32, _: Duration) -> bool {
///         self.0.lock().unwrap().push(outcome);
///         true
///     }
///
///     fn forget(&self, _: u32) {}
///
///     fn submit(&self, _: Ticket<Self>) -> Submitted {
///         Submitted::Here
///     }
/// }
///
/// let mut edges = Edges::new();
/// let (hen, egg) = (edges.add(), edges.add());
/// edges.set(hen, &[egg]);
/// let dependants = Dependants::of(&edges);
/// let stands = [Standing { is_done: false, has_value: false, has_work: true }; 2];
/// let plan = Plan::new(&edges, &dependants, &stands, vec![hen]).unwrap();
/// let host = Notes(Mutex::default());
/// let mut attendant = Attendant::new(host, Arc::new(edges), Arc::new(dependants), plan);
/// attendant.start();
/// while attendant.wait(None) != Some(Event::AllEnded) {
///     attendant.work();
/// }
/// assert_eq!(attendant.finish().0.0.into_inner().unwrap(), [egg, hen]);
/// ```
pub trait Host: Send + Sync + Sized + 'static {
    /// What a node comes to.
    type Outcome;

    /// Runs a node, here or elsewhere. What it depends on has been kept.
    fn perform(&self, index: u32, elsewhere: Elsewhere<'_, Self>) -> Performed<Self::Outcome>;

    /// Keeps what a node has come to; whether those that depend on it can be run.
    fn keep(&self, index: u32, outcome: Self::Outcome, took: Duration) -> bool;

    /// Nobody needs the value of this node any more.
    fn forget(&self, index: u32);

    /// Gives a ticket to the executor, which is to call [`Ticket::work`].
    fn submit(&self, ticket: Ticket<Self>) -> Submitted;

    /// Whether there is an executor at all.
    fn has_workers(&self) -> bool {
        true
    }
}

/// What has become of a node.
#[derive(Debug)]
pub enum Performed<O> {
    /// It has run, and come to this.
    Here(O),
    /// It runs somewhere else, with a [`Place`] of its own.
    Elsewhere,
}

/// What has become of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Somebody will come for it.
    Queued,
    /// Nobody will: whoever has submitted it is to go on alone.
    Here,
    /// Nobody will, and nothing is to be run by others any more.
    Refused,
}
