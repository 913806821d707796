//! THE QUEUE AND THE HEAD-COUNT: what waits to be run, and who comes for it.
//!
//! A [`Pool`] starts no thread, runs no job and calls nobody; it is the same for every kind of job
//! and every kind of thread. Its host submits jobs, starts a thread whenever [`Pool::submit`] hands
//! out a new [`Worker`], and has that thread ask the worker for one job after the other.
//!
//! # The order of jobs
//! First in, first out. A worker fetches one job at a time while jobs are long. When its last jobs
//! were shorter than the way to the queue it fetches several (`batch.rs` decides how many) and keeps
//! the rest in its *local queue*, so that workers and submitters seldom meet at the lock. A local
//! queue is no hiding place: a worker that finds the queue empty takes from the others' local queues
//! before it sleeps, and one that comes for more first serves the local queue of a worker that has
//! not come since everybody else could have come twice. So a job that blocks holds up no other while
//! any worker is free.
//!
//! While all workers are at work and there is a backlog, jobs are left in the *intake* (`intake.rs`), without the
//! pool's lock, and put into the queue in the order of their submits as workers come.
//!
//! Jobs may also wait as one, a *joint* job (`joint.rs`), which stays at the head of the queue while
//! anything is left of it. Its jobs are taken without the pool, which counts anew what is left whenever it
//! looks; the worker that takes the last says so, before that job's outcome can be seen.
//!
//! # The head-count
//! A worker is *free* from just before the outcome of its last job can be seen ([`Worker::publish`])
//! until it has a job again. So whoever has seen a result and submits the next task finds the worker
//! free, and no needless thread is started. A submit starts a thread when more jobs are queued than
//! workers are free, and wakes a *parked* (sleeping) worker when more are queued than are awake and
//! free.
//!
//! Waking costs the submitter far more than submitting. So while jobs are short, one idle worker
//! parks with a timeout, and as long as it does nobody is woken to help those that are awake: they
//! come back sooner than a sleeper would, and if one of them is held up, the timeout finds it out.
//!
//! A worker whose job waits for another job is *compensated* (`compensate.rs`): it does not count against
//! `max_workers`, so that another works in its stead. When it resumes, there is one too many, and the next
//! that comes for a job becomes a *spare*, which waits for a while to be called again and then leaves.
//!
//! A running job may lend parts of itself (`parts.rs`), which are not queued here and not counted. A worker that
//! finds nothing queued takes one, and comes back to the queue after each.
//!
//! | field | guarded by |
//! |---|---|
//! | `state` | its lock |
//! | `queued`, `local_queues` | written under that lock; read by workers without it |
//! | `free` | atomic; raised by `Worker::publish` without the lock, lowered under it |
//! | `intake` | the lock of each shard, taken after the pool's or alone; `State::taken` says which are open |
//! | `Local::queue` | its own lock, taken after the pool's or alone |
//! | `Local::running`, `Local::completed` | written by their worker only |

mod batch;
mod compensate;
mod intake;
mod joint;
mod parts;
mod take;
mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::spin::Spin;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, sabotaged};

pub use compensate::{Moving, Seat};
use intake::{Intake, Shut, Taken};
use joint::Entry;
pub use joint::Joint;
pub use parts::{Idle, Lender, Parts};
pub use worker::Worker;

/// How many short jobs may be queued before somebody is woken all the same.
const BACKLOG: usize = 256;

/// Work, and those who come for it. A handle: clones share the pool.
///
/// ```
/// use manyhands::thread::pool::{Pool, WhenFull, Worker};
/// use std::num::NonZeroUsize;
/// use std::sync::mpsc;
///
/// struct Square(u64, mpsc::Sender<u64>);
///
/// fn work(mut worker: Worker<Square>) {
///     while let Some(Square(n, result)) = worker.next() {
///         let square = n * n;
///         worker.publish(true); // before the result can be seen
///         result.send(square).unwrap();
///     }
/// }
///
/// let pool = Pool::new(NonZeroUsize::MIN, None);
/// let (sender, results) = mpsc::channel();
/// for n in 1..=3 {
///     let added = pool.submit(Square(n, sender.clone()), WhenFull::Refuse);
///     let Ok(added) = added else { unreachable!("the pool is open and unbounded") };
///     if let Some(worker) = added {
///         std::thread::spawn(move || work(worker));
///     }
/// }
/// pool.close(false);
/// assert!(pool.wait_for_workers(None));
/// assert_eq!(results.try_iter().collect::<Vec<_>>(), [1, 4, 9]);
/// assert_eq!(pool.stats().completed, 3);
/// ```
pub struct Pool<J>(Arc<Shared<J>>);

struct Shared<J> {
    max_workers: AtomicUsize,
    max_pending: Option<NonZeroUsize>,
    state: Mutex<State<J>>,
    /// Parked workers wait here.
    work: Condvar,
    /// Submitters wait here for room in a bounded queue.
    room: Condvar,
    /// Those who wait for the last worker to leave.
    all_left: Condvar,
    /// Spares wait here to be called.
    call: Condvar,
    intake: Intake<J>,
    queued: AtomicUsize,
    free: AtomicUsize,
    /// Workers that left with something in their local queue and have not come since.
    local_queues: AtomicUsize,
    idle: Idle,
    spin: Spin,
}

struct State<J> {
    queue: VecDeque<Entry<J>>,
    /// How many jobs the queue holds: more than entries, where some are joint.
    waiting: usize,
    phase: Phase,
    workers: Vec<Arc<Local<J>>>,
    /// Where threads lend that are no workers.
    lenders: Vec<Arc<dyn Parts<J>>>,
    /// Workers made so far: the number of the next one.
    added: usize,
    /// Workers that have not come for a first job yet: a job may count on them, but not on their
    /// coming soon, for an initializer may take long.
    starting: usize,
    parked: usize,
    /// Workers whose jobs wait, and in whose stead others may work.
    compensated: usize,
    /// Workers whose jobs wait for something else than a job of this pool.
    standing: usize,
    /// When one of these was relieved last, and how often since one went on.
    relieved: Option<(Instant, u32)>,
    /// Workers that came in the stead of these.
    in_stead: usize,
    /// Workers of which there are too many, and that wait to be called.
    spares: usize,
    /// Spares that have been called and have not come yet.
    called: usize,
    /// Parked workers that have been notified and have not come yet.
    woken: usize,
    /// Whether a worker spins. One at a time does, before it is parked.
    spinning: bool,
    /// Whether one of the parked workers is parked with a timeout.
    timed_park: bool,
    /// Whether the last measured jobs were shorter than a wake-up.
    short_jobs: bool,
    /// Submitters that wait for room.
    blocked: usize,
    /// How often any worker has come for jobs.
    fetches: u64,
    /// Jobs completed by workers that have left.
    completed: u64,
    /// What of the intake is guarded here.
    taken: Taken<J>,
}

#[derive(Clone)]
enum Phase {
    Open,
    Closed,
    Broken(Arc<String>),
}

/// What a worker shows to the others.
struct Local<J> {
    queue: Mutex<LocalQueue<J>>,
    running: AtomicBool,
    completed: AtomicU64,
    /// Where its job lends parts of itself, from the first of them on.
    parts: OnceLock<Arc<dyn Parts<J>>>,
}

struct LocalQueue<J> {
    jobs: VecDeque<J>,
    /// The count of fetches when it was filled.
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
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor};
/// use std::sync::mpsc;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let (done, wait) = mpsc::channel::<()>();
/// let (started, start) = mpsc::channel::<()>();
/// pool.spawn(move || { started.send(()).unwrap(); wait.recv() })?;
/// start.recv()?;
/// pool.spawn(|| 2)?;
/// let stats = pool.stats();
/// assert_eq!((stats.running, stats.pending, stats.workers, stats.idle), (1, 1, 1, 0));
/// drop(done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that wait to be run. One that was cancelled counts until a worker has passed it by.
    pub pending: usize,
    /// Tasks that are running.
    pub running: usize,
    /// Tasks that workers have run since the pool was made, whatever their outcome. One that was
    /// run in the thread that submitted it, by `WhenFull::RunInCaller`, is not counted.
    pub completed: u64,
    /// Workers there are.
    pub workers: usize,
    /// Workers that run no task. One in its initializer, in a callback or at a part of another's task
    /// ([`join`](crate::join)) counts too.
    pub idle: usize,
}

impl<J> Pool<J> {
    /// A pool without workers or work. `max_pending` bounds the queue.
    pub fn new(max_workers: NonZeroUsize, max_pending: Option<NonZeroUsize>) -> Self {
        Self(Arc::new(Shared {
            max_workers: AtomicUsize::new(max_workers.get()),
            max_pending,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                waiting: 0,
                phase: Phase::Open,
                workers: Vec::new(),
                lenders: Vec::new(),
                added: 0,
                starting: 0,
                parked: 0,
                compensated: 0,
                standing: 0,
                relieved: None,
                in_stead: 0,
                spares: 0,
                called: 0,
                woken: 0,
                spinning: false,
                timed_park: false,
                short_jobs: false,
                blocked: 0,
                fetches: 0,
                completed: 0,
                taken: Taken::new(),
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            all_left: Condvar::new(),
            call: Condvar::new(),
            intake: Intake::new(),
            queued: AtomicUsize::new(0),
            free: AtomicUsize::new(0),
            local_queues: AtomicUsize::new(0),
            idle: Idle::new(),
            spin: Spin::new(),
        }))
    }

    /// Queues a job. `Some`: the host is to start one more thread with this worker.
    ///
    /// # Errors
    /// The job, and why it was not accepted.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, Rejection, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, Some(NonZeroUsize::MIN));
    /// let mut worker = pool.submit("first", WhenFull::Refuse).unwrap().unwrap();
    /// let refused = pool.submit("second", WhenFull::Refuse).unwrap_err();
    /// assert_eq!(refused, ("second", Rejection::Full { max_pending: 1 }));
    /// assert_eq!(worker.try_next(), Some("first"));
    /// ```
    pub fn submit(&self, job: J, when_full: WhenFull) -> Result<Option<Worker<J>>, (J, Rejection)> {
        self.submit_at(intake::own_shard(), job, when_full)
    }

    /// The same for one whose `own` shard of the intake is this.
    pub(crate) fn submit_at(
        &self,
        own: usize,
        job: J,
        when_full: WhenFull,
    ) -> Result<Option<Worker<J>>, (J, Rejection)> {
        let shared = &self.0;
        let Err(job) = shared.intake.leave(own, job) else { return Ok(None) };
        let mut state = shared.state.lock();
        if !sabotaged("pool_intake_is_overtaken") {
            shared.take_in(&mut state, Shut::No);
        }
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
        state.push_back(job);
        shared.recount(&mut state);
        let added = shared.add_worker_if_needed(&mut state);
        if added.is_none() {
            shared.open_intake(&mut state, own);
            shared.wake_one(state);
        }
        Ok(added)
    }

    /// Accepts nothing from now on; workers leave when all that is queued has been run, or taken
    /// back here with `drain`.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let mut worker = pool.submit("job", WhenFull::Refuse).unwrap().unwrap();
    /// assert_eq!(pool.close(true), ["job"]);
    /// assert!(worker.next().is_none());
    /// ```
    pub fn close(&self, drain: bool) -> Vec<J> {
        self.end(Phase::Closed, drain)
    }

    /// Accepts nothing from now on, for this reason (the first one counts), and gives back all that
    /// no worker has begun.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, Rejection, WhenFull};
    /// use std::num::NonZeroUsize;
    /// use std::sync::Arc;
    ///
    /// let pool: Pool<&str> = Pool::new(NonZeroUsize::MIN, None);
    /// let reason = Arc::new("no licence".to_owned());
    /// pool.break_down(Arc::clone(&reason));
    /// let refused = pool.submit("job", WhenFull::Refuse).unwrap_err();
    /// assert_eq!(refused, ("job", Rejection::Broken(reason)));
    /// ```
    pub fn break_down(&self, reason: Arc<String>) -> Vec<J> {
        self.end(Phase::Broken(reason), true)
    }

    fn end(&self, phase: Phase, drain: bool) -> Vec<J> {
        let mut state = self.0.lock();
        if !matches!(state.phase, Phase::Broken(_)) {
            state.phase = phase;
        }
        let jobs = if drain { self.0.take_back(&mut state) } else { Vec::new() };
        drop(state);
        if !sabotaged("pool_close_wakes_nobody") {
            self.0.work.notify_all();
        }
        self.0.room.notify_all();
        self.0.call.notify_all();
        jobs
    }

    /// Takes back all jobs if there is no worker to run them: its thread could not be started.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let worker = pool.submit("job", WhenFull::Refuse).unwrap();
    /// drop(worker); // as when its thread cannot be started
    /// assert_eq!(pool.drain_if_no_workers(), ["job"]);
    /// ```
    pub fn drain_if_no_workers(&self) -> Vec<J> {
        let mut state = self.0.lock();
        let jobs = if state.workers.is_empty() { self.0.take_back(&mut state) } else { Vec::new() };
        drop(state);
        self.0.room.notify_all();
        jobs
    }

    /// Waits until no worker is left, or until `deadline`; whether none is left. Only a closed or
    /// broken pool is left by its workers.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    /// use std::time::Instant;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let worker = pool.submit("job", WhenFull::Refuse).unwrap();
    /// assert!(!pool.wait_for_workers(Some(Instant::now())));
    /// drop(worker);
    /// assert!(pool.wait_for_workers(None));
    /// ```
    pub fn wait_for_workers(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.0.lock();
        while !state.workers.is_empty() {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            state = self.0.all_left.wait(state, deadline);
        }
        true
    }

    /// Whether it accepts jobs.
    ///
    /// ```
    /// use manyhands::thread::pool::Pool;
    /// use std::num::NonZeroUsize;
    ///
    /// let pool: Pool<()> = Pool::new(NonZeroUsize::MIN, None);
    /// assert!(pool.is_open());
    /// pool.close(false);
    /// assert!(!pool.is_open());
    /// ```
    pub fn is_open(&self) -> bool {
        matches!(self.0.lock().phase, Phase::Open)
    }

    /// Why it is broken, if it is.
    ///
    /// ```
    /// use manyhands::thread::pool::Pool;
    /// use std::num::NonZeroUsize;
    /// use std::sync::Arc;
    ///
    /// let pool: Pool<()> = Pool::new(NonZeroUsize::MIN, None);
    /// assert!(pool.broken().is_none());
    /// pool.break_down(Arc::new("no licence".to_owned()));
    /// assert_eq!(*pool.broken().unwrap(), "no licence");
    /// ```
    pub fn broken(&self) -> Option<Arc<String>> {
        match &self.0.lock().phase {
            Phase::Broken(reason) => Some(Arc::clone(reason)),
            Phase::Open | Phase::Closed => None,
        }
    }

    /// The most workers there may be.
    pub fn max_workers(&self) -> usize {
        self.0.max_workers.load(Ordering::Relaxed)
    }

    /// How many jobs may be queued, if the queue is bounded.
    pub fn max_pending(&self) -> Option<NonZeroUsize> {
        self.0.max_pending
    }

    /// Changes how many workers there may be, for the jobs that are submitted from now on. Those there
    /// are stay.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let first = pool.submit("first", WhenFull::Refuse).unwrap();
    /// assert!(pool.submit("second", WhenFull::Refuse).unwrap().is_none());
    /// pool.set_max_workers(NonZeroUsize::new(2).unwrap());
    /// assert!(pool.submit("third", WhenFull::Refuse).unwrap().is_some());
    /// ```
    pub fn set_max_workers(&self, max_workers: NonZeroUsize) {
        let _counted = self.0.lock();
        self.0.max_workers.store(max_workers.get(), Ordering::Relaxed);
        self.0.idle.set(true);
    }

    /// Takes all jobs that no worker has begun, oldest first; the pool stays as it is.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let worker = pool.submit("job", WhenFull::Refuse).unwrap();
    /// assert_eq!(pool.drain(), ["job"]);
    /// assert!(pool.is_open());
    /// ```
    pub fn drain(&self) -> Vec<J> {
        let mut state = self.0.lock();
        let jobs = self.0.take_back(&mut state);
        drop(state);
        self.0.room.notify_all();
        jobs
    }

    /// Takes one job that no worker has begun, an old one first, past all workers. A joint job stays, and
    /// the host takes one out of it.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, WhenFull};
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, None);
    /// let worker = pool.submit("job", WhenFull::Refuse).unwrap();
    /// assert_eq!((pool.take_one(), pool.take_one()), (Some("job"), None));
    /// ```
    pub fn take_one(&self) -> Option<J> {
        let mut state = self.0.lock();
        let job = Worker::steal(&self.0, &state, |_| true).or_else(|| Some(state.pop_front()?.0));
        self.0.recount(&mut state);
        if state.blocked > 0 {
            self.0.room.notify_one();
        }
        job
    }

    /// What goes on at this moment.
    pub fn stats(&self) -> Stats {
        let mut now = self.0.lock();
        self.0.recount(&mut now);
        let mut stats = Stats {
            pending: now.waiting,
            completed: now.completed,
            workers: now.workers.len(),
            ..Stats::default()
        };
        for local in &now.workers {
            stats.pending += local.queue.lock().jobs.len();
            stats.running += usize::from(local.running.load(Ordering::Acquire));
            stats.completed += local.completed.load(Ordering::Acquire);
        }
        stats.idle = stats.workers - stats.running;
        stats
    }
}

impl<J> Shared<J> {
    /// One more worker if more is queued than workers are free, and there may be one more.
    #[inline]
    fn add_worker_if_needed(self: &Arc<Self>, state: &mut State<J>) -> Option<Worker<J>> {
        let needed = state.waiting > self.free.load(Ordering::Acquire) + state.starting;
        if !needed || state.active() >= self.max_workers.load(Ordering::Relaxed) {
            return None;
        }
        self.call_or_add_worker(state)
    }

    // Kept out of the way of a submit that needs none.
    #[cold]
    fn add_worker(self: &Arc<Self>, state: &mut State<J>) -> Worker<J> {
        let local = Arc::new(Local {
            queue: Mutex::new(LocalQueue { jobs: VecDeque::new(), filled_at: 0 }),
            running: AtomicBool::new(false),
            completed: AtomicU64::new(0),
            parts: OnceLock::new(),
        });
        state.workers.push(Arc::clone(&local));
        let index = state.added;
        state.added += 1;
        state.starting += 1;
        Worker::new(Arc::clone(self), local, index)
    }

    /// Wakes a parked worker if more is queued than those awake will come for.
    #[inline]
    fn wake_one(&self, state: MutexGuard<'_, State<J>>) {
        if state.parked > state.woken {
            self.wake_parked(state);
        }
    }

    fn wake_parked(&self, mut state: MutexGuard<'_, State<J>>) {
        let mut free = self.free.load(Ordering::Acquire);
        if sabotaged("pool_counts_on_those_that_start") {
            free += state.starting;
        }
        let coming = free.saturating_sub(state.parked) + state.woken;
        let awake = state.workers.len() > state.parked;
        let enough = if awake && state.timed_park && state.short_jobs {
            coming.max(BACKLOG)
        } else {
            coming
        };
        // Somebody has to be about who would see that the owner of a local queue is held up.
        let unwatched =
            self.local_queues.load(Ordering::Relaxed) > 0 && !state.timed_park && coming == 0;
        if state.waiting > enough || unwatched {
            state.woken += 1;
            drop(state);
            if !sabotaged("pool_submit_wakes_nobody") {
                self.work.notify_one();
            }
        }
    }

    /// All jobs that no worker has begun, oldest first.
    fn take_back(&self, state: &mut State<J>) -> Vec<J> {
        let mut jobs = Vec::new();
        if !sabotaged("pool_drain_overlooks_local_queues") {
            for local in &state.workers {
                jobs.extend(local.queue.lock().jobs.drain(..));
            }
        }
        jobs.extend(state.drain());
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
