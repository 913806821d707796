//! THE STATE MACHINE: the life of one task, for any host.
//!
//! ```text
//!                 claim / set_running_or_notify_cancel
//!     PENDING ────────────────────────────────────────▶ RUNNING
//!        │  │                                              │
//!        │  └───────────────── finish ─────────────┐       │ finish
//!        │ cancel                                  ▼       ▼
//!        ▼                                         FINISHED
//!     CANCELLED ── set_running_or_notify_cancel ──▶ CANCELLED_AND_NOTIFIED
//! ```
//!
//! A task whose executor can stop it goes from RUNNING to CANCELLED_AND_NOTIFIED by `cancel_running`.
//!
//! A promise is either *bare* or *carries its job*. Nobody but its executor can tell that a bare
//! one will not run, so a cancelled one stays `CANCELLED` until the executor has said so by
//! `set_running_or_notify_cancel`, as in CPython. A promise that carries its job is the job's only
//! owner: `cancel` takes the job away, which is all the notice that is needed, and goes on to
//! `CANCELLED_AND_NOTIFIED` in the same step. That is why `wait` never hangs on a cancelled task
//! here, whatever its executor does. A job that has been *sent away*, to be run by another process,
//! is cancelled in the same way: its executor asks by `begin` before it lets it be run.
//!
//! Who may touch what, and when:
//!
//! | field | guarded by | written by |
//! |---|---|---|
//! | `slot` | the lock | every transition; holds the job while `PENDING`, unless it was sent away; then the outcome |
//! | the watchers in it | the lock | `watch`, `unwatch`, `wait` before it sleeps; emptied by the transition that ends the task |
//! | `slot.number`, the pool | nobody | the pool that accepts it, before its workers know it |
//! | `slot.byte`, the state | written under the lock, read without it | mirrors the slot, so that a look costs one load and a waiter can spin without touching the lock |
//!
//! `hand_over` is the one way out of this diagram: from any state, the promise ends for all who look at
//! it here, and the host goes on with its parts by itself.
//!
//! Transitions call nobody. They return the [`Wake`] of those to be told, and the host tells them,
//! by its own law, with no lock held. The promise wakes only threads asleep in [`Promise::wait`].

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use crate::panic;
use crate::sleeper::Sleeper;
use crate::spin;
use crate::sync::atomic::Ordering;
use crate::sync::{WordMutex, WordMutexGuard, sabotaged};
use crate::watchers::{Sleepers, Watchers};

pub use crate::watchers::{Wake, Watch};

/// Where a task stands. The names are CPython's.
///
/// ```
/// use manyhands::{Future, State};
///
/// let future: Future<()> = Future::new();
/// assert_eq!(future.state().to_string(), "PENDING");
/// future.cancel();
/// assert!(future.state().is_done() && !future.state().is_notified());
/// future.set_running_or_notify_cancel()?;
/// assert!(future.state().is_notified());
/// # Ok::<(), manyhands::InvalidState>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Submitted and not started; it can be cancelled.
    Pending = 0,
    /// A worker is running it.
    Running = 1,
    /// Cancelled, and its executor has not said yet that it will not run it.
    Cancelled = 2,
    /// Cancelled, and `wait` and `as_completed` have been told.
    CancelledAndNotified = 3,
    /// Ended with a result or an exception.
    Finished = 4,
}

impl State {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Pending,
            1 => Self::Running,
            2 => Self::Cancelled,
            3 => Self::CancelledAndNotified,
            _ => Self::Finished,
        }
    }

    /// Whether the task has ended for those who want its result.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Cancelled | Self::CancelledAndNotified | Self::Finished)
    }

    /// Whether the task has ended for `wait` and `as_completed`, which count a cancelled future
    /// only once its executor has been told (as in CPython).
    pub fn is_notified(self) -> bool {
        matches!(self, Self::CancelledAndNotified | Self::Finished)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Cancelled => "CANCELLED",
            Self::CancelledAndNotified => "CANCELLED_AND_NOTIFIED",
            Self::Finished => "FINISHED",
        })
    }
}

/// What an ended or unended task shows to one who looks.
///
/// ```
/// # use manyhands::promise::{Promise, State, View, Watch};
/// # struct Tell;
/// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
/// let task: Promise<(), i32, String, Tell> = Promise::new(None);
/// assert!(task.look(|view| matches!(view, View::Unfinished(State::Pending))));
/// drop(task.finish(Ok(5), |_| ()));
/// assert!(task.look(|view| matches!(view, View::Done(5))));
/// ```
#[derive(Debug)]
pub enum View<'a, T, E> {
    /// It has not ended.
    Unfinished(State),
    /// It was cancelled.
    Cancelled,
    /// It returned this.
    Done(&'a T),
    /// It failed with this.
    Failed(&'a E),
    /// It ended, and its outcome has been moved out.
    Taken,
}

/// What became of a request to cancel.
///
/// ```
/// # use manyhands::promise::{Cancel, Promise, State, Watch};
/// # struct Tell;
/// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
/// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
/// task.claim();
/// assert!(matches!(task.cancel(), Cancel::TooLate(State::Running)));
/// ```
#[must_use = "those who wait for this task have to be told"]
#[derive(Debug)]
pub enum Cancel<J, W> {
    /// It is running or finished; nothing changed.
    TooLate(State),
    /// It had been cancelled before; nothing changed.
    Already,
    /// It is cancelled now. The job, if the promise carried it, is the caller's to drop.
    Now(Option<J>, Wake<W>),
}

/// What the executor is to do with a bare future whose turn has come.
///
/// ```
/// # use manyhands::promise::{Promise, Turn, Watch};
/// # struct Tell;
/// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
/// let task: Promise<(), i32, String, Tell> = Promise::new(None);
/// match task.set_running_or_notify_cancel() {
///     Ok(Turn::Run) => drop(task.finish(Ok(5), |_| ())),
///     Ok(Turn::Skip(wake)) => wake.for_each(|Tell| println!("cancelled")),
///     Err(state) => println!("already {state}"),
/// }
/// assert_eq!(task.take(), Some(5));
/// ```
#[must_use = "a cancelled task must not run, and those who wait for it have to be told"]
#[derive(Debug)]
pub enum Turn<W> {
    /// It is running now: run it.
    Run,
    /// It was cancelled: do not run it.
    Skip(Wake<W>),
}

/// All that a promise held, for one who goes on with it: what [`Promise::hand_over`] gives.
#[must_use = "those who wait for this task have to be told some time"]
#[derive(Debug)]
pub struct Parts<J, T, E, W> {
    /// Where the task stood.
    pub state: State,
    /// The job, if it was pending and carried one.
    pub job: Option<J>,
    /// The outcome, if it had ended and nobody had taken it.
    pub outcome: Option<Result<T, E>>,
    /// Those who had asked to be told.
    pub watchers: Wake<W>,
}

/// One of the things that a promise holds, for [`Promise::trace`].
#[derive(Debug)]
pub enum Held<'a, J, T, E, W> {
    /// The job that waits to run.
    Job(&'a J),
    /// What the task returned.
    Done(&'a T),
    /// What it failed with.
    Failed(&'a E),
    /// One who is to be told.
    Watcher(&'a W),
}

/// One task's life. `J` is the job while it waits to run, `T` and `E` are the two kinds of
/// outcome, `W` is whom to tell, and `P` is what else is known of it until it has an outcome, such as the place of
/// its submit. Its host owns it: an `Arc` in Rust, a Python object in Python.
///
/// ```
/// use manyhands::promise::{Promise, Watch};
/// use std::sync::{Arc, mpsc};
///
/// /// Those who are told of a task's end in this host: channels.
/// struct Tell(mpsc::Sender<&'static str>);
///
/// impl Watch for Tell {
///     fn waits_for_notice(&self) -> bool {
///         false
///     }
/// }
///
/// type Task = Promise<fn() -> i32, i32, String, Tell>;
///
/// fn run(task: &Task) {
///     let Some(job) = task.claim() else { return };
///     if let Ok(wake) = task.finish(Ok(job()), |_| ()) {
///         wake.for_each(|Tell(sender)| sender.send("ended").unwrap());
///     }
/// }
///
/// let task = Arc::new(Task::new(Some(|| 6 * 7)));
/// let (sender, ended) = mpsc::channel();
/// assert!(task.watch(Tell(sender)).is_ok());
/// let runner = Arc::clone(&task);
/// std::thread::spawn(move || run(&runner));
/// assert!(task.wait(None));
/// assert_eq!(task.take(), Some(42));
/// assert_eq!(ended.recv()?, "ended");
/// # Ok::<(), mpsc::RecvError>(())
/// ```
pub struct Promise<J, T, E, W, P = ()> {
    /// With its state in the byte beside it, and in the number that of the pool that has accepted its job; 0 before,
    /// and for ever where none will.
    slot: WordMutex<Slot<J, T, E, W, P>>,
}

/// Flat, and not with a `Result` in it or with a job that has its place, and those who are to be told lie where the
/// outcome will, for then they are gone: so the tag, a place of three bytes and a number share a word, and what a pending
/// task takes is no more than what a value does.
enum Slot<J, T, E, W, P> {
    Bare(Watchers<W>),
    Pending(J, P, Watchers<W>),
    /// Pending, and its job is on its way to another process, with this executor.
    Away(Option<NonZeroU32>, P, Watchers<W>),
    /// With the number of the executor that can stop it, if there is one.
    Running(Option<NonZeroU32>, P, Watchers<W>),
    /// With those who wait for its executor to say so.
    Cancelled(P, Watchers<W>),
    Done(T),
    Failed(E),
    Taken,
}

impl<J, T, E, W, P: Copy> Slot<J, T, E, W, P> {
    fn place(&self) -> Option<P> {
        match *self {
            Self::Pending(_, place, _)
            | Self::Away(_, place, _)
            | Self::Running(_, place, _)
            | Self::Cancelled(place, _) => Some(place),
            Self::Bare(_) | Self::Done(_) | Self::Failed(_) | Self::Taken => None,
        }
    }

    /// Those who are to be told; `None` once there is nothing left to tell.
    fn watchers(&mut self) -> Option<&mut Watchers<W>> {
        match self {
            Self::Bare(watchers)
            | Self::Pending(.., watchers)
            | Self::Away(.., watchers)
            | Self::Running(.., watchers)
            | Self::Cancelled(_, watchers) => Some(watchers),
            Self::Done(_) | Self::Failed(_) | Self::Taken => None,
        }
    }

    /// Those who are to be told, all of them; nobody stays.
    fn take_watchers(&mut self) -> Watchers<W> {
        self.watchers().map_or_else(Watchers::new, std::mem::take)
    }

    fn take(&mut self) -> Option<T> {
        if !matches!(self, Self::Done(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Done(value) => Some(value),
            _ => None,
        }
    }

    /// Of a task that is pending and carries its job: this, its place and those who are to be told; `None`, and
    /// unchanged, of any other.
    fn take_pending(&mut self) -> Option<(J, P, Watchers<W>)> {
        if !matches!(self, Self::Pending(..)) {
            return None;
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Pending(job, place, watchers) => Some((job, place, watchers)),
            _ => None,
        }
    }

    /// Of a task that has ended with one.
    fn into_outcome(self) -> Option<Result<T, E>> {
        match self {
            Self::Done(value) => Some(Ok(value)),
            Self::Failed(error) => Some(Err(error)),
            _ => None,
        }
    }
}

impl<J, T, E, W: Watch, P: Copy + Default> Promise<J, T, E, W, P> {
    /// A pending task that carries its job, or a bare one.
    pub fn new(job: Option<J>) -> Self {
        Self::with_slot(match job {
            Some(job) => Slot::Pending(job, P::default(), Watchers::new()),
            None => Slot::Bare(Watchers::new()),
        })
    }

    /// A pending task that carries its job and what is known of it.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell, &str> = Promise::placed("job", "line 7");
    /// assert_eq!((task.claim(), task.place()), (Some("job"), Some("line 7")));
    /// drop(task.finish(Ok(5), |_| ()));
    /// assert_eq!(task.place(), None);
    /// ```
    pub fn placed(job: J, place: P) -> Self {
        Self::with_slot(Slot::Pending(job, place, Watchers::new()))
    }

    fn with_slot(slot: Slot<J, T, E, W, P>) -> Self {
        Self { slot: WordMutex::new(State::Pending as u8, 0, slot) }
    }

    /// What is known of it beside its job; `None` when it has ended with an outcome, or never had a job.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell, u32> = Promise::placed("job", 7);
    /// drop(task.cancel());
    /// assert_eq!(task.place(), Some(7));
    /// ```
    pub fn place(&self) -> Option<P> {
        self.slot.lock().place()
    }

    /// Where the task stands at this moment.
    pub fn state(&self) -> State {
        State::from_u8(self.slot.byte.load(Ordering::Acquire))
    }

    /// The number of the pool whose workers may run it; 0 for none.
    pub fn pool(&self) -> u32 {
        self.slot.number.load(Ordering::Relaxed)
    }

    /// Says which pool has accepted it, before anybody else knows it.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # struct Tell;
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// task.set_pool(7);
    /// assert_eq!(task.pool(), 7);
    /// ```
    pub fn set_pool(&self, number: u32) {
        self.slot.number.store(number, Ordering::Relaxed);
    }

    /// Whether one can look at it without waiting. In a forked child, what was made before the fork may
    /// be held for ever, by a thread that is not there.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # struct Tell;
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// assert!(task.is_free());
    /// assert!(!task.look(|_| task.is_free()));
    /// ```
    pub fn is_free(&self) -> bool {
        self.slot.is_free()
    }

    /// PENDING to RUNNING, handing the job to the one who will run it. `None`: the task was
    /// cancelled or ended in another way, and there is nothing to run.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, State, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// assert_eq!((task.claim(), task.claim()), (Some("job"), None));
    /// assert_eq!(task.state(), State::Running);
    /// ```
    pub fn claim(&self) -> Option<J> {
        self.claim_placed().map(|(job, _)| job)
    }

    /// As [`claim`](Self::claim), and tells what is known of the task.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell, u32> = Promise::placed("job", 7);
    /// assert_eq!((task.claim_placed(), task.claim_placed()), (Some(("job", 7)), None));
    /// ```
    pub fn claim_placed(&self) -> Option<(J, P)> {
        let mut slot = self.slot.lock();
        #[cfg(loom)]
        if sabotaged("promise_claim_lets_go") && matches!(*slot, Slot::Pending(..)) {
            slot = slot.let_go();
            self.set(State::Running);
        }
        let (job, place, watchers) = slot.take_pending()?;
        *slot = Slot::Running(None, place, watchers);
        self.set(State::Running);
        Some((job, place))
    }

    /// Hands the job to one who sends it to another process; the task stays PENDING. `executor` is the
    /// number of the one who can stop it once it runs, if there is one. `None`: the task was cancelled or
    /// ended in another way, and there is nothing to send.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, State, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// assert_eq!((task.send_away(None), task.send_away(None)), (Some("job"), None));
    /// assert_eq!((task.state(), task.claim()), (State::Pending, None));
    /// ```
    pub fn send_away(&self, executor: Option<NonZeroU32>) -> Option<J> {
        let mut slot = self.slot.lock();
        let (job, place, watchers) = slot.take_pending()?;
        *slot = Slot::Away(executor, place, watchers);
        Some(job)
    }

    /// PENDING to RUNNING for a task that was sent away. `false`: the task was cancelled, and must not
    /// run.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, State, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// task.send_away(None);
    /// assert!(task.begin());
    /// assert_eq!((task.state(), task.begin()), (State::Running, false));
    /// ```
    pub fn begin(&self) -> bool {
        let mut slot = self.slot.lock();
        let Slot::Away(executor, place, _) = *slot else { return false };
        #[cfg(loom)]
        if sabotaged("promise_begin_lets_go") {
            slot = slot.let_go();
        }
        let watchers = slot.take_watchers();
        *slot = Slot::Running(executor, place, watchers);
        self.set(State::Running);
        true
    }

    /// The number of the executor that it was sent away by; `None` for any other task, and when it has
    /// ended.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # use std::num::NonZeroU32;
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// assert_eq!(task.executor(), None);
    /// task.send_away(NonZeroU32::new(7));
    /// assert_eq!(task.executor(), NonZeroU32::new(7));
    /// ```
    pub fn executor(&self) -> Option<NonZeroU32> {
        match *self.slot.lock() {
            Slot::Away(executor, ..) | Slot::Running(executor, ..) => executor,
            _ => None,
        }
    }

    /// PENDING to RUNNING, or CANCELLED to CANCELLED_AND_NOTIFIED.
    ///
    /// # Errors
    /// The state, when it is another one.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Turn, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// drop(task.cancel());
    /// assert!(matches!(task.set_running_or_notify_cancel(), Ok(Turn::Skip(_))));
    /// ```
    pub fn set_running_or_notify_cancel(&self) -> Result<Turn<W>, State> {
        let mut slot = self.slot.lock();
        match (&*slot, self.state()) {
            (Slot::Bare(_) | Slot::Pending(..) | Slot::Away(..), _) => {
                let place = slot.place().unwrap_or_default();
                let watchers = slot.take_watchers();
                let pending = std::mem::replace(&mut *slot, Slot::Running(None, place, watchers));
                self.set(State::Running);
                drop(slot);
                drop(pending);
                Ok(Turn::Run)
            }
            (_, State::Cancelled) => {
                self.set(State::CancelledAndNotified);
                Ok(Turn::Skip(slot.take_watchers().take_all().1))
            }
            (_, state) => Err(state),
        }
    }

    /// PENDING or RUNNING to FINISHED. `publish` is called just before the outcome can be seen,
    /// with the lock held, and is told whether nobody is left to be told afterwards.
    ///
    /// # Errors
    /// The outcome and the state, when the task has ended already.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, State, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// let wake = task.finish(Ok(5), |last| assert!(last)).unwrap();
    /// assert!(wake.is_empty());
    /// assert_eq!(task.finish(Ok(6), |_| ()).unwrap_err(), (Ok(6), State::Finished));
    /// ```
    #[allow(clippy::type_complexity, reason = "the outcome goes back beside the state")]
    pub fn finish(
        &self,
        outcome: Result<T, E>,
        publish: impl FnOnce(bool),
    ) -> Result<Wake<W>, (Result<T, E>, State)> {
        let mut slot = self.slot.lock();
        let state = self.state();
        if state.is_done() {
            drop(slot);
            return Err((outcome, state));
        }
        let (sleepers, wake) = slot.take_watchers().take_all();
        #[cfg(loom)]
        if sabotaged("promise_finish_lets_go") {
            slot = slot.let_go();
        }
        publish(wake.is_empty());
        let after = match outcome {
            Ok(value) => Slot::Done(value),
            Err(error) => Slot::Failed(error),
        };
        let before = std::mem::replace(&mut *slot, after);
        self.set(State::Finished);
        let_go_and_wake(slot, sleepers);
        if let Slot::Pending(never_claimed, ..) = before {
            panic::drop_caught(never_claimed);
        }
        Ok(wake)
    }

    /// PENDING to CANCELLED, or at once to CANCELLED_AND_NOTIFIED when the promise carries its job.
    ///
    /// ```
    /// # use manyhands::promise::{Cancel, Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// assert!(matches!(task.cancel(), Cancel::Now(Some("job"), _)));
    /// assert!(matches!(task.cancel(), Cancel::Already));
    /// ```
    pub fn cancel(&self) -> Cancel<J, W> {
        self.cancel_unless(|slot| matches!(slot, Slot::Running(..))).0
    }

    /// As [`cancel`](Self::cancel), and a task that is running on an executor that can stop it (one
    /// that has said so in [`send_away`](Self::send_away)) is cancelled too: then the number of that executor
    /// comes with it, which has to be told.
    ///
    /// ```
    /// # use manyhands::promise::{Cancel, Promise, State, Watch};
    /// # use std::num::NonZeroU32;
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// task.send_away(NonZeroU32::new(7));
    /// assert!(task.begin());
    /// assert!(matches!(task.cancel(), Cancel::TooLate(State::Running)));
    /// let (cancelled, executor) = task.cancel_running();
    /// assert!(matches!(cancelled, Cancel::Now(None, _)) && executor == NonZeroU32::new(7));
    /// ```
    pub fn cancel_running(&self) -> (Cancel<J, W>, Option<NonZeroU32>) {
        self.cancel_unless(|slot| matches!(slot, Slot::Running(None, ..)))
    }

    fn cancel_unless(
        &self,
        too_late: impl FnOnce(&Slot<J, T, E, W, P>) -> bool,
    ) -> (Cancel<J, W>, Option<NonZeroU32>) {
        let mut slot = self.slot.lock();
        match &*slot {
            Slot::Cancelled(..) => return (Cancel::Already, None),
            Slot::Done(_) | Slot::Failed(_) | Slot::Taken => {
                return (Cancel::TooLate(self.state()), None);
            }
            slot if too_late(slot) => return (Cancel::TooLate(self.state()), None),
            Slot::Bare(_) | Slot::Pending(..) | Slot::Away(..) | Slot::Running(..) => (),
        }
        let mut watchers = slot.take_watchers();
        let (sleepers, wake) = if matches!(*slot, Slot::Bare(_)) {
            self.set(State::Cancelled);
            watchers.take_watchers(|w| !w.waits_for_notice())
        } else {
            self.set(State::CancelledAndNotified);
            watchers.take_all()
        };
        let cancelled = Slot::Cancelled(slot.place().unwrap_or_default(), watchers);
        let before = std::mem::replace(&mut *slot, cancelled);
        let_go_and_wake(slot, sleepers);
        match before {
            Slot::Pending(job, ..) => (Cancel::Now(Some(job), wake), None),
            Slot::Running(executor, ..) => (Cancel::Now(None, wake), executor),
            _ => (Cancel::Now(None, wake), None),
        }
    }

    /// Asks that `watcher` be told of the end.
    ///
    /// # Errors
    /// The watcher, when there is nothing left to wait for: tell it at once.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// assert_eq!(task.watch(Tell(1)), Ok(()));
    /// let wake = task.finish(Ok(5), |_| ()).unwrap();
    /// assert!(wake.eq([Tell(1)]));
    /// assert_eq!(task.watch(Tell(2)), Err(Tell(2)));
    /// ```
    pub fn watch(&self, watcher: W) -> Result<(), W> {
        let mut slot = self.slot.lock();
        let looked = self.state();
        if looked.is_notified() || (looked.is_done() && !watcher.waits_for_notice()) {
            return Err(watcher);
        }
        let Some(watchers) = slot.watchers() else { return Err(watcher) };
        watchers.push(watcher);
        Ok(())
    }

    /// Ends the task here because somebody else keeps its life from now on, and gives away all there
    /// is: a host whose futures can be taken apart by their users goes on with the parts. For this
    /// promise, the task has ended and its outcome has been taken.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, State, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// assert!(task.watch(Tell(1)).is_ok());
    /// let parts = task.hand_over();
    /// assert_eq!((parts.state, parts.job), (State::Pending, Some("job")));
    /// assert!(parts.outcome.is_none() && parts.watchers.eq([Tell(1)]));
    /// assert!(task.claim().is_none() && task.take().is_none() && task.wait(None));
    /// ```
    pub fn hand_over(&self) -> Parts<J, T, E, W> {
        let mut slot = self.slot.lock();
        let state = self.state();
        let (sleepers, watchers) = slot.take_watchers().take_all();
        let before = std::mem::replace(&mut *slot, Slot::Taken);
        self.set(State::Finished);
        let_go_and_wake(slot, sleepers);
        let (job, outcome) = match before {
            Slot::Pending(job, ..) => (Some(job), None),
            ended => (None, ended.into_outcome()),
        };
        Parts { state, job, outcome, watchers }
    }

    /// Shows a garbage collector what this promise holds, always all of it: a collector that sees a
    /// thing at one look and misses it at the next takes it for garbage. `visit` must not come back to
    /// this promise.
    ///
    /// ```
    /// # use manyhands::promise::{Held, Promise, Watch};
    /// # struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<&str, i32, String, Tell> = Promise::new(Some("job"));
    /// assert!(task.watch(Tell(1)).is_ok());
    /// let mut seen = Vec::new();
    /// let all: Result<(), ()> = task.trace(|held| {
    ///     seen.push(match held {
    ///         Held::Job(job) => (*job).to_owned(),
    ///         Held::Watcher(Tell(number)) => number.to_string(),
    ///         Held::Done(_) | Held::Failed(_) => unreachable!("it has not ended"),
    ///     });
    ///     Ok(())
    /// });
    /// assert!(all.is_ok());
    /// assert_eq!(seen, ["job", "1"]);
    /// ```
    ///
    /// # Errors
    /// The first one that `visit` gives.
    pub fn trace<S>(
        &self,
        mut visit: impl FnMut(Held<'_, J, T, E, W>) -> Result<(), S>,
    ) -> Result<(), S> {
        let mut slot = self.slot.lock();
        match &*slot {
            Slot::Pending(job, ..) => visit(Held::Job(job))?,
            Slot::Done(value) => visit(Held::Done(value))?,
            Slot::Failed(error) => visit(Held::Failed(error))?,
            Slot::Bare(_)
            | Slot::Away(..)
            | Slot::Running(..)
            | Slot::Cancelled(..)
            | Slot::Taken => {}
        }
        slot.watchers().map_or(Ok(()), |watchers| {
            watchers.iter().try_for_each(|watcher| visit(Held::Watcher(watcher)))
        })
    }

    /// Takes back the watchers that `which` picks.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// assert!(task.watch(Tell(1)).is_ok() && task.watch(Tell(2)).is_ok());
    /// assert!(task.unwatch(|tell| tell.0 == 1).eq([Tell(1)]));
    /// assert!(task.finish(Ok(5), |_| ()).unwrap().eq([Tell(2)]));
    /// ```
    pub fn unwatch(&self, which: impl FnMut(&W) -> bool) -> Wake<W> {
        let mut slot = self.slot.lock();
        slot.watchers().map_or_else(Wake::default, |watchers| watchers.take_if(which))
    }

    /// Sleeps until the task is done, or until `deadline`; whether it is done.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// assert!(!task.wait(Some(std::time::Instant::now())));
    /// drop(task.finish(Ok(5), |_| ()));
    /// assert!(task.wait(None));
    /// ```
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.state().is_done() {
            return true;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return false;
        }
        if spin::for_caller(|| self.state().is_done()) {
            return true;
        }
        let sleeper = Arc::new(Sleeper::new());
        {
            let mut slot = self.slot.lock();
            if self.state().is_done() {
                return true;
            }
            // None: nobody would come to wake it.
            let Some(watchers) = slot.watchers() else { return true };
            watchers.push_sleeper(Arc::clone(&sleeper));
        }
        sleeper.sleep(deadline);
        if !self.state().is_done()
            && let Some(watchers) = self.slot.lock().watchers()
        {
            watchers.remove_sleeper(&sleeper);
        }
        self.state().is_done()
    }

    /// Shows the outcome to `look`, with the lock held: `look` must not touch this task.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, View, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// drop(task.finish(Err("no luck".to_owned()), |_| ()));
    /// assert!(task.look(|view| matches!(view, View::Failed(error) if error == "no luck")));
    /// ```
    pub fn look<R>(&self, look: impl FnOnce(View<'_, T, E>) -> R) -> R {
        let slot = self.slot.lock();
        look(match &*slot {
            Slot::Bare(_) | Slot::Pending(..) | Slot::Away(..) | Slot::Running(..) => {
                View::Unfinished(self.state())
            }
            Slot::Cancelled(..) => View::Cancelled,
            Slot::Done(value) => View::Done(value),
            Slot::Failed(error) => View::Failed(error),
            Slot::Taken => View::Taken,
        })
    }

    /// Moves the value out of a task that ended with one; `None` when it did not, or when the value
    /// has gone. An error stays, for all to see.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # #[derive(Debug, PartialEq)] struct Tell(u8);
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// drop(task.finish(Ok(5), |_| ()));
    /// assert_eq!((task.take(), task.take()), (Some(5), None));
    /// ```
    pub fn take(&self) -> Option<T> {
        self.slot.lock().take()
    }

    /// The outcome of a task that nobody else knows: nobody need be kept out. `None`: it has not ended, was
    /// cancelled, or its outcome has been taken.
    ///
    /// ```
    /// # use manyhands::promise::{Promise, Watch};
    /// # struct Tell;
    /// # impl Watch for Tell { fn waits_for_notice(&self) -> bool { false } }
    /// let task: Promise<(), i32, String, Tell> = Promise::new(None);
    /// drop(task.finish(Ok(5), |_| ()));
    /// assert_eq!(task.into_outcome(), Some(Ok(5)));
    /// ```
    pub fn into_outcome(self) -> Option<Result<T, E>> {
        self.slot.into_inner().into_outcome()
    }

    /// Called with the lock held, so that state and slot change together for all who take it.
    fn set(&self, state: State) {
        self.slot.byte.store(state as u8, Ordering::Release);
    }
}

/// After the transition that ends the task.
fn let_go_and_wake<S, W>(slot: WordMutexGuard<'_, S>, sleepers: Sleepers<W>) {
    drop(slot);
    if !sabotaged("promise_end_wakes_nobody") {
        sleepers.wake();
    }
}

impl<J, T, E, W: Watch, P: Copy + Default> std::fmt::Debug for Promise<J, T, E, W, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Promise").field("state", &self.state()).finish_non_exhaustive()
    }
}
