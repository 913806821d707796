//! THE INTAKE: where jobs are left while all workers are at work anyway.
//!
//! Who submits while a worker sleeps, starts or might be added has to see to that, under the pool's lock. While
//! all are at work and there is a backlog, it could only put the job into the queue, and would take the lock and
//! its memory from the others for that. So a shard of the intake is opened for it then, and the worker that finds
//! the queue all but empty takes in what was left in all shards.
//!
//! - **Open means that a worker comes.** A worker that finds nothing shuts the intake, with the same step, before
//!   it sleeps, leaves or helps another; so does everybody who has to know what is queued ([`Shared::lock`]).
//! - **First in, first out.** Each job has a ticket, taken with the shard's lock held. All open shards are locked
//!   at once to be emptied, so that of two jobs, one submitted after the other by whichever threads, the later is
//!   never taken in without the earlier; and they are put into the queue by their tickets. Who finds its shard
//!   shut takes in what was left before, and queues its job behind that.
//! - **Short.** Tickets in a row are noted as one, and what grows does so in chunks: of a million jobs of one thread
//!   nothing lies here but the jobs, and nobody waits until they have been moved.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::AtomicUsize;

use super::{Shared, State};
use crate::chunks::Chunks;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, sabotaged};

/// Threads share a shard where there are more of them.
const SHARDS: usize = if cfg!(loom) { 2 } else { 8 };

/// The backlog from which on it is opened. Short of it, submitters and workers keep pace.
const OPENS_AT: usize = if cfg!(loom) { 4 } else { 256 };

/// While it is shut, a shard keeps the memory for so many runs.
const KEEPS: usize = 256;

pub(super) struct Intake<J> {
    /// As in [`Taken`], for those without the pool's lock: a guess, which a lock confirms. So it may be old, and models
    /// need not see it.
    open: AtomicUsize,
    tickets: Alone<AtomicU64>,
    shards: [Alone<Mutex<Shard<J>>>; SHARDS],
}

/// Nothing else is in its lines of memory.
#[repr(align(128))]
struct Alone<T>(T);

struct Shard<J> {
    open: bool,
    left: Lot<J>,
}

/// Jobs in the order of their tickets.
struct Lot<J> {
    jobs: Chunks<J>,
    runs: VecDeque<Run>,
}

/// Tickets in a row.
struct Run {
    first: u64,
    count: u64,
}

impl<J> Lot<J> {
    fn new() -> Self {
        Self { jobs: Chunks::new(), runs: VecDeque::new() }
    }

    #[inline]
    fn push(&mut self, ticket: u64, job: J) {
        match self.runs.back_mut() {
            Some(run) if run.first + run.count == ticket => run.count += 1,
            _ => self.runs.push_back(Run { first: ticket, count: 1 }),
        }
        self.jobs.push_back(job);
    }

    /// Gives back the memory of what is empty, if that is much.
    fn forget(&mut self) {
        self.jobs.forget_spare();
        if self.runs.capacity() > KEEPS {
            self.runs = VecDeque::new();
        }
    }
}

/// Takes all jobs, by their tickets.
fn drain<J>(lots: &mut [Lot<J>], mut take: impl FnMut(J)) {
    let next = |lot: &Lot<J>| lot.runs.front().map(|run| run.first);
    while let Some((_, lot)) =
        lots.iter_mut().filter_map(|lot| Some((next(lot)?, lot))).min_by_key(|(first, _)| *first)
    {
        let count = lot.runs.pop_front().map_or(0, |run| run.count);
        (0..count).filter_map(|_| lot.jobs.pop_front()).for_each(&mut take);
    }
}

/// What the pool's lock guards.
pub(super) struct Taken<J> {
    /// A bit for each open shard.
    open: usize,
    /// What was in each of the shards, on its way into the queue. Its memory is theirs in turn.
    lots: Vec<Lot<J>>,
}

/// Whether the intake is shut when it has been emptied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shut {
    No,
    /// If nothing was in it.
    IfEmpty,
    Yes,
}

/// The shard of the calling thread.
pub(super) fn own_shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    if cfg!(loom) {
        return 0;
    }
    OWN.get().unwrap_or_else(|| {
        let own = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
        OWN.set(Some(own));
        own
    })
}

impl<J> Intake<J> {
    pub(super) fn new() -> Self {
        let shard = |_| Alone(Mutex::new(Shard { open: false, left: Lot::new() }));
        Self {
            open: AtomicUsize::new(0),
            tickets: Alone(AtomicU64::new(0)),
            shards: std::array::from_fn(shard),
        }
    }

    /// A guess, without the pool's lock.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) != 0
    }

    /// Leaves a job there.
    ///
    /// # Errors
    /// The job, if the shard is shut.
    #[inline]
    pub(super) fn leave(&self, shard: usize, job: J) -> Result<(), J> {
        if self.open.load(Ordering::Relaxed) & 1 << shard == 0 {
            return Err(job);
        }
        let mut shard = self.shards[shard].0.lock();
        if !shard.open {
            return Err(job);
        }
        let number = self.tickets.0.fetch_add(1, Ordering::Relaxed);
        let ticket = if sabotaged("pool_intake_forgets_the_order") { !number } else { number };
        shard.left.push(ticket, job);
        Ok(())
    }

    fn open(&self, shard: usize, taken: &mut Taken<J>) {
        self.shards[shard].0.lock().open = true;
        taken.open |= 1 << shard;
        self.open.store(taken.open, Ordering::Relaxed);
    }

    /// Takes what is in the open shards, all of them at one moment.
    fn empty(&self, taken: &mut Taken<J>, shut: Shut) {
        let lock = |n: usize| (taken.open & 1 << n != 0).then(|| self.shards[n].0.lock());
        let mut shards: [Option<MutexGuard<'_, Shard<J>>>; SHARDS] = std::array::from_fn(lock);
        let mut is_empty = true;
        for (n, (shard, lot)) in shards.iter_mut().zip(&mut taken.lots).enumerate() {
            let Some(open) = shard else { continue };
            mem::swap(&mut open.left, lot);
            is_empty &= lot.runs.is_empty();
            if sabotaged("pool_intake_is_emptied_one_by_one") {
                *shard = None;
                *shard = lock(n);
            }
        }
        if shut == Shut::Yes || (shut == Shut::IfEmpty && is_empty) {
            for shard in shards.iter_mut().flatten() {
                shard.open = sabotaged("pool_intake_shut_leaves_it_open");
                shard.left.forget();
            }
            taken.open = 0;
            self.open.store(0, Ordering::Relaxed);
        }
    }
}

impl<J> Taken<J> {
    pub(super) fn new() -> Self {
        Self { open: 0, lots: (0..SHARDS).map(|_| Lot::new()).collect() }
    }
}

impl<J> Shared<J> {
    /// The pool with all that was submitted in its queue, and the intake shut.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<J>> {
        let mut state = self.state.lock();
        self.take_in(&mut state, Shut::Yes);
        state
    }

    /// Puts what was left in the intake into the queue.
    #[inline]
    pub(super) fn take_in(&self, state: &mut State<J>, shut: Shut) {
        if state.taken.open != 0 {
            self.take_in_open(state, shut);
        }
    }

    fn take_in_open(&self, state: &mut State<J>, shut: Shut) {
        self.intake.empty(&mut state.taken, shut);
        let mut lots = mem::take(&mut state.taken.lots);
        drain(&mut lots, |job| state.push_back(job));
        if state.taken.open == 0 {
            lots.iter_mut().for_each(Lot::forget);
        }
        state.taken.lots = lots;
        self.recount(state);
    }

    /// Opens a shard, if whoever comes with the next job could only queue it.
    pub(super) fn open_intake(&self, state: &mut State<J>, shard: usize) {
        let all_at_work = state.parked + state.starting == 0
            && state.spares + state.compensated + state.standing == 0
            && state.active() >= self.max_workers.load(Ordering::Relaxed);
        if state.waiting >= OPENS_AT && all_at_work && self.max_pending.is_none() {
            self.intake.open(shard, &mut state.taken);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn jobs_of_all_shards_come_in_the_order_of_their_tickets(turns in vec((0..SHARDS, 1..600_usize), 0..20)) {
            let mut lots: Vec<_> = (0..SHARDS).map(|_| Lot::new()).collect();
            let mut tickets = 0..;
            for &(shard, count) in &turns {
                tickets.by_ref().take(count).for_each(|ticket| lots[shard].push(ticket, ticket));
            }
            let noted: usize = lots.iter().map(|lot| lot.runs.len()).sum();
            prop_assert!(noted <= turns.len(), "tickets in a row are one run");
            let mut taken = Vec::new();
            drain(&mut lots, |job| taken.push(job));
            prop_assert!(taken.into_iter().eq(0..tickets.start));
            prop_assert!(lots.iter().all(|lot| lot.runs.is_empty() && lot.jobs.is_empty()));
        }
    }
}
