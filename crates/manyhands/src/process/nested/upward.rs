//! The worker's end of what is said beside its link, and the futures that are ended from there.
//!
//! Two threads, which start when they are first needed: one hears what the parent says, and ends futures.
//! It runs no callbacks, which may wait for what it has to hear: another one calls them.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;

use manyhands_shm::ForkMark;
use rustix::event::PollFlags;

use super::arrived::Ask;
use super::protocol::{Down, Id, Reply, Up, Why, frame, parse};
use super::sub::{Call, PassedOn, Sub, Withdrawn};
use super::this_worker;
use super::waiting::{self, KNOWN};
use crate::crossing::{Kind, Telling, tell_all, tellings_of};
use crate::errors::{BrokenProcessPool, Deadlock, Reason};
use crate::process::by_number::Awaited;
use crate::process::lending::{Carrier, carrying};
use crate::process::link::frames;
use crate::process::stream::{Filled, Inbox, send_all, wait_for};
use crate::process::supervisor::Rules;
use crate::process::task::{Loss, Task};
use crate::spin;

/// Runs a request of this host's in the calling thread, as [`Perform`](crate::process::host::Perform)
/// does in that of the worker.
pub trait RunInPlace: Send + Sync {
    /// Does what the request says, and writes the body of its answer.
    fn run(&self, function: u64, kind: Kind, body: &[u8], answer: &mut Vec<u8>) -> Kind;
}

/// The way to the pool whose worker this process is.
pub struct Upward {
    socket: OwnedFd,
    mark: ForkMark,
    runs: Option<Box<dyn RunInPlace>>,
    /// Frames go out whole.
    speaks: Mutex<()>,
    state: Mutex<State>,
    replied: Condvar,
    /// Tasks that have been submitted and have not ended, for those who look without the lock.
    pub(super) open: AtomicUsize,
    /// Something was said since the last answer.
    pub(super) spoke: AtomicBool,
    /// How many requests this worker had answered before the one that it runs.
    pub(super) number: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    next: u64,
    /// Tasks that this worker has submitted, and futures that have come to it, which have not ended.
    pub(super) subs: HashMap<Id, Sub>,
    pub(super) by_address: HashMap<usize, Id>,
    /// Those of its tasks that it runs itself.
    pub(super) in_place: Vec<usize>,
    /// What the parent has asked for, which has not ended.
    pub(super) asks: Vec<Ask>,
    /// How often somebody has looked for those that have.
    pub(super) looks: u64,
    /// What those are told that wait, by their tokens.
    pub(super) waiting: HashMap<u64, Arc<OnceLock<Deadlock>>>,
    /// The answers to questions, by their numbers; none yet.
    asked: HashMap<u64, Option<(Reply, Vec<u8>)>>,
    /// Takes no more tasks, for this reason.
    closed: Option<Reason>,
    /// The thread that hears has been started.
    hears: bool,
    /// Where callbacks are left to the thread that calls them.
    teller: Option<mpsc::Sender<Vec<Telling>>>,
}

impl State {
    /// A number for something new.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

thread_local! {
    /// Whether this is the thread that hears.
    static HEARS: Cell<bool> = const { Cell::new(false) };
}

impl Upward {
    pub(super) fn new(socket: OwnedFd, runs: Option<Box<dyn RunInPlace>>) -> Self {
        Self {
            socket,
            mark: ForkMark::of_this_process(),
            runs,
            speaks: Mutex::new(()),
            state: Mutex::default(),
            replied: Condvar::new(),
            open: AtomicUsize::new(0),
            spoke: AtomicBool::new(false),
            number: AtomicU64::new(0),
        }
    }

    pub(super) fn is_in_a_fork(&self) -> bool {
        self.mark.is_in_a_fork()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// Why the pool takes no more tasks, as far as this worker knows.
    pub fn check(self: &Arc<Self>) -> Result<(), Reason> {
        self.begin_to_hear()?;
        self.state().closed.clone().map_or(Ok(()), Err)
    }

    /// # Errors
    /// Why nothing can be heard of the parent.
    pub(super) fn begin_to_hear(self: &Arc<Self>) -> Result<(), Reason> {
        if self.mark.is_in_a_fork() {
            return Err(Reason::Forked);
        }
        let mut state = self.state();
        if !state.hears {
            let mut inbox = Inbox::new(usize::MAX);
            self.hear_what_was_said(&mut inbox, &mut state);
            let upward = Arc::clone(self);
            let hear = move || {
                if catch_unwind(AssertUnwindSafe(|| upward.hear(inbox))).is_err() {
                    // A fault of ours, or a value's as it is dropped; nobody may wait in vain.
                    upward.end();
                }
            };
            let name = "manyhands-hears".to_owned();
            if let Err(error) = thread::Builder::new().name(name).spawn(hear) {
                let reason = Arc::new(format!("no thread could be started to hear it: {error}"));
                return Err(Reason::Broken(BrokenProcessPool { reason }.into()));
            }
            state.hears = true;
        }
        Ok(())
    }

    /// What was said before anybody asked: that the pool is closing.
    fn hear_what_was_said(&self, inbox: &mut Inbox, state: &mut State) {
        while matches!(inbox.fill(&self.socket), Ok(Filled::Some)) {}
        while let Ok(Some(frame)) = inbox.next_frame() {
            if let Some((Down::Closing, _)) = parse(frames::Kind::Down, &frame) {
                state.closed = Some(Reason::Shutdown);
            }
        }
    }

    /// Has the pool run a task, which ends with what becomes of it there. To be [checked](Self::check)
    /// before.
    pub fn submit<T: Task>(&self, task: T, call: Call, rules: Rules) {
        let Call { function, kind, body, passes } = call;
        let Rules { timeout, retries } = rules;
        let stays_away = timeout.is_some() || retries.is_some() || !passes.is_empty();
        let (given, ends) = PassedOn::split(passes);
        let id = self.state().number();
        let sub = Sub { task: Box::new(task), function, stays_away, passes: ends };
        self.open(Id::Own(id), sub);
        let number = self.number.load(Ordering::Relaxed);
        let up = Up::Submit { id, number, function, kind, timeout, retries, passes: given };
        self.say(&up, &body);
    }

    /// Has the parent shut the pool down.
    pub fn shutdown(&self, cancel: bool) {
        if !self.mark.is_in_a_fork() {
            self.state().closed.get_or_insert(Reason::Shutdown);
            self.say(&Up::Shutdown { cancel }, &[]);
        }
    }

    /// Its outcome will come.
    pub(super) fn open(&self, id: Id, sub: Sub) {
        let mut state = self.state();
        state.by_address.extend(sub.task.address().map(|address| (address, id)));
        state.subs.insert(id, sub);
        self.open.store(state.subs.len(), Ordering::Relaxed);
    }

    pub(super) fn say(&self, words: &Up, body: &[u8]) {
        let frame = frame(frames::Kind::Up, words, body);
        let speaks = self.speaks.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = send_all(&self.socket, &frame);
        self.spoke.store(true, Ordering::Relaxed);
        drop(speaks);
        if sent.is_err() {
            self.end();
        }
    }

    /// The parent's answer to a question.
    fn ask(&self, question: impl FnOnce(u64) -> Up) -> (Reply, Vec<u8>) {
        let too_late = || (Reply::TooLate, Vec::new());
        if HEARS.get() {
            return too_late(); // It would have to hear the answer itself.
        }
        let mut state = self.state();
        let ask = state.number();
        state.asked.insert(ask, None);
        drop(state);
        self.say(&question(ask), &[]);
        let mut state = self.state();
        loop {
            match state.asked.get(&ask) {
                None => return too_late(),
                Some(Some(_)) => {
                    return state.asked.remove(&ask).flatten().unwrap_or_else(too_late);
                }
                Some(None) => {
                    state = self.replied.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// What the parent knows the task at this address by.
    pub(super) fn find(&self, address: usize) -> Option<Id> {
        self.state().by_address.get(&address).copied()
    }

    /// The number of a task that may be run in place.
    fn find_near(&self, address: usize) -> Option<u64> {
        let state = self.state();
        match state.by_address.get(&address)? {
            Id::Own(number) if !state.subs.get(&Id::Own(*number))?.stays_away => Some(*number),
            _ => None,
        }
    }

    /// Has the pool cancel the task at this address: it will never be run, or not to its end. `None`: it
    /// is too late.
    pub(super) fn cancel(&self, address: usize, running: bool) -> Option<Withdrawn> {
        let id = self.find(address)?;
        let (reply, _) = self.ask(|ask| Up::Cancel { ask, id, running });
        if reply != Reply::Cancelled {
            return None;
        }
        self.take(id).map(|sub| Withdrawn { task: Some(sub.task) })
    }

    /// Runs the task if no worker has begun it, as a plain call would: the calling task waits for it.
    pub(super) fn run_in_place(&self, task: &dyn Awaited) {
        let Some(runs) = &self.runs else { return };
        if !this_worker::serves() || KNOWN.get() || spin::for_caller(|| task.is_done()) {
            return;
        }
        let Some(id) = self.find_near(task.address()) else { return };
        let (Reply::Yours(kind), body) = self.ask(|ask| Up::Take { ask, id }) else { return };
        let Some(Sub { task, function, .. }) = self.take(Id::Own(id)) else { return };
        self.state().in_place.extend(task.address());
        let mut answer = Vec::new();
        let (kind, _) =
            carrying(Carrier::default(), || runs.run(function, kind, &body, &mut answer));
        let address = task.address();
        self.end_one(|| carrying(Carrier::default(), || task.answer(kind, &answer)).0);
        self.state().in_place.retain(|other| Some(*other) != address);
        self.tell_ends();
    }

    pub(super) fn take(&self, id: Id) -> Option<Sub> {
        let mut state = self.state();
        let sub = state.subs.remove(&id);
        if let Some(address) = sub.as_ref().and_then(|sub| sub.task.address()) {
            state.by_address.remove(&address);
        }
        self.open.store(state.subs.len(), Ordering::Relaxed);
        sub
    }

    /// THE LOOP of the thread that hears.
    fn hear(&self, mut inbox: Inbox) {
        HEARS.set(true);
        KNOWN.set(true);
        loop {
            while let Ok(Some(frame)) = inbox.next_frame() {
                let Some((down, body)) = parse(frames::Kind::Down, &frame) else {
                    return self.end();
                };
                self.heard(down, body);
            }
            let ready = wait_for(&self.socket, PollFlags::IN, None);
            if ready.is_err()
                || !matches!(inbox.fill(&self.socket), Ok(Filled::Some | Filled::Nothing))
            {
                return self.end();
            }
        }
    }

    fn heard(&self, down: Down, body: &[u8]) {
        match down {
            Down::Answered { id, kind, passes } => match self.take(id) {
                Some(sub) => {
                    let carrier = Carrier { passes, ..Carrier::default() };
                    self.end_one(|| carrying(carrier, || sub.task.answer(kind, body)).0);
                }
                None => self.say_opened(passes),
            },
            Down::Lost { id, loss, kind } => {
                if let Some(sub) = self.take(id) {
                    self.end_one(|| sub.task.lose(loss.into(), kind, body));
                }
            }
            Down::Refused { id, why } => {
                let reason = match why {
                    Why::Shutdown => Reason::Shutdown,
                    Why::Broken(why) => {
                        Reason::Broken(BrokenProcessPool { reason: Arc::new(why) }.into())
                    }
                };
                if let Some(sub) = self.take(Id::Own(id)) {
                    self.end_one(|| sub.task.lose(Loss::Refused(reason), Kind::One, &[]));
                }
            }
            Down::Replied { ask, reply } => {
                if let Some(asked) = self.state().asked.get_mut(&ask) {
                    *asked = Some((reply, body.to_vec()));
                }
                self.replied.notify_all();
            }
            Down::Closing => {
                self.state().closed.get_or_insert(Reason::Shutdown);
            }
            Down::Deadlock { token, cycle } => {
                let waiting = self.state().waiting.get(&token).cloned();
                if let Some(told) = waiting {
                    let _ = told.set(waiting::deadlock_of(cycle)); // It is told once.
                }
            }
            Down::Asks { id, place, mailbox } => {
                self.asks(id, place, mailbox);
            }
        }
        self.tell_ends();
    }

    /// Ends a task. Who waits for it is told by another thread.
    fn end_one(&self, end: impl FnOnce()) {
        let tellings = tellings_of(end);
        if tellings.is_empty() {
            return;
        }
        let mut state = self.state();
        let teller = state.teller.get_or_insert_with(|| {
            let (teller, left) = mpsc::channel::<Vec<Telling>>();
            let tell = move || {
                KNOWN.set(true);
                left.into_iter().for_each(tell_all);
            };
            let name = "manyhands-tells".to_owned();
            if let Err(error) = thread::Builder::new().name(name).spawn(tell) {
                log::error!("no thread could be started to call callbacks: {error}");
            }
            teller
        });
        if let Err(mpsc::SendError(tellings)) = teller.send(tellings) {
            drop(state);
            tell_all(tellings);
        }
    }

    /// The parent is gone, or makes no sense: nothing will come.
    fn end(&self) {
        let mut state = self.state();
        let reason = Arc::new("the process that this worker belongs to is gone".to_owned());
        let closed = BrokenProcessPool { reason: Arc::clone(&reason) };
        state.closed.get_or_insert(Reason::Broken(closed.into()));
        state.asked.clear();
        let subs = std::mem::take(&mut state.subs);
        state.by_address.clear();
        self.open.store(0, Ordering::Relaxed);
        drop(state);
        self.replied.notify_all();
        for sub in subs.into_values() {
            let loss = Loss::Broken { reason: Arc::clone(&reason), by: None };
            self.end_one(|| sub.task.lose(loss, Kind::One, &[]));
        }
    }
}

impl fmt::Debug for Upward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upward").field("open", &self.open).finish_non_exhaustive()
    }
}
