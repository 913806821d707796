//! Which worker process gets which task, when workers are launched, retired, signalled and replaced,
//! and how each task ends: a function from events to orders, without I/O, clock or threads.
//!
//! The shell around it owns the processes and, for each of them, a *lane*: a queue of frames, from
//! which the worker takes (*begins*) one at a time, and which it answers in order. It calls
//! [`on`](Supervisor::on) for whatever happens, under one lock, and carries out the orders at once.
//!
//! ```
//! use manyhands::process::supervisor::{Event, OnCrash, Options, Order, Rules, Supervisor};
//! use std::num::NonZeroU32;
//! use std::time::{Duration, Instant};
//!
//! let mut supervisor = Supervisor::new(Options {
//!     max_workers: NonZeroU32::MIN,
//!     most_extra: 0,
//!     capacity: NonZeroU32::new(256).unwrap(),
//!     on_crash: OnCrash::Isolate,
//!     retries: 0,
//!     max_tasks_per_child: None,
//!     births: NonZeroU32::new(3).unwrap(),
//!     grace: Duration::from_secs(1),
//!     spares_first: false,
//! });
//! let (now, mut orders) = (Instant::now(), Vec::new());
//!
//! let task = supervisor.submit("a task", Rules::default(), now, &mut orders).unwrap();
//! let [Order::Launch(seat)] = orders[..] else { panic!("{orders:?}") };
//!
//! orders.clear();
//! supervisor.on(Event::Ready(seat), now, &mut orders);
//! assert_eq!(orders, [Order::Send(seat, task)]);
//!
//! orders.clear();
//! supervisor.on(Event::Answered(seat, Duration::from_millis(1)), now, &mut orders);
//! assert_eq!(orders, [Order::Settle(task)]);
//! assert_eq!(supervisor.take(task), Some("a task"));
//! ```
//!
//! # Rules
//!
//! 1. **A task ends once**: by one [`Order::Settle`] or one [`Order::Lose`].
//! 2. **No task waits behind another while a worker is idle.** What lies ahead in a lane, because
//!    tasks are short or all workers were busy, is taken back for the worker that has nothing to do.
//!    Nor does what lies ahead wait for a long task while others answer: it is taken back, and goes to
//!    them before what came later. Nothing is sent ahead of a worker whose tasks are long, or not known.
//! 3. **Workers are launched on demand**: never more than there are tasks that wait.
//! 4. **Only what a dead worker had begun is lost**, or run again if it may be; the rest goes in front
//!    of the queue.
//! 5. **A task that must end is ended at once for its caller**, and its worker is asked to stop, then
//!    terminated, then killed. If it answers when it is asked, it stays in service.
//! 6. **A worker whose task waits for others of the pool does not count**: another may run in its stead,
//!    up to a limit, and leaves some time after it has gone on. Where the limit is reached and all wait,
//!    what one of them waits for is lost, so that it goes on.
//! 7. **A worker that was let go may take its time**: it is not killed, and its seat is not vacant
//!    until it has left.

mod dispatch;
mod ends;
mod orders;
mod shutdown;
mod tasks;
mod waits;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use orders::{Event, Loss, OnCrash, Options, Order, Rules, Seat, Stats, Ticket};
use tasks::Tasks;
use worker::{Phase, Worker};

/// The supervisor of one pool of processes, whose tasks have payloads of type `C`.
#[derive(Debug)]
pub struct Supervisor<C> {
    options: Options,
    tasks: Tasks<C>,
    /// One for each seat that was ever used.
    workers: Vec<Worker>,
    /// Those that are ready and have nothing in their lanes.
    idle: Vec<Seat>,
    /// No worker is known to have room: none need be looked for.
    full: bool,
    /// Frames in all lanes.
    in_lanes: usize,
    /// Lanes that are not empty.
    busy: usize,
    /// Seats that are not vacant.
    live: u32,
    starting: u32,
    /// Workers whose tasks wait.
    waiting: u32,
    /// When workers leave that ran in the stead of others.
    trim_at: Option<Instant>,
    /// Until when a wait that was ended may take to be over.
    let_go: Option<Instant>,
    /// When to look next for what is held up in lanes.
    look_at: Option<Instant>,
    /// So many orders to take that back are out: nothing is sent before it is here.
    freeing: u32,
    /// Not after the first of all deadlines.
    earliest: Option<Instant>,
    /// Deaths before ready, in a row.
    births: u32,
    /// Deaths in a row of workers that were ready but had begun nothing of what they were sent.
    fruitless: u32,
    /// Until when nobody is launched, after too many such deaths.
    pause: Option<Instant>,
    stage: Stage,
    /// Closed in such a way that what nobody has begun is cancelled.
    cancelled: bool,
    broken: Option<Arc<String>>,
    completed: u64,
    crashed: u64,
    restarted: u64,
}

/// Closing: accepts nothing more. Done: and [`Order::Done`] has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
    Done,
}

impl<C> Supervisor<C> {
    /// A pool without workers or tasks.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            tasks: Tasks::new(),
            workers: Vec::new(),
            idle: Vec::new(),
            full: true,
            in_lanes: 0,
            busy: 0,
            live: 0,
            starting: 0,
            waiting: 0,
            trim_at: None,
            let_go: None,
            look_at: None,
            freeing: 0,
            earliest: None,
            births: 0,
            fruitless: 0,
            pause: None,
            stage: Stage::Open,
            cancelled: false,
            broken: None,
            completed: 0,
            crashed: 0,
            restarted: 0,
        }
    }

    /// Accepts a task. Its payload is kept until it has ended and is [taken](Self::take).
    ///
    /// # Errors
    /// The payload, if the pool is closed or broken.
    pub fn submit(
        &mut self,
        payload: C,
        rules: Rules,
        now: Instant,
        orders: &mut Vec<Order>,
    ) -> Result<Ticket, C> {
        if self.stage != Stage::Open {
            return Err(payload);
        }
        let ticket = self.tasks.add(payload, rules, self.options.retries);
        self.dispatch(now, orders);
        Ok(ticket)
    }

    /// Takes notice of an event, and adds what is to be done about it to `orders`.
    ///
    /// They are to be carried out, in this order, before the next event from outside is fed in. What
    /// carrying one out yields at once ([`Event::TakenBack`] always, [`Event::NoRoom`],
    /// [`Event::Withdrawn`], [`Event::LaunchFailed`]) is fed in before the next order is carried out, with the same `orders`:
    /// what it adds to them comes last.
    ///
    /// ```
    /// # use manyhands::process::supervisor::{Event, Order, Supervisor};
    /// # use std::time::Instant;
    /// # fn carry_out(_: &Order) -> Option<Event> { None }
    /// # fn shell(supervisor: &mut Supervisor<()>, event: Event, now: Instant, orders: &mut Vec<Order>) {
    /// supervisor.on(event, now, orders);
    /// let mut next = 0;
    /// while let Some(order) = orders.get(next) {
    ///     next += 1;
    ///     if let Some(event) = carry_out(order) {
    ///         supervisor.on(event, now, orders);
    ///     }
    /// }
    /// orders.clear();
    /// # }
    /// ```
    pub fn on(&mut self, event: Event, now: Instant, orders: &mut Vec<Order>) {
        if let Some(seat) = event.seat()
            && self.phase(seat) == Phase::Vacant
        {
            return;
        }
        match event {
            Event::Answered(seat, took) => self.answered(seat, took, now, orders),
            Event::Ready(seat) => self.ready(seat),
            Event::LaunchFailed(seat, why) => self.launch_failed(seat, &why, false, now, orders),
            Event::NotBorn(seat, why) => self.launch_failed(seat, &why, true, now, orders),
            Event::InitializerFailed(seat, reason) => {
                self.initializer_failed(seat, &reason, orders);
            }
            Event::NoRoom(seat, ticket) => self.no_room(seat, ticket, now, orders),
            Event::Withdrawn(seat, ticket) => self.withdrawn(seat, ticket, now, orders),
            Event::TakenBack(seat, count) => self.taken_back(seat, count, now, orders),
            Event::Left { seat, exit, claimed } => self.left(seat, exit, claimed, now, orders),
            Event::Cancel(ticket) => self.cancel(ticket, orders),
            Event::Waits { seat, awaited, timed } => self.waits(seat, awaited, timed, orders),
            Event::Resumes(seat) => self.resumes(seat, now, orders),
            Event::LinkBroken(seat, reason) => self.link_broken(seat, reason, orders),
            Event::Fill(most) => self.fill(most, orders),
            Event::Close { cancel } => self.close(cancel, orders),
            Event::Terminate => self.terminate(now, orders),
            Event::Kill => self.kill(orders),
            Event::Tick => self.tick(now, orders),
        }
        self.dispatch(now, orders);
    }

    /// What was submitted, as long as it has not been taken.
    pub fn payload(&self, ticket: Ticket) -> Option<&C> {
        self.tasks.payload(ticket)
    }

    /// What was submitted, as long as it has not been taken.
    pub fn payload_mut(&mut self, ticket: Ticket) -> Option<&mut C> {
        self.tasks.payload_mut(ticket)
    }

    /// How long a worker may be at it, if that was said, as long as it has not been taken.
    pub fn timeout(&self, ticket: Ticket) -> Option<Duration> {
        self.tasks.timeout(ticket)
    }

    /// Takes back what was submitted, once the task has ended. The ticket is void from then on.
    pub fn take(&mut self, ticket: Ticket) -> Option<C> {
        self.tasks.take(ticket)
    }

    /// The tasks that have not ended, first those in lanes, and some that have.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> {
        let sent = self.workers.iter().flat_map(|worker| &worker.lane).copied();
        sent.chain(self.tasks.queue())
    }

    /// The frames in the lane there, the oldest first.
    pub fn in_lane(&self, seat: Seat) -> impl Iterator<Item = Ticket> {
        self.workers.get(seat.index()).into_iter().flat_map(|worker| &worker.lane).copied()
    }

    /// How many frames lie ahead of this task in the lane there; `None` if it does not lie in it.
    pub fn ahead_of(&self, ticket: Ticket, seat: Seat) -> Option<usize> {
        self.workers.get(seat.index())?.lane.iter().position(|other| *other == ticket)
    }

    /// The place of this number.
    pub fn seat(&self, number: usize) -> Seat {
        Seat(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// Whether it takes no more tasks.
    pub fn is_closed(&self) -> bool {
        self.stage != Stage::Open
    }

    /// When [`Event::Tick`] is due at the latest. It may turn out to be too early, never too late.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Why the pool is broken, if it is.
    pub fn broken(&self) -> Option<&Arc<String>> {
        self.broken.as_ref()
    }

    /// What goes on at this moment.
    pub fn stats(&self) -> Stats {
        let running = |worker: &&Worker| {
            worker.lane.front().is_some_and(|ticket| !self.tasks.has_ended(*ticket))
        };
        let sent = self.workers.iter().flat_map(|worker| &worker.lane);
        let running = self.workers.iter().filter(running).count();
        Stats {
            workers: self.live as usize,
            starting: self.starting as usize,
            idle: self.idle.len(),
            pending: self.tasks.queued() + sent.filter(|t| !self.tasks.has_ended(**t)).count()
                - running,
            running,
            completed: self.completed,
            crashed: self.crashed,
            restarted: self.restarted,
        }
    }

    fn phase(&self, seat: Seat) -> Phase {
        self.workers.get(seat.index()).map_or(Phase::Vacant, |worker| worker.phase)
    }

    fn stop_accepting(&mut self) {
        if self.stage == Stage::Open {
            self.stage = Stage::Closing;
        }
    }

    fn seats(&self) -> impl Iterator<Item = Seat> + use<C> {
        (0..u32::try_from(self.workers.len()).unwrap_or(u32::MAX)).map(Seat)
    }

    /// Moves a worker on in its life, and keeps the counts.
    fn shift(&mut self, seat: Seat, phase: Phase) {
        let worker = &mut self.workers[seat.index()];
        let before = std::mem::replace(&mut worker.phase, phase);
        worker.deadline = None;
        if !matches!(phase, Phase::Ready | Phase::Asked) && worker.waits.take().is_some() {
            self.waiting -= 1;
            self.let_go = None;
        }
        let worker = &self.workers[seat.index()];
        match before {
            Phase::Vacant => self.live += 1,
            Phase::Starting => self.starting -= 1,
            Phase::Ready if worker.lane.is_empty() => self.idle.retain(|idle| *idle != seat),
            _ => (),
        }
        match phase {
            Phase::Vacant => self.live -= 1,
            Phase::Starting => self.starting += 1,
            _ => (),
        }
    }

    fn set_deadline(&mut self, seat: Seat, deadline: Option<Instant>) {
        self.workers[seat.index()].deadline = deadline;
        self.note_deadline(deadline);
    }

    fn note_deadline(&mut self, deadline: Option<Instant>) {
        self.earliest = self.earliest.into_iter().chain(deadline).min();
    }
}

impl Event {
    fn seat(&self) -> Option<Seat> {
        match self {
            Event::Ready(seat)
            | Event::LaunchFailed(seat, _)
            | Event::NotBorn(seat, _)
            | Event::InitializerFailed(seat, _)
            | Event::Answered(seat, _)
            | Event::NoRoom(seat, _)
            | Event::Withdrawn(seat, _)
            | Event::TakenBack(seat, _)
            | Event::Waits { seat, .. }
            | Event::Resumes(seat)
            | Event::Left { seat, .. }
            | Event::LinkBroken(seat, _) => Some(*seat),
            Event::Cancel(_)
            | Event::Fill(_)
            | Event::Close { .. }
            | Event::Terminate
            | Event::Kill
            | Event::Tick => None,
        }
    }
}
