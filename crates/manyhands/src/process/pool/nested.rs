//! What tasks that run in the pool's workers want of it: they submit, cancel and wait.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::Pool;
use super::state::{Entry, State};
use crate::crossing::Kind;
use crate::errors::Reason;
use crate::process::nested::{Channel, Down, Reply, Said, SubTask, Up, Whose, Why};
use crate::process::request::Request;
use crate::process::supervisor::{Event, Rules, Seat, Ticket};
use crate::process::task::Task;

/// What is known of one worker's tasks in this respect.
#[derive(Default)]
pub(super) struct Nested {
    pub(super) channel: Option<Arc<Channel>>,
    /// Those that were submitted there and have not ended, by the worker's numbers, each with that of the
    /// request whose task has submitted it.
    subs: HashMap<u64, (Ticket, u64)>,
    waits: Vec<Wait>,
}

/// A thread of the worker waits.
struct Wait {
    token: u64,
    /// The request whose task waits.
    number: u64,
}

impl<T: Task> Pool<T> {
    /// A worker's tasks have said this.
    pub(in crate::process) fn heard(&self, seat: Seat, channel: &Arc<Channel>, said: Vec<Said>) {
        // Large arguments are copied into shared memory, which is not to be done under the lock.
        let mut heard = Vec::with_capacity(said.len());
        for (up, body) in said {
            let request = match &up {
                Up::Submit { function, kind, .. } => {
                    let (function, kind, arena) = (*function, *kind, self.arena());
                    Some(Request::new(function, kind, body, Vec::new(), arena).map(Request::plain))
                }
                _ => None,
            };
            heard.push((up, request));
        }
        self.with(|state, now| {
            if !state.speaks(seat, channel) {
                return;
            }
            let ended: HashSet<u64> = heard.iter().filter_map(|(up, _)| resumed(up)).collect();
            for (up, request) in heard {
                match (up, request) {
                    (Up::Submit { id, number, kind, timeout, retries, .. }, Some(request)) => {
                        let rules = Rules { timeout, retries };
                        state.submit_nested(seat, (id, number), kind, request, rules, now);
                    }
                    // By now that is over.
                    (Up::Waits { token, .. }, _) if ended.contains(&token) => (),
                    (up, _) => state.heard_one(seat, channel, &up, now),
                }
            }
        });
    }
}

/// The wait that is over.
fn resumed(up: &Up) -> Option<u64> {
    if let Up::Resumes { token } = up { Some(*token) } else { None }
}

impl<T: Task> State<T> {
    /// Whether this is the channel to the worker there is now.
    fn speaks(&self, seat: Seat, channel: &Arc<Channel>) -> bool {
        let place = self.seats.get(seat.index());
        let its = place.and_then(|place| place.nested.channel.as_ref());
        its.is_some_and(|its| Arc::ptr_eq(its, channel))
    }

    fn submit_nested(
        &mut self,
        seat: Seat,
        (id, number): (u64, u64),
        kind: Kind,
        request: Result<Request, String>,
        rules: Rules,
        now: Instant,
    ) {
        let Some(channel) = self.seats[seat.index()].nested.channel.clone() else { return };
        let refusal = match self.refusal() {
            Some(Reason::Broken(why)) => Some(Why::Broken(why.to_string())),
            Some(_) => Some(Why::Shutdown),
            None => None,
        };
        let calls = matches!(kind, Kind::One | Kind::Chunk | Kind::TryChunk);
        let request = match (refusal, request) {
            (Some(why), _) => return channel.say(&Down::Refused { id, why }, &[]),
            (None, Err(why)) => {
                return channel.say(&Down::Refused { id, why: Why::Broken(why) }, &[]);
            }
            (None, Ok(_)) if !calls => {
                let why = Why::Broken("what is to be called is no call".to_owned());
                return channel.say(&Down::Refused { id, why }, &[]);
            }
            (None, Ok(request)) => request,
        };
        let task = SubTask { channel, id, taken: None, told: false };
        let timeout = rules.timeout;
        let entry = Entry { task: Whose::Worker(task), request, timeout, begun: false, sent: None };
        // If it is refused after all, dropping it says so.
        if let Ok(ticket) = self.supervisor.submit(entry, rules, now, &mut self.orders) {
            self.seats[seat.index()].nested.subs.insert(id, (ticket, number));
        }
        self.carry_out(now);
    }

    fn heard_one(&mut self, seat: Seat, channel: &Arc<Channel>, up: &Up, now: Instant) {
        match up {
            Up::Submit { .. } => (),
            Up::Cancel { ask, id, running } => {
                let cancelled = self.may_end(seat, *id, *running);
                if let Some(ticket) = cancelled {
                    self.on(Event::Cancel(ticket), now);
                }
                let reply = cancelled.map_or(Reply::TooLate, |_| Reply::Cancelled);
                channel.say(&Down::Replied { ask: *ask, reply }, &[]);
            }
            Up::Take { ask, id } => {
                let Some(ticket) = self.may_end(seat, *id, false) else {
                    let words = Down::Replied { ask: *ask, reply: Reply::TooLate };
                    return channel.say(&words, &[]);
                };
                if let Some(entry) = self.supervisor.payload_mut(ticket)
                    && let Whose::Worker(task) = &mut entry.task
                {
                    task.taken = Some(*ask);
                }
                self.on(Event::Cancel(ticket), now);
            }
            Up::Waits { token, number, ids, timed } => {
                self.task_waits(seat, *token, *number, ids, *timed, now);
            }
            Up::Resumes { token } => {
                self.seats[seat.index()].nested.waits.retain(|wait| wait.token != *token);
                self.task_waits_no_longer(seat, now);
            }
            Up::Shutdown { cancel } => {
                if self.closing.is_none() {
                    self.say_closing();
                }
                self.closing = Some(*cancel || self.closing.unwrap_or(false));
                self.close_if_asked(now);
            }
        }
    }

    /// The task that this worker knows by this number, if it has not ended nor, unless it may be
    /// `running`, begun.
    fn may_end(&self, seat: Seat, id: u64, running: bool) -> Option<Ticket> {
        let (ticket, _) = *self.seats[seat.index()].nested.subs.get(&id)?;
        let entry = self.supervisor.payload(ticket)?;
        (running || !entry.begun).then_some(ticket)
    }

    /// THE MOMENT at which the parent learns that the task of this worker's request of this `number`
    /// waits for those that the worker knows by `ids`, or, without any, for one or more of all that it
    /// has submitted: for some time only, if `timed`. The task is the one in the worker's lane behind so
    /// many that were asked before it and have not been heard of.
    fn task_waits(
        &mut self,
        seat: Seat,
        token: u64,
        number: u64,
        ids: &[u64],
        timed: bool,
        now: Instant,
    ) {
        let place = &mut self.seats[seat.index()];
        if number < place.answered {
            return; // It was left behind by a task that has ended.
        }
        place.nested.waits.push(Wait { token, number });
        let subs = &place.nested.subs;
        let awaited: Vec<Ticket> = if ids.is_empty() {
            let its = subs.values().filter(|(_, of)| *of == number);
            its.map(|(ticket, _)| *ticket).collect()
        } else {
            ids.iter().filter_map(|id| subs.get(id)).map(|(ticket, _)| *ticket).collect()
        };
        self.on(Event::Waits { seat, awaited, timed }, now);
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
        place.nested.waits.retain(|wait| wait.number >= answered);
        self.task_waits_no_longer(seat, now);
    }

    /// A task of the pool is taken away. If it came from a worker, that worker has none by this number.
    pub(super) fn forget_nested(&mut self, task: &Whose<T>) {
        if let Whose::Worker(SubTask { channel, id, .. }) = task {
            for place in &mut self.seats {
                if place.nested.channel.as_ref().is_some_and(|its| Arc::ptr_eq(its, channel)) {
                    place.nested.subs.remove(id);
                }
            }
        }
    }

    /// A worker has died: what the task that it ran has submitted, and nobody has begun, nobody wants.
    pub(super) fn cancel_nested(&mut self, seat: Seat, now: Instant) {
        let Some(place) = self.seats.get_mut(seat.index()) else { return };
        let answered = place.answered;
        let subs = std::mem::take(&mut place.nested.subs);
        for (ticket, number) in subs.into_values() {
            let begun = self.supervisor.payload(ticket).is_none_or(|entry| entry.begun);
            if number >= answered && !begun {
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
