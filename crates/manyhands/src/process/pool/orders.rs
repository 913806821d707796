//! How the supervisor's orders are carried out, under the pool's lock.

use std::time::Instant;

use rustix::event::PollFlags;

use super::answer::{Ending, Lost};
use super::state::{Chore, Entry, State};
use crate::crossing::{Flags, Kind, RequestHead, read_list};
use crate::process::link::{Link, OfferError};
use crate::process::supervisor::{self, Event, Order, Seat, Ticket};
use crate::process::task::{Loss, Task};

impl<T: Task> State<T> {
    /// Carries out the orders, those that come of it, and those for the tasks that there is room for then.
    pub(super) fn carry_out(&mut self, now: Instant) {
        self.carry_out_all(now);
        while self.let_one_in(now) {
            self.carry_out_all(now);
        }
    }

    fn carry_out_all(&mut self, now: Instant) {
        let mut next = 0;
        while next < self.orders.len() {
            let order = &mut self.orders[next];
            next += 1;
            let event = match order {
                // In pieces, as they were written a moment ago: to copy one as a whole stalls the processor.
                &mut Order::Send(seat, ticket) => self.send(seat, ticket),
                &mut Order::Settle(ticket) => {
                    self.settle(ticket);
                    None
                }
                &mut Order::TakeBack(seat, most) => {
                    let taken = self.take_back(seat, most);
                    Some(Event::TakenBack(seat, u32::try_from(taken).unwrap_or(u32::MAX)))
                }
                Order::Discard => {
                    self.spare.extend(self.answer.take().map(|answer| answer.bytes));
                    None
                }
                Order::Lose(..) => {
                    if let Order::Lose(ticket, loss) = std::mem::replace(order, Order::Discard) {
                        self.lose(ticket, *loss);
                    }
                    None
                }
                &mut Order::AskToStop(seat) => {
                    if let Some(link) = self.link(seat) {
                        link.ask_to_stop();
                        self.note_flush(seat);
                    }
                    None
                }
                &mut Order::Retire(seat) => {
                    self.retire(seat);
                    None
                }
                &mut Order::Launch(seat) => self.leave(Chore::Launch(seat)),
                &mut Order::Terminate(seat) => self.leave(Chore::Terminate(seat)),
                &mut Order::Kill(seat) => self.leave(Chore::Kill(seat)),
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
        if let Some(place) = self.seats.get_mut(seat.index())
            && let Some(link) = &mut place.link
        {
            self.listeners.sent(link);
            // One that has nothing else waits for it.
            if link.in_flight() == 1 {
                link.publish();
            }
        }
    }

    /// After something was put into a link.
    pub(super) fn note_flush(&mut self, seat: Seat) {
        let interest = self.link(seat).and_then(|link| Some(link.interest()?.1));
        self.flushes |= interest.is_some_and(|flags| flags.contains(PollFlags::OUT));
    }

    fn leave(&mut self, chore: Chore) -> Option<Event> {
        self.chores.push(chore);
        None
    }

    pub(super) fn link(&mut self, seat: Seat) -> Option<&mut Box<dyn Link>> {
        self.seats.get_mut(seat.index())?.link.as_mut()
    }

    fn send(&mut self, seat: Seat, ticket: Ticket) -> Option<Event> {
        let entry = self.supervisor.payload_mut(ticket)?;
        if entry.sent.is_none() && !entry.task.begin() {
            return Some(Event::Withdrawn(seat, ticket));
        }
        entry.sent = Some(seat);
        let place = self.seats.get_mut(seat.index())?;
        let returned = place.returned.take();
        let link = place.link.as_mut()?;
        let Err(error) = entry.request.with_parts(&returned, |parts| link.put(parts)) else {
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
        if let Some(mut entry) = self.supervisor.take(ticket) {
            self.forget_nested(&entry.task);
            self.drop_passes(&mut entry.request);
            if let Some((seat, number)) = answer.keeps()
                && let Some(place) = self.seats.get_mut(seat.index())
            {
                place.kept.entry(number).or_default().extend(entry.request.blocks().cloned());
            }
            self.endings.push(Ending::Answered { task: entry.task, answer });
        }
    }

    fn lose(&mut self, ticket: Ticket, loss: supervisor::Loss) {
        let timeout = self.supervisor.timeout(ticket);
        let Some(Entry { task, request, sent, .. }) = self.supervisor.take(ticket) else {
            return;
        };
        self.forget_nested(&task);
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
            supervisor::Loss::NoWorkerLeft { workers } => Loss::NoWorkerLeft { workers },
            supervisor::Loss::Broken(reason) => Loss::Broken { reason, by: self.broken_by },
        };
        self.endings.push(Ending::Lost(Box::new(Lost { task, loss, request })));
    }

    pub(in crate::process) fn retire(&mut self, seat: Seat) {
        let head = RequestHead { function: 0, kind: Kind::Leave, flags: Flags::default() };
        match self.link(seat) {
            // It has answered all it was asked, so there is room; if its link is broken, it leaves.
            // Nothing is logged here: a logger is code of the program's, which may ask for our lock.
            Some(link) => {
                drop(link.offer(&[&head.to_bytes()]));
                self.note_flush(seat);
                // Somebody waits for it to leave, which a process that is stopped never does.
                if self.closing.is_some() {
                    self.chores.push(Chore::Rouse(seat));
                }
            }
            None => self.chores.push(Chore::Retire(seat)),
        }
    }
}
