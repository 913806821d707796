//! What a worker process does, from its first moment to its last.

use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::birth::{self, Arrival, Transport};
use super::link::ring::RingWorkerLink;
use super::link::socket::SocketWorkerLink;
use super::link::{LinkError, StopToken, WorkerLink};
use super::program::Program;
use crate::crossing::{AnswerHead, Failure, Kind, Lies, Registry, RequestHead, fail, perform};
use crate::panic;

/// How long a newborn waits for its parent's first words.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of a worker that cannot work, as those of `sysexits.h`.
const EX_SOFTWARE: i32 = 70;

static STOP: Mutex<Option<StopToken>> = Mutex::new(None);

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
    STOP.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(StopToken::is_set)
}

/// Works, and does not return, in a process that was started as a worker.
pub(super) fn become_one_if_started_so(program: &Program) {
    match birth::arrive(program.registry.build_id(), PATIENCE) {
        Ok(None) => (),
        Ok(Some(arrival)) => exit(match work(arrival, &program.registry) {
            Ok(()) | Err(LinkError::Closed) => 0,
            Err(error) => {
                eprintln!("manyhands: a worker process cannot go on: {error}");
                EX_SOFTWARE
            }
        }),
        Err(error) => {
            eprintln!("manyhands: this process was started as a worker and cannot be one: {error}");
            exit(EX_SOFTWARE);
        }
    }
}

fn work(arrival: Arrival, registry: &Registry) -> Result<(), LinkError> {
    panic::take_backtraces();
    let Arrival { hello, fds, reply } = arrival;
    if let Err(reason) = initialise(registry, &hello.initializer) {
        return Ok(reply.refuse(&reason)?);
    }
    match hello.transport {
        Transport::Socket => {
            let socket = reply.ready()?;
            serve(&mut SocketWorkerLink::new(socket)?, registry)
        }
        Transport::SharedMemory => {
            let mut link = RingWorkerLink::open(fds)?;
            let _lifeline = reply.ready()?;
            serve(&mut link, registry)
        }
    }
}

/// Calls the initializer, if there is one.
fn initialise(registry: &Registry, initializer: &[u8]) -> Result<(), String> {
    let Some((function, arguments)) = initializer.split_first_chunk() else { return Ok(()) };
    let function = registry
        .of_id(u64::from_le_bytes(*function))
        .ok_or("the initializer is not among the declared functions")?;
    let mut answer = Vec::new();
    match perform(&**function, Kind::One, arguments, &mut answer) {
        Kind::Failed => Err(match Failure::read(&answer) {
            Ok(Some(failure)) => failure.into_exception::<String>().to_string(),
            _ => "it does not say how".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// THE WORKER LOOP.
fn serve(link: &mut dyn WorkerLink, registry: &Registry) -> Result<(), LinkError> {
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    loop {
        request.clear();
        match link.claim(None)? {
            Some(frame) => request.extend_from_slice(frame),
            None => continue,
        }
        let Some((head, body)) = RequestHead::parse(&request) else {
            return Err(LinkError::Torn { why: "a request has no beginning".to_owned() });
        };
        if head.kind == Kind::Leave {
            return Ok(());
        }
        *STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.stop_token());
        answer.clear();
        let begun = Instant::now();
        let kind = match registry.of_id(head.function) {
            Some(function) => perform(&**function, head.kind, body, &mut answer),
            None => fail(&Failure::Arguments("the function is not declared".to_owned()), &mut answer),
        };
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let head = AnswerHead { nanos, kind, body: Lies::InTheFrame };
        link.answer(&[&head.to_bytes(), &answer])?;
    }
}
