//! WHO LISTENS for the answers of worker processes, and how it is woken for them: the manager of a pool, or
//! a thread that waits.
//!
//! A thread that waits for a task of the pool *attends*: it receives the answers itself, while it waits.
//! Without that an answer would wake the manager, and the manager the waiter: two ways through the
//! scheduler, where one will do. At most one thread attends; the manager sleeps on, and hears nothing of
//! answers meanwhile, which ring another doorbell. It still sees deaths, births and deadlines.
//!
//! ```text
//! manager:    awake ──sleep: nothing to do, no answer──▶ asleep ──its doorbell──▶ awake
//! attendant:  none ──begin──▶ awake ──sleep: no answer──▶ asleep ──its doorbell──▶ awake ──end──▶ none
//!
//! attendant   manager   an answer rings
//! none        awake     nobody: the manager looks before it sleeps
//! none        asleep    the manager's doorbell
//! awake       either    nobody: the attendant looks before it sleeps, and for the manager before it ends
//! asleep      either    the attendant's doorbell
//! ```
//!
//! Nobody sleeps beside an answer, because each of these steps is one under the lock, and whoever takes
//! it has the links ring from then on, and sees in the same moment if an answer is there already:
//!
//! - who falls asleep, for itself, and then stays awake;
//! - the attendant that ends, for a manager that sleeps, and then rings for it;
//! - who puts a request into a link, for whoever sleeps, and then rings for it.
//!
//! It knows no tasks. What is under the lock beside the [`Listeners`] is its caller's ([`Shared`]), as is what
//! is done about an answer.

mod intake;
mod listeners;

use std::io;
use std::mem;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread;
use std::time::Instant;

use manyhands_shm::{Doorbell, Lookout};

use crate::spin;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, now, sabotaged};

pub(crate) use intake::{Intake, Leave};
pub(crate) use listeners::{Answers, Listeners, Sleep};

use listeners::{Attendant, busy};

/// Which doorbell is the manager's.
pub(crate) const MANAGERS: usize = 0;

/// And which that of a thread that attends.
pub(crate) const CALLERS: usize = 1;

/// What a pool has under its lock, with those who listen.
pub(crate) struct Listening<S> {
    state: Mutex<S>,
    /// Rung to wake the manager, and to wake a thread that attends while it waits.
    doorbells: Arc<[Doorbell; 2]>,
    /// A look at whether there is something to do, for a manager that spins.
    called: AtomicBool,
    /// A look at whether a thread attends, likewise. Written by who begins and by who ends, in the order in
    /// which they have the lock: after it, and before it.
    attended: AtomicBool,
    over: Condvar,
}

/// What is under the lock, as far as it matters here.
pub(crate) trait Shared {
    /// A worker's link.
    type Link: Answers;

    /// Who listens.
    fn listeners(&self) -> &Listeners;

    /// Who listens, and all links there are.
    fn listeners_and_links(&mut self) -> (&mut Listeners, impl Iterator<Item = &mut Self::Link>);

    /// What shows without the lock whether there are answers.
    fn lookouts(&self) -> &Arc<[Lookout]>;

    /// Whether there is something that only the manager does.
    fn has_chores(&self) -> bool;

    /// When the manager has to be awake, whatever happens.
    fn next_deadline(&self) -> Option<Instant>;

    /// Whether nothing will come any more.
    fn is_done(&self) -> bool;

    /// Whether a task that has ended for those under the lock is yet to end for others.
    fn is_ending(&self) -> bool;

    /// Whether nothing is left to be done either: a thread that attends may still read a result, or leave
    /// somebody to be told.
    fn is_over(&self) -> bool {
        self.is_done() && self.listeners().attendant.is_none() && !self.is_ending()
    }
}

/// A task that a thread waits for.
#[cfg_attr(
    loom,
    expect(unreachable_pub, reason = "it is reached through `process`, left out there")
)]
pub trait Awaited {
    /// By which its executor knows it.
    fn address(&self) -> usize;

    /// Whether it has ended.
    fn is_done(&self) -> bool;

    /// Has `waker` woken when it is done; `false` if it is done already.
    fn watch(&self, waker: &Waker) -> bool;

    /// Forgets that waker.
    fn unwatch(&self);
}

impl<S: Shared> Listening<S> {
    pub(crate) fn new(state: S, doorbells: [Doorbell; 2]) -> Self {
        Self {
            state: Mutex::new(state),
            doorbells: Arc::new(doorbells),
            called: AtomicBool::new(false),
            attended: AtomicBool::new(false),
            over: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock()
    }

    pub(crate) fn doorbells(&self) -> &Arc<[Doorbell; 2]> {
        &self.doorbells
    }

    /// Unlocks, and wakes those for whom there is something.
    pub(crate) fn let_go(&self, mut state: MutexGuard<'_, S>) {
        let called = state.has_chores();
        let asleep = state.listeners().manager;
        let mut rings = mem::take(&mut state.listeners_and_links().0.rings);
        rings[MANAGERS] |= asleep.is_some_and(|Sleep { until }| {
            let is_sooner = |due| until.is_none_or(|until| due < until);
            let sooner = state.next_deadline().is_some_and(is_sooner);
            called && !sabotaged("listening_call_wakes_nobody")
                || sooner && !sabotaged("listening_sooner_deadline_wakes_nobody")
                || state.is_done()
        });
        if state.is_done() {
            self.over.notify_all();
        }
        drop(state);
        if called {
            self.call();
        }
        self.ring(rings);
    }

    /// Calls the manager, which does not sleep.
    pub(crate) fn call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    fn ring(&self, rings: [bool; 2]) {
        let rung = self.doorbells.iter().zip(rings).filter(|(_, rings)| *rings);
        rung.for_each(|(doorbell, _)| doorbell.ring());
    }

    /// Waits until all is over, or the time is, or for no reason.
    pub(crate) fn wait_until_over<'a>(
        &self,
        state: MutexGuard<'a, S>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, S> {
        self.over.wait(state, deadline)
    }
}

/// The manager's part.
impl<S: Shared> Listening<S> {
    /// Takes from under the lock what there is to do, answers among it. Whether all is over.
    pub(crate) fn turn(&self, take: impl FnOnce(&mut S)) -> bool {
        let mut state = self.lock();
        self.called.store(false, Ordering::Relaxed);
        take(&mut state);
        let rings = mem::take(&mut state.listeners_and_links().0.rings);
        let over = state.is_over();
        if over {
            self.over.notify_all();
        }
        drop(state);
        self.ring(rings);
        over
    }

    /// Whether the manager has something to do that nobody else can.
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Whether a manager that spins is wanted: it has to do something, or there is an answer which nobody
    /// else sees to.
    pub(crate) fn is_wanted(&self, lookouts: &[Lookout]) -> bool {
        self.is_called()
            || (!self.attended.load(Ordering::Relaxed)
                || sabotaged("listening_manager_minds_what_is_seen_to"))
                && lookouts.iter().any(Lookout::has_answer)
    }

    /// The manager is about to sleep until its doorbell rings, and no longer than this; or `None` if it must
    /// not. `prepare` gets ready for it.
    pub(crate) fn fall_asleep(&self, prepare: impl FnOnce(&S)) -> Option<Sleep> {
        let mut state = self.lock();
        let wanted = state.has_chores() || state.is_over();
        #[cfg(loom)]
        if sabotaged("listening_manager_looks_before_it_sleeps") {
            state = state.let_go();
        }
        let sleep = Sleep { until: state.next_deadline() };
        let (listeners, links) = state.listeners_and_links();
        listeners.manager = Some(sleep);
        let answered = listeners.listen(links) && !sabotaged("listening_manager_sleeps_on");
        if wanted || answered {
            Self::manager_wakes(&mut state);
            return None;
        }
        prepare(&state);
        Some(sleep)
    }

    /// The doorbell has rung and is cleared, or it is time.
    pub(crate) fn wake_up(&self) {
        Self::manager_wakes(&mut self.lock());
    }

    fn manager_wakes(state: &mut S) {
        let (listeners, links) = state.listeners_and_links();
        listeners.manager = None;
        if listeners.attendant.is_none() {
            busy(links).for_each(Answers::set_awake);
        }
    }
}

/// The part of a thread that attends.
impl<S: Shared> Listening<S> {
    /// Receives answers until `task` is done or the deadline is over; does nothing if another thread
    /// attends already. `receive` says whether there was anything.
    pub(crate) fn attend(
        &self,
        task: &dyn Awaited,
        deadline: Option<Instant>,
        mut receive: impl FnMut() -> bool,
    ) {
        let Some(mut lookouts) = self.begin_attending() else { return };
        // Also if something panics.
        let _attends = Attends(self);
        let waker = Waker::from(Arc::new(Rings(Arc::clone(&self.doorbells))));
        while !task.is_done() && deadline.is_none_or(|deadline| now() < deadline) {
            if receive() {
                continue;
            }
            let seen = || task.is_done() || lookouts.iter().any(Lookout::has_answer);
            if spin::for_caller(seen) {
                continue;
            }
            if !task.watch(&waker) {
                break;
            }
            let slept = self.sleep_attending(deadline);
            task.unwatch();
            match slept {
                Ok(now) => lookouts = now,
                Err(error) => {
                    log::error!("a thread that waits for a worker process cannot poll: {error}");
                    break;
                }
            }
        }
    }

    /// Makes the calling thread the one that sees to the answers, if nobody else does.
    fn begin_attending(&self) -> Option<Arc<[Lookout]>> {
        let mut state = self.lock();
        if state.listeners().attendant.is_some() || state.is_done() {
            return None;
        }
        let lookouts = Arc::clone(state.lookouts());
        let (listeners, links) = state.listeners_and_links();
        listeners.attendant = Some(Attendant { thread: thread::current().id(), asleep: false });
        let links = busy(links).filter(|_| !sabotaged("listening_answers_ring_for_nothing"));
        links.for_each(Answers::set_awake);
        drop(state);
        self.attended.store(true, Ordering::Relaxed);
        Some(lookouts)
    }

    /// Sleeps until the doorbell of those who attend rings, or the deadline is over; not at all if there is an
    /// answer. What shows answers from now on.
    fn sleep_attending(&self, deadline: Option<Instant>) -> io::Result<Arc<[Lookout]>> {
        let mut state = self.lock();
        let (listeners, links) = state.listeners_and_links();
        listeners.set_attendant_asleep(true);
        let answered = listeners.listen(links) && !sabotaged("listening_attendant_sleeps_on");
        let mut slept = Ok(());
        if !answered {
            drop(state);
            let left = deadline.map(|end| end.saturating_duration_since(now()));
            slept = self.doorbells[CALLERS].wait(left).map(drop);
            state = self.lock();
        }
        let lookouts = Arc::clone(state.lookouts());
        let (listeners, links) = state.listeners_and_links();
        listeners.set_attendant_asleep(false);
        busy(links).for_each(Answers::set_awake);
        slept.map(|()| lookouts)
    }

    /// From now on, answers are the manager's again.
    fn end_attending(&self) {
        if !sabotaged("listening_leaver_says_so_late") {
            self.attended.store(false, Ordering::Relaxed);
        }
        let mut state = self.lock();
        let done = state.is_done() && !sabotaged("listening_leaver_forgets_the_end");
        let (listeners, links) = state.listeners_and_links();
        listeners.attendant = None;
        // As the manager would have done before it fell asleep.
        let links = links.filter(|_| !sabotaged("listening_leaver_does_not_look"));
        let answered = listeners.listen(links);
        if done {
            self.over.notify_all();
        }
        drop(state);
        if sabotaged("listening_leaver_says_so_late") {
            self.attended.store(false, Ordering::Relaxed);
        }
        self.ring([done || (answered && !sabotaged("listening_leaver_rings_nobody")), false]);
    }
}

struct Attends<'a, S: Shared>(&'a Listening<S>);

impl<S: Shared> Drop for Attends<'_, S> {
    fn drop(&mut self) {
        self.0.end_attending();
    }
}

/// Wakes the attending thread.
struct Rings(Arc<[Doorbell; 2]>);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        if !sabotaged("listening_end_wakes_no_attendant") {
            self.0[CALLERS].ring();
        }
    }
}
