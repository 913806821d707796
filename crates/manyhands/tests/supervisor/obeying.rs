//! How the world carries out orders, and what it finds wrong with them.

use std::collections::VecDeque;

use manyhands::process::supervisor::{Event, Loss, Order, Seat, Ticket};

use crate::world::{LONG, Process, World};

impl World {
    pub(crate) fn carry_out(&mut self, mut orders: Vec<Order>) {
        let (mut at, mut disturbed) = (0, false);
        self.failed.clear();
        while let Some(order) = orders.get(at).cloned() {
            at += 1;
            let event = self.obey(&order, &mut disturbed);
            if let Some(Event::NoRoom(seat, _)) = event {
                let more =
                    orders[at..].iter().any(|o| matches!(o, Order::Send(to, _) if *to == seat));
                let process = self.ordered(seat);
                process.blocked = more || !process.frames.is_empty();
            }
            if let Some(event) = event {
                self.supervisor.on(event, self.now, &mut orders);
                self.learn();
            }
            assert!(at < 10_000, "orders without end: {:?}", &orders[at - 10..]);
        }
    }

    /// `disturbed`: an order could not be done, and those behind it did not know.
    fn obey(&mut self, order: &Order, disturbed: &mut bool) -> Option<Event> {
        if let Order::Kill(seat) | Order::Retire(seat) = order
            && self.failed.contains(seat)
        {
            return None;
        }
        match order {
            Order::Launch(seat) => return self.launch(*seat, disturbed),
            Order::Send(seat, ticket) => return self.send(*seat, *ticket, disturbed),
            Order::TakeBack(seat, most) => return Some(self.take_back(*seat, *most)),
            Order::Settle(ticket) => {
                assert_eq!(self.answer.take(), Some(*ticket), "the answer just fed in");
                self.end(*ticket);
            }
            Order::Discard => {
                let ticket = self.answer.take().expect("an answer has just been fed in");
                assert!(self.task(ticket).ended, "the answer of a task that has not ended");
            }
            Order::Lose(ticket, loss) => {
                self.check_loss(*ticket, loss);
                if matches!(**loss, Loss::NoWorkerLeft { .. }) {
                    self.let_go = Some(self.now);
                }
                self.end(*ticket);
            }
            Order::AskToStop(seat) => {
                let now = self.now;
                let process = self.ordered(*seat);
                assert!(process.is_healthy(), "{process:?}");
                assert_eq!(process.unclaimed(), 0, "the rest is taken back first: {process:?}");
                process.asked = Some(now);
                let newest = *process.frames.back().expect("it runs something");
                assert!(self.task(newest).ended, "what it is asked to stop has ended");
            }
            Order::Terminate(seat) => self.terminate(*seat),
            Order::Kill(seat) => {
                let (grace, now) = (self.options.grace, self.now);
                let forced = self.forced || self.tearing == Some(*seat);
                let process = self.ordered(*seat);
                assert!(!process.killed, "killed twice: {process:?}");
                let obeys_not = process.terminated.is_some_and(|since| now >= since + grace);
                assert!(obeys_not || forced, "killed without need: {process:?}");
                process.killed = true;
            }
            Order::Retire(seat) => {
                let (most, closed) = (self.options.max_tasks_per_child, self.closed);
                let is_stuck = self.overdue.contains(seat);
                let is_surplus = self.has_surplus();
                let process = self.ordered(*seat);
                assert!(process.is_healthy() || !process.ready, "{process:?}");
                assert!(!process.retired && process.frames.is_empty(), "{process:?}");
                let is_used_up = most.is_some_and(|most| process.kept >= most.get());
                assert!(
                    closed || is_stuck || is_used_up || is_surplus,
                    "retired without need: {process:?}"
                );
                process.retired = true;
            }
            Order::Done => {
                assert!(self.closed && !self.done, "done once, and when closed");
                assert!(self.tasks.iter().all(|task| task.ended), "done before all tasks are");
                assert!(self.seats().is_empty(), "done before all workers have left");
                self.done = true;
            }
        }
        None
    }

    fn ordered(&mut self, seat: Seat) -> &mut Process {
        let process = self.processes.get_mut(seat.index()).and_then(Option::as_mut);
        process.expect("an order for a worker that is not there")
    }

    fn launch(&mut self, seat: Seat, disturbed: &mut bool) -> Option<Event> {
        let live = self.seats().len();
        assert!(live < self.most_live(), "too many workers");
        assert!(!self.done && (*disturbed || !self.forced), "a worker for a pool that is gone");
        let at = seat.index();
        self.processes.resize_with(self.processes.len().max(at + 1), || None);
        assert!(self.processes[at].is_none(), "launched on top of another");
        assert!(self.starting() < self.waiting(), "launched without need");
        if self.launches_fail > 0 {
            self.launches_fail -= 1;
            *disturbed = true;
            self.failed.push(seat);
            self.count_birth();
            return Some(Event::LaunchFailed(seat, "no memory".to_owned()));
        }
        self.processes[at] = Some(Process {
            seat,
            ready: false,
            frames: VecDeque::new(),
            answered: 0,
            claimed: false,
            kept: 0,
            blocked: false,
            waits: None,
            took: None,
            ran_on: false,
            since: self.now,
            asked: None,
            terminated: None,
            killed: false,
            retired: false,
            torn: false,
        });
        None
    }

    fn send(&mut self, seat: Seat, ticket: Ticket, disturbed: &mut bool) -> Option<Event> {
        let number = self.numbers.get(&ticket).copied();
        let number = number.expect("a task that was submitted");
        assert_eq!(self.supervisor.payload(ticket), Some(&number));
        let queued = self.tasks.iter().enumerate().filter(|(_, t)| !t.ended && !t.in_lane);
        let first = queued.min_by_key(|(at, task)| (!task.was_sent, *at)).map(|(at, _)| at);
        assert!(
            *disturbed || self.tasks[number].was_sent || first == Some(number),
            "task {number} is sent before {first:?}"
        );
        assert!(
            !self.in_order || self.tasks[number].was_sent || self.held_up().is_empty(),
            "task {number} is sent before what is held up: {:?}",
            self.held_up()
        );
        let (capacity, most) = (self.options.capacity, self.options.max_tasks_per_child);
        let workers = self.options.max_workers.get();
        let (is_full, now) = (self.lanes_full > 0, self.now);
        let active = self.active();
        let task = &mut self.tasks[number];
        assert!(!task.ended && !task.in_lane, "sent what need not be sent: {task:?}");
        let (huge, withdrawn) = (task.huge, task.withdrawn && !task.was_sent);
        task.was_sent = true;
        let process = self.ordered(seat);
        assert!(process.is_healthy(), "sent to one that takes nothing: {process:?}");
        assert!(*disturbed || !process.blocked, "sent to one whose lane has no room: {process:?}");
        assert!(process.frames.len() < capacity.get() as usize, "too many frames: {process:?}");
        assert!(most.is_none_or(|most| process.kept < most.get()), "too many tasks: {process:?}");
        assert!(process.waits.is_none(), "sent to one that waits: {process:?}");
        assert!(
            !process.frames.is_empty() || active < workers as usize,
            "sent to one too many: {process:?}"
        );
        let is_short = process.took.is_some_and(|(last, _)| last <= LONG);
        assert!(process.frames.is_empty() || is_short, "sent behind a long task: {process:?}");
        if withdrawn {
            *disturbed = true;
            return Some(Event::Withdrawn(seat, ticket));
        }
        if huge || (is_full && !process.frames.is_empty()) {
            self.lanes_full = self.lanes_full.saturating_sub(1);
            *disturbed = true;
            return Some(Event::NoRoom(seat, ticket));
        }
        if process.frames.is_empty() {
            process.since = now;
        }
        process.kept += 1;
        process.frames.push_back(ticket);
        self.task(ticket).in_lane = true;
        None
    }

    fn take_back(&mut self, seat: Seat, most: u32) -> Event {
        assert!(most > 0, "nothing is taken back");
        let now = self.now;
        let process = self.ordered(seat);
        assert!(process.is_healthy(), "taken back from: {process:?}");
        let count = process.unclaimed().min(most as usize);
        let taken = process.frames.split_off(process.frames.len() - count);
        let count = u32::try_from(count).unwrap();
        process.kept -= count;
        if process.frames.is_empty() {
            process.blocked = false;
            let started = process.since;
            let overdue = taken.front().is_some_and(|ticket| {
                let task = &self.tasks[self.numbers[ticket]];
                task.ended && task.rules.timeout.is_some_and(|t| now >= started + t)
            });
            self.overdue.extend(overdue.then_some(seat));
        }
        for ticket in taken {
            self.task(ticket).in_lane = false;
        }
        Event::TakenBack(seat, count)
    }

    fn terminate(&mut self, seat: Seat) {
        let (grace, now, forced) = (self.options.grace, self.now, self.forced);
        let process = self.ordered(seat);
        assert!(!process.killed && (process.terminated.is_none() || forced), "{process:?}");
        let obeys_not = process.asked.is_some_and(|since| now >= since + grace) || process.retired;
        assert!(obeys_not || forced, "terminated without need: {process:?}");
        process.terminated = Some(now);
    }

    fn end(&mut self, ticket: Ticket) {
        let number = self.numbers[&ticket];
        let task = &mut self.tasks[number];
        assert!(!task.ended, "ended twice: {task:?}");
        task.ended = true;
        // Some hosts take their time.
        if number.is_multiple_of(2) {
            self.take(number);
        }
    }

    pub(crate) fn take(&mut self, number: usize) {
        let ticket = self.tasks[number].ticket;
        assert_eq!(self.supervisor.take(ticket), Some(number), "the payload comes back");
        assert_eq!(self.supervisor.take(ticket), None, "the payload comes back once");
    }

    fn check_loss(&self, ticket: Ticket, loss: &Loss) {
        let task = &self.tasks[self.numbers[&ticket]];
        let retries = task.rules.retries.unwrap_or(self.options.retries);
        let is_due = match loss {
            Loss::Crashed { attempts, .. } => {
                self.dead.contains(&ticket) && *attempts == task.deaths && *attempts == retries + 1
            }
            Loss::TimedOut { ran, .. } => task.rules.timeout.is_some_and(|timeout| *ran >= timeout),
            Loss::Cancelled => {
                task.cancel || task.withdrawn || (self.cancelled && !self.is_begun(ticket))
            }
            Loss::NoWorkerLeft { workers } => {
                *workers as usize == self.seats().len() && self.is_stuck(true) && !task.in_lane
            }
            Loss::Broken(_) => self.forced || task.huge || self.torn.contains(&ticket),
        };
        assert!(is_due, "{task:?} ends by {loss:?}");
    }

    /// All wait, for as long as it takes, and no other can be launched.
    pub(crate) fn is_stuck(&self, paused: bool) -> bool {
        let live = self.seats().len();
        let none_can_come =
            live >= self.most_live() || (paused && self.births >= self.options.births.get());
        let waits = |it: &Process| it.is_waiting() && it.waits.as_ref().is_some_and(|w| !w.1);
        none_can_come && self.processes.iter().flatten().all(waits)
    }

    pub(crate) fn is_begun(&self, ticket: Ticket) -> bool {
        self.processes.iter().flatten().any(|process| {
            let begun = process.answered + usize::from(process.claimed);
            process.frames.iter().take(begun).any(|frame| *frame == ticket)
        })
    }
}
