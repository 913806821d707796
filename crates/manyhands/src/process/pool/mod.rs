//! THE POOL: tasks, workers' links and the supervisor, under one lock.
//!
//! Who calls from outside (a submit, a shutdown, the manager with an answer) tells the supervisor of it
//! and carries out its orders at once, in `state.rs`. What takes a system call or runs code of the
//! program's is left over: *chores* for the manager's thread, *endings* for whoever holds the lock at that
//! moment, to be seen to once it is let go.

mod answer;
mod arrivals;
mod attending;
mod nested;
mod orders;
mod passed;
mod reservation;
mod state;
mod turn;
mod waits;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use manyhands_shm::{Arena, Doorbell, ForkMark};

use super::birth::Transport;
use super::by_number::{self, Known};
use super::launch::{Launcher, Newborn};
use super::manager::{self, Setting};
use super::supervisor::{self, Event, Seat, Stats};
use super::task::Task;
use crate::crossing::{tell_all, tellings_of};
use crate::errors::{BrokenProcessPool, Reason};
use crate::future::deadline;
use crate::listening::{Awaited, Intake, Listening, Shared};
use crate::sync::MutexGuard;

pub(super) use crate::listening::MANAGERS;
pub use reservation::Reservation;
pub(super) use state::{Chore, Managing, State};
pub(super) use turn::LeftOver;

use answer::end_all;
use arrivals::Arrival;
use reservation::SUBMITS_TO;

/// A pool of worker processes, for tasks of any host.
pub struct Pool<T: Task> {
    /// Tells the pools of this process apart.
    number: NonZeroU32,
    setting: Setting,
    launcher: std::sync::Mutex<Box<dyn Launcher>>,
    managed_by: ManagedBy,
    pub(super) intake: Arc<Intake<Arrival<T>>>,
    /// The state under its lock, and who listens for answers.
    pub(super) listening: Listening<State<T>>,
    /// Where large arguments go, if there is shared memory.
    arena: Option<Arena>,
    mark: ForkMark,
}

/// Whose thread manages a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedBy {
    /// The pool's own, which starts with the first task.
    Pool,
    /// The host's, which calls [`Pool::manage`]. Workers that a task needs are started by whoever submits
    /// it.
    Host,
}

impl<T: Task> Pool<T> {
    /// A pool without workers. Nothing starts before the first task.
    ///
    /// # Errors
    /// If the system gives no descriptors, or no addresses for shared memory.
    pub fn new(
        options: supervisor::Options,
        setting: Setting,
        launcher: Box<dyn Launcher>,
        managed_by: ManagedBy,
    ) -> std::io::Result<Arc<Self>> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (arena, callers) = match setting.transport {
            Transport::Socket => (None, Doorbell::create()?),
            Transport::SharedMemory => (Some(Arena::create()?), Doorbell::to_sleep_on()?),
        };
        let number = MADE.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let number = NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let intake = Arc::new(Intake::new(managed_by == ManagedBy::Pool));
        Ok(Arc::new(Self {
            number,
            setting,
            launcher: std::sync::Mutex::new(launcher),
            managed_by,
            listening: Listening::new(
                State::new(number, options, arena.clone(), Arc::clone(&intake)),
                [Doorbell::create()?, callers],
            ),
            intake,
            arena,
            mark: ForkMark::of_this_process(),
        }))
    }

    /// Tells the pools of this process apart.
    pub fn number(&self) -> NonZeroU32 {
        self.number
    }

    pub(super) fn setting(&self) -> &Setting {
        &self.setting
    }

    pub(super) fn launcher(&self) -> std::sync::MutexGuard<'_, Box<dyn Launcher>> {
        self.launcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where large arguments are put for the workers, if there is shared memory.
    pub fn arena(&self) -> Option<&Arena> {
        self.arena.as_ref()
    }

    pub(super) fn doorbells(&self) -> &Arc<[Doorbell; 2]> {
        self.listening.doorbells()
    }

    /// A place for a task whose arguments are about to be written: once they are, they cannot be given
    /// back. A pool that is closed meanwhile waits for it.
    ///
    /// # Errors
    /// Why it takes no more tasks.
    #[inline]
    pub fn reserve(self: &Arc<Self>) -> Result<Reservation<'_, T>, Reason> {
        if self.mark.is_in_a_fork() {
            return Err(Reason::Forked);
        }
        let at_once = self.intake.reserve();
        SUBMITS_TO.with_borrow_mut(|pools| pools.push(self.number));
        let reservation = Reservation { pool: self, is_over: false };
        if !at_once {
            self.ask_for_a_place()?;
        }
        Ok(reservation)
    }

    fn ask_for_a_place(self: &Arc<Self>) -> Result<(), Reason> {
        let mut state = self.lock();
        if let Some(reason) = state.refusal() {
            return Err(reason);
        }
        if state.manager_id.is_none()
            && self.managed_by == ManagedBy::Pool
            && let Err(error) = manager::start(self, &mut state)
        {
            let reason = Arc::new(format!("no thread could be started to manage it: {error}"));
            return Err(Reason::Broken(BrokenProcessPool { reason }.into()));
        }
        self.intake.set_managed();
        Ok(())
    }

    /// Locks the state, with all in it that was left for the manager.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        let mut state = self.listening.lock();
        if state.has_left() {
            state.let_all_in(Instant::now());
            state.publish();
        }
        state
    }

    /// Tells the supervisor of something. In a forked copy of the process it does nothing: the lock may
    /// be held by a thread that is not there, and the workers are not this process's.
    pub fn tell(&self, event: Event) {
        if self.mark.is_in_a_fork() {
            return;
        }
        let mut state = self.lock();
        let manager_tells = state.is_managed();
        state.on(event, Instant::now());
        self.end_and_tell(state, manager_tells);
    }

    /// Unlocks, wakes the manager if there is something for it, and ends the tasks that have ended.
    fn let_go(&self, state: MutexGuard<'_, State<T>>) {
        let is_managers = state.manager_id == Some(std::thread::current().id());
        // In its next turn another thread can stand in for it, should a callback wait.
        self.end_and_tell(state, is_managers);
    }

    /// The same; whether the manager is to tell of the ends. The calling thread may hold what callbacks ask for, or
    /// be the one that hears of signals.
    fn end_and_tell(&self, mut state: MutexGuard<'_, State<T>>, manager_tells: bool) {
        state.publish();
        let mut endings = std::mem::take(&mut state.endings);
        if endings.is_empty() {
            return self.listening.let_go(state);
        }
        let this = std::thread::current().id();
        state.ending.push(this);
        self.listening.let_go(state);
        let tellings = tellings_of(|| end_all(&mut endings, &mut Vec::new()));
        let mut state = self.listening.lock();
        if let Some(at) = state.ending.iter().position(|thread| *thread == this) {
            state.ending.swap_remove(at);
        }
        if manager_tells {
            state.tellings.extend(tellings);
            return self.listening.let_go(state);
        }
        self.listening.let_go(state);
        tell_all(tellings);
    }

    /// Stops the task at this address, which was cancelled after it had begun: it runs, or it was taken
    /// back from a worker and is queued again.
    pub fn stop(&self, address: usize) {
        if self.mark.is_in_a_fork() {
            return;
        }
        let mut state = self.lock();
        let ticket = state.supervisor.tickets().find(|ticket| {
            let entry = state.supervisor.payload(*ticket);
            entry.is_some_and(|entry| entry.task.address() == Some(address))
        });
        if let Some(ticket) = ticket {
            state.on(Event::Cancel(ticket), Instant::now());
        }
        self.let_go(state);
    }

    /// Accepts nothing more; with `cancel`, cancels what no worker has begun.
    pub fn close(&self, cancel: bool) {
        if self.mark.is_in_a_fork() {
            return;
        }
        let mut state = self.lock();
        if state.closing.is_none() {
            // What a task has submitted before this is accepted.
            state.hear_all(Instant::now());
        }
        let manager_tells = state.is_managed();
        state.close(cancel, Instant::now());
        self.end_and_tell(state, manager_tells);
    }

    /// Waits until all workers have left; whether they have.
    pub fn join(&self, timeout: Option<Duration>) -> bool {
        if self.mark.is_in_a_fork() {
            return false;
        }
        let end = deadline(timeout);
        let mut state = self.lock();
        let this = std::thread::current().id();
        if state.manager_id == Some(this) || state.listeners.is_attendant(this) {
            return false; // A callback of a task of this pool, which cannot wait for its own end.
        }
        if state.ending.contains(&this) {
            return false; // What is dropped with a task of this pool, likewise.
        }
        if SUBMITS_TO.with_borrow(|pools| pools.contains(&self.number)) {
            return false; // Arguments that do so as they are written: their task is still to come.
        }
        while !state.is_over() && state.manager_id.is_some() {
            if end.is_some_and(|end| Instant::now() >= end) {
                return false;
            }
            state = self.listening.wait_until_over(state, end);
        }
        let other = state.manager.as_ref().is_some_and(|manager| manager.thread().id() != this);
        // A callback of its last turn may take longer.
        while other && state.managing != Managing::Over && end.is_some() {
            if end.is_some_and(|end| Instant::now() >= end) {
                return false;
            }
            state = self.listening.wait_until_over(state, end);
        }
        // A callback that waits in the first manager's thread, while another stands in for it, is part of it.
        let manager = if other { state.manager.take() } else { None };
        drop(state);
        if let Some(manager) = manager
            && manager.join().is_err()
        {
            log::error!("the manager of a process pool has panicked");
        }
        true
    }

    /// What goes on at this moment.
    pub fn stats(&self) -> Stats {
        if self.mark.is_in_a_fork() {
            return Stats::default();
        }
        self.lock().supervisor.stats()
    }

    /// The process numbers of the workers there are.
    pub fn pids(&self) -> Vec<u32> {
        if self.mark.is_in_a_fork() {
            return Vec::new();
        }
        let state = self.lock();
        state.seats.iter().map(|place| place.pid).filter(|pid| *pid != 0).collect()
    }

    /// Makes it known by its [number](Self::number), to [`attend`](super::host::attend) and
    /// [`stop`](super::host::stop), as long as it lives.
    pub fn know(self: &Arc<Self>) {
        by_number::know(self.number, &(Arc::clone(self) as Arc<dyn Known>));
    }

    /// Why the pool can run nothing any more, if it is broken.
    pub fn broken(&self) -> Option<Arc<String>> {
        if self.mark.is_in_a_fork() {
            return None;
        }
        self.lock().supervisor.broken().cloned()
    }

    /// Manages the pool, in a thread of the host's, until it is closed and its workers have left: for a
    /// pool that is [`ManagedBy::Host`], once.
    pub fn manage(self: &Arc<Self>) {
        manager::manage(Arc::clone(self));
    }

    /// For a pool that is [`ManagedBy::Host`]: launches so many more workers, if there may be so many. The
    /// seats of those that the caller is to start.
    pub fn fill(&self, most: u32) -> Vec<Seat> {
        let mut state = self.lock();
        state.on(Event::Fill(most), Instant::now());
        let launches = state.take_launches(self.managed_by);
        self.let_go(state);
        launches
    }

    /// The caller has started the worker that it was to start, or has failed to.
    pub fn take_on(&self, seat: Seat, launched: std::io::Result<Newborn>) {
        let mut state = self.lock();
        state.launching.retain(|launching| *launching != seat);
        state.chores.push(Chore::TakeOn(seat, Box::new(launched)));
        self.let_go(state);
    }

    pub(super) fn is_launching(&self, seat: Seat) -> bool {
        self.lock().launching.contains(&seat)
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State<T>, Instant) -> R) -> R {
        let mut state = self.lock();
        let result = f(&mut state, Instant::now());
        self.let_go(state);
        result
    }
}

impl<T: Task> Known for Pool<T> {
    fn stop(&self, address: usize) {
        Pool::stop(self, address);
    }

    fn attend(&self, task: &dyn Awaited, deadline: Option<Instant>) {
        self.attend_to(task, deadline);
    }
}

impl<T: Task> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
