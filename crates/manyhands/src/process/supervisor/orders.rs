//! What the supervisor is told, and what it tells.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::errors::Exit;

/// The place of one worker process. When its worker has left, another may be launched in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat(pub(super) u32);

impl Seat {
    /// Seats are counted from 0 to less than [`Options::max_workers`] and [`Options::most_extra`]
    /// together.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One task, from its submission until the host has [taken](super::Supervisor::take) its payload. No
/// later task has the same ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// How a pool is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most worker processes at one time, without those whose tasks wait for others.
    pub max_workers: NonZeroU32,
    /// So many more there may be at one time, in the stead of those whose tasks wait for others.
    pub most_extra: u32,
    /// The most frames in one lane, the one that is run included.
    pub capacity: NonZeroU32,
    /// What the death of one worker means to the others.
    pub on_crash: OnCrash,
    /// How often a task is run again after its worker has died, where its rules do not say.
    pub retries: u32,
    /// The most tasks for one worker, which is then replaced.
    pub max_tasks_per_child: Option<NonZeroU32>,
    /// So many deaths before [`Event::Ready`] in a row break a pool that has no other worker.
    pub births: NonZeroU32,
    /// How long a worker may take to obey before the next, harsher signal.
    pub grace: Duration,
    /// What a worker is to run first, also one that is starting, is left to it when the pool is closed
    /// and the rest is cancelled. (As in `CPython`, where it counts as running.)
    pub spares_first: bool,
}

/// What the death of one worker means to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCrash {
    /// Nothing: the task that it ran is lost or run again, the worker is replaced.
    Isolate,
    /// The pool is broken, as in `CPython`.
    Break,
}

/// The rules of one task.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// How long it may run. Its clock starts when it is the oldest in its lane.
    pub timeout: Option<Duration>,
    /// How often it is run again after its worker has died; `None`: as [`Options::retries`] says.
    pub retries: Option<u32>,
}

/// What has happened. An event about a seat without a worker is ignored.
#[derive(Clone, Debug)]
pub enum Event {
    /// The worker has started, and its initializer is done.
    Ready(Seat),
    /// There is no such process: it could not be launched. Nothing more will be heard of it.
    LaunchFailed(Seat, String),
    /// The process has ended before it was ready; what is known of it. Nothing more will be heard of it.
    NotBorn(Seat, String),
    /// The worker's initializer has failed, which breaks the pool. [`Event::Left`] is still to come.
    InitializerFailed(Seat, String),
    /// The worker has answered the oldest frame of its lane, after so long a run.
    Answered(Seat, Duration),
    /// [`Order::Send`] could not be done, as the lane has no bytes left for this one.
    NoRoom(Seat, Ticket),
    /// [`Order::Send`] was not done, as the task turned out to be cancelled.
    Withdrawn(Seat, Ticket),
    /// [`Order::TakeBack`] has been done, and has yielded so many frames.
    TakenBack(Seat, u32),
    /// The process is dead. All its answers have been fed in.
    Left {
        /// Whose process.
        seat: Seat,
        /// How it ended.
        exit: Exit,
        /// How many of the frames in its lane it had begun: they are lost, the others are not.
        claimed: u32,
    },
    /// The task is to end, also if it is running.
    Cancel(Ticket),
    /// The task that the worker runs waits for tasks of this pool: until it goes on, another worker may
    /// run in its stead.
    Waits {
        /// Whose worker.
        seat: Seat,
        /// What it waits for.
        awaited: Vec<Ticket>,
        /// It goes on after some time, whatever becomes of them.
        timed: bool,
    },
    /// The worker's task waits no more.
    Resumes(Seat),
    /// The link is torn, or what came over it makes no sense. [`Event::Left`] is still to come.
    LinkBroken(Seat, String),
    /// Launch so many more workers, if there may be so many, whatever there is to do.
    Fill(u32),
    /// Finish what there is, and let the workers leave.
    Close {
        /// Cancel what no worker has begun.
        cancel: bool,
    },
    /// End all workers by a signal that they may handle; all tasks are lost.
    Terminate,
    /// End all workers by a signal that none can handle; all tasks are lost.
    Kill,
    /// It is [the time](super::Supervisor::next_deadline). Feed in what has been answered first.
    Tick,
}

/// What is to be done, at once and in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start a process. Answer with [`Event::Ready`], [`Event::LaunchFailed`], [`Event::NotBorn`],
    /// [`Event::InitializerFailed`] or [`Event::Left`]. The only order that may be carried out later,
    /// and may be followed by one that ends the process before it is there: such a process is not
    /// started at all, and has failed, or its failure is on the way and there is nothing to end.
    Launch(Seat),
    /// Put this task into the lane, or answer with [`Event::NoRoom`] or [`Event::Withdrawn`].
    Send(Seat, Ticket),
    /// Take so many frames, the newest first, out of the lane again, or as many of them as the worker
    /// has not begun. Answer with [`Event::TakenBack`] before anything from outside is fed in.
    TakeBack(Seat, u32),
    /// The answer just fed in is this task's outcome.
    Settle(Ticket),
    /// The answer just fed in is for nobody: its task has ended before.
    Discard,
    /// The task ends without an answer. (Boxed, for it is long and few do: all orders go through a list.)
    Lose(Ticket, Box<Loss>),
    /// Ask the worker to stop what it runs. It may answer all the same: a request that comes late must
    /// not hit what is sent next.
    AskToStop(Seat),
    /// Signal the process to end.
    Terminate(Seat),
    /// Kill the process.
    Kill(Seat),
    /// Nothing more will come: let the worker leave, also one that is not ready yet.
    Retire(Seat),
    /// The pool is closed, all tasks have ended and all workers have left. Comes once.
    Done,
}

/// Why a task ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its worker died while it ran, the last time of so many.
    Crashed {
        /// The worker's place.
        seat: Seat,
        /// How the process ended.
        exit: Exit,
        /// How long it had run.
        ran: Duration,
        /// How often it was run.
        attempts: u32,
    },
    /// It ran longer than its timeout.
    TimedOut {
        /// The worker's place.
        seat: Seat,
        /// How long it had run.
        ran: Duration,
    },
    /// It was cancelled.
    Cancelled,
    /// Its pool or its link was broken, or its workers were ended.
    Broken(Arc<String>),
    /// It waited for a worker, and the task of every worker there may be waited for such a one.
    NoWorkerLeft {
        /// How many workers.
        workers: u32,
    },
}

/// A pool of processes at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Processes there are, from their launch until they have left.
    pub workers: usize,
    /// Processes that are not ready yet.
    pub starting: usize,
    /// Workers that could start a task now.
    pub idle: usize,
    /// Tasks that wait, in the queue or behind another one in a lane.
    pub pending: usize,
    /// Tasks that are the oldest in their lanes.
    pub running: usize,
    /// Tasks that were answered.
    pub completed: u64,
    /// Workers that died while they were in service.
    pub crashed: u64,
    /// Workers that were launched in the place of one that had left.
    pub restarted: u64,
}
