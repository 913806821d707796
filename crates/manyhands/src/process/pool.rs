//! What a pool of processes is: tasks, workers' links and the supervisor, under one lock.
//!
//! Who calls from outside (a submit, a shutdown, the manager with an answer) tells the supervisor of it
//! and carries out its orders at once, here. What takes a system call or runs code of the program's is
//! left over: *chores* for the manager's thread, *endings* for whoever holds the lock at that moment,
//! to be seen to once it is let go.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use manyhands_shm::{Arena, ArenaView, Block, Doorbell, ForkMark, Lookout};
use rustix::event::PollFlags;

use super::birth::Transport;
use super::lending::{Carrier, Lease, Returned, carrying};
use super::link::{Link, LinkError, OfferError};
use super::manager::{self, Setting};
use super::request::Request;
use super::supervisor::{self, Event, Order, Rules, Seat, Stats, Supervisor, Ticket};
use super::task::{Loss, Task};
use crate::crossing::{AnswerHead, Flags, Kind, RequestHead, Telling, parse_place, read_list};
use crate::errors::{BrokenProcessPool, Exit, Reason};
use crate::future::deadline;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// A pool of worker processes, for tasks of any host.
pub(super) struct Pool<T: Task> {
    /// Tells the pools of this process apart.
    number: NonZeroU32,
    setting: Setting,
    state: Mutex<State<T>>,
    /// Rung to wake the manager, and to wake a thread that attends while it waits.
    doorbells: Arc<[Doorbell; 2]>,
    /// A look at whether there are chores, for a manager that spins.
    called: AtomicBool,
    /// A look at whether a thread attends, likewise.
    attended: AtomicBool,
    gone: Condvar,
    /// Where large arguments go, if there is shared memory.
    arena: Option<Arena>,
    mark: ForkMark,
}

struct Entry<T> {
    task: T,
    request: Request,
    timeout: Option<Duration>,
    begun: bool,
    /// Where it was sent last.
    sent: Option<Seat>,
}

pub(super) struct State<T: Task> {
    supervisor: Supervisor<Entry<T>>,
    seats: Vec<Place>,
    /// Scratch.
    orders: Vec<Order>,
    /// The answer that the supervisor has just been told of.
    answer: Option<Answered>,
    endings: Vec<Ending<T>>,
    chores: Vec<Chore>,
    /// A link has more to send than the system took, or was answered while the manager fell asleep.
    flushes: bool,
    /// The same for a thread that attends.
    rings_attendant: bool,
    /// Of all workers there are.
    lookouts: Arc<[Lookout]>,
    /// Emptied, for the next answers.
    spare: Vec<Vec<u8>>,
    /// The manager sleeps, until then at the latest.
    asleep: Option<Option<Instant>>,
    /// A thread that waits for a task attends, and whether it sleeps.
    attendant: Option<Asleep>,
    /// Who is to be told of tasks that have ended, by the manager.
    tellings: Vec<Telling>,
    manager: Option<JoinHandle<()>>,
    manager_id: Option<ThreadId>,
    done: bool,
}

/// Which doorbell is the manager's.
pub(super) const MANAGERS: usize = 0;

/// And which that of a thread that attends.
pub(super) const CALLERS: usize = 1;

type Asleep = bool;

/// One worker as the state knows it.
#[derive(Default)]
struct Place {
    link: Option<Box<dyn Link>>,
    pid: u32,
    /// Its arena, if there is shared memory.
    arena: Option<ArenaView>,
    lookout: Option<Lookout>,
    /// What it lent to this process that is done with.
    returned: Arc<Returned>,
    /// How many requests it has answered, by which it knows what was lent to it.
    answered: u64,
    /// What it was lent with which request, and still looks at.
    kept: HashMap<u64, Vec<Arc<Block>>>,
    /// What it was lent with the request that it may be working on, though its task has ended.
    doomed: Vec<Arc<Block>>,
}

/// An answer, received and looked at so far.
pub(super) struct Answered {
    kind: Kind,
    flags: Flags,
    bytes: Vec<u8>,
    /// Where its body begins.
    body: usize,
    /// What it refers to.
    arena: Option<ArenaView>,
    lease: Option<Arc<Lease>>,
    /// Who still looks at what it was lent, and with which request.
    keeps: Option<(Seat, u64)>,
}

/// What only the manager's thread does.
#[derive(Debug)]
pub(super) enum Chore {
    Launch(Seat),
    Terminate(Seat),
    Kill(Seat),
    /// Of a worker that is not born yet.
    Retire(Seat),
}

/// A task that has ended, whose future does not know yet.
pub(super) enum Ending<T> {
    Answered { task: T, answer: Answered },
    Lost { task: T, loss: Loss, request: Request },
}

/// What a turn of the manager's has come to.
pub(super) struct Turn {
    /// There was something.
    pub(super) worked: bool,
    /// The pool is closed and empty.
    pub(super) done: bool,
}

impl<T: Task> Pool<T> {
    pub(super) fn new(
        options: supervisor::Options,
        setting: Setting,
    ) -> std::io::Result<Arc<Self>> {
        let arena = match setting.transport {
            Transport::Socket => None,
            Transport::SharedMemory => Some(Arena::create()?),
        };
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Ok(Arc::new(Self {
            number: NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN),
            setting,
            state: Mutex::new(State {
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
                tellings: Vec::new(),
                manager: None,
                manager_id: None,
                done: false,
            }),
            doorbells: Arc::new([Doorbell::create()?, Doorbell::create()?]),
            called: AtomicBool::new(false),
            attended: AtomicBool::new(false),
            gone: Condvar::new(),
            arena,
            mark: ForkMark::of_this_process(),
        }))
    }

    pub(super) fn number(&self) -> NonZeroU32 {
        self.number
    }

    pub(super) fn setting(&self) -> &Setting {
        &self.setting
    }

    pub(super) fn arena(&self) -> Option<&Arena> {
        self.arena.as_ref()
    }

    pub(super) fn doorbells(&self) -> &Arc<[Doorbell; 2]> {
        &self.doorbells
    }

    /// Whether a spinning manager is called.
    pub(super) fn is_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Whether another thread sees to the answers.
    pub(super) fn is_attended(&self) -> bool {
        self.attended.load(Ordering::Relaxed)
    }

    /// Whether it takes no more tasks, and why.
    pub(super) fn refusal(&self) -> Option<Reason> {
        if self.mark.is_in_a_fork() {
            return Some(Reason::Forked);
        }
        self.state.lock().refusal()
    }

    /// Accepts a task.
    ///
    /// # Errors
    /// The task, if the pool is closed or broken.
    pub(super) fn submit(
        self: &Arc<Self>,
        task: T,
        request: Request,
        rules: Rules,
    ) -> Result<(), (T, Reason)> {
        let entry = Entry { task, request, timeout: rules.timeout, begun: false, sent: None };
        let now = Instant::now();
        let mut state = self.state.lock();
        if let Some(reason) = state.refusal() {
            return Err((entry.task, reason));
        }
        if state.manager.is_none()
            && let Err(error) = manager::start(self, &mut state)
        {
            let reason = Arc::new(format!("no thread could be started to manage it: {error}"));
            return Err((entry.task, Reason::Broken(BrokenProcessPool { reason }.into())));
        }
        let state_now = &mut *state;
        let submitted = state_now.supervisor.submit(entry, rules, now, &mut state_now.orders);
        debug_assert!(submitted.is_ok(), "refused above if it is closed");
        state.carry_out(now);
        self.let_go(state);
        Ok(())
    }

    /// Tells the supervisor of something. In a forked copy of the process it does nothing: the lock may
    /// be held by a thread that is not there, and the workers are not this process's.
    pub(super) fn tell(&self, event: Event) {
        if self.mark.is_in_a_fork() {
            return;
        }
        let mut state = self.state.lock();
        state.on(event, Instant::now());
        self.let_go(state);
    }

    /// Unlocks, wakes the manager if there is something for it, and ends the tasks that have ended.
    fn let_go(&self, mut state: MutexGuard<'_, State<T>>) {
        let endings = std::mem::take(&mut state.endings);
        let called = !state.chores.is_empty() || !state.tellings.is_empty() || state.flushes;
        let rings = match state.asleep {
            Some(until) => {
                let due = state.supervisor.next_deadline();
                let sooner = due.is_some_and(|due| until.is_none_or(|until| due < until));
                called || sooner || state.done
            }
            None => false,
        };
        if state.done {
            self.gone.notify_all();
        }
        if std::mem::take(&mut state.rings_attendant) {
            self.doorbells[CALLERS].ring();
        }
        drop(state);
        if called {
            self.called.store(true, Ordering::Relaxed);
        }
        if rings {
            self.doorbells[MANAGERS].ring();
        }
        for ending in endings {
            ending.end();
        }
    }

    /// Stops the task at this address, which was cancelled while it ran.
    pub(super) fn stop(&self, address: usize) {
        if self.mark.is_in_a_fork() {
            return;
        }
        let mut state = self.state.lock();
        let ticket = state.supervisor.sent().find(|ticket| {
            let entry = state.supervisor.payload(*ticket);
            entry.is_some_and(|entry| entry.task.is_at(address))
        });
        if let Some(ticket) = ticket {
            state.on(Event::Cancel(ticket), Instant::now());
        }
        self.let_go(state);
    }

    /// Accepts nothing more.
    pub(super) fn close(&self, cancel: bool) {
        self.tell(Event::Close { cancel });
    }

    /// Waits until all workers have left; whether they have.
    pub(super) fn join(&self, timeout: Option<Duration>) -> bool {
        if self.mark.is_in_a_fork() {
            return false;
        }
        let end = deadline(timeout);
        let mut state = self.state.lock();
        if state.manager_id == Some(std::thread::current().id()) {
            return false; // A callback of a task of this pool, which cannot wait for its own end.
        }
        while !state.done && state.manager_id.is_some() {
            if end.is_some_and(|end| Instant::now() >= end) {
                return false;
            }
            state = self.gone.wait(state, end);
        }
        let manager = state.manager.take();
        drop(state);
        if let Some(manager) = manager
            && manager.join().is_err()
        {
            log::error!("the manager of a process pool has panicked");
        }
        true
    }

    pub(super) fn stats(&self) -> Stats {
        self.state.lock().supervisor.stats()
    }

    /// The process numbers of the workers there are.
    pub(super) fn pids(&self) -> Vec<u32> {
        let state = self.state.lock();
        state.seats.iter().map(|place| place.pid).filter(|pid| *pid != 0).collect()
    }
}

/// For the manager.
impl<T: Task> Pool<T> {
    /// Receives what has been answered and does what is due. Leaves what is left over to the caller;
    /// whether there was anything at all.
    pub(super) fn turn(
        &self,
        chores: &mut Vec<Chore>,
        endings: &mut Vec<Ending<T>>,
        tellings: &mut Vec<Telling>,
    ) -> Turn {
        let now = Instant::now();
        let mut state = self.state.lock();
        self.called.store(false, Ordering::Relaxed);
        state.flushes = false;
        let mut answers = false;
        for seat in 0..state.seats.len() {
            answers |= state.receive(seat, now);
        }
        if state.supervisor.next_deadline().is_some_and(|due| due <= now) {
            state.on(Event::Tick, now);
        }
        std::mem::swap(&mut state.chores, chores);
        std::mem::swap(&mut state.endings, endings);
        std::mem::swap(&mut state.tellings, tellings);
        if std::mem::take(&mut state.rings_attendant) {
            self.doorbells[CALLERS].ring();
        }
        if state.done {
            self.gone.notify_all();
        }
        let left_over = !chores.is_empty() || !endings.is_empty() || !tellings.is_empty();
        Turn { worked: answers || left_over, done: state.done }
    }

    /// The manager is about to sleep: from now on an answer rings. Until when it may sleep, and what
    /// to poll the links for; or `None` if it must not.
    pub(super) fn fall_asleep(
        &self,
        flags: &mut Vec<Option<PollFlags>>,
    ) -> Option<Option<Instant>> {
        let mut state = self.state.lock();
        let left_over = !state.chores.is_empty()
            || !state.endings.is_empty()
            || !state.tellings.is_empty()
            || state.done;
        let until = state.supervisor.next_deadline();
        state.asleep = Some(until);
        if left_over || state.listen() {
            state.wake_up();
            return None;
        }
        flags.clear();
        flags.extend(state.seats.iter().map(|place| Some(place.link.as_ref()?.interest()?.1)));
        Some(until)
    }

    pub(super) fn wake_up(&self) {
        self.state.lock().wake_up();
    }

    /// Makes the calling thread the one that sees to the answers, if nobody else does.
    pub(super) fn begin_attending(&self) -> bool {
        // Sockets are polled by the manager, and a forked copy has no part in the pool.
        if self.arena.is_none() || self.mark.is_in_a_fork() {
            return false;
        }
        let mut state = self.state.lock();
        if state.attendant.is_some() || state.done {
            return false;
        }
        state.attendant = Some(false);
        state.busy_links().for_each(|link| link.set_awake());
        drop(state);
        self.attended.store(true, Ordering::Relaxed);
        true
    }

    /// From now on, answers are the manager's again.
    pub(super) fn end_attending(&self) {
        self.attended.store(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.attendant = None;
        // As it would have done before it fell asleep.
        let rings = state.listen();
        drop(state);
        if rings {
            self.doorbells[MANAGERS].ring();
        }
    }

    /// Receives what has been answered, for the thread that attends; whether there was anything.
    pub(super) fn receive_while_attending(&self, endings: &mut Vec<Ending<T>>) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let mut answers = false;
        for seat in 0..state.seats.len() {
            answers |= state.receive(seat, now);
        }
        std::mem::swap(&mut state.endings, endings);
        self.let_go(state);
        answers || !endings.is_empty()
    }

    /// The thread that attends is about to sleep; `false`: it must not.
    pub(super) fn attendant_sleeps(&self) -> bool {
        let mut state = self.state.lock();
        state.attendant = Some(true);
        let answers = state.listen();
        if answers {
            state.attendant = Some(false);
            state.busy_links().for_each(|link| link.set_awake());
        }
        !answers
    }

    pub(super) fn attendant_wakes(&self) {
        let mut state = self.state.lock();
        state.attendant = Some(false);
        state.busy_links().for_each(|link| link.set_awake());
    }

    /// Leaves it to the manager to tell those who wait for tasks that have ended.
    pub(super) fn leave_tellings(&self, tellings: Vec<Telling>) {
        if !tellings.is_empty() {
            let mut state = self.state.lock();
            state.tellings.extend(tellings);
            self.let_go(state);
        }
    }

    /// What shows which of the workers there are now have answered.
    pub(super) fn lookouts(&self) -> Arc<[Lookout]> {
        Arc::clone(&self.state.lock().lookouts)
    }

    /// After a fault of the manager's: ends all tasks, for nobody else will.
    pub(super) fn give_up(&self) {
        let mut state = self.state.lock();
        state.on(Event::Kill, Instant::now());
        for seat in 0..state.seats.len() {
            let seat = state.supervisor.seat(seat);
            state.left(seat, Exit::Unknown, Instant::now());
        }
        state.chores.clear();
        state.done = true;
        self.let_go(state);
    }

    /// Ends tasks, and keeps the memory of their answers for others.
    pub(super) fn end(&self, endings: &mut Vec<Ending<T>>) {
        const MOST_SPARE: usize = 256;
        const MOST_BYTES: usize = 4 << 10;
        let mut spare: Vec<Vec<u8>> = Vec::new();
        for ending in endings.drain(..) {
            // Code of the program's is caught where it is called. This is the second line of defence: a
            // logger's panic, say, must not cost the manager.
            if let Ok(Some(bytes)) = catch_unwind(AssertUnwindSafe(|| ending.end()))
                && bytes.capacity() <= MOST_BYTES
            {
                spare.push(bytes);
            }
        }
        if !spare.is_empty() {
            let mut state = self.state.lock();
            let room = MOST_SPARE.saturating_sub(state.spare.len());
            state.spare.extend(spare.drain(..).take(room));
        }
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State<T>, Instant) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state, Instant::now());
        self.let_go(state);
        result
    }
}

impl<T: Task> State<T> {
    fn refusal(&self) -> Option<Reason> {
        match self.supervisor.broken() {
            Some(reason) => {
                Some(Reason::Broken(BrokenProcessPool { reason: Arc::clone(reason) }.into()))
            }
            None => self.supervisor.is_closed().then_some(Reason::Shutdown),
        }
    }

    pub(super) fn set_manager(&mut self, manager: JoinHandle<()>) {
        self.manager_id = Some(manager.thread().id());
        self.manager = Some(manager);
    }

    pub(super) fn on(&mut self, event: Event, now: Instant) {
        self.supervisor.on(event, now, &mut self.orders);
        self.carry_out(now);
    }

    /// Carries out the orders, and those that come of it.
    fn carry_out(&mut self, now: Instant) {
        let mut next = 0;
        while next < self.orders.len() {
            let order = std::mem::replace(&mut self.orders[next], Order::Discard);
            next += 1;
            let event = match order {
                Order::Send(seat, ticket) => self.send(seat, ticket),
                Order::TakeBack(seat, most) => {
                    let taken = self.link(seat).map_or(0, |link| link.take_back(most).len());
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
        let wants = |link: &Box<dyn Link>| {
            link.interest().is_some_and(|(_, flags)| flags.contains(PollFlags::OUT))
        };
        self.flushes |= self.link(seat).is_some_and(|link| wants(link));
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
            OfferError::Broken(error) => Event::LinkBroken(seat, error.to_string()),
        })
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
        if let Some(place) = sent.and_then(|seat| self.seats.get_mut(seat.index())) {
            place.doomed.extend(request.blocks().cloned());
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

    pub(super) fn retire(&mut self, seat: Seat) {
        let head = RequestHead { function: 0, kind: Kind::Leave, flags: Flags::default() };
        match self.link(seat) {
            // It has answered all it was asked, so there is room; if its link is broken, it leaves.
            Some(link) => {
                if let Err(error) = link.offer(&[&head.to_bytes()]) {
                    log::debug!("a worker that is to leave could not be told: {error}");
                }
                self.note_flush(seat);
            }
            None => self.chores.push(Chore::Retire(seat)),
        }
    }

    /// Receives what a worker has answered, so much of it; whether there was anything.
    fn receive(&mut self, seat: usize, now: Instant) -> bool {
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
    pub(super) fn seat_taken(
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

    pub(super) fn launched(&mut self, seat: Seat, pid: u32) {
        self.place(seat).pid = pid;
    }

    /// A worker that was in service has ended.
    pub(super) fn left(&mut self, seat: Seat, exit: Exit, now: Instant) {
        if let Some(link) = self.link(seat) {
            link.set_dead();
            while self.receive(seat.index(), now) {}
        }
        let claimed = self.link(seat).map_or(0, |link| link.claimed());
        // What comes of it may concern the next worker in this place, which has no link yet.
        self.place(seat).link = None;
        self.on(Event::Left { seat, exit, claimed }, now);
        self.vacate(seat);
    }

    fn wake_up(&mut self) {
        self.asleep = None;
        if self.attendant.is_none() {
            self.busy_links().for_each(|link| link.set_awake());
        }
    }

    /// The doorbell that an answer is to ring, if whoever sees to answers sleeps.
    fn listens_at(&self) -> Option<usize> {
        match self.attendant {
            Some(asleep) => asleep.then_some(CALLERS),
            None => self.asleep.map(|_| MANAGERS),
        }
    }

    /// Has answers ring the doorbell of whoever sees to them and sleeps; whether there is one already.
    fn listen(&mut self) -> bool {
        let Some(doorbell) = self.listens_at() else { return false };
        self.busy_links().fold(false, |answers, link| link.set_asleep(doorbell) || answers)
    }

    /// Those over which an answer may come.
    fn busy_links(&mut self) -> impl Iterator<Item = &mut Box<dyn Link>> {
        self.links_mut().filter(|link| link.in_flight() > 0)
    }

    fn links_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Link>> {
        self.seats.iter_mut().filter_map(|place| place.link.as_mut())
    }

    /// Whether a worker was born in this place.
    pub(super) fn is_seated(&self, seat: Seat) -> bool {
        self.seats.get(seat.index()).is_some_and(|place| place.link.is_some())
    }

    pub(super) fn vacate(&mut self, seat: Seat) {
        *self.place(seat) = Place::default();
        self.note_lookouts();
    }

    fn note_lookouts(&mut self) {
        self.lookouts = self.seats.iter().filter_map(|place| place.lookout.clone()).collect();
    }
}

impl Place {
    /// Reads what stands before the body of an answer, and does as it says. `None`: it is none.
    fn understand(&mut self, seat: Seat, bytes: Vec<u8>) -> Option<(Answered, Duration)> {
        let (AnswerHead { nanos, kind, flags }, mut rest) = AnswerHead::parse(&bytes)?;
        let lent = read_list(flags.has(Flags::LENDS), &mut rest)?;
        let returned = read_list(flags.has(Flags::RETURNS), &mut rest)?;
        let body = bytes.len() - rest.len();
        let number = self.answered;
        self.answered += 1;
        let keeps = flags.has(Flags::KEEPS).then_some((seat, number));
        let doomed = std::mem::take(&mut self.doomed);
        if keeps.is_some() {
            self.kept.insert(number, doomed);
        }
        for number in returned {
            self.kept.remove(&number);
        }
        let lease = (!lent.is_empty()).then(|| Arc::new(Lease::new(lent, &self.returned)));
        let arena = lease.as_ref().and_then(|_| self.arena.clone());
        let answer = Answered { kind, flags, bytes, body, arena, lease, keeps };
        Some((answer, Duration::from_nanos(nanos)))
    }
}

impl Answered {
    /// Ends a task with it; gives back its memory.
    fn end(self, task: impl Task) -> Vec<u8> {
        let Self { kind, flags, mut bytes, body, arena, lease, .. } = self;
        let body = &bytes[body..];
        let spilled = flags.has(Flags::SPILLED).then(|| {
            let (offset, len) = parse_place(body)?;
            arena.as_ref()?.slice(manyhands_shm::Place { offset, len }).ok()
        });
        let carrier = Carrier { source: arena.clone(), lease, ..Carrier::default() };
        carrying(carrier, || match spilled {
            None => task.answer(kind, body),
            Some(Some(view)) => task.answer(kind, &view),
            Some(None) => task.answer(kind, &[]), // Which is no answer, and said so.
        });
        bytes.clear();
        bytes
    }
}

impl<T: Task> Ending<T> {
    /// Ends the task; what it does not need of it any more.
    fn end(self) -> Option<Vec<u8>> {
        match self {
            Self::Answered { task, answer } => Some(answer.end(task)),
            Self::Lost { task, loss, request } => {
                let for_show = Carrier { for_show: true, ..Carrier::default() };
                carrying(for_show, || task.lose(loss, request.kind(), request.body()));
                None
            }
        }
    }
}

impl<T: Task> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
