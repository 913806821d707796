//! A supervisor whose orders are read as words, for the stories.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use manyhands::Exit;
use manyhands::process::supervisor::{
    Event, Loss, OnCrash, Options, Order, Rules, Seat, Supervisor, Ticket,
};

pub(crate) const GRACE: Duration = Duration::from_secs(5);
pub(crate) const SHORT: Duration = Duration::from_millis(1);
pub(crate) const SIGKILL: Exit = Exit::Signal(9);
/// How a worker leaves that was let go.
pub(crate) const LEFT: Exit = Exit::Code(0);

pub(crate) fn options(max_workers: u32) -> Options {
    Options {
        max_workers: NonZeroU32::new(max_workers).unwrap(),
        most_extra: 0,
        capacity: NonZeroU32::new(256).unwrap(),
        on_crash: OnCrash::Isolate,
        retries: 0,
        max_tasks_per_child: None,
        births: NonZeroU32::new(3).unwrap(),
        grace: GRACE,
        spares_first: false,
    }
}

pub(crate) struct Script {
    pub(crate) supervisor: Supervisor<&'static str>,
    now: Instant,
    seats: HashMap<usize, Seat>,
    tickets: HashMap<&'static str, Ticket>,
}

impl Script {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            supervisor: Supervisor::new(options),
            now: Instant::now(),
            seats: HashMap::new(),
            tickets: HashMap::new(),
        }
    }

    /// A pool of workers that have run one task each, which was short enough for one more to go ahead;
    /// the last is the first to get work.
    pub(crate) fn ready(options: Options) -> Self {
        Self::ready_after(options, SHORT)
    }

    /// A pool of workers that have run one task each, for so long.
    pub(crate) fn ready_after(options: Options, took: Duration) -> Self {
        let mut script = Self::new(options);
        let seats = 0..options.max_workers.get() as usize;
        for at in seats.clone() {
            assert_eq!(script.submit("first"), [format!("launch {at}")]);
        }
        for at in seats.clone() {
            assert_eq!(script.on(at, Event::Ready), [format!("send first to {at}")]);
        }
        for at in seats {
            assert_eq!(script.answer_after(at, took), ["settle first"]);
        }
        script
    }

    pub(crate) fn submit(&mut self, task: &'static str) -> Vec<String> {
        self.submit_with(task, Rules::default())
    }

    pub(crate) fn submit_with(&mut self, task: &'static str, rules: Rules) -> Vec<String> {
        let mut orders = Vec::new();
        let ticket = self.supervisor.submit(task, rules, self.now, &mut orders);
        self.tickets.insert(task, ticket.expect("an open pool accepts it"));
        self.read(&orders)
    }

    /// An event of the worker there.
    pub(crate) fn on(&mut self, at: usize, event: impl FnOnce(Seat) -> Event) -> Vec<String> {
        self.feed(event(self.seats[&at]))
    }

    pub(crate) fn feed(&mut self, event: Event) -> Vec<String> {
        let mut orders = Vec::new();
        self.supervisor.on(event, self.now, &mut orders);
        self.read(&orders)
    }

    /// Answers a task that was short enough for one more to go ahead, and no more.
    pub(crate) fn answer(&mut self, at: usize) -> Vec<String> {
        self.answer_after(at, SHORT)
    }

    pub(crate) fn answer_after(&mut self, at: usize, took: Duration) -> Vec<String> {
        self.on(at, |seat| Event::Answered(seat, took))
    }

    pub(crate) fn taken_back(&mut self, at: usize, count: u32) -> Vec<String> {
        self.on(at, |seat| Event::TakenBack(seat, count))
    }

    pub(crate) fn no_room(&mut self, at: usize, task: &str) -> Vec<String> {
        let ticket = self.tickets[task];
        self.on(at, |seat| Event::NoRoom(seat, ticket))
    }

    pub(crate) fn withdrawn(&mut self, at: usize, task: &str) -> Vec<String> {
        let ticket = self.tickets[task];
        self.on(at, |seat| Event::Withdrawn(seat, ticket))
    }

    pub(crate) fn left(&mut self, at: usize, exit: Exit, claimed: u32) -> Vec<String> {
        self.on(at, |seat| Event::Left { seat, exit, claimed })
    }

    pub(crate) fn cancel(&mut self, task: &str) -> Vec<String> {
        self.feed(Event::Cancel(self.tickets[task]))
    }

    /// The task of that worker waits for another.
    pub(crate) fn waits(&mut self, at: usize, task: &str, timed: bool) -> Vec<String> {
        let awaited = vec![self.tickets[task]];
        self.on(at, |seat| Event::Waits { seat, awaited, timed })
    }

    /// The task of that worker submits others.
    pub(crate) fn holds_back(&mut self, at: usize) {
        self.supervisor.holds_back(self.seats[&at]);
    }

    pub(crate) fn resumes(&mut self, at: usize) -> Vec<String> {
        self.on(at, Event::Resumes)
    }

    pub(crate) fn close(&mut self) -> Vec<String> {
        self.feed(Event::Close { cancel: false })
    }

    /// So much time passes, and then the clock ticks, though perhaps nothing is due.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.feed(Event::Tick)
    }

    /// How long it is until the clock has to tick.
    pub(crate) fn until_tick(&self) -> Option<Duration> {
        Some(self.supervisor.next_deadline()?.saturating_duration_since(self.now))
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.supervisor.broken().map(|reason| reason.as_str())
    }

    fn read(&mut self, orders: &[Order]) -> Vec<String> {
        orders.iter().map(|order| self.word(order)).collect()
    }

    fn word(&mut self, order: &Order) -> String {
        match order {
            Order::Launch(seat) => {
                self.seats.insert(seat.index(), *seat);
                format!("launch {}", seat.index())
            }
            Order::Send(seat, ticket) => {
                let task = self.supervisor.payload(*ticket).expect("a task that is there");
                format!("send {task} to {}", seat.index())
            }
            Order::TakeBack(seat, most) => format!("take {most} back from {}", seat.index()),
            Order::Settle(ticket) => format!("settle {}", self.take(*ticket)),
            Order::Discard => "discard".to_owned(),
            Order::Lose(ticket, loss) => {
                let how = match &**loss {
                    Loss::Crashed { seat, exit, ran, attempts } => {
                        format!("{} {exit} in run {attempts} after {ran:?}", seat.index())
                    }
                    Loss::TimedOut { ran, .. } => format!("timed out after {ran:?}"),
                    Loss::Cancelled => "cancelled".to_owned(),
                    Loss::NoWorkerLeft { workers } => format!("{workers} wait"),
                    Loss::Broken(reason) => reason.to_string(),
                };
                format!("lose {}: {how}", self.take(*ticket))
            }
            Order::AskToStop(seat) => format!("ask {} to stop", seat.index()),
            Order::Terminate(seat) => format!("terminate {}", seat.index()),
            Order::Kill(seat) => format!("kill {}", seat.index()),
            Order::Retire(seat) => format!("retire {}", seat.index()),
            Order::Done => "done".to_owned(),
        }
    }

    fn take(&mut self, ticket: Ticket) -> &'static str {
        self.supervisor.take(ticket).expect("the payload of a task that has ended")
    }
}

pub(crate) const NOTHING: [&str; 0] = [];
