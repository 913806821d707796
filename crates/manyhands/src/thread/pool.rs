//! THE QUEUE AND THE HEAD-COUNT: what waits to be run, and who comes for it.
//!
//! A [`Pool`] starts no thread, runs no job and calls nobody; it is the same for every kind of job
//! and every kind of thread. Its host submits jobs, starts a thread whenever [`Pool::submit`] hands
//! out a new [`Worker`], and has that thread ask the worker for one job after the other.
//!
//! # The order of jobs
//! First in, first out. A worker takes one job at a time while jobs are long. When its last jobs
//! took well under [`BATCH_TIME`] it takes several at once into its *hand*, so that workers and
//! submitters seldom meet at the lock; [`Pace`] decides how many. A hand is no hiding
//! place: a worker that finds the queue empty takes from the others' hands before it sleeps, and one
//! that comes for more serves a hand first whose owner has not come since everybody else could have
//! come twice. So a job that blocks holds up no other while any worker is free.
//!
//! # The head-count
//! A worker is *free* from just before the outcome of its last job can be seen
//! ([`Worker::free`]) until it has a job again. So whoever has seen a result and submits the next
//! task finds the worker free, and no needless thread is started. A submit starts a thread when
//! more jobs are queued than workers are free, and wakes a *parked* (sleeping) worker when more are
//! queued than are awake and free.
//!
//! | field | guarded by |
//! |---|---|
//! | `state` (queue, phase, counts of workers, parked, woken, blocked submitters) | the lock |
//! | `queued` | written under the lock; read by spinning workers and `stats` |
//! | `free` | atomic; raised by `Worker::free` without the lock, lowered under it |
//! | a desk's `hand` | its own lock, taken after the pool's or alone |
//! | a desk's `running`, `completed` | written by its worker only |

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::Pace;
use crate::spin::Spin;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, now};

/// How long a dozing worker sleeps before it looks up, and how often it does so before it sleeps for
/// good. As long as one dozes, a submit need not wake anybody to help workers that run brisk jobs:
/// they come back sooner than a sleeper would, and if one does not, the dozer looks up. Waking costs
/// the submitter far more than submitting.
const DOZE: Duration = Duration::from_micros(200);
const DOZES: u32 = 5;

/// How many brisk jobs may be queued before somebody is woken all the same.
const BACKLOG: usize = 256;

/// How many turns a worker waits for one more brisk job to come in, before it takes those there are.
const GATHER: usize = 64;

/// Work, and those who come for it. A handle: clones share the pool.
pub struct Pool<J>(Arc<Shared<J>>);

struct Shared<J> {
    max_workers: usize,
    max_pending: Option<NonZeroUsize>,
    state: Mutex<State<J>>,
    /// Parked workers wait here.
    work: Condvar,
    /// Submitters wait here for room in a bounded queue.
    room: Condvar,
    /// Those who wait for the last worker to leave.
    gone: Condvar,
    queued: AtomicUsize,
    free: AtomicUsize,
    spin: Spin,
}

struct State<J> {
    queue: VecDeque<J>,
    phase: Phase,
    desks: Vec<Arc<Desk<J>>>,
    /// Workers made so far: the number of the next one.
    hired: usize,
    parked: usize,
    /// Parked workers that have been notified and have not come yet.
    woken: usize,
    /// Whether a worker spins. One at a time does, before it is parked.
    spinning: bool,
    /// Whether one of the parked workers only dozes: it looks up every [`DOZE`].
    dozing: bool,
    /// Whether the last measured jobs were shorter than a wake-up.
    brisk: bool,
    /// Submitters that wait for room.
    blocked: usize,
    /// How often any worker has come for jobs.
    visits: u64,
    /// Workers that left with something in their hand and have not come since.
    hands: usize,
    /// Jobs completed by workers that have left.
    completed: u64,
}

#[derive(Clone)]
enum Phase {
    Open,
    Closed,
    Broken(Arc<String>),
}

/// What a worker shows to the others.
struct Desk<J> {
    hand: Mutex<Hand<J>>,
    running: AtomicBool,
    completed: AtomicU64,
}

struct Hand<J> {
    jobs: VecDeque<J>,
    /// The count of visits when it was filled.
    filled_at: u64,
}

/// What to do when a bounded queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Give the job back.
    Refuse,
    /// Wait for room until this moment (`None`: for as long as it takes), then give the job back.
    WaitUntil(Option<Instant>),
}

/// Why a job was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The pool was closed.
    Closed,
    /// The queue is full.
    Full {
        /// The most jobs that may be queued.
        max_pending: usize,
    },
    /// The pool was broken, for this reason.
    Broken(Arc<String>),
}

/// A pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that wait to be run. One that was cancelled counts until a worker has passed it by.
    pub pending: usize,
    /// Tasks that are running.
    pub running: usize,
    /// Tasks that have been run since the pool was made, whatever their outcome.
    pub completed: u64,
    /// Workers there are.
    pub workers: usize,
    /// Workers that have nothing to do.
    pub idle: usize,
}

impl<J> Pool<J> {
    /// A pool without workers or work. `max_pending` bounds the queue.
    pub fn new(max_workers: NonZeroUsize, max_pending: Option<NonZeroUsize>) -> Self {
        Self(Arc::new(Shared {
            max_workers: max_workers.get(),
            max_pending,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                phase: Phase::Open,
                desks: Vec::new(),
                hired: 0,
                parked: 0,
                woken: 0,
                spinning: false,
                dozing: false,
                brisk: false,
                blocked: 0,
                visits: 0,
                hands: 0,
                completed: 0,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            gone: Condvar::new(),
            queued: AtomicUsize::new(0),
            free: AtomicUsize::new(0),
            spin: Spin::new(),
        }))
    }

    /// Queues a job. `Some`: the host is to start one more thread with this worker.
    ///
    /// # Errors
    /// The job, and why it was not accepted.
    pub fn submit(&self, job: J, when_full: WhenFull) -> Result<Option<Worker<J>>, (J, Rejection)> {
        let shared = &*self.0;
        let mut state = shared.state.lock();
        loop {
            match &state.phase {
                Phase::Open => (),
                Phase::Closed => return Err((job, Rejection::Closed)),
                Phase::Broken(reason) => return Err((job, Rejection::Broken(Arc::clone(reason)))),
            }
            let Some(most) = shared.max_pending.filter(|most| state.queue.len() >= most.get())
            else {
                break;
            };
            match when_full {
                WhenFull::WaitUntil(until) if until.is_none_or(|until| Instant::now() < until) => {
                    state.blocked += 1;
                    state = shared.room.wait(state, until);
                    state.blocked -= 1;
                }
                _ => return Err((job, Rejection::Full { max_pending: most.get() })),
            }
        }
        #[cfg(sabotage = "pool_submit_lets_go")]
        let mut state = state.let_go();
        state.queue.push_back(job);
        shared.queued.store(state.queue.len(), Ordering::Release);
        if state.desks.len() < shared.max_workers
            && state.queue.len() > shared.free.load(Ordering::Acquire)
        {
            return Ok(Some(self.hire(&mut state)));
        }
        shared.wake_one(state);
        Ok(None)
    }

    fn hire(&self, state: &mut State<J>) -> Worker<J> {
        let desk = Arc::new(Desk {
            hand: Mutex::new(Hand { jobs: VecDeque::new(), filled_at: 0 }),
            running: AtomicBool::new(false),
            completed: AtomicU64::new(0),
        });
        state.desks.push(Arc::clone(&desk));
        let index = state.hired;
        state.hired += 1;
        // New workers are free: the job that called for one is theirs to take.
        self.0.free.fetch_add(1, Ordering::AcqRel);
        Worker {
            shared: Arc::clone(&self.0),
            desk,
            index,
            free: true,
            in_hand: 0,
            pace: Pace::default(),
            carried: false,
        }
    }

    /// Accepts nothing from now on; workers leave when all that is queued has been run, or taken
    /// back here with `drain`.
    pub fn close(&self, drain: bool) -> Vec<J> {
        self.end(Phase::Closed, drain)
    }

    /// Accepts nothing from now on, for this reason (the first one counts), and gives back all that
    /// no worker has begun.
    pub fn break_down(&self, reason: Arc<String>) -> Vec<J> {
        self.end(Phase::Broken(reason), true)
    }

    fn end(&self, phase: Phase, drain: bool) -> Vec<J> {
        let mut state = self.0.state.lock();
        if !matches!(state.phase, Phase::Broken(_)) {
            state.phase = phase;
        }
        let jobs = if drain { self.0.take_back(&mut state) } else { Vec::new() };
        drop(state);
        if cfg!(not(sabotage = "pool_close_wakes_nobody")) {
            self.0.work.notify_all();
        }
        self.0.room.notify_all();
        jobs
    }

    /// Takes back all jobs if there is no worker to run them: its thread could not be started.
    pub fn drain_if_deserted(&self) -> Vec<J> {
        let mut state = self.0.state.lock();
        if state.desks.is_empty() { self.0.take_back(&mut state) } else { Vec::new() }
    }

    /// Waits until no worker is left, or until `deadline`; whether none is left. Only a closed or
    /// broken pool is left by its workers.
    pub fn wait_until_deserted(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.0.state.lock();
        while !state.desks.is_empty() {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            state = self.0.gone.wait(state, deadline);
        }
        true
    }

    /// The most workers there may be.
    pub fn max_workers(&self) -> usize {
        self.0.max_workers
    }

    /// What goes on at this moment.
    pub fn stats(&self) -> Stats {
        let now = self.0.state.lock();
        let mut stats = Stats {
            pending: now.queue.len(),
            completed: now.completed,
            workers: now.desks.len(),
            ..Stats::default()
        };
        for desk in &now.desks {
            stats.pending += desk.hand.lock().jobs.len();
            stats.running += usize::from(desk.running.load(Ordering::Acquire));
            stats.completed += desk.completed.load(Ordering::Acquire);
        }
        stats.idle = stats.workers - stats.running;
        stats
    }
}

impl<J> Shared<J> {
    /// Wakes a parked worker if more is queued than those awake will come for.
    fn wake_one(&self, mut state: MutexGuard<'_, State<J>>) {
        if state.parked <= state.woken {
            return;
        }
        let free = self.free.load(Ordering::Acquire);
        let coming = free.saturating_sub(state.parked) + state.woken;
        let awake = state.desks.len() > state.parked;
        let enough =
            if awake && state.dozing && state.brisk { coming.max(BACKLOG) } else { coming };
        // Somebody has to be about who would see that the owner of a hand is held up.
        let unwatched = state.hands > 0 && !state.dozing && coming == 0;
        if state.queue.len() > enough || unwatched {
            state.woken += 1;
            drop(state);
            if cfg!(not(sabotage = "pool_submit_wakes_nobody")) {
                self.work.notify_one();
            }
        }
    }

    /// Sleeps lightly: looks up every [`DOZE`], and sleeps on as long as the others come for brisk jobs
    /// and do not fall behind.
    fn doze<'s>(&self, mut state: MutexGuard<'s, State<J>>) -> MutexGuard<'s, State<J>> {
        state.dozing = true;
        loop {
            let visits = state.visits;
            state = self.work.wait(state, Some(Instant::now() + DOZE));
            let others_get_on = state.brisk && state.visits > visits;
            if !others_get_on || state.queue.len() > BACKLOG || state.woken > 0 {
                state.dozing = false;
                return state;
            }
        }
    }

    /// All jobs that no worker has begun, oldest first.
    fn take_back(&self, state: &mut State<J>) -> Vec<J> {
        let mut jobs = Vec::new();
        #[cfg(not(sabotage = "pool_drain_overlooks_hands"))]
        for desk in &state.desks {
            jobs.extend(desk.hand.lock().jobs.drain(..));
        }
        jobs.extend(state.queue.drain(..));
        self.queued.store(0, Ordering::Release);
        jobs
    }
}

impl<J> Clone for Pool<J> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<J> fmt::Debug for Pool<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.stats()).finish()
    }
}

/// One worker's place in a pool: its thread asks it for jobs. Dropping it leaves the pool.
pub struct Worker<J> {
    shared: Arc<Shared<J>>,
    desk: Arc<Desk<J>>,
    index: usize,
    /// Whether this worker is counted in the pool's `free`.
    free: bool,
    /// How many jobs its hand holds; fewer where others have helped themselves.
    in_hand: usize,
    pace: Pace,
    /// Whether the last visit left something in the hand.
    carried: bool,
}

impl<J> Worker<J> {
    /// The number of this worker in its pool, from 0 in the order of hiring.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The next job if one is at hand; never sleeps.
    pub fn try_next(&mut self) -> Option<J> {
        self.desk.running.store(false, Ordering::Release);
        if let Some(job) = self.next_in_hand() {
            return Some(job);
        }
        if self.shared.queued.load(Ordering::Acquire) == 0 {
            return None;
        }
        if self.pace.is_brisk() == Some(true) {
            self.gather();
        }
        self.visit(false)
    }

    /// The next job, sleeping until there is one. `None`: the pool is closed and all is done, and
    /// this worker's thread is to end.
    #[expect(clippy::should_implement_trait, reason = "it sleeps; a `for` loop would hide that")]
    pub fn next(&mut self) -> Option<J> {
        if let Some(job) = self.try_next() {
            return Some(job);
        }
        self.set_free();
        self.pace.pause();
        self.visit(true)
    }

    /// Says that the current job is as good as done, just before its outcome can be seen; `last`:
    /// and that nothing else is to be done for it, so that this worker is free for another.
    pub fn publish(&mut self, last: bool) {
        let completed = self.desk.completed.load(Ordering::Relaxed);
        self.desk.completed.store(completed + 1, Ordering::Release);
        self.desk.running.store(false, Ordering::Release);
        if last && self.in_hand == 0 && self.shared.queued.load(Ordering::Acquire) == 0 {
            self.set_free();
        }
    }

    /// Lets brisk jobs gather while they stream in: a worker as quick as its submitter would meet it
    /// at the lock for each of them.
    fn gather(&self) {
        let mut before = 0;
        loop {
            let queued = self.shared.queued.load(Ordering::Acquire);
            if queued <= before || queued >= BACKLOG {
                return;
            }
            before = queued;
            for _ in 0..GATHER {
                std::hint::spin_loop();
            }
        }
    }

    fn set_free(&mut self) {
        if !self.free && cfg!(not(sabotage = "pool_free_is_not_told")) {
            self.free = true;
            self.shared.free.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn next_in_hand(&mut self) -> Option<J> {
        if self.in_hand == 0 {
            return None;
        }
        let job = self.desk.hand.lock().jobs.pop_front();
        if job.is_some() {
            self.in_hand -= 1;
        } else {
            self.in_hand = 0;
        }
        job.map(|job| self.begin(job))
    }

    fn begin(&mut self, job: J) -> J {
        self.desk.running.store(true, Ordering::Release);
        job
    }

    /// Comes to the queue for a job; with `park`, sleeps until there is one or the pool is closed.
    fn visit(&mut self, park: bool) -> Option<J> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        let (mut spun, mut dozes) = (false, 0);
        loop {
            if let Some(job) = self.take(&mut state) {
                if self.free {
                    self.free = false;
                    shared.free.fetch_sub(1, Ordering::AcqRel);
                }
                // A wake-up brings one worker; if there is work for more, it calls the next.
                shared.wake_one(state);
                return Some(self.begin(job));
            }
            if !park || !matches!(state.phase, Phase::Open) {
                return None;
            }
            let others_busy = state.desks.len() > shared.free.load(Ordering::Acquire);
            let needless = state.spinning || (state.brisk && others_busy);
            if !spun && !needless {
                spun = true;
                state.spinning = true;
                drop(state);
                shared.spin.until(|| shared.queued.load(Ordering::Acquire) > 0);
                state = shared.state.lock();
                state.spinning = false;
                continue;
            }
            state.parked += 1;
            if dozes < DOZES && !state.dozing {
                dozes += 1;
                state = shared.doze(state);
            } else {
                // Here nothing is queued and no hand holds anything: whoever changes that, wakes.
                state = shared.work.wait(state, None);
                (spun, dozes) = (false, 0);
            }
            state.parked -= 1;
            state.woken = state.woken.saturating_sub(1);
        }
    }

    /// Takes the next job, and perhaps several more into the hand.
    fn take(&mut self, state: &mut State<J>) -> Option<J> {
        if std::mem::take(&mut self.carried) {
            state.hands -= 1;
        }
        state.visits += 1;
        let stalled = state.visits.saturating_sub(2 * state.desks.len() as u64);
        if let Some(job) = Self::steal(state, |hand| hand.filled_at < stalled) {
            return Some(job);
        }
        let Some(job) = state.queue.pop_front() else { return Self::steal(state, |_| true) };
        let mut taken = 1;
        if self.shared.max_pending.is_none() {
            let awake = state.desks.len() - state.parked.min(state.desks.len() - 1);
            let more = self.pace.more(state.queue.len() / awake, now);
            state.brisk = self.pace.is_brisk().unwrap_or(state.brisk);
            if more > 0 {
                self.carried = true;
                let mut hand = self.desk.hand.lock();
                hand.filled_at = state.visits;
                hand.jobs.extend(state.queue.drain(..more));
                state.hands += 1;
                self.in_hand = more;
                taken += more;
            }
        }
        self.shared.queued.store(state.queue.len(), Ordering::Release);
        for _ in 0..taken.min(state.blocked) {
            self.shared.room.notify_one();
        }
        Some(job)
    }

    /// The oldest job of a hand that `which` picks.
    fn steal(state: &State<J>, which: impl Fn(&Hand<J>) -> bool) -> Option<J> {
        if state.hands == 0 || cfg!(sabotage = "pool_hands_are_not_shared") {
            return None;
        }
        state.desks.iter().find_map(|desk| {
            let mut hand = desk.hand.lock();
            if which(&hand) { hand.jobs.pop_front() } else { None }
        })
    }
}

/// Leaves the pool; what is left in the hand goes back to the head of the queue.
impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.desks.retain(|desk| !Arc::ptr_eq(desk, &self.desk));
        state.completed += self.desk.completed.load(Ordering::Acquire);
        if self.carried {
            state.hands -= 1;
        }
        #[cfg(not(sabotage = "pool_leaver_keeps_its_hand"))]
        for job in self.desk.hand.lock().jobs.drain(..).rev() {
            state.queue.push_front(job);
        }
        self.shared.queued.store(state.queue.len(), Ordering::Release);
        if self.free {
            self.shared.free.fetch_sub(1, Ordering::AcqRel);
        }
        let deserted = state.desks.is_empty();
        self.shared.wake_one(state);
        if deserted {
            self.shared.gone.notify_all();
        }
    }
}

impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("index", &self.index).finish_non_exhaustive()
    }
}
