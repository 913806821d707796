//! A world of made-up processes: what happens in it, by chance and by what the supervisor orders.

#![allow(clippy::struct_excessive_bools, reason = "a model of loose facts, not of states")]

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use manyhands::Exit;
use manyhands::process::supervisor::{Event, OnCrash, Options, Rules, Seat, Supervisor, Ticket};

/// Behind tasks that take longer, none is sent.
pub(crate) const LONG: Duration = Duration::from_millis(2);

pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) supervisor: Supervisor<usize>,
    pub(crate) now: Instant,
    pub(crate) tasks: Vec<Task>,
    pub(crate) numbers: HashMap<Ticket, usize>,
    pub(crate) processes: Vec<Option<Process>>,
    /// So many launches will fail, so many frames will not go into a lane that is not empty.
    pub(crate) launches_fail: u32,
    pub(crate) lanes_full: u32,
    pub(crate) births: u32,
    pub(crate) closed: bool,
    /// What nobody had begun was to be cancelled.
    pub(crate) cancelled: bool,
    /// A signal to all was asked for.
    pub(crate) forced: bool,
    pub(crate) done: bool,
    /// The answer, the task with the broken link, that was just fed in; the claimed of a dead process.
    pub(crate) answer: Option<Ticket>,
    pub(crate) torn: Vec<Ticket>,
    pub(crate) tearing: Option<Seat>,
    /// Workers whose launch has just failed.
    pub(crate) failed: Vec<Seat>,
    pub(crate) dead: Vec<Ticket>,
    pub(crate) overdue: Vec<Seat>,
    /// When the last answer was fed in.
    pub(crate) heard: Option<Instant>,
    /// When a wait was ended, and nobody has gone on since.
    pub(crate) let_go: Option<Instant>,
    /// Nothing may be sent for the first time now before what is held up.
    pub(crate) in_order: bool,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) ticket: Ticket,
    pub(crate) rules: Rules,
    /// Fits into no lane.
    pub(crate) huge: bool,
    pub(crate) ended: bool,
    pub(crate) cancel: bool,
    /// Its future was cancelled, and the supervisor does not know.
    pub(crate) withdrawn: bool,
    pub(crate) was_sent: bool,
    pub(crate) in_lane: bool,
    pub(crate) deaths: u32,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) seat: Seat,
    pub(crate) ready: bool,
    /// What was sent, oldest first: so many answers that have not been fed in, then what it runs, then
    /// what it has not begun.
    pub(crate) frames: VecDeque<Ticket>,
    pub(crate) answered: usize,
    pub(crate) claimed: bool,
    pub(crate) kept: u32,
    pub(crate) blocked: bool,
    /// What its task waits for, by numbers, and whether for some time only.
    pub(crate) waits: Option<(Vec<usize>, bool)>,
    /// How long its last task took, and how long its longest.
    pub(crate) took: Option<(Duration, Duration)>,
    /// Since its last answer, a task was the oldest for over a millisecond.
    pub(crate) ran_on: bool,
    pub(crate) since: Instant,
    pub(crate) asked: Option<Instant>,
    pub(crate) terminated: Option<Instant>,
    pub(crate) killed: bool,
    pub(crate) retired: bool,
    pub(crate) torn: bool,
}

impl Process {
    pub(crate) fn is_healthy(&self) -> bool {
        self.ready && self.asked.is_none() && !self.is_given_up()
    }

    /// Its task waits, so it does not count.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waits.is_some() && self.ready && !self.is_given_up()
    }

    pub(crate) fn is_starting(&self) -> bool {
        !self.ready && !self.is_given_up()
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.terminated.is_some() || self.killed || self.retired || self.torn
    }

    /// How many frames it has at least, if there are as many.
    pub(crate) fn credit(&self) -> usize {
        let always_short = self.took.is_some_and(|(_, longest)| longest <= LONG);
        if always_short && !self.ran_on { 2 } else { 1 }
    }

    pub(crate) fn unclaimed(&self) -> usize {
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
            heard: None,
            let_go: None,
            in_order: false,
        }
    }

    pub(crate) fn seats(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|at| self.processes[*at].is_some()).collect()
    }

    pub(crate) fn process(&mut self, at: usize) -> &mut Process {
        self.processes[at].as_mut().expect("a living process")
    }

    pub(crate) fn task(&mut self, ticket: Ticket) -> &mut Task {
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
            withdrawn: false,
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
            self.in_order = true;
            self.feed(Event::Ready(seat));
            self.in_order = false;
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
            process.ran_on = false;
            process.took =
                Some((took, process.took.map_or(took, |(_, longest)| longest.max(took))));
            self.answer = process.frames.pop_front();
            if process.frames.is_empty() && process.terminated.is_none() {
                process.asked = None;
            }
            let seat = process.seat;
            let ticket = self.answer.expect("an answered frame is in the lane");
            self.task(ticket).in_lane = false;
            self.in_order = self.heard != Some(self.now);
            self.feed(Event::Answered(seat, took));
            self.in_order = false;
            assert_eq!(self.answer, None, "an answer is somebody's or nobody's");
            self.check_fairness();
            // Whatever its task has left behind does not wait any more.
            if self.processes[at].as_ref().is_some_and(|it| !it.claimed && it.answered == 0) {
                self.resume(at);
            }
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
            if self.options.on_crash == OnCrash::Break {
                self.closed = true;
                self.forced = true;
            } else {
                self.count_birth();
            }
        }
        let (seat, claimed) = (process.seat, u32::from(process.claimed));
        self.feed(Event::Left { seat, exit, claimed });
        let (retries, torn) = (self.options.retries, !self.torn.is_empty());
        for ticket in std::mem::take(&mut self.dead) {
            let task = self.task(ticket);
            let is_over = torn || task.deaths > task.rules.retries.unwrap_or(retries);
            assert!(task.ended || !is_over, "it has been run often enough: {task:?}");
        }
        self.torn.clear();
    }

    /// The supervisor knows first that the last worker in service is to leave.
    pub(crate) fn learn(&mut self) {
        if self.births >= self.options.births.get() && self.supervisor.broken().is_some() {
            self.closed = true;
            self.forced = true;
        }
    }

    pub(crate) fn count_birth(&mut self) {
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
        for process in self.processes.iter_mut().flatten() {
            let ran = self.now.duration_since(process.since);
            process.ran_on |= !process.frames.is_empty() && ran > Duration::from_millis(1);
        }
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
        self.cancelled |= cancel;
        self.feed(Event::Close { cancel });
        // What a torn link has not brought to its worker is known when that is dead.
        let torn = self.processes.iter().flatten().filter(|process| process.torn);
        let torn: Vec<Ticket> = torn.flat_map(|process| process.frames.clone()).collect();
        let stays = |task: &&Task| self.is_begun(task.ticket) || torn.contains(&task.ticket);
        let stay = self.tasks.iter().filter(|task| cancel && !task.ended && !stays(task));
        let spared =
            if self.options.spares_first { self.processes.iter().flatten().count() } else { 0 };
        assert!(stay.count() <= spared, "nobody has begun them, and they are not cancelled");
    }

    pub(crate) fn force(&mut self, event: Event) {
        self.closed = true;
        self.forced = true;
        self.feed(event);
    }
}
