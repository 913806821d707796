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

    /// The end of what went along with a task of this worker's is asked for: the parent has said it, or is
    /// about to. Whether it is told by now.
    pub(super) fn tell_end(&self, ask: &Ask) -> bool {
        let Ask { id, place, mailbox } = *ask;
        let put = |ends: Box<dyn Ends>| {
            let mut state = self.state();
            let passes = &mut state.subs.get_mut(&Id::Own(id))?.passes;
            Some(std::mem::replace(passes.get_mut(place as usize)?, ends))
        };
        let given = match put(Box::new(Nothing)) {
            Some(ends) if !ends.is_done() => {
                drop(put(ends));
                return false;
            }
            Some(ends) => outcome(&*ends),
            None => (vec![Given::Cancelled], Vec::new()),
        };
        let (given, ends) = given;
        let mut state = self.state();
        let place = state.subs.get_mut(&Id::Own(id)).map_or(0, |sub| {
            let place = sub.passes.len();
            sub.passes.extend(ends);
            u32::try_from(place).unwrap_or(u32::MAX)
        });
        drop(state);
        self.say(&Up::Tells { mailbox, given, id, place }, &[]);
        true
    }

    /// Tells what was asked for too early.
    pub(super) fn tell_ends(&self) {
        let mut asks = std::mem::take(&mut self.state().asks);
        if !asks.is_empty() {
            asks.retain(|ask| !self.tell_end(ask));
            self.state().asks.append(&mut asks);
        }
    }
}

/// The parent asks for the end of what went along with this worker's task of the number `id`, in this place.
pub(super) struct Ask {
    pub(super) id: u64,
    pub(super) place: u32,
    pub(super) mailbox: u64,
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
