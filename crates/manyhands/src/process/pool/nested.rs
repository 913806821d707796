//! What tasks that run in the pool's workers want of it: they submit, cancel and wait.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::passed::Asked;
use super::state::{Entry, State};
use super::waits::RemoteWait;
use crate::crossing::Kind;
use crate::errors::{Reason, WaitingTask};
use crate::nested::graph::How;
use crate::process::nested::{Channel, Down, Ear, Given, Id, Reply, SubTask, Up, Whose, Why};
use crate::process::request::Request;
use crate::process::supervisor::{Event, Rules, Seat, Ticket};
use crate::process::task::Task;

/// What is known of one worker's tasks in this respect.
#[derive(Default)]
pub(super) struct Nested {
    pub(super) channel: Option<Arc<Channel>>,
    ear: Option<Ear>,
    /// Those that were submitted there and have not ended, by the worker's numbers, each with that of the
    /// request whose task has submitted it.
    pub(super) subs: HashMap<u64, (Ticket, u64)>,
    waits: Vec<Wait>,
    /// Futures whose outcomes this worker is asked for.
    pub(super) asked: Asked,
}

/// A thread of the worker waits.
struct Wait {
    token: u64,
    /// The request whose task waits.
    number: u64,
    /// What for.
    ids: Vec<Id>,
    /// In the wait-for graph.
    edge: Option<Arc<RemoteWait>>,
}

impl Nested {
    pub(super) fn new(channel: Arc<Channel>) -> Self {
        let ear = Some(Ear::new(Arc::clone(&channel)));
        Self { channel: Some(channel), ear, ..Self::default() }
    }
}

/// The wait that is over.
fn resumed(up: &Up) -> Option<u64> {
    if let Up::Resumes { token } = up { Some(*token) } else { None }
}

impl<T: Task> State<T> {
    /// Hears what this worker's tasks have said; whether there may be more some time.
    ///
    /// To be called before the answer of a task is made known that has said something, too: it comes
    /// another way. So this is done with the lock held, though it may copy large arguments.
    pub(in crate::process) fn hear(&mut self, seat: Seat, now: Instant) -> bool {
        // It may speak of any task.
        self.let_all_in(now);
        let Some(place) = self.seats.get_mut(seat.index()) else { return false };
        let Nested { channel: Some(channel), ear: Some(ear), .. } = &mut place.nested else {
            return false;
        };
        let channel = Arc::clone(channel);
        let (said, more) = ear.listen();
        let ended: HashSet<u64> = said.iter().filter_map(|(up, _)| resumed(up)).collect();
        for (up, body) in said {
            match up {
                Up::Submit { id, number, function, kind, timeout, retries, passes } => {
                    let (mut body, arena) = (body, self.arena.as_ref());
                    let request = Request::new(function, kind, &mut body, Vec::new(), arena);
                    let rules = Rules { timeout, retries };
                    let call = (id, number, passes);
                    self.submit_nested(&channel, seat, call, request, rules, now);
                }
                Up::Tells { mailbox, given, id, place } => {
                    self.tells(&channel, seat, mailbox, given, (id, place));
                }
                // By now that is over.
                Up::Waits { token, .. } if ended.contains(&token) => (),
                up => self.heard_one(seat, &channel, &up, now),
            }
        }
        match more {
            Ok(more) => more,
            Err(why) => {
                self.seats[seat.index()].nested.ear = None;
                let why = format!("what its task has said cannot be understood: {why}");
                self.on(Event::LinkBroken(seat, why), now);
                false
            }
        }
    }

    /// Hears what all workers' tasks have said.
    pub(super) fn hear_all(&mut self, now: Instant) {
        for seat in 0..self.seats.len() {
            self.hear(self.supervisor.seat(seat), now);
        }
    }

    fn submit_nested(
        &mut self,
        channel: &Arc<Channel>,
        seat: Seat,
        (id, number, given): (u64, u64, Vec<Given>),
        request: Result<Request, String>,
        rules: Rules,
        now: Instant,
    ) {
        let refusal = match self.refusal() {
            Some(Reason::Broken(why)) => Some(Why::Broken(why.to_string())),
            Some(_) => Some(Why::Shutdown),
            None => None,
        };
        let calls = |it: &Request| matches!(it.kind(), Kind::One | Kind::Chunk | Kind::TryChunk);
        let mut request = match (refusal, request) {
            (Some(why), _) => return channel.say(&Down::Refused { id, why }, &[]),
            (None, Err(why)) => {
                return channel.say(&Down::Refused { id, why: Why::Broken(why) }, &[]);
            }
            (None, Ok(request)) if !calls(&request) => {
                let why = Why::Broken("what is to be called is no call".to_owned());
                return channel.say(&Down::Refused { id, why }, &[]);
            }
            (None, Ok(request)) => request,
        };
        request.set_plain();
        request.set_passed(self.passed_on(channel, seat, id, given));
        let task = SubTask::new(Arc::clone(channel), id);
        let entry = Entry { task: Whose::Worker(Box::new(task)), request, sent: None };
        self.supervisor.holds_back(seat);
        match self.supervisor.submit(entry, rules, now, &mut self.orders) {
            Ok(ticket) => {
                self.seats[seat.index()].nested.subs.insert(id, (ticket, number));
            }
            // Dropping it says so.
            Err(mut refused) => self.drop_passes(&mut refused.request),
        }
        self.carry_out(now);
    }

    fn heard_one(&mut self, seat: Seat, channel: &Arc<Channel>, up: &Up, now: Instant) {
        match up {
            Up::Submit { .. } | Up::Tells { .. } => (),
            Up::Cancel { ask, id: Id::Passed(future), running } => {
                self.cancel_passed(channel, *ask, *future, *running, now);
            }
            Up::Cancel { ask, id: Id::Own(id), running } => {
                let cancelled = self.may_end(seat, *id, *running);
                if let Some(ticket) = cancelled {
                    if let Some(task) = self.sub_task(ticket) {
                        task.told = true; // The reply tells.
                    }
                    self.on(Event::Cancel(ticket), now);
                }
                let reply = cancelled.map_or(Reply::TooLate, |_| Reply::Cancelled);
                channel.say(&Down::Replied { ask: *ask, reply }, &[]);
            }
            Up::Take { ask, id } => {
                let free = self.may_end(seat, *id, false).filter(|it| !self.is_passed(*it));
                let Some(ticket) = free else {
                    let words = Down::Replied { ask: *ask, reply: Reply::TooLate };
                    return channel.say(&words, &[]);
                };
                if let Some(task) = self.sub_task(ticket) {
                    task.taken = Some(*ask);
                }
                self.on(Event::Cancel(ticket), now);
            }
            Up::Waits { token, number, ids, timed } => {
                self.task_waits(channel, seat, (*token, *number), ids, *timed, now);
            }
            Up::Lasts { token, any, name, place } => {
                let task = WaitingTask { name: name.clone(), place: place.clone() };
                self.wait_lasts(channel, seat, *token, *any, task);
            }
            Up::Resumes { token } => {
                self.end_waits(seat, |wait| wait.token == *token);
                self.task_waits_no_longer(seat, now);
            }
            Up::Wants { number } => self.wants(channel, seat, *number),
            Up::Forgets { number } => self.forgets(channel, *number),
            Up::Opened { first } => {
                let passes = channel.opened(*first);
                self.later(passes);
            }
            Up::Shutdown { cancel } => self.close(*cancel, now),
        }
    }

    fn sub_task(&mut self, ticket: Ticket) -> Option<&mut SubTask> {
        match &mut self.supervisor.payload_mut(ticket)?.task {
            Whose::Worker(task) => Some(task),
            Whose::Host(_) => None,
        }
    }

    /// The task that this worker knows by this number; unless it may be `running`, if it waits for a
    /// worker.
    fn may_end(&self, seat: Seat, id: u64, running: bool) -> Option<Ticket> {
        let (ticket, _) = *self.seats[seat.index()].nested.subs.get(&id)?;
        (running || self.supervisor.is_queued(ticket)).then_some(ticket)
    }

    /// Whether the future of this task goes along with others.
    fn is_passed(&self, ticket: Ticket) -> bool {
        let task = self.supervisor.payload(ticket).map(|entry| &entry.task);
        matches!(task, Some(Whose::Worker(task)) if task.is_passed())
    }

    /// THE MOMENT at which the parent learns that the task of this worker's request of this `number`
    /// waits for those that the worker knows by `ids`, or, without any, for one or more of all that it
    /// has submitted: for some time only, if `timed`. The task is the one in the worker's lane behind so
    /// many that were asked before it and have not been heard of.
    fn task_waits(
        &mut self,
        channel: &Arc<Channel>,
        seat: Seat,
        (token, number): (u64, u64),
        ids: &[Id],
        mut timed: bool,
        now: Instant,
    ) {
        let place = &self.seats[seat.index()];
        if number < place.answered {
            return; // It was left behind by a task that has ended.
        }
        let subs = &place.nested.subs;
        let mut awaited = Vec::new();
        if ids.is_empty() {
            awaited.extend(subs.values().filter(|(_, of)| *of == number).map(|(ticket, _)| ticket));
        }
        for id in ids {
            match id {
                Id::Own(id) => awaited.extend(subs.get(id).map(|(ticket, _)| ticket)),
                Id::Passed(future) => {
                    let Some(future) = channel.wanted(*future) else { continue };
                    match self.ticket_of(&future) {
                        Some(ticket) => awaited.push(ticket),
                        // What others do may end it.
                        None => timed = true,
                    }
                    self.tellings.push(Box::new(move || drop(future)));
                }
            }
        }
        let wait = Wait { token, number, ids: ids.to_vec(), edge: None };
        self.seats[seat.index()].nested.waits.push(wait);
        self.on(Event::Waits { seat, awaited, timed }, now);
    }

    /// It goes on to wait, and is to be known to the wait-for graph. Said again now and then: what it waits
    /// for may be made from other futures than before.
    fn wait_lasts(
        &mut self,
        channel: &Arc<Channel>,
        seat: Seat,
        token: u64,
        any: bool,
        task: WaitingTask,
    ) {
        let place = &self.seats[seat.index()];
        let Some(wait) = place.nested.waits.iter().find(|wait| wait.token == token) else { return };
        if let Some(edge) = &wait.edge {
            if edge.may_change() {
                let edge = Arc::clone(edge);
                self.tellings.push(Box::new(move || edge.enter()));
            }
            return;
        }
        let (mut on, mut passed) = (Vec::new(), Vec::new());
        for id in &wait.ids {
            match id {
                Id::Own(id) => {
                    let ticket = place.nested.subs.get(id).map(|(ticket, _)| *ticket);
                    on.extend(ticket.and_then(|it| self.node(it)));
                }
                Id::Passed(future) => passed.extend(channel.wanted(*future)),
            }
        }
        let known = on.len() + passed.len();
        let over = if any { known < wait.ids.len() } else { known == 0 };
        let ahead = wait.number.checked_sub(place.answered).and_then(|it| usize::try_from(it).ok());
        let waits = ahead.and_then(|ahead| self.supervisor.in_lane(seat).nth(ahead));
        let task = waits.and_then(|ticket| self.waiting_task(ticket, task));
        let (Some(task), false) = (task, over) else { return self.later(passed) };
        let how = if any { How::Any } else { How::All };
        let edge = RemoteWait::new(channel, token, task, how, on, passed);
        let enters = Arc::clone(&edge);
        self.tellings.push(Box::new(move || enters.enter()));
        let waits = &mut self.seats[seat.index()].nested.waits;
        if let Some(wait) = waits.iter_mut().find(|wait| wait.token == token) {
            wait.edge = Some(edge);
        }
    }

    /// Forgets the waits of this worker that are over.
    fn end_waits(&mut self, seat: Seat, mut over: impl FnMut(&Wait) -> bool) {
        let waits = &mut self.seats[seat.index()].nested.waits;
        for edge in waits.extract_if(.., |wait| over(wait)).filter_map(|wait| wait.edge) {
            edge.end();
            self.tellings.push(Box::new(move || edge.leave()));
        }
    }

    /// Drops what may be the host's, without the lock.
    pub(super) fn later(&mut self, dropped: impl Send + 'static) {
        self.tellings.push(Box::new(move || drop(dropped)));
    }

    /// The other moment: a thread of this worker's task has gone on.
    fn task_waits_no_longer(&mut self, seat: Seat, now: Instant) {
        if self.seats[seat.index()].nested.waits.is_empty() {
            self.on(Event::Resumes(seat), now);
        }
    }

    /// The worker has answered: whatever its task has left behind that still waits does not count.
    pub(super) fn forget_waits(&mut self, seat: Seat, now: Instant) {
        let place = &mut self.seats[seat.index()];
        if place.nested.waits.is_empty() {
            return;
        }
        let answered = place.answered;
        self.end_waits(seat, |wait| wait.number < answered);
        self.task_waits_no_longer(seat, now);
    }

    /// A task of the pool is taken away. If it came from a worker, that worker has none by this number.
    pub(super) fn forget_nested(&mut self, task: &Whose<T>) {
        if let Whose::Worker(sub) = task {
            let SubTask { channel, id, .. } = &**sub;
            for place in &mut self.seats {
                if place.nested.channel.as_ref().is_some_and(|its| Arc::ptr_eq(its, channel)) {
                    place.nested.subs.remove(id);
                }
            }
        }
    }

    /// A worker has died: what the task that it ran has submitted, and nobody has begun, nobody wants.
    pub(super) fn cancel_nested(&mut self, seat: Seat, now: Instant) {
        if seat.index() >= self.seats.len() {
            return;
        }
        self.end_waits(seat, |_| true);
        self.forget_passed(seat);
        let place = &mut self.seats[seat.index()];
        let answered = place.answered;
        let subs = std::mem::take(&mut place.nested.subs);
        for (ticket, number) in subs.into_values() {
            if number >= answered && self.supervisor.is_queued(ticket) {
                self.on(Event::Cancel(ticket), now);
            }
        }
    }

    /// Tells the workers that the pool takes no more tasks.
    pub(super) fn say_closing(&self) {
        for place in &self.seats {
            if let Some(channel) = &place.nested.channel {
                channel.say(&Down::Closing, &[]);
            }
        }
    }
}
