//! What is under the pool's lock, and how the supervisor's orders are carried out there.

use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use manyhands_shm::{ArenaView, Lookout};
use rustix::event::PollFlags;

use super::answer::{Answered, Ending, Place};
use super::listening::{Asleep, MANAGERS, Sleep};
use crate::crossing::{Flags, Kind, RequestHead, Telling, read_list};
use crate::errors::{BrokenProcessPool, Exit, Reason};
use crate::process::link::{Link, LinkError, OfferError};
use crate::process::request::Request;
use crate::process::supervisor::{self, Event, Order, Seat, Supervisor, Ticket};
use crate::process::task::{Loss, Task};

pub(in crate::process) struct State<T: Task> {
    pub(super) supervisor: Supervisor<Entry<T>>,
    pub(super) seats: Vec<Place>,
    /// Scratch.
    pub(super) orders: Vec<Order>,
    /// The answer that the supervisor has just been told of.
    pub(super) answer: Option<Answered>,
    pub(super) endings: Vec<Ending<T>>,
    pub(super) chores: Vec<Chore>,
    /// A link has more to send than the system took, or was answered while the manager fell asleep.
    pub(super) flushes: bool,
    /// The same for a thread that attends.
    pub(super) rings_attendant: bool,
    /// Of all workers there are.
    pub(super) lookouts: Arc<[Lookout]>,
    /// Emptied, for the next answers.
    pub(super) spare: Vec<Vec<u8>>,
    /// The manager sleeps.
    pub(super) asleep: Option<Sleep>,
    /// A thread that waits for a task attends, and whether it sleeps.
    pub(super) attendant: Option<Asleep>,
    pub(super) attendant_id: Option<ThreadId>,
    /// Who is to be told of tasks that have ended, by the manager.
    pub(super) tellings: Vec<Telling>,
    /// Whose worker has died, and is heard out.
    pub(super) buries: Option<Seat>,
    /// Tasks that are about to come.
    pub(super) reserved: usize,
    /// It is to be closed, and whether what has not begun is to be cancelled.
    pub(super) closing: Option<bool>,
    pub(super) manager: Option<JoinHandle<()>>,
    pub(super) manager_id: Option<ThreadId>,
    /// All workers have left, and all tasks have ended for the supervisor.
    pub(super) done: bool,
}

/// A task of the pool.
pub(in crate::process) struct Entry<T> {
    pub(super) task: T,
    pub(super) request: Request,
    pub(super) timeout: Option<Duration>,
    pub(super) begun: bool,
    /// Where it was sent last.
    pub(super) sent: Option<Seat>,
}

/// What only the manager's thread does.
#[derive(Debug)]
pub(in crate::process) enum Chore {
    Launch(Seat),
    Terminate(Seat),
    Kill(Seat),
    /// Of a worker that is not born yet.
    Retire(Seat),
}

impl<T: Task> State<T> {
    pub(in crate::process) fn new(options: supervisor::Options) -> Self {
        Self {
            supervisor: Supervisor::new(options),
            seats: Vec::new(),
            orders: Vec::new(),
            answer: None,
            endings: Vec::new(),
            chores: Vec::new(),
            flushes: false,
            rings_attendant: false,
            lookouts: Arc::new([]),
            spare: Vec::new(),
            asleep: None,
            attendant: None,
            attendant_id: None,
            tellings: Vec::new(),
            buries: None,
            reserved: 0,
            closing: None,
            manager: None,
            manager_id: None,
            done: false,
        }
    }

    /// Keeps memory for the next answers.
    pub(super) fn take_spare(&mut self, spare: &mut Vec<Vec<u8>>) {
        const MOST: usize = 256;
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

    /// Closes the pool if that was asked for and nobody is about to put a task in.
    pub(super) fn close_if_asked(&mut self, now: Instant) {
        if self.reserved == 0
            && let Some(cancel) = self.closing
        {
            self.on(Event::Close { cancel }, now);
        }
    }

    /// Whether nothing is left to be done, also of what the supervisor knows nothing of any more: a
    /// thread that attends may still read a result, or leave somebody to be told.
    pub(super) fn is_over(&self) -> bool {
        self.done && self.attendant.is_none()
    }

    pub(in crate::process) fn set_manager(&mut self, manager: JoinHandle<()>) {
        self.manager_id = Some(manager.thread().id());
        self.manager = Some(manager);
    }

    pub(in crate::process) fn on(&mut self, event: Event, now: Instant) {
        self.supervisor.on(event, now, &mut self.orders);
        self.carry_out(now);
    }

    /// Carries out the orders, and those that come of it.
    pub(super) fn carry_out(&mut self, now: Instant) {
        let mut next = 0;
        while next < self.orders.len() {
            let order = std::mem::replace(&mut self.orders[next], Order::Discard);
            next += 1;
            let event = match order {
                Order::Send(seat, ticket) => self.send(seat, ticket),
                Order::TakeBack(seat, most) => {
                    let taken = self.take_back(seat, most);
                    Some(Event::TakenBack(seat, u32::try_from(taken).unwrap_or(u32::MAX)))
                }
                Order::Settle(ticket) => {
                    self.settle(ticket);
                    None
                }
                Order::Discard => {
                    self.spare.extend(self.answer.take().map(|answer| answer.bytes));
                    None
                }
                Order::Lose(ticket, loss) => {
                    self.lose(ticket, loss);
                    None
                }
                Order::AskToStop(seat) => {
                    if let Some(link) = self.link(seat) {
                        link.ask_to_stop();
                        self.note_flush(seat);
                    }
                    None
                }
                Order::Retire(seat) => {
                    self.retire(seat);
                    None
                }
                Order::Launch(seat) => self.leave(Chore::Launch(seat)),
                Order::Terminate(seat) => self.leave(Chore::Terminate(seat)),
                Order::Kill(seat) => self.leave(Chore::Kill(seat)),
                Order::Done => {
                    self.done = true;
                    None
                }
            };
            if let Some(event) = event {
                self.supervisor.on(event, now, &mut self.orders);
            }
        }
        self.orders.clear();
    }

    /// After a request was put into a link: its answer is to wake whoever sees to it.
    fn sent(&mut self, seat: Seat) {
        self.note_flush(seat);
        if let Some(doorbell) = self.listens_at()
            && self.link(seat).is_some_and(|link| link.set_asleep(doorbell))
        {
            match doorbell {
                MANAGERS => self.flushes = true,
                _ => self.rings_attendant = true,
            }
        }
    }

    /// After something was put into a link.
    fn note_flush(&mut self, seat: Seat) {
        let interest = self.link(seat).and_then(|link| Some(link.interest()?.1));
        self.flushes |= interest.is_some_and(|flags| flags.contains(PollFlags::OUT));
    }

    fn leave(&mut self, chore: Chore) -> Option<Event> {
        self.chores.push(chore);
        None
    }

    fn link(&mut self, seat: Seat) -> Option<&mut Box<dyn Link>> {
        self.seats.get_mut(seat.index())?.link.as_mut()
    }

    fn send(&mut self, seat: Seat, ticket: Ticket) -> Option<Event> {
        let entry = self.supervisor.payload_mut(ticket)?;
        if !entry.begun && !entry.task.begin() {
            return Some(Event::Withdrawn(seat, ticket));
        }
        entry.begun = true;
        entry.sent = Some(seat);
        let place = self.seats.get_mut(seat.index())?;
        let returned = place.returned.take();
        let link = place.link.as_mut()?;
        let Err(error) = entry.request.with_parts(&returned, |parts| link.offer(parts)) else {
            self.sent(seat);
            return None;
        };
        place.returned.push(&returned);
        Some(match error {
            OfferError::Full | OfferError::TooLarge { .. } => Event::NoRoom(seat, ticket),
            // It counts as sent and not begun, as its worker's end, which comes next, will find it.
            OfferError::Broken(_) if self.buries == Some(seat) => return None,
            OfferError::Broken(error) => Event::LinkBroken(seat, error.to_string()),
        })
    }

    fn take_back(&mut self, seat: Seat, most: u32) -> usize {
        let Some(place) = self.seats.get_mut(seat.index()) else { return 0 };
        let Some(link) = &mut place.link else { return 0 };
        let taken = link.take_back(most);
        for frame in &taken {
            if let Some((head, mut rest)) = RequestHead::parse(frame)
                && let Some(returned) = read_list(head.flags.has(Flags::RETURNS), &mut rest)
            {
                // To be told with another frame, then.
                place.returned.push(&returned);
            }
        }
        // Of what is not there any more, it sees nothing.
        let end = place.answered + u64::from(link.in_flight());
        place.doomed.retain(|number, _| *number < end);
        taken.len()
    }

    fn settle(&mut self, ticket: Ticket) {
        let Some(answer) = self.answer.take() else { return };
        if let Some(Entry { task, request, .. }) = self.supervisor.take(ticket) {
            if let Some((seat, number)) = answer.keeps
                && let Some(place) = self.seats.get_mut(seat.index())
            {
                place.kept.entry(number).or_default().extend(request.blocks().cloned());
            }
            self.endings.push(Ending::Answered { task, answer });
        }
    }

    fn lose(&mut self, ticket: Ticket, loss: supervisor::Loss) {
        let Some(Entry { task, request, timeout, sent, .. }) = self.supervisor.take(ticket) else {
            return;
        };
        if let Some(seat) = sent
            && let Some(ahead) = self.supervisor.ahead_of(ticket, seat)
            && let Some(place) = self.seats.get_mut(seat.index())
            && request.blocks().next().is_some()
        {
            let blocks = place.doomed.entry(place.answered + ahead as u64).or_default();
            blocks.extend(request.blocks().cloned());
        }
        let worker = |seat: Seat| u32::try_from(seat.index()).unwrap_or(u32::MAX);
        let loss = match loss {
            supervisor::Loss::Crashed { seat, exit, ran, attempts } => {
                let pid = self.seats.get(seat.index()).map_or(0, |place| place.pid);
                Loss::Crashed { worker: worker(seat), pid, exit, ran, attempts }
            }
            supervisor::Loss::TimedOut { seat, ran } => {
                let timeout = timeout.unwrap_or_default();
                Loss::TimedOut { worker: worker(seat), timeout, ran }
            }
            supervisor::Loss::Cancelled => Loss::Cancelled,
            supervisor::Loss::Broken(reason) => Loss::Broken(reason),
        };
        self.endings.push(Ending::Lost { task, loss, request });
    }

    pub(in crate::process) fn retire(&mut self, seat: Seat) {
        let head = RequestHead { function: 0, kind: Kind::Leave, flags: Flags::default() };
        match self.link(seat) {
            // It has answered all it was asked, so there is room; if its link is broken, it leaves.
            // Nothing is logged here: a logger is code of the program's, which may ask for our lock.
            Some(link) => {
                drop(link.offer(&[&head.to_bytes()]));
                self.note_flush(seat);
            }
            None => self.chores.push(Chore::Retire(seat)),
        }
    }

    /// Receives what a worker has answered, so much of it; whether there was anything.
    pub(super) fn receive(&mut self, seat: usize, now: Instant) -> bool {
        const MOST: usize = 32;
        (0..MOST).take_while(|_| self.receive_one(seat, now)).count() > 0
    }

    fn receive_one(&mut self, seat: usize, now: Instant) -> bool {
        let Some(link) = self.seats[seat].link.as_mut() else { return false };
        let mut bytes = self.spare.pop().unwrap_or_default();
        let received = link.receive(&mut bytes);
        let seat = self.supervisor.seat(seat);
        match received {
            Ok(true) => {
                link.release(1);
                let Some((answer, took)) = self.seats[seat.index()].understand(seat, bytes) else {
                    let why = "its answer is none".to_owned();
                    self.on(Event::LinkBroken(seat, why), now);
                    return false;
                };
                self.answer = Some(answer);
                self.on(Event::Answered(seat, took), now);
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
        now: Instant,
    ) {
        let place = self.place(seat);
        place.link = Some(link);
        place.arena = arena;
        place.lookout = lookout;
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
        if let Some(link) = self.link(seat) {
            link.set_dead();
            self.buries = Some(seat);
            while self.receive(seat.index(), now) {}
        }
        let claimed = self.link(seat).map_or(0, |link| link.claimed());
        // What comes of it may concern the next worker in this place, which has no link yet.
        self.buries = None;
        self.place(seat).link = None;
        self.on(Event::Left { seat, exit, claimed }, now);
        self.vacate(seat);
    }

    /// Whether a worker was born in this place.
    pub(in crate::process) fn is_seated(&self, seat: Seat) -> bool {
        self.seats.get(seat.index()).is_some_and(|place| place.link.is_some())
    }

    pub(in crate::process) fn vacate(&mut self, seat: Seat) {
        *self.place(seat) = Place::default();
        self.note_lookouts();
    }

    fn note_lookouts(&mut self) {
        self.lookouts = self.seats.iter().filter_map(|place| place.lookout.clone()).collect();
    }
}
