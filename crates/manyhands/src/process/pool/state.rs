//! What is under the pool's lock, and what happens to it: answers, births and ends.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};
use std::time::Instant;

use manyhands_shm::{Arena, ArenaView, Lookout};
use rustix::event::PollFlags;

use super::ManagedBy;
use super::answer::{Answered, Ending, Place};
use super::arrivals::{Arrival, Arrivals};
use super::nested::Nested;
use crate::crossing::{Flags, Telling};
use crate::errors::{BrokenProcessPool, Exit, Reason};
use crate::listening::{Intake, Listeners};
use crate::process::launch::Newborn;
use crate::process::link::{Link, LinkError};
use crate::process::nested::{Channel, Whose};
use crate::process::request::Request;
use crate::process::supervisor::{self, Event, Order, Seat, Supervisor};
use crate::process::task::Task;
use crate::spin;

pub(in crate::process) struct State<T: Task> {
    /// The pool's.
    pub(super) number: NonZeroU32,
    pub(super) supervisor: Supervisor<Entry<T>>,
    pub(super) seats: Vec<Place>,
    /// The pool's, for what its workers submit.
    pub(super) arena: Option<Arena>,
    /// Scratch.
    pub(super) orders: Vec<Order>,
    /// The answer that the supervisor has just been told of.
    pub(super) answer: Option<Answered>,
    pub(super) endings: Vec<Ending<T>>,
    /// The threads that end tasks at this moment, beside the manager and who attends.
    pub(super) ending: Vec<ThreadId>,
    pub(super) chores: Vec<Chore>,
    /// A link has more to send than the system took.
    pub(super) flushes: bool,
    pub(super) listeners: Listeners,
    /// Of all workers there are.
    pub(super) lookouts: Arc<[Lookout]>,
    /// Emptied, for the next answers.
    pub(super) spare: Vec<Vec<u8>>,
    /// Who is to be told of tasks that have ended, by the manager.
    pub(super) tellings: Vec<Telling>,
    /// Whose worker has died, and is heard out.
    pub(super) buries: Option<Seat>,
    /// The worker whose end has broken the pool, or may do so at this moment.
    pub(super) broken_by: Option<(u32, Exit)>,
    pub(super) arrivals: Arrivals<T>,
    /// It is to be closed, and whether what has not begun is to be cancelled.
    pub(super) closing: Option<bool>,
    /// Unless the host has started it.
    pub(in crate::process) manager: Option<JoinHandle<()>>,
    pub(in crate::process) manager_id: Option<ThreadId>,
    pub(in crate::process) managing: Managing,
    /// Of workers that the host is starting.
    pub(super) launching: Vec<Seat>,
    /// All workers have left, and all tasks have ended for the supervisor.
    pub(super) done: bool,
}

/// How far the manager is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum Managing {
    GoesOn,
    /// It ends the last tasks.
    EndsTheLast,
    /// The thread that the pool has started for it has nothing left to do.
    Over,
}

/// A task of the pool.
pub(in crate::process) struct Entry<T> {
    pub(super) task: Whose<T>,
    pub(super) request: Request,
    /// Where it was sent last, if it has begun.
    pub(super) sent: Option<Seat>,
}

/// What only the manager's thread does.
#[derive(Debug)]
pub(in crate::process) enum Chore {
    Launch(Seat),
    /// The host has started it, or has failed to.
    TakeOn(Seat, Box<io::Result<Newborn>>),
    Terminate(Seat),
    Kill(Seat),
    /// Of a worker that is not born yet.
    Retire(Seat),
    /// It has been told to leave, and may have been stopped before that.
    Rouse(Seat),
}

impl Chore {
    pub(in crate::process) fn seat(&self) -> Seat {
        match self {
            Self::Launch(seat)
            | Self::TakeOn(seat, _)
            | Self::Terminate(seat)
            | Self::Kill(seat)
            | Self::Retire(seat)
            | Self::Rouse(seat) => *seat,
        }
    }
}

impl<T: Task> State<T> {
    pub(in crate::process) fn new(
        number: NonZeroU32,
        options: supervisor::Options,
        arena: Option<Arena>,
        intake: Arc<Intake<Arrival<T>>>,
    ) -> Self {
        Self {
            number,
            supervisor: Supervisor::new(options),
            seats: Vec::new(),
            arena,
            orders: Vec::new(),
            answer: None,
            endings: Vec::new(),
            ending: Vec::new(),
            chores: Vec::new(),
            flushes: false,
            listeners: Listeners::new(),
            lookouts: Arc::new([]),
            spare: Vec::new(),
            tellings: Vec::new(),
            buries: None,
            broken_by: None,
            arrivals: Arrivals::new(intake),
            closing: None,
            manager: None,
            manager_id: None,
            managing: Managing::GoesOn,
            launching: Vec::new(),
            done: false,
        }
    }

    /// Keeps memory for the next answers.
    pub(super) fn take_spare(&mut self, spare: &mut Vec<Vec<u8>>) {
        const MOST: usize = 512;
        let room = MOST.saturating_sub(self.spare.len());
        self.spare.extend(spare.drain(..).take(room));
    }

    pub(super) fn refusal(&self) -> Option<Reason> {
        if let Some(reason) = self.supervisor.broken() {
            let reason = Arc::clone(reason);
            return Some(Reason::Broken(BrokenProcessPool { reason }.into()));
        }
        let closed = self.closing.is_some() || self.supervisor.is_closed();
        closed.then_some(Reason::Shutdown)
    }

    /// The workers that whoever submits is to start.
    pub(super) fn take_launches(&mut self, managed_by: ManagedBy) -> Vec<Seat> {
        if managed_by == ManagedBy::Pool || self.chores.is_empty() {
            return Vec::new();
        }
        let (launches, others) =
            self.chores.drain(..).partition::<Vec<_>, _>(|chore| matches!(chore, Chore::Launch(_)));
        self.chores = others;
        let seats: Vec<_> = launches.iter().map(Chore::seat).collect();
        self.launching.extend(&seats);
        seats
    }

    /// Whether the manager takes a turn yet.
    pub(super) fn is_managed(&self) -> bool {
        !self.done && self.manager_id.is_some()
    }

    /// Has the workers hear of what was sent to them: before the lock is let go.
    pub(super) fn publish(&mut self) {
        self.seats.iter_mut().filter_map(|place| place.link.as_mut()).for_each(|it| it.publish());
    }

    pub(in crate::process) fn on(&mut self, event: Event, now: Instant) {
        self.supervisor.on(event, now, &mut self.orders);
        self.carry_out(now);
        // Before anybody is told of a task that ends by it.
        if self.supervisor.is_closed() {
            self.refuse();
        }
    }

    /// Receives what a worker has answered, so much of it; whether there was anything.
    pub(super) fn receive(&mut self, seat: usize, now: Instant) -> bool {
        // Where the manager has a core of its own, what it handles at once is to stay in the nearest cache. Where
        // it has not, a worker that has nothing before it makes room for it, and is woken for each turn.
        let has_own_core = spin::cores() > self.seats.len() + 1;
        let most = if has_own_core { 128 } else { 256 };
        (0..most).take_while(|_| self.receive_one(seat, now)).count() > 0
    }

    fn receive_one(&mut self, seat: usize, now: Instant) -> bool {
        let Some(link) = self.seats[seat].link.as_mut() else { return false };
        let mut bytes = self.spare.pop().unwrap_or_default();
        let received = link.receive(&mut bytes);
        let seat = self.supervisor.seat(seat);
        match received {
            Ok(true) => {
                link.release(1);
                let place = &mut self.seats[seat.index()];
                let Some(took) = place.understand(seat, bytes, &mut self.answer) else {
                    let why = "its answer is none".to_owned();
                    self.on(Event::LinkBroken(seat, why), now);
                    return false;
                };
                if self.answer.as_ref().is_some_and(|answer| answer.flags.has(Flags::SPOKE)) {
                    let answer = self.answer.take();
                    self.hear(seat, now);
                    self.answer = answer;
                }
                self.on(Event::Answered(seat, took), now);
                self.forget_waits(seat, now);
                true
            }
            Ok(false) => {
                self.spare.push(bytes);
                false
            }
            // Its end will be seen.
            Err(LinkError::Closed) => false,
            Err(error) => {
                self.on(Event::LinkBroken(seat, error.to_string()), now);
                false
            }
        }
    }

    /// A worker has been born.
    pub(in crate::process) fn seat_taken(
        &mut self,
        seat: Seat,
        link: Box<dyn Link>,
        arena: Option<ArenaView>,
        lookout: Option<Lookout>,
        channel: Arc<Channel>,
        now: Instant,
    ) {
        let place = self.place(seat);
        place.link = Some(link);
        place.arena = arena;
        place.lookout = lookout;
        place.nested = Nested::new(channel);
        self.note_lookouts();
        self.on(Event::Ready(seat), now);
    }

    fn place(&mut self, seat: Seat) -> &mut Place {
        if self.seats.len() <= seat.index() {
            self.seats.resize_with(seat.index() + 1, Place::default);
        }
        &mut self.seats[seat.index()]
    }

    pub(in crate::process) fn launched(&mut self, seat: Seat, pid: u32) {
        self.place(seat).pid = pid;
    }

    /// A worker that was in service has ended.
    pub(in crate::process) fn left(&mut self, seat: Seat, exit: Exit, now: Instant) {
        self.note_end(seat, exit);
        if let Some(link) = self.link(seat) {
            link.set_dead();
            self.buries = Some(seat);
            while self.receive(seat.index(), now) {}
            self.hear(seat, now);
        }
        let claimed = self.link(seat).map_or(0, |link| link.claimed());
        // What comes of it may concern the next worker in this place, which has no link yet.
        self.buries = None;
        self.place(seat).link = None;
        self.cancel_nested(seat, now);
        self.on(Event::Left { seat, exit, claimed }, now);
        self.vacate(seat);
    }

    /// A worker has ended before it was in service.
    pub(in crate::process) fn not_born(
        &mut self,
        seat: Seat,
        exit: Exit,
        how: String,
        now: Instant,
    ) {
        self.note_end(seat, exit);
        self.on(Event::NotBorn(seat, how), now);
        self.vacate(seat);
    }

    fn note_end(&mut self, seat: Seat, exit: Exit) {
        if self.supervisor.broken().is_none() {
            self.broken_by = Some((self.place(seat).pid, exit));
        }
    }

    /// Whether a worker was born in this place.
    pub(in crate::process) fn is_seated(&self, seat: Seat) -> bool {
        self.seats.get(seat.index()).is_some_and(|place| place.link.is_some())
    }

    pub(in crate::process) fn vacate(&mut self, seat: Seat) {
        if self.supervisor.broken().is_none() {
            self.broken_by = None;
        }
        *self.place(seat) = Place::default();
        self.note_lookouts();
    }

    /// What to poll the links for, by seat.
    pub(in crate::process) fn note_interests(&self, flags: &mut Vec<Option<PollFlags>>) {
        flags.clear();
        flags.extend(self.seats.iter().map(|place| Some(place.link.as_ref()?.interest()?.1)));
    }

    fn note_lookouts(&mut self) {
        self.lookouts = self.seats.iter().filter_map(|place| place.lookout.clone()).collect();
    }
}
