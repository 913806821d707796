//! A world of made-up processes that carries out the supervisor's orders, and finds each of them, and
//! what has not been ordered, in keeping with the rules.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use manyhands::process::supervisor::{
    Event, Exit, Loss, OnCrash, Options, Order, Rules, Seat, Supervisor, Ticket,
};

pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) supervisor: Supervisor<usize>,
    pub(crate) now: Instant,
    pub(crate) tasks: Vec<Task>,
    numbers: HashMap<Ticket, usize>,
    pub(crate) processes: Vec<Option<Process>>,
    /// So many launches will fail, so many frames will not go into a lane that is not empty.
    pub(crate) launches_fail: u32,
    pub(crate) lanes_full: u32,
    births: u32,
    pub(crate) closed: bool,
    /// What lay unclaimed was to be cancelled.
    cancelled: bool,
    /// A signal to all was asked for.
    forced: bool,
    pub(crate) done: bool,
    /// The answer, the task with the broken link, that was just fed in; the claimed of a dead process.
    answer: Option<Ticket>,
    torn: Vec<Ticket>,
    tearing: Option<Seat>,
    /// Workers whose launch has just failed.
    failed: Vec<Seat>,
    dead: Vec<Ticket>,
    overdue: Vec<Seat>,
}

#[derive(Debug)]
pub(crate) struct Task {
    ticket: Ticket,
    rules: Rules,
    /// Fits into no lane.
    huge: bool,
    pub(crate) ended: bool,
    cancel: bool,
    was_sent: bool,
    in_lane: bool,
    deaths: u32,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) seat: Seat,
    pub(crate) ready: bool,
    /// What was sent, oldest first: so many answers that have not been fed in, then what it runs, then
    /// what it has not begun.
    frames: VecDeque<Ticket>,
    answered: usize,
    claimed: bool,
    kept: u32,
    blocked: bool,
    since: Instant,
    pub(crate) asked: Option<Instant>,
    pub(crate) terminated: Option<Instant>,
    pub(crate) killed: bool,
    pub(crate) retired: bool,
    torn: bool,
}

impl Process {
    fn is_healthy(&self) -> bool {
        self.ready && self.asked.is_none() && !self.is_given_up()
    }

    fn is_starting(&self) -> bool {
        !self.ready && !self.is_given_up()
    }

    fn is_given_up(&self) -> bool {
        self.terminated.is_some() || self.killed || self.retired || self.torn
    }

    fn unclaimed(&self) -> usize {
        self.frames.len() - self.answered - usize::from(self.claimed)
    }
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            supervisor: Supervisor::new(options),
            now: Instant::now(),
            tasks: Vec::new(),
            numbers: HashMap::new(),
            processes: Vec::new(),
            launches_fail: 0,
            lanes_full: 0,
            births: 0,
            closed: false,
            cancelled: false,
            forced: false,
            done: false,
            answer: None,
            torn: Vec::new(),
            tearing: None,
            failed: Vec::new(),
            dead: Vec::new(),
            overdue: Vec::new(),
        }
    }

    pub(crate) fn seats(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|at| self.processes[*at].is_some()).collect()
    }

    pub(crate) fn process(&mut self, at: usize) -> &mut Process {
        self.processes[at].as_mut().expect("a living process")
    }

    fn task(&mut self, ticket: Ticket) -> &mut Task {
        &mut self.tasks[self.numbers[&ticket]]
    }

    // What happens.

    pub(crate) fn submit(&mut self, rules: Rules, huge: bool) {
        let (number, mut orders) = (self.tasks.len(), Vec::new());
        let accepted = self.supervisor.submit(number, rules, self.now, &mut orders);
        assert_eq!(
            accepted.is_err(),
            self.closed,
            "a closed pool accepts nothing, an open one all"
        );
        let Ok(ticket) = accepted else { return };
        self.tasks.push(Task {
            ticket,
            rules,
            huge,
            ended: false,
            cancel: false,
            was_sent: false,
            in_lane: false,
            deaths: 0,
        });
        assert!(self.numbers.insert(ticket, number).is_none(), "no two tasks have one ticket");
        self.carry_out(orders);
        self.check();
    }

    pub(crate) fn feed(&mut self, event: Event) {
        let mut orders = Vec::new();
        self.supervisor.on(event, self.now, &mut orders);
        self.learn();
        self.carry_out(orders);
        self.check();
    }

    pub(crate) fn ready(&mut self, at: usize) {
        let process = self.process(at);
        if !process.ready && !process.killed {
            process.ready = true;
            let seat = process.seat;
            self.births = 0;
            self.feed(Event::Ready(seat));
        }
    }

    pub(crate) fn initializer_fails(&mut self, at: usize) {
        let process = self.process(at);
        if !process.ready {
            let (seat, counts) = (process.seat, process.is_starting());
            self.closed |= counts;
            self.forced |= counts;
            self.feed(Event::InitializerFailed(seat, "no licence".to_owned()));
            self.die(at, Exit::Code(1));
        }
    }

    pub(crate) fn claim(&mut self, at: usize) {
        let process = self.process(at);
        process.claimed |= process.ready && process.unclaimed() > 0;
    }

    pub(crate) fn answer(&mut self, at: usize) {
        let process = self.process(at);
        process.answered += usize::from(process.claimed);
        process.claimed = false;
    }

    pub(crate) fn deliver(&mut self, at: usize, took: Duration) {
        while let Some(process) = &mut self.processes[at]
            && process.answered > 0
        {
            process.answered -= 1;
            process.since = self.now;
            process.blocked = false;
            self.answer = process.frames.pop_front();
            if process.frames.is_empty() && process.terminated.is_none() {
                process.asked = None;
            }
            let seat = process.seat;
            let ticket = self.answer.expect("an answered frame is in the lane");
            self.task(ticket).in_lane = false;
            self.feed(Event::Answered(seat, took));
            assert_eq!(self.answer, None, "an answer is somebody's or nobody's");
        }
    }

    pub(crate) fn die(&mut self, at: usize, exit: Exit) {
        self.deliver(at, Duration::from_millis(1));
        let Some(process) = self.processes[at].take() else { return };
        self.dead = process.frames.iter().take(usize::from(process.claimed)).copied().collect();
        for ticket in &process.frames {
            self.tasks[self.numbers[ticket]].in_lane = false;
        }
        for ticket in self.dead.clone() {
            self.task(ticket).deaths += 1;
        }
        if process.torn {
            self.torn.clone_from(&self.dead);
        }
        let unprovoked = process.is_healthy() || (process.ready && process.torn);
        if unprovoked && self.options.on_crash == OnCrash::Break {
            self.closed = true;
            self.forced = true;
        }
        let told = process.terminated.is_some() || process.retired;
        if !process.ready && !told && (process.torn || !process.killed) {
            self.count_birth();
        }
        let (seat, claimed) = (process.seat, u32::from(process.claimed));
        self.feed(Event::Left { seat, exit, claimed });
        self.dead.clear();
        self.torn.clear();
    }

    /// The supervisor knows first that the last worker in service is to leave.
    fn learn(&mut self) {
        if self.births >= self.options.births.get() && self.supervisor.broken().is_some() {
            self.closed = true;
            self.forced = true;
        }
    }

    fn count_birth(&mut self) {
        self.births += 1;
        let in_service = |process: &Process| process.ready && !process.is_given_up();
        if self.births >= self.options.births.get()
            && !self.processes.iter().flatten().any(in_service)
        {
            self.closed = true;
            self.forced = true;
        }
    }

    pub(crate) fn tear_link(&mut self, at: usize) {
        let process = self.process(at);
        if !process.killed {
            process.torn = process.is_healthy() || process.is_starting();
            let seat = process.seat;
            self.tearing = Some(seat);
            self.feed(Event::LinkBroken(seat, "nonsense".to_owned()));
            self.tearing = None;
        }
    }

    pub(crate) fn cancel(&mut self, number: usize) {
        self.tasks[number].cancel = true;
        let ticket = self.tasks[number].ticket;
        self.feed(Event::Cancel(ticket));
        assert!(self.tasks[number].ended, "a cancelled task has ended");
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
        if self.supervisor.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.feed(Event::Tick);
            self.overdue.clear();
            for process in self.processes.iter().flatten().filter(|p| p.is_healthy()) {
                let ticket = process.frames.front();
                let task = ticket.map(|ticket| &self.tasks[self.numbers[ticket]]);
                let Some(task) = task.filter(|task| !task.ended) else { continue };
                let due = task.rules.timeout.is_some_and(|t| process.since + t <= self.now);
                assert!(!due, "a task is past its timeout: {task:?}");
            }
        }
    }

    pub(crate) fn close(&mut self, cancel: bool) {
        self.closed = true;
        self.cancelled = cancel;
        self.feed(Event::Close { cancel });
        self.cancelled = false;
    }

    pub(crate) fn force(&mut self, event: Event) {
        self.closed = true;
        self.forced = true;
        self.feed(event);
    }

    // What is ordered.

    fn carry_out(&mut self, mut orders: Vec<Order>) {
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
                let process = self.ordered(*seat);
                assert!(process.is_healthy() || !process.ready, "{process:?}");
                assert!(!process.retired && process.frames.is_empty(), "{process:?}");
                let is_used_up = most.is_some_and(|most| process.kept >= most.get());
                assert!(closed || is_stuck || is_used_up, "retired without need: {process:?}");
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
        assert!(live < self.options.max_workers.get() as usize, "too many workers");
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
        let (capacity, most) = (self.options.capacity, self.options.max_tasks_per_child);
        let (is_full, now) = (self.lanes_full > 0, self.now);
        let task = &mut self.tasks[number];
        assert!(!task.ended && !task.in_lane, "sent what need not be sent: {task:?}");
        let huge = task.huge;
        task.was_sent = true;
        let process = self.ordered(seat);
        assert!(process.is_healthy(), "sent to one that takes nothing: {process:?}");
        assert!(*disturbed || !process.blocked, "sent to one whose lane has no room: {process:?}");
        assert!(process.frames.len() < capacity.get() as usize, "too many frames: {process:?}");
        assert!(most.is_none_or(|most| process.kept < most.get()), "too many tasks: {process:?}");
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
            Loss::TimedOut { ran } => task.rules.timeout.is_some_and(|timeout| *ran >= timeout),
            Loss::Cancelled => task.cancel || (self.cancelled && !self.is_begun(ticket)),
            Loss::Broken(_) => self.forced || task.huge || self.torn.contains(&ticket),
        };
        assert!(is_due, "{task:?} ends by {loss:?}");
    }

    fn is_begun(&self, ticket: Ticket) -> bool {
        self.processes.iter().flatten().any(|process| {
            let begun = process.answered + usize::from(process.claimed);
            process.frames.iter().take(begun).any(|frame| *frame == ticket)
        })
    }

    // What must hold between two events.

    fn starting(&self) -> usize {
        let starts =
            |p: &&Process| !p.ready && p.terminated.is_none() && !(p.retired || p.killed || p.torn);
        self.processes.iter().flatten().filter(starts).count()
    }

    fn queued(&self) -> usize {
        self.tasks.iter().filter(|task| !task.ended && !task.in_lane).count()
    }

    /// What would find work for one more worker.
    fn waiting(&self) -> usize {
        let ahead = self.processes.iter().flatten().map(|p| p.frames.len().saturating_sub(1));
        let unended = self.tasks.iter().filter(|task| !task.ended).count();
        (self.queued() + ahead.sum::<usize>()).min(unended)
    }

    fn check(&self) {
        let stats = self.supervisor.stats();
        let healthy = || self.processes.iter().flatten().filter(|process| process.is_healthy());
        let idle = healthy().filter(|process| process.frames.is_empty()).count();
        let unended = self.tasks.iter().filter(|task| !task.ended).count();
        assert_eq!(stats.pending + stats.running, unended);
        assert_eq!((stats.workers, stats.starting), (self.seats().len(), self.starting()));
        assert_eq!(stats.idle, idle);
        assert_eq!(self.supervisor.broken().is_some() && !self.forced, false);
        assert!(idle == 0 || self.queued() == 0, "work is queued and a worker is idle");
        for process in healthy() {
            let used_up = self.options.max_tasks_per_child.is_some_and(|n| process.kept >= n.get());
            assert!(
                idle == 0 || process.unclaimed() == 0 || process.frames.len() == 1,
                "a task waits behind another, and a worker is idle: {process:?}"
            );
            assert!(
                self.queued() == 0
                    || process.blocked
                    || used_up
                    || process.frames.len() >= 2.min(self.options.capacity.get() as usize),
                "work is queued, and there is room: {process:?}"
            );
            let front = process.frames.front().map(|ticket| &self.tasks[self.numbers[ticket]]);
            let timeout = front.filter(|task| !task.ended).and_then(|task| task.rules.timeout);
            self.check_deadline(timeout.map(|timeout| process.since + timeout));
        }
        for process in self.processes.iter().flatten().filter(|process| !process.killed) {
            if process.terminated.is_none() {
                self.check_deadline(process.asked.map(|since| since + self.options.grace));
            } else if process.asked.is_some() {
                self.check_deadline(process.terminated.map(|since| since + self.options.grace));
            }
        }
        let may_launch = self.seats().len() < self.options.max_workers.get() as usize
            && self.births < self.options.births.get();
        assert!(
            idle > 0 || !may_launch || self.starting() >= self.waiting(),
            "nobody is launched for what waits"
        );
        let must_be_done = self.closed && unended == 0 && self.seats().is_empty();
        assert_eq!(self.done, must_be_done);
    }

    fn check_deadline(&self, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            let next = self.supervisor.next_deadline();
            assert!(next.is_some_and(|next| next <= deadline), "a deadline is forgotten");
        }
    }
}
