//! Futures that have come to a worker with a task or an outcome, and those that go on from there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::protocol::{Given, Id, Up};
use super::sub::{Answered, Ends, PassedOn, Sub};
use super::upward::Upward;
use crate::errors::Reason;
use crate::process::lending::with_carrier;
use crate::process::task::Task;

/// The number of the first of the futures that came with what is being read.
///
/// What comes with a request is there as long as its task runs; what comes with an outcome is there as long
/// as what [`unopened`] returns.
pub fn passes() -> Option<u64> {
    with_carrier(|carrier| carrier.passes).flatten()
}

/// Keeps the futures in an outcome in the parent, until it is dropped: those from this number on.
pub fn unopened(first: u64) -> Option<Unopened> {
    Some(Unopened { upward: Arc::clone(Upward::current()?), first })
}

/// See [`unopened`].
pub struct Unopened {
    upward: Arc<Upward>,
    first: u64,
}

impl Drop for Unopened {
    fn drop(&mut self) {
        if !self.upward.is_in_a_fork() {
            self.upward.say_opened(Some(self.first));
        }
    }
}

impl fmt::Debug for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unopened").field("first", &self.first).finish_non_exhaustive()
    }
}

/// Whether the future at this address has come to this worker, and has not ended.
pub fn is_passed(address: usize) -> bool {
    let found = Upward::current().and_then(|upward| upward.find(address));
    matches!(found, Some(Id::Passed(_)))
}

/// Nobody in this worker has the future at this address any more, which has come to it.
pub fn forget(address: usize) {
    let Some(upward) = Upward::current() else { return };
    if let Some(id @ Id::Passed(number)) = upward.find(address)
        && let Some(sub) = upward.take(id)
    {
        upward.say(&Up::Forgets { number }, &[]);
        drop(sub);
    }
}

/// Forgets those that have come to this worker and that nobody has any more, of a host that does not say so
/// itself.
pub(in crate::process) fn forget_unwanted() {
    let Some(upward) = Upward::current() else { return };
    if upward.open.load(Ordering::Relaxed) == 0 {
        return;
    }
    let unwanted = |(id, sub): (&Id, &Sub)| match id {
        Id::Passed(number) if !sub.task.is_wanted() => Some(*number),
        _ => None,
    };
    let unwanted: Vec<_> = upward.state().subs.iter().filter_map(unwanted).collect();
    for number in unwanted {
        if let Some(sub) = upward.take(Id::Passed(number)) {
            upward.say(&Up::Forgets { number }, &[]);
            drop(sub);
        }
    }
}

impl Upward {
    /// Has a future end as the parent's of this number does, which has come here.
    ///
    /// # Errors
    /// Why nothing can be heard of the parent.
    pub fn receive<T: Task>(self: &Arc<Self>, number: u64, future: T) -> Result<(), Reason> {
        self.begin_to_hear()?;
        let (task, passes) = (Box::new(future), Vec::new());
        self.open(Id::Passed(number), Sub { task, function: 0, stays_away: true, passes });
        self.say(&Up::Wants { number }, &[]);
        Ok(())
    }

    /// A future of this worker's that is to go along with a task: the one at this address, which has not
    /// ended. `is_done` waits until it has, or until the time given is over, if it is one of the parent's.
    /// `None`: its outcome comes from nowhere but here.
    pub fn pass_on(
        &self,
        address: usize,
        ends: Box<dyn Ends>,
        is_done: impl FnOnce(Instant) -> bool,
    ) -> Option<PassedOn> {
        /// Of one that the thread that hears has at hand.
        const MOMENT: Duration = Duration::from_mins(1);
        let state = self.state();
        if let Some(id) = state.by_address.get(&address) {
            return Some(PassedOn { given: vec![Given::Task(*id)], ends: vec![ends] });
        }
        if state.in_place.contains(&address) {
            return None;
        }
        drop(state);
        is_done(Instant::now() + MOMENT).then(|| {
            let (given, ends) = outcome(&*ends);
            PassedOn { given, ends }
        })
    }

    pub(super) fn say_opened(&self, first: Option<u64>) {
        if let Some(first) = first {
            self.say(&Up::Opened { first }, &[]);
        }
    }

    /// The end of what went along with a task of this worker's is asked for: it has come, or is about to.
    pub(super) fn asks(&self, id: u64, place: u32, mailbox: u64) {
        let mut state = self.state();
        let mut passes = state.subs.get_mut(&Id::Own(id)).map(|sub| &mut sub.passes);
        let asked = passes.as_mut().and_then(|passes| passes.get_mut(place as usize));
        let ends = asked.map(|ends| std::mem::replace(ends, Box::new(Nothing)));
        state.asks.push(Ask { id, mailbox, ends });
    }

    fn tell_end(&self, ask: Ask) {
        let Ask { id, mailbox, ends } = ask;
        let cancelled = || (vec![Given::Cancelled], Vec::new());
        let (given, ends) = ends.map_or_else(cancelled, |ends| outcome(&*ends));
        let mut state = self.state();
        let place = state.subs.get_mut(&Id::Own(id)).map_or(0, |sub| {
            let place = sub.passes.len();
            sub.passes.extend(ends);
            u32::try_from(place).unwrap_or(u32::MAX)
        });
        drop(state);
        self.say(&Up::Tells { mailbox, given, id, place }, &[]);
    }

    /// Tells what was asked for and has ended. To be called when any future of this worker's has, that may have
    /// gone along with a task.
    pub(super) fn tell_ends(&self) {
        let mut state = self.state();
        state.looks += 1;
        while !state.asks.is_empty() {
            let (looks, asks) = (state.looks, std::mem::take(&mut state.asks));
            // To look at one of the host's may take the host's lock.
            drop(state);
            let (done, left): (Vec<_>, Vec<_>) = asks.into_iter().partition(Ask::has_ended);
            for ask in done {
                self.tell_end(ask);
            }
            state = self.state();
            state.asks.extend(left);
            if state.looks == looks {
                break;
            }
            // Another thread has ended one of them meanwhile, and has found nothing there.
        }
    }
}

/// The parent asks for the end of what went along with this worker's task of the number `id`.
pub(super) struct Ask {
    id: u64,
    mailbox: u64,
    /// `None`: the task has ended, and what went along with it is gone.
    ends: Option<Box<dyn Ends>>,
}

impl Ask {
    fn has_ended(&self) -> bool {
        self.ends.as_ref().is_none_or(|ends| ends.is_done())
    }
}

impl PassedOn {
    pub(super) fn split(all: Vec<Self>) -> (Vec<Given>, Vec<Box<dyn Ends>>) {
        let (given, ends): (_, Vec<_>) = all.into_iter().map(|it| (it.given, it.ends)).unzip();
        let given: Vec<Vec<_>> = given;
        (given.into_iter().flatten().collect(), ends.into_iter().flatten().collect())
    }
}

/// One that has ended, and those in its outcome.
fn outcome(ends: &dyn Ends) -> (Vec<Given>, Vec<Box<dyn Ends>>) {
    let Some((kind, body, passes)) = ends.outcome() else {
        return (vec![Given::Cancelled], Vec::new());
    };
    let count = u32::try_from(passes.len()).unwrap_or(u32::MAX);
    let (mut given, ends) = PassedOn::split(passes);
    given.insert(0, Given::Answered(kind, body, count));
    (given, ends)
}

/// In the place of one that was asked for.
struct Nothing;

impl Ends for Nothing {
    fn is_done(&self) -> bool {
        true
    }

    fn outcome(&self) -> Option<Answered> {
        None
    }
}
