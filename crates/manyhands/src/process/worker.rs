//! What a worker process does, from its first moment to its last.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use manyhands_shm::{Access, Arena, ArenaView, Block, Place};

use super::birth::{self, Arrival, Transport};
use super::lending::{self, Borrowed, Carrier, Lease, Returned};
use super::link::ring::RingWorkerLink;
use super::link::socket::SocketWorkerLink;
use super::link::{LinkError, StopSource, WorkerLink};
use super::nested::{self, RunInPlace};
use super::program::Program;
use super::request::{MOST_IN_FRAME, spill};
use super::stopwatch::Stopwatch;
use crate::crossing::{
    AnswerHead, Failure, Flags, Kind, Registry, RequestHead, fail, parse_place, perform,
    place_to_bytes, read_list, read_number, write_list,
};
use crate::panic;

/// How long a newborn waits for its parent's first words.
const PATIENCE: Duration = Duration::from_mins(1);

/// Of a worker that cannot work, as those of `sysexits.h`.
const EX_SOFTWARE: i32 = 70;

/// Where to look whether the task that runs is to stop, and the frame it is of: that changes with each task.
static STOPS: Mutex<Option<Arc<dyn StopSource>>> = Mutex::new(None);
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// Whether the task that runs in this worker process is asked to stop: it was cancelled, or its time is
/// up. Its future has ended; if the task returns soon, the worker goes on to the next, and if it does
/// not, its process is ended. `false` in a process that is no worker.
///
/// ```
/// use manyhands::process;
///
/// fn count(to: u64) -> u64 {
///     (0..to).take_while(|_| !process::stop_requested()).count() as u64
/// }
///
/// assert_eq!(count(1_000), 1_000);
/// ```
pub fn stop_requested() -> bool {
    let stops = STOPS.lock().unwrap_or_else(PoisonError::into_inner);
    stops.as_ref().is_some_and(|stops| stops.is_asked(RUNNING.load(Ordering::Relaxed)))
}

/// Works, and does not return, in a process that was started as a worker.
pub(super) fn become_one_if_started_so(program: &Program) {
    match birth::arrive(program.registry.build_id(), PATIENCE) {
        Ok(None) => (),
        Ok(Some(arrival)) => {
            panic::take_backtraces();
            let _ = REGISTRY.set(Arc::clone(&program.registry)); // Once: this does not return.
            exit(match work(arrival, &mut Arc::clone(&program.registry)) {
                Ok(()) | Err(LinkError::Closed) => 0,
                Err(error) => {
                    eprintln!("manyhands: a worker process cannot go on: {error}");
                    EX_SOFTWARE
                }
            })
        }
        Err(error) => {
            eprintln!("manyhands: this process was started as a worker and cannot be one: {error}");
            exit(EX_SOFTWARE);
        }
    }
}

static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();

/// What this worker's program has declared; `None` in a process that is no worker of the Rust face.
pub(super) fn registry() -> Option<Arc<Registry>> {
    REGISTRY.get().cloned()
}

/// What a worker does for its host: the Rust face's calls declared functions.
pub trait Perform {
    /// Before the first task, with what the parent's setting says.
    ///
    /// # Errors
    /// Why the worker cannot work, which breaks the pool.
    fn initialise(&mut self, initializer: &[u8]) -> Result<(), String>;

    /// Does what a request says, and writes the body of the answer to the end of `answer`, which is
    /// empty. What comes with the request can be [borrowed](super::host::borrow) meanwhile, and what is
    /// to go with the answer [lent](super::host::lend).
    fn perform(&mut self, request: RequestHead, body: &[u8], answer: &mut Vec<u8>) -> Kind;

    /// The answer is on its way: what is left of the request can be dropped. Whether that may have taken long.
    fn answered(&mut self) -> bool {
        false
    }

    /// There is no room in shared memory for the answer, for this reason: writes the body of another one,
    /// which is short.
    fn no_room(&mut self, why: String, answer: &mut Vec<u8>) -> Kind;

    /// How long the worker may sleep without [`look_up`](Self::look_up); a signal ends its sleep too.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Between two tasks, when there is none.
    fn look_up(&mut self) {}

    /// What runs a request in the thread of a task that waits for it, if this host can.
    fn in_place(&self) -> Option<Box<dyn RunInPlace>> {
        None
    }
}

impl RunInPlace for Arc<Registry> {
    fn run(&self, function: u64, kind: Kind, body: &[u8], answer: &mut Vec<u8>) -> Kind {
        if let Some(function) = self.of_id(function) {
            nested::running(function.name(), || perform(function, kind, body, answer))
        } else {
            let why = "the function is not declared".to_owned();
            fail(&Failure::Arguments(why), answer)
        }
    }
}

impl Perform for Arc<Registry> {
    fn in_place(&self) -> Option<Box<dyn RunInPlace>> {
        Some(Box::new(Arc::clone(self)))
    }

    fn initialise(&mut self, initializer: &[u8]) -> Result<(), String> {
        initialise(self, initializer)
    }

    fn perform(&mut self, request: RequestHead, body: &[u8], answer: &mut Vec<u8>) -> Kind {
        let kind = self.run(request.function, request.kind, body, answer);
        nested::forget_unwanted();
        kind
    }

    fn no_room(&mut self, why: String, answer: &mut Vec<u8>) -> Kind {
        fail(&Failure::Result(why), answer)
    }
}

/// Works until the parent has the worker leave.
///
/// # Errors
/// If the parent is gone, or says what it never should.
pub fn work(arrival: Arrival, host: &mut dyn Perform) -> Result<(), LinkError> {
    let Arrival { hello, mut fds, reply } = arrival;
    // Before the initializer, which may limit what the process can have.
    let mut beside = None;
    let memory = match hello.transport {
        Transport::Socket => {
            beside = fds.pop();
            None
        }
        Transport::SharedMemory => match open_memory(fds) {
            Ok(link) => Some(link),
            Err(error) => {
                let why = format!(
                    "shared memory could not be mapped ({error}): raise the limit on addresses \
                     (RLIMIT_AS), or have the pool use `Transport::Socket`"
                );
                return Ok(reply.refuse(&why)?);
            }
        },
    };
    if let Err(reason) = host.initialise(&hello.initializer) {
        return Ok(reply.refuse(&reason)?);
    }
    let lifeline = reply.ready()?;
    if let Some(mut link) = memory {
        nested::install(lifeline, host.in_place());
        return serve(&mut link, host);
    }
    if let Some(beside) = beside {
        nested::install(beside, host.in_place());
    }
    serve(&mut SocketWorkerLink::new(lifeline), host)
}

/// Maps what came along with the hello: the rings, and both arenas.
fn open_memory(fds: Vec<OwnedFd>) -> io::Result<RingWorkerLink> {
    let Ok([memory, first, second, parents, own]) = <[OwnedFd; 5]>::try_from(fds) else {
        return Err(io::Error::other("descriptors are missing"));
    };
    lending::install(Carrier {
        arena: Some(Arena::adopt(own)?),
        source: Some(ArenaView::open(parents, Access::ReadOnly)?),
        ..Carrier::default()
    });
    RingWorkerLink::open(memory, [first, second])
}

/// Calls the initializer, if there is one.
fn initialise(registry: &Registry, initializer: &[u8]) -> Result<(), String> {
    let Some((function, arguments)) = initializer.split_first_chunk() else { return Ok(()) };
    let function = registry
        .of_id(u64::from_le_bytes(*function))
        .ok_or("the initializer is not among the declared functions")?;
    let mut answer = Vec::new();
    match perform(function, Kind::One, arguments, &mut answer) {
        Kind::Failed => Err(match Failure::read(&answer) {
            Ok(Some(failure)) => failure.into_exception::<String>().to_string(),
            _ => "it does not say how".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// THE WORKER LOOP.
fn serve(link: &mut dyn WorkerLink, host: &mut dyn Perform) -> Result<(), LinkError> {
    let mut frame = Vec::new();
    let mut desk = Desk::default();
    *STOPS.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.stop_source());
    let mut stopwatch = Stopwatch::new();
    loop {
        frame.clear();
        if let Some(request) = link.claim(host.patience())? {
            frame.extend_from_slice(request);
        } else {
            host.look_up();
            continue;
        }
        let torn = || LinkError::Torn { why: "a request is none".to_owned() };
        let Some((head, mut rest)) = RequestHead::parse(&frame) else { return Err(torn()) };
        if head.kind == Kind::Leave {
            return Ok(());
        }
        RUNNING.store(link.frame(), Ordering::Relaxed);
        nested::begin_request(desk.answered);
        if head.flags.has(Flags::RETURNS) {
            desk.take_back(&read_list(true, &mut rest).ok_or_else(torn)?);
        }
        let passes = if head.flags.has(Flags::PASSES) {
            Some(read_number(&mut rest).ok_or_else(torn)?)
        } else {
            None
        };
        let lease = desk.borrow(head.flags);
        if passes.is_some() {
            lending::set_passes(passes);
        }
        if link.has_waited() {
            stopwatch.pause();
        }
        stopwatch.begin(Instant::now);
        let kind = desk.answer(host, head, rest).ok_or_else(torn)?;
        let nanos = stopwatch.end(Instant::now);
        if passes.is_some() {
            lending::set_passes(None);
        }
        let (kind, flags) = desk.finish(host, kind, lease);
        let head = AnswerHead { nanos, kind, flags }.to_bytes();
        link.answer(&[&head, &desk.lists, desk.body()])?;
        if host.answered() {
            stopwatch.pause();
        }
    }
}

/// What a worker has before it while it works: the answer it is writing, and what has been lent.
#[derive(Default)]
struct Desk {
    answer: Vec<u8>,
    /// The place of the answer, if it was too long for a frame.
    place: Option<[u8; 16]>,
    lists: Vec<u8>,
    /// How many requests were answered before, by which the parent knows what it has lent.
    answered: u64,
    returned: Arc<Returned>,
    /// What the parent looks at; each block is lent once at a time.
    lent: HashMap<u64, Arc<Block>>,
}

impl Desk {
    /// The parent has done with these.
    fn take_back(&mut self, blocks: &[u64]) {
        for block in blocks {
            self.lent.remove(block);
        }
    }

    /// What comes with a request, if something does.
    fn borrow(&mut self, flags: Flags) -> Option<Arc<Lease>> {
        let number = self.answered;
        self.answered += 1;
        if !flags.has(Flags::LENDS) {
            return None;
        }
        let lease = Arc::new(Lease::new(vec![number], true, &self.returned));
        lending::with_carrier(|carrier| carrier.lease = Some(Arc::clone(&lease)));
        Some(lease)
    }

    /// Writes the answer. `None`: the request is none.
    fn answer(&mut self, host: &mut dyn Perform, head: RequestHead, body: &[u8]) -> Option<Kind> {
        self.answer.clear();
        self.place = None;
        let view = if head.flags.has(Flags::SPILLED) {
            let (offset, len) = parse_place(body)?;
            Some(lending::with_carrier(|carrier| carrier.view(Place { offset, len }))?.ok()?)
        } else {
            None
        };
        let body = view.as_ref().map_or(body, Borrowed::bytes);
        if !head.flags.has(Flags::PLAIN) {
            return Some(host.perform(head, body, &mut self.answer));
        }
        // What lies in this worker's memory cannot be seen where the answer goes.
        let arena = lending::with_carrier(|carrier| carrier.arena.take()).flatten();
        let kind = host.perform(head, body, &mut self.answer);
        lending::with_carrier(|carrier| carrier.arena = arena);
        Some(kind)
    }

    /// Settles what was borrowed and what is lent; what the answer has to say of it.
    fn finish(
        &mut self,
        host: &mut dyn Perform,
        mut kind: Kind,
        lease: Option<Arc<Lease>>,
    ) -> (Kind, Flags) {
        let mut flags = Flags::default();
        let lent = lending::with_carrier(|carrier| {
            carrier.lease = None;
            let arena = carrier.arena.as_ref().filter(|_| self.answer.len() > MOST_IN_FRAME);
            match arena.map(|arena| spill(&self.answer, arena)) {
                None => (),
                Some(Ok(block)) => {
                    let Place { offset, len } = block.place();
                    self.place = Some(place_to_bytes(offset, len));
                    carrier.lent.push(block);
                }
                Some(Err(why)) => {
                    carrier.lent.clear();
                    self.answer.clear();
                    kind = host.no_room(why, &mut self.answer);
                }
            }
            std::mem::take(&mut carrier.lent)
        });
        let lent = lent.unwrap_or_default();
        if let Some(lease) = lease {
            match Arc::try_unwrap(lease) {
                Ok(lease) => lease.end_quietly(),
                // Told when the last who looks at it has gone.
                Err(shared) => {
                    drop(shared);
                    flags.set(Flags::KEEPS, true);
                }
            }
        }
        let ids: Vec<u64> = lent.iter().map(|block| block.place().offset).collect();
        let returned = self.returned.take();
        self.lists.clear();
        write_list(&ids, &mut self.lists);
        write_list(&returned, &mut self.lists);
        flags.set(Flags::LENDS, !ids.is_empty());
        flags.set(Flags::RETURNS, !returned.is_empty());
        flags.set(Flags::SPILLED, self.place.is_some());
        flags.set(Flags::SPOKE, nested::has_spoken());
        flags.set(Flags::SHARED, lent.iter().any(|block| Arc::strong_count(block) > 1));
        if !ids.is_empty() {
            self.lent.extend(ids.into_iter().zip(lent));
        }
        (kind, flags)
    }

    /// What the frame ends with.
    fn body(&self) -> &[u8] {
        self.place.as_ref().map_or(&self.answer, |place| place)
    }
}
