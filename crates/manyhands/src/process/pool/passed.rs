//! Futures that have come to workers with tasks: what these want of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::state::State;
use crate::crossing::Kind;
use crate::process::nested::{
    Channel, Down, Ended, Given, Id, Mailbox, Outlet, Passed, Reply, Whose,
};
use crate::process::request::Request;
use crate::process::supervisor::{Event, Seat, Ticket};
use crate::process::task::{Loss, Task};

/// What a worker is asked for that it has been told the end of: by numbers, and where that goes.
#[derive(Default)]
pub(super) struct Asked(HashMap<u64, Arc<Mailbox>>);

/// What a worker gives, being taken.
struct Taking<'a> {
    channel: &'a Arc<Channel>,
    seat: Seat,
    /// The number of the task that it goes along with.
    id: u64,
    /// That of the next one that had not ended for the worker.
    place: u32,
    given: std::vec::IntoIter<Given>,
}

impl Taking<'_> {
    /// Leaves out so many, with those in their outcomes.
    fn pass_over(&mut self, count: u32) {
        let mut left = u64::from(count);
        while left > 0
            && let Some(given) = self.given.next()
        {
            left -= 1;
            match given {
                Given::Task(_) => self.place = self.place.wrapping_add(1),
                Given::Answered(_, _, count) => left += u64::from(count),
                Given::Cancelled => (),
            }
        }
    }
}

impl Asked {
    fn ask(&mut self) -> (u64, Arc<Mailbox>) {
        let mailbox = Mailbox::new(None);
        // The address of one that is there is nobody else's.
        let number = Arc::as_ptr(&mailbox).addr() as u64;
        self.0.insert(number, Arc::clone(&mailbox));
        (number, mailbox)
    }

    /// The worker is gone.
    fn end_all(&mut self) {
        for mailbox in std::mem::take(&mut self.0).into_values() {
            mailbox.end(lost("the worker process that knew how it had ended is gone"));
        }
    }
}

fn lost(why: &str) -> Ended {
    Ended::Lost(Loss::Broken { reason: Arc::new(why.to_owned()), by: None }, Kind::One, Vec::new())
}

impl<T: Task> State<T> {
    /// What goes along with the task that this worker submits by the number `id`.
    pub(super) fn passed_on(
        &mut self,
        channel: &Arc<Channel>,
        seat: Seat,
        id: u64,
        given: Vec<Given>,
    ) -> Vec<Passed> {
        let mut taking = Taking { channel, seat, id, place: 0, given: given.into_iter() };
        std::iter::from_fn(|| self.take_given(&mut taking, 0)).collect()
    }

    /// The next one, with those in its outcome; `None`: there is none.
    fn take_given(&mut self, taking: &mut Taking<'_>, depth: u32) -> Option<Passed> {
        /// A worker of ours goes no deeper.
        const DEEPEST: u32 = 32;
        let ended = match taking.given.next()? {
            Given::Task(of) => {
                taking.place = taking.place.wrapping_add(1);
                return Some(self.future(taking.channel, taking.seat, of).unwrap_or_else(|| {
                    // It is being told of its end at this moment.
                    Passed::Mailbox(self.ask(taking))
                }));
            }
            Given::Cancelled => Ended::Lost(Loss::Cancelled, Kind::One, Vec::new()),
            Given::Answered(_, _, count) if depth >= DEEPEST => {
                taking.pass_over(count);
                lost("too many futures are in the results of each other")
            }
            Given::Answered(kind, body, count) => {
                let futures = (0..count).map_while(|_| self.take_given(taking, depth + 1));
                Ended::Answered(kind, body, futures.collect())
            }
        };
        Some(Passed::Mailbox(Mailbox::ended(ended)))
    }

    /// The end of one that the worker has been told of, which it is asked for.
    fn ask(&mut self, taking: &Taking<'_>) -> Arc<Mailbox> {
        let place = taking.place.wrapping_sub(1);
        let (mailbox, future) = self.seats[taking.seat.index()].nested.asked.ask();
        taking.channel.say(&Down::Asks { id: taking.id, place, mailbox }, &[]);
        future
    }

    /// What the worker was asked for.
    pub(super) fn tells(
        &mut self,
        channel: &Arc<Channel>,
        seat: Seat,
        number: u64,
        given: Vec<Given>,
        (id, place): (u64, u32),
    ) {
        let Some(mailbox) = self.seats[seat.index()].nested.asked.0.remove(&number) else { return };
        let mut taking = Taking { channel, seat, id, place, given: given.into_iter() };
        let told = match self.take_given(&mut taking, 0) {
            Some(Passed::Mailbox(told)) => told.take(),
            _ => None,
        };
        mailbox.end(told.unwrap_or_else(|| lost("the worker process does not know how it ended")));
        self.later(mailbox);
    }

    /// What a worker knows by this, as long as it has not ended.
    fn future(&mut self, channel: &Arc<Channel>, seat: Seat, id: Id) -> Option<Passed> {
        let number = match id {
            Id::Passed(number) => return channel.wanted(number),
            Id::Own(number) => number,
        };
        let (ticket, _) = *self.seats[seat.index()].nested.subs.get(&number)?;
        match &mut self.supervisor.payload_mut(ticket)?.task {
            Whose::Worker(task) => Some(Passed::Mailbox(task.mailbox(ticket))),
            Whose::Host(_) => None,
        }
    }

    /// A future has come to this worker by this number, which wants to be told of its end.
    pub(super) fn wants(&mut self, channel: &Arc<Channel>, seat: Seat, number: u64) {
        let with = |ticket| self.supervisor.payload(ticket)?.request.passes()?.get(number).cloned();
        let with_task = self.supervisor.in_lane(seat).find_map(with);
        let Some(future) = with_task.or_else(|| channel.unopened(number)) else {
            let reason = "the task that the future was passed to has ended".to_owned();
            let loss = Loss::Broken { reason: Arc::new(reason), by: None }.into();
            let id = Id::Passed(number);
            return channel.say(&Down::Lost { id, loss, kind: Kind::One }, &[]);
        };
        self.supervisor.holds_back(seat);
        if !channel.is_to_know(number, &future) {
            return self.later(future);
        }
        let outlet = Outlet::new(channel, number);
        match future {
            Passed::Mailbox(mailbox) => mailbox.watch(outlet),
            Passed::Host(future) => self.tellings.push(Box::new(move || future.watch(&outlet))),
        }
    }

    /// Nobody there has it any more.
    pub(super) fn forgets(&mut self, channel: &Arc<Channel>, number: u64) {
        if let Some(future) = channel.take_wanted(number) {
            let outlet = Outlet::new(channel, number);
            self.tellings.push(Box::new(move || future.unwatch(&outlet)));
        }
    }

    pub(super) fn cancel_passed(
        &mut self,
        channel: &Arc<Channel>,
        ask: u64,
        number: u64,
        running: bool,
        now: Instant,
    ) {
        let reply = |cancelled| if cancelled { Reply::Cancelled } else { Reply::TooLate };
        let future = match channel.wanted(number) {
            Some(Passed::Host(future)) => {
                let channel = Arc::clone(channel);
                return self.tellings.push(Box::new(move || {
                    let reply = reply(future.cancel(running));
                    channel.say(&Down::Replied { ask, reply }, &[]);
                }));
            }
            Some(Passed::Mailbox(mailbox)) => mailbox.ticket,
            None => None,
        };
        let cancelled = future.filter(|it| running || self.supervisor.is_queued(*it));
        channel.say(&Down::Replied { ask, reply: reply(cancelled.is_some()) }, &[]);
        if let Some(ticket) = cancelled {
            self.on(Event::Cancel(ticket), now);
        }
    }

    /// The task of this pool whose future that is.
    pub(super) fn ticket_of(&self, future: &Passed) -> Option<Ticket> {
        match future {
            Passed::Mailbox(mailbox) => mailbox.ticket,
            Passed::Host(future) if future.pool() == Some(self.number) => {
                let address = Some(future.id());
                let is_it = |it: &Ticket| {
                    self.supervisor.payload(*it).is_some_and(|it| it.task.address() == address)
                };
                self.supervisor.tickets().find(is_it)
            }
            Passed::Host(_) => None,
        }
    }

    /// What goes along with a request that is not needed any more.
    pub(super) fn drop_passes(&mut self, request: &mut Request) {
        if let Some(passes) = request.take_passes() {
            self.later(passes);
        }
    }

    /// The worker is gone, and whatever it knew.
    pub(super) fn forget_passed(&mut self, seat: Seat) {
        let nested = &mut self.seats[seat.index()].nested;
        nested.asked.end_all();
        let Some(channel) = nested.channel.clone() else { return };
        let (wanted, unopened) = channel.forget_all();
        if wanted.is_empty() && unopened.is_empty() {
            return;
        }
        self.tellings.push(Box::new(move || {
            for (number, future) in wanted {
                future.unwatch(&Outlet::new(&channel, number));
            }
            drop(unopened);
        }));
    }
}
