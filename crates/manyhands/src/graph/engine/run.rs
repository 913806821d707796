//! Carrying out a plan, by any number of workers.
//!
//! A node is no job of its own. Jobs are [`Ticket`]s: whoever works one off takes nodes that are ready,
//! one after the other, as long as there are any; what a node makes ready, its worker goes on with. When
//! more is ready and no ticket waits in the executor's queue, another is submitted, so that as many workers
//! come as the executor has and the graph needs. A ticket that has run for [`TURN`] goes to the end of the
//! queue, behind what others have submitted.
//!
//! Whoever holds a [`Place`] may still have something to do: a worker, a ticket in a queue, a node that
//! runs elsewhere. A run has ended when none is left. The run itself is let go of before the place; thus
//! the [`Attendant`](super::Attendant) has it alone then, and takes out of it what the host keeps.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::places::{LOOK, Place, Places, Stopper};
use super::ready::{self, Ready};
use super::{Dependants, Edges, Host, Performed, Plan, Submitted};
use crate::ready::Ready as Events;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use crate::sync::{now, sabotaged};

/// How long a ticket runs before it gives way to others.
pub(super) const TURN: Duration = Duration::from_millis(1);

/// How long what lies ready is left to a worker that may be at a long task. (A model's clock stands still.)
pub(super) const LOOK_AFTER: Duration = if cfg!(loom) { Duration::ZERO } else { TURN };

/// How many nodes to run after the executor has not taken a ticket, before the next try.
const PATIENCE: u32 = 64;

/// A plan that is carried out: what all its tickets share.
pub struct Run<H> {
    host: H,
    edges: Arc<Edges>,
    dependants: Arc<Dependants>,
    planned: Vec<bool>,
    waits_for: Vec<AtomicU32>,
    needed_by: Vec<AtomicU32>,
    pub(super) ready: Ready,
    /// How many have not been done.
    left: AtomicUsize,
    stopped: Arc<AtomicBool>,
    /// Whether a ticket waits in the executor's queue.
    queued: AtomicBool,
    /// Whether the attendant has been asked to look after what is left lying.
    pub(super) watched: AtomicBool,
    pub(super) places: Arc<Places>,
}

impl<H: Host> Run<H> {
    pub(super) fn new(host: H, edges: Arc<Edges>, dependants: Arc<Dependants>, plan: Plan) -> Self {
        let count = plan.planned.iter().filter(|planned| **planned).count();
        Self {
            host,
            edges,
            dependants,
            planned: plan.planned,
            waits_for: plan.waits_for.into_iter().map(AtomicU32::new).collect(),
            needed_by: plan.needed_by.into_iter().map(AtomicU32::new).collect(),
            ready: Ready::new(plan.ready),
            left: AtomicUsize::new(count),
            stopped: Arc::new(AtomicBool::new(false)),
            queued: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            places: Arc::new(Places::new()),
        }
    }

    /// The host's part.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Whether everything that was planned is done.
    pub fn is_done(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Has nothing begun any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// What can stop it, for others, and keeps nothing of it.
    pub fn stopper(&self) -> Stopper {
        Stopper::new(&self.stopped, &self.places)
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Where numbers of nodes are left that have ended elsewhere.
    pub fn events(&self) -> &Arc<Events> {
        &self.places.events
    }

    pub(super) fn into_parts(self) -> (H, Vec<bool>) {
        (self.host, self.planned)
    }

    /// A node has come to something; returns one that is ready now, if there is one.
    pub(super) fn ended(
        &self,
        index: u32,
        outcome: H::Outcome,
        took: Duration,
        mut put: impl FnMut(u32),
    ) -> Option<u32> {
        // What depends on one that failed is never ready, and keeps what else it needs for the next run.
        if !self.host.keep(index, outcome, took) {
            return None;
        }
        self.left.fetch_sub(1, Ordering::AcqRel);
        for &dep in self.edges.of(index) {
            if self.needed_by[dep as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
                self.host.forget(dep);
            }
        }
        let mut next = None;
        for &dependant in self.dependants.on(index) {
            if self.planned[dependant as usize]
                && self.has_waited_for_one(dependant)
                && let Some(other) = next.replace(dependant)
            {
                put(other);
            }
        }
        next
    }
}

impl<H> Run<H> {
    /// One less that it waits for; whether it was the last.
    fn has_waited_for_one(&self, index: u32) -> bool {
        let waits_for = &self.waits_for[index as usize];
        if sabotaged("graph_counts_in_two_steps") {
            let left = waits_for.load(Ordering::Acquire) - 1;
            waits_for.store(left, Ordering::Release);
            return left == 0;
        }
        waits_for.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl<H> fmt::Debug for Run<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.left.load(Ordering::Acquire);
        f.debug_struct("Run").field("left", &left).finish_non_exhaustive()
    }
}

/// A job that takes part in a run. One that is dropped, by an executor that has been shut down say, does
/// no harm but that what it was to do is not done.
pub struct Ticket<H: Host> {
    run: Option<Arc<Run<H>>>,
    place: Option<Place>,
}

thread_local! {
    /// The run that this thread is submitting a ticket of.
    static SUBMITTING: Cell<usize> = const { Cell::new(0) };
}

impl<H: Host> Ticket<H> {
    /// Runs nodes until there are none or the turn is over. What is left is to be dropped when the worker
    /// has counted itself free.
    pub fn work(mut self) -> Option<Place> {
        let run = self.run.take()?;
        run.queued.store(false, Ordering::Relaxed);
        if SUBMITTING.get() == Arc::as_ptr(&run).addr() {
            // It was not queued but called in the very thread that submits it, which is at work already.
            SUBMITTING.set(0);
        } else {
            work(&run, false);
        }
        #[cfg(loom)]
        if sabotaged("graph_place_goes_before_the_run") {
            drop(self.place.take());
            loom::thread::yield_now();
        }
        drop(run);
        self.place.take()
    }

    /// The run that it takes part in.
    pub fn run(&self) -> Option<&Arc<Run<H>>> {
        self.run.as_ref()
    }
}

impl<H: Host> Drop for Ticket<H> {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            run.queued.store(false, Ordering::Relaxed);
        }
    }
}

impl<H: Host> fmt::Debug for Ticket<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.run).finish()
    }
}

/// Submits a ticket, for one who has a place.
pub(super) fn submit<H: Host>(run: &Arc<Run<H>>) -> Submitted {
    run.queued.store(true, Ordering::Relaxed);
    let ticket = Ticket { run: Some(Arc::clone(run)), place: Some(run.places.one_more()) };
    let address = Arc::as_ptr(run).addr();
    let before = SUBMITTING.replace(address);
    let submitted = run.host.submit(ticket);
    let was_called = SUBMITTING.replace(before) != address;
    if was_called { Submitted::Here } else { submitted }
}

/// Submits a ticket, if none waits in the queue.
pub(super) fn submit_if_none<H: Host>(run: &Arc<Run<H>>) -> Submitted {
    if run.queued.swap(true, Ordering::Relaxed) { Submitted::Queued } else { submit(run) }
}

/// Takes nodes that are ready and runs them, until there are none or the turn is over; whether there was one.
/// The attendant, who `attends`, comes back when it is wanted elsewhere, and has no ticket submitted in its
/// stead.
pub(super) fn work<H: Host>(run: &Arc<Run<H>>, attends: bool) -> bool {
    let local = run.ready.join();
    let mut turn_began = now();
    let mut began = turn_began;
    // Until it is known: long, so that nobody waits.
    let mut usual = TURN;
    let mut next = None;
    let mut patience = 0;
    let mut is_new = true;
    while let Some(index) = next.take().or_else(|| run.ready.take(&local, usual)) {
        if run.is_stopped() {
            break;
        }
        // Who has just come calls the next for anything that lies anywhere; so they go on coming until
        // there is nothing left. From then on, each looks after what it makes ready itself.
        let ready = if is_new { usize::from(run.ready.is_any()) } else { run.ready.seen(&local) };
        is_new = false;
        patience = match call_help(run, ready, usual, patience == 0) {
            Called::InVain => PATIENCE,
            Called::NotNow => patience.saturating_sub(1),
        };
        local.begin(began, usual);
        let performed = run.host.perform(index, Elsewhere(run));
        let ended = now();
        let took = ended - began;
        began = ended;
        usual = (usual + took) / 2;
        if let Performed::Here(outcome) = performed {
            next = run.ended(index, outcome, took, |other| local.put([other]));
        }
        if attends && (ended - turn_began > TURN || !run.places.events.is_empty()) {
            run.ready.share(&local, next.take());
            break;
        }
        if ended - turn_began > TURN {
            turn_began = ended;
            // First, so that the next ticket finds it.
            run.ready.share(&local, next.take());
            if run.ready.is_any() && matches!(submit(run), Submitted::Queued) {
                break;
            }
        }
    }
    run.ready.leave(&local);
    // It may be that another will soon have done what lies there; but it may be at a long task.
    if !attends && !run.is_stopped() && run.ready.is_any() {
        look_after(run);
    }
    !is_new
}

enum Called {
    /// Nobody, or somebody is on the way.
    NotNow,
    /// The executor does not take any ticket.
    InVain,
}

/// Before a node begins while so many others are ready: submits a ticket, if they are worth another
/// worker and the executor `may` take it. If not, this worker will soon have done them, unless the node
/// takes its time: then the attendant submits one.
fn call_help<H: Host>(run: &Arc<Run<H>>, ready: usize, usual: Duration, may: bool) -> Called {
    if ready == 0 || !run.host.has_workers() || run.queued.load(Ordering::Relaxed) {
        return Called::NotNow;
    }
    if may && ready::is_worth_a_worker(ready, usual) {
        if !matches!(submit_if_none(run), Submitted::Queued) {
            return Called::InVain;
        }
    } else {
        look_after(run);
    }
    Called::NotNow
}

/// Has the attendant look after what is ready, if it has not been asked to.
fn look_after<H: Host>(run: &Run<H>) {
    if !run.watched.load(Ordering::Relaxed) && !run.watched.swap(true, Ordering::Relaxed) {
        run.places.events.push([LOOK]);
    }
}

/// The way for a node to run somewhere else.
pub struct Elsewhere<'a, H: Host>(&'a Arc<Run<H>>);

impl<H: Host> Elsewhere<'_, H> {
    /// A place for the node, taken before it sets out: whoever hears of its end gives it to
    /// [`Attendant::ended`](super::Attendant::ended).
    pub fn place(&self) -> Place {
        self.0.places.one_more()
    }

    /// Has nothing begun any more.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Where its number is to be left when it has ended.
    pub fn events(&self) -> &Arc<Events> {
        &self.0.places.events
    }
}

impl<H: Host> fmt::Debug for Elsewhere<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Elsewhere").field(self.0).finish()
    }
}
