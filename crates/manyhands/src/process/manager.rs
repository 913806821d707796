//! THE MANAGER: the thread that starts a pool's workers, hears of their answers and their ends, and
//! signals them.
//!
//! It decides nothing. What it sees, it tells the supervisor through the [`Pool`]; what is left over
//! from carrying out orders there (chores, endings), it does here, with no lock held. It sleeps on one
//! `poll` over everything that can happen, and spins before that for as long as the last waits show
//! that it pays.
//!
//! All workers are started by this thread: on Linux they die with the thread that started them, and
//! this one outlives them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use manyhands_shm::{Access, Arena, ArenaView, Lookout};
use rustix::event::PollFlags;
use rustix::process::Signal;

use super::birth::{Birth, BirthError, Hello, Progress, Transport};
use super::charge::Charge;
use super::last_lines::LastLines;
use super::launch::Newborn;
use super::link::ring;
use super::nested::Channel;
use super::pool::{Chore, LeftOver, Managing, Pool, State};
use super::stand_in::{self, Manages};
use super::supervisor::{Event, Seat};
use super::task::Task;
use super::watch::{Seen, Watch, Watched};
use crate::crossing::Telling;
use crate::listening::{MANAGERS, Shared, Sleep};
use crate::spin::Spin;

/// What a pool's workers are told when they are started.
#[derive(Debug)]
pub struct Setting {
    /// Of the program, which the workers must be of too.
    pub build_id: u64,
    /// What a worker runs first, as bytes for the host.
    pub initializer: Vec<u8>,
    /// How the parent and its workers talk.
    pub transport: Transport,
}

/// Turns between two looks for deaths, while the manager does not sleep.
const LOOK_EVERY: u32 = 256;

/// Starts the manager of a pool.
pub(super) fn start<T: Task>(pool: &Arc<Pool<T>>, state: &mut State<T>) -> io::Result<()> {
    let its = Arc::clone(pool);
    let name = format!("manyhands-pool-{}", pool.number());
    let manages = move || {
        manage(Arc::clone(&its));
        its.with(|state, _| state.managing = Managing::Over);
    };
    let thread = thread::Builder::new().name(name).spawn(manages)?;
    state.manager_id = Some(thread.thread().id());
    state.manager = Some(thread);
    Ok(())
}

/// Manages a pool in the calling thread, until it is closed and its workers have left.
pub(super) fn manage<T: Task>(pool: Arc<Pool<T>>) {
    Manager::new(pool).run(VecDeque::new());
}

struct Manager<T: Task> {
    pool: Arc<Pool<T>>,
    left_over: LeftOver<T>,
    turns: u32,
    /// By seat.
    charges: Vec<Option<Charge>>,
    /// What was to become of workers that the host was still starting.
    early: Vec<Chore>,
    watch: Watch,
    seen: Vec<Seen>,
    /// What to poll the links for, by seat.
    flags: Vec<Option<PollFlags>>,
    spin: Spin,
    /// Of the workers there are: they show whether there are answers without the pool's lock.
    lookouts: Arc<[Lookout]>,
}

impl<T: Task> Manages for Manager<T> {
    fn run(self: Box<Self>, tellings: VecDeque<Telling>) {
        let pool = Arc::clone(&self.pool);
        pool.lock().manager_id = Some(thread::current().id());
        if catch_unwind(AssertUnwindSafe(|| self.manage(tellings))).is_err() {
            // A fault of ours; nobody may wait for what will not come.
            pool.give_up();
        }
    }
}

impl<T: Task> Manager<T> {
    fn new(pool: Arc<Pool<T>>) -> Box<Self> {
        Box::new(Self {
            pool,
            left_over: LeftOver::new(),
            turns: 0,
            charges: Vec::new(),
            early: Vec::new(),
            watch: Watch::new(),
            seen: Vec::new(),
            flags: Vec::new(),
            spin: Spin::new(),
            lookouts: Arc::new([]),
        })
    }

    fn manage(mut self: Box<Self>, mut tellings: VecDeque<Telling>) {
        loop {
            let done = self.pool.turn(&mut self.left_over);
            tellings.extend(self.left_over.end());
            if !tellings.is_empty() || !self.left_over.chores.is_empty() {
                self.pool.shut_intake();
            }
            match stand_in::tell(self, std::mem::take(&mut tellings)) {
                Some(manager) => self = manager,
                None => return,
            }
            let mut chores = std::mem::take(&mut self.left_over.chores);
            chores.drain(..).for_each(|chore| self.see_to(chore));
            self.left_over.chores = chores;
            if done {
                return;
            }
            self.turns = self.turns.wrapping_add(1);
            // Also if there was nothing: of a link that is torn, there is always an answer to be seen
            // and never one to be received, until its worker's death is.
            if self.turns.is_multiple_of(LOOK_EVERY) {
                self.look(Some(Duration::ZERO));
            }
            let (listening, lookouts) = (&self.pool.listening, &self.lookouts);
            if !self.spin.until(|| listening.is_wanted(lookouts)) {
                self.sleep();
            } else if !listening.is_called() || self.pool.intake.is_filled() {
                // Neither answers nor tasks come alone, and each turn takes from those who submit what they need:
                // they gather, and if cores are scarce, those from whom they come have this one.
                thread::yield_now();
            }
        }
    }

    fn sleep(&mut self) {
        self.pool.shut_intake();
        let flags = &mut self.flags;
        let sleep = self.pool.listening.fall_asleep(|state| state.note_interests(flags));
        let Some(Sleep { until }) = sleep else { return };
        self.look(until.map(|until| until.saturating_duration_since(Instant::now())));
        self.pool.listening.wake_up();
    }

    /// Looks at what is ready, and does something about it.
    fn look(&mut self, timeout: Option<Duration>) {
        let doorbell = Watched {
            seen: Seen::Doorbell,
            fd: self.pool.doorbells()[MANAGERS].fd(),
            flags: PollFlags::IN,
        };
        let flags = &self.flags;
        let charges = self.charges.iter().enumerate();
        let charges = charges.filter_map(|(at, charge)| Some((at, charge.as_ref()?)));
        let watched = charges.flat_map(|(at, charge)| {
            charge.watched(u32::try_from(at).unwrap_or(u32::MAX), flags.get(at).copied().flatten())
        });
        let watched = std::iter::once(doorbell).chain(watched);
        if let Err(error) = self.watch.look(watched, timeout, &mut self.seen) {
            log::error!("the manager of a process pool cannot poll: {error}");
            thread::sleep(Duration::from_millis(10));
        }
        let mut all = std::mem::take(&mut self.seen);
        for seen in all.drain(..) {
            match seen {
                Seen::Doorbell => {
                    self.pool.doorbells()[MANAGERS].clear();
                }
                Seen::Birth(seat) => self.be_born(seat as usize),
                Seen::Stderr(seat) => self.listen(seat as usize),
                Seen::Died(seat) => self.bury(seat as usize),
                Seen::Link(_) => (), // The next turn receives.
                Seen::Nested(seat) => self.hear(seat as usize),
            }
        }
        self.seen = all;
        self.lookouts = Arc::clone(self.pool.listening.lock().lookouts());
    }

    fn see_to(&mut self, chore: Chore) {
        match chore {
            Chore::Launch(seat) => {
                let number = u32::try_from(seat.index()).unwrap_or(u32::MAX);
                let launched = self.pool.launcher().launch(number);
                self.take_on(seat, launched);
            }
            Chore::TakeOn(seat, launched) => {
                self.take_on(seat, *launched);
                let (its, others) =
                    self.early.drain(..).partition::<Vec<_>, _>(|chore| chore.seat() == seat);
                self.early = others;
                for chore in its {
                    self.see_to(chore);
                }
            }
            chore if self.pool.is_launching(chore.seat()) => self.early.push(chore),
            Chore::Terminate(seat) => self.signal(seat, Signal::TERM),
            Chore::Kill(seat) => self.signal(seat, Signal::KILL),
            Chore::Rouse(seat) => self.signal(seat, Signal::CONT),
            Chore::Retire(seat) => {
                if let Some(charge) = self.charge(seat.index()) {
                    charge.leaves = true;
                    if charge.birth.is_none() {
                        // Born since it was said.
                        self.pool.with(|state, _| state.retire(seat));
                    }
                }
            }
        }
    }

    fn take_on(&mut self, seat: Seat, launched: io::Result<Newborn>) {
        if let Err(error) = launched.and_then(|newborn| self.care_for(seat, newborn)) {
            self.pool.tell(Event::LaunchFailed(seat, error.to_string()));
        }
    }

    fn charge(&mut self, at: usize) -> Option<&mut Charge> {
        self.charges.get_mut(at)?.as_mut()
    }

    fn care_for(&mut self, seat: Seat, newborn: Newborn) -> io::Result<()> {
        let setting = self.pool.setting();
        let mut beside = None;
        let (memory, fds) = match self.pool.arena() {
            None => {
                let (ours, theirs) = UnixStream::pair()?;
                beside = Some(ours.into());
                (None, vec![theirs.into()])
            }
            Some(arena) => {
                let (end, mut fds) = ring::prepare(self.pool.doorbells())?;
                fds.push(arena.memory().try_clone_to_owned()?);
                // Made here, and the worker's from then on.
                let its = Arena::create()?.memory().try_clone_to_owned()?;
                fds.push(its.try_clone()?);
                (Some((end, ArenaView::open(its, Access::ReadWrite)?)), fds)
            }
        };
        let number = u32::try_from(seat.index()).unwrap_or(u32::MAX);
        let Newborn { child, socket, stderr, handover } = newborn;
        let hello = Hello {
            build_id: setting.build_id,
            seat: number,
            transport: setting.transport,
            initializer: setting.initializer.clone(),
        };
        let birth = Birth::new(socket, &hello, handover, fds);
        let last_lines = match stderr {
            None => None,
            Some(pipe) => Some(LastLines::new(pipe, io::stderr().as_fd().try_clone_to_owned()?)),
        };
        self.pool.with(|state, _| state.launched(seat, child.pid()));
        if self.charges.len() <= seat.index() {
            self.charges.resize_with(seat.index() + 1, || None);
        }
        self.charges[seat.index()] = Some(Charge {
            seat,
            child,
            birth: Some((birth, memory)),
            last_lines,
            socket: None,
            beside,
            channel: None,
            leaves: false,
            failed: None,
            refused: false,
        });
        self.be_born(seat.index());
        Ok(())
    }

    fn signal(&mut self, seat: Seat, signal: Signal) {
        if let Some(charge) = self.charge(seat.index())
            && let Err(error) = charge.child.signal(signal)
        {
            log::error!("a worker process could not be sent {signal:?}: {error}");
        }
    }

    /// Goes on with the birth of a worker.
    fn be_born(&mut self, at: usize) {
        let Some(charge) = self.charges.get_mut(at).and_then(Option::as_mut) else { return };
        let Some((birth, _)) = &mut charge.birth else { return };
        let error = match birth.advance() {
            Ok(Progress::Waiting) => return,
            Ok(Progress::Ready { .. }) => match charge.take_link() {
                Ok((link, arena, lookout, beside)) => {
                    let doorbells = Arc::clone(self.pool.doorbells());
                    let channel = Arc::new(Channel::new(beside, doorbells));
                    charge.channel = Some(Arc::clone(&channel));
                    let (seat, leaves) = (charge.seat, charge.leaves);
                    self.pool.with(|state, now| {
                        state.seat_taken(seat, link, arena, lookout, channel, now);
                        if leaves {
                            state.retire(seat);
                        }
                    });
                    return;
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        charge.birth = None;
        match error {
            BirthError::Refused(reason) => {
                charge.refused = true;
                let event = Event::InitializerFailed(charge.seat, reason);
                self.pool.tell(event);
            }
            // It says itself how it ended, if it did.
            BirthError::Closed => (),
            other => charge.failed = Some(other.to_string()),
        }
        if let Some(charge) = self.charge(at)
            && let Err(error) = charge.child.signal(Signal::KILL)
        {
            log::error!("a worker process that was not born could not be killed: {error}");
        }
    }

    /// The tasks of a worker have said something, or there is room again to tell them something.
    fn hear(&mut self, at: usize) {
        let Some(charge) = self.charges.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(channel) = &charge.channel else { return };
        channel.flush();
        if !self.pool.with(|state, now| state.hear(charge.seat, now)) {
            charge.channel = None;
        }
    }

    fn listen(&mut self, at: usize) {
        if let Some(charge) = self.charge(at)
            && let Some(lines) = &mut charge.last_lines
        {
            lines.advance();
        }
    }

    /// A worker's process has ended.
    fn bury(&mut self, at: usize) {
        self.be_born(at); // It may have said why.
        let Some(charge) = self.charge(at) else { return };
        let exit = match charge.child.try_wait() {
            Ok(None) => return,
            Ok(Some(exit)) => exit,
            Err(error) => {
                log::error!("the end of a worker process could not be seen: {error}");
                crate::errors::Exit::Unknown
            }
        };
        let Some(mut charge) = self.charges[at].take() else { return };
        let lines = charge.last_lines.as_mut().map_or_else(String::new, |lines| {
            lines.drain();
            lines.text()
        });
        let seat = charge.seat;
        let was_born = charge.birth.is_none() && charge.failed.is_none() && !charge.refused;
        self.pool.with(|state, now| {
            if charge.refused || (was_born && state.is_seated(seat)) {
                state.left(seat, exit, now);
                return;
            }
            let mut how = charge.failed.unwrap_or_else(|| format!("it {exit} before it was ready"));
            if !lines.is_empty() {
                how = format!("{how}; it printed at last:\n{lines}");
            }
            state.not_born(seat, exit, how, now);
        });
    }
}
