//! Futures that go along with tasks: what the parent knows of them.
//!
//! A task that gets one gets a number. When its worker has made a future of it, it asks for the outcome
//! (`Wants`), which goes there when there is one, and nowhere before. The parent knows of that as long as
//! the future has not ended and somebody in the worker has it: then it is told (`Forgets`), or the worker
//! dies. What comes with a request stays with it until its task has ended; futures in an outcome that goes
//! to a worker stay until that was opened there, or thrown away (`Opened`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::channel::Channel;
use super::protocol::{Down, Id, Lost};
use crate::crossing::Kind;
use crate::nested::Targets;
use crate::nested::graph::TaskId;
use crate::process::supervisor::Ticket;
use crate::process::task::Loss;

/// A future of the host's that goes along with a task of a pool, in the process of the pool. None of this
/// is called with the pool's lock held.
pub trait PassedFuture: Send + Sync {
    /// What the wait-for graph knows its task by, as long as this lives.
    fn id(&self) -> TaskId;

    /// Adds it to what a wait is for, with what it is made from.
    fn add_to(&self, targets: &mut Targets);

    /// The number of the pool of processes whose task it is, if it is one's.
    fn pool(&self) -> Option<NonZeroU32>;

    /// Has the outlet told of its end, if that is wanted then.
    fn watch(&self, outlet: &Outlet);

    /// Forgets the outlet.
    fn unwatch(&self, outlet: &Outlet);

    /// Cancels it, also if it is `running` in a worker process; whether it is cancelled.
    fn cancel(&self, running: bool) -> bool;
}

/// A future that goes along.
#[derive(Clone)]
pub(in crate::process) enum Passed {
    Host(Arc<dyn PassedFuture>),
    /// Of a task that came from a worker, or one that a worker knows the outcome of.
    Mailbox(Arc<Mailbox>),
}

impl Passed {
    pub(in crate::process) fn id(&self) -> TaskId {
        match self {
            Self::Host(future) => future.id(),
            Self::Mailbox(mailbox) => mailbox.id,
        }
    }

    pub(in crate::process) fn add_to(&self, targets: &mut Targets) {
        match self {
            Self::Host(future) => future.add_to(targets),
            Self::Mailbox(mailbox) => targets.add(mailbox.id, None, None),
        }
    }

    pub(in crate::process) fn unwatch(&self, outlet: &Outlet) {
        match self {
            Self::Host(future) => future.unwatch(outlet),
            Self::Mailbox(mailbox) => mailbox.unwatch(outlet),
        }
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passed({:#x})", self.id())
    }
}

/// Those that go along with one message. What it holds of the host's is dropped without the pool's lock.
#[derive(Debug)]
pub(in crate::process) struct Passes {
    first: u64,
    futures: Vec<Passed>,
}

impl Passes {
    /// With numbers that no others have.
    pub(in crate::process) fn new(futures: Vec<Passed>) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if futures.is_empty() {
            return None;
        }
        let first = NEXT.fetch_add(futures.len() as u64, Ordering::Relaxed);
        Some(Self { first, futures })
    }

    pub(in crate::process) fn first(&self) -> u64 {
        self.first
    }

    pub(in crate::process) fn get(&self, number: u64) -> Option<&Passed> {
        self.futures.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// What a worker knows of such futures.
#[derive(Default)]
pub(super) struct Known {
    /// Those that it wants the outcome of, and that have not ended.
    wanted: HashMap<u64, Passed>,
    /// Those in outcomes that it has not opened, by the number of the first.
    unopened: BTreeMap<u64, Passes>,
    /// It is gone.
    gone: bool,
}

/// The parent's end of what a worker knows.
impl Channel {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker wants the outcome of this one. `false`: it is gone.
    pub(in crate::process) fn is_to_know(&self, number: u64, future: &Passed) -> bool {
        let mut known = self.known();
        if !known.gone {
            known.wanted.insert(number, future.clone());
        }
        !known.gone
    }

    /// The one that the worker wants the outcome of by this number.
    pub(in crate::process) fn wanted(&self, number: u64) -> Option<Passed> {
        self.known().wanted.get(&number).cloned()
    }

    /// It has ended, or is not wanted any more.
    pub(in crate::process) fn take_wanted(&self, number: u64) -> Option<Passed> {
        self.known().wanted.remove(&number)
    }

    /// The one of this number in an outcome that has not been opened.
    pub(in crate::process) fn unopened(&self, number: u64) -> Option<Passed> {
        let known = self.known();
        let (_, passes) = known.unopened.range(..=number).next_back()?;
        passes.get(number).cloned()
    }

    pub(in crate::process) fn opened(&self, first: u64) -> Option<Passes> {
        self.known().unopened.remove(&first)
    }

    /// The worker is gone: all that it knew, with the numbers.
    pub(in crate::process) fn forget_all(&self) -> (HashMap<u64, Passed>, BTreeMap<u64, Passes>) {
        let mut known = self.known();
        known.gone = true;
        (std::mem::take(&mut known.wanted), std::mem::take(&mut known.unopened))
    }
}

/// Where the outcome of a future is to be told of: in one worker, by one number.
#[derive(Clone)]
pub struct Outlet {
    pub(super) channel: Arc<Channel>,
    pub(super) number: u64,
}

impl Outlet {
    pub(in crate::process) fn new(channel: &Arc<Channel>, number: u64) -> Self {
        Self { channel: Arc::clone(channel), number }
    }

    /// Whether somebody there still wants it.
    pub fn is_wanted(&self) -> bool {
        self.channel.known().wanted.contains_key(&self.number)
    }

    /// What tells those who wake it from others: no address.
    pub(in crate::process) fn party(&self) -> usize {
        usize::try_from(self.number).unwrap_or(usize::MAX) << 1 | 1
    }

    /// It has ended with this, as the body of an answer, in which these futures go along.
    pub fn answer(&self, kind: Kind, body: &[u8], futures: Vec<Arc<dyn PassedFuture>>) {
        self.answer_with(kind, body, futures.into_iter().map(Passed::Host).collect());
    }

    fn answer_with(&self, kind: Kind, body: &[u8], futures: Vec<Passed>) {
        let passes = Passes::new(futures);
        let first = passes.as_ref().map(Passes::first);
        let mut known = self.channel.known();
        let future = known.wanted.remove(&self.number);
        if future.is_some()
            && let (Some(first), Some(passes)) = (first, passes)
        {
            known.unopened.insert(first, passes);
        }
        drop(known);
        if future.is_some() {
            let id = Id::Passed(self.number);
            self.channel.say(&Down::Answered { id, kind, passes: first }, body);
        }
    }

    /// It was cancelled.
    pub fn cancel(&self) {
        self.lose(Lost::Cancelled, Kind::One, &[]);
    }

    pub(super) fn lose(&self, loss: Lost, kind: Kind, body: &[u8]) {
        let future = self.channel.take_wanted(self.number);
        if future.is_some() {
            self.channel.say(&Down::Lost { id: Id::Passed(self.number), loss, kind }, body);
        }
    }
}

impl PartialEq for Outlet {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && Arc::ptr_eq(&self.channel, &other.channel)
    }
}

impl Eq for Outlet {}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A number for the wait-for graph that is no address, and that no other task has.
pub(in crate::process) fn number_for_graph() -> TaskId {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    (NEXT.fetch_add(1, Ordering::Relaxed) << 1) | 1
}

/// The outcome of a task that came from a worker, for other workers, which have its future.
pub(in crate::process) struct Mailbox {
    /// In the wait-for graph.
    id: TaskId,
    /// The task, unless the pool knows none: its outcome comes from a worker.
    pub(in crate::process) ticket: Option<Ticket>,
    inside: Mutex<Inside>,
}

enum Inside {
    Open(Vec<Outlet>),
    Ended(Ended),
}

/// How it has ended.
pub(in crate::process) enum Ended {
    Answered(Kind, Vec<u8>, Vec<Passed>),
    Lost(Loss, Kind, Vec<u8>),
}

impl Ended {
    fn tell(&self, outlet: &Outlet) {
        match self {
            Self::Answered(kind, body, futures) => {
                outlet.answer_with(*kind, body, futures.clone());
            }
            Self::Lost(loss, kind, body) => outlet.lose(loss.clone().into(), *kind, body),
        }
    }
}

impl Mailbox {
    /// Of a task, which the graph knows by `id`; of nobody's, without one.
    pub(in crate::process) fn new(task: Option<(TaskId, Ticket)>) -> Arc<Self> {
        let inside = Mutex::new(Inside::Open(Vec::new()));
        let id = task.map_or_else(number_for_graph, |(id, _)| id);
        Arc::new(Self { id, ticket: task.map(|(_, ticket)| ticket), inside })
    }

    /// Of what has ended, so that it is only told of.
    pub(in crate::process) fn ended(ended: Ended) -> Arc<Self> {
        let inside = Mutex::new(Inside::Ended(ended));
        Arc::new(Self { id: number_for_graph(), ticket: None, inside })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::process) fn watch(&self, outlet: Outlet) {
        match &mut *self.inside() {
            Inside::Open(outlets) => outlets.push(outlet),
            Inside::Ended(ended) => ended.tell(&outlet),
        }
    }

    fn unwatch(&self, outlet: &Outlet) {
        if let Inside::Open(outlets) = &mut *self.inside() {
            outlets.retain(|other| other != outlet);
        }
    }

    /// How it has ended, of one that nobody else has.
    pub(in crate::process) fn take(self: Arc<Self>) -> Option<Ended> {
        match Arc::into_inner(self)?.inside.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Inside::Ended(ended) => Some(ended),
            Inside::Open(_) => None,
        }
    }

    /// Ends it, once.
    pub(in crate::process) fn end(&self, ended: Ended) {
        let mut inside = self.inside();
        if let Inside::Open(outlets) = &mut *inside {
            let outlets = std::mem::take(outlets);
            for outlet in outlets {
                ended.tell(&outlet);
            }
            *inside = Inside::Ended(ended);
        }
    }
}
