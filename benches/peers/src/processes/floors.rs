//! What no pool can be faster than, as long as it uses the same means: bare pipes and sockets between two processes,
//! a bare process, a bare copy.

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use manyhands_bench::process::{
    FILLING, Kind, Load, ProcessContestant, Work, in_a_crowd, micros, millis, round_trips,
};

use super::end_with_parent;

/// What the process at the other end finds in its environment: what it shall do.
const PART: &str = "MANYHANDS_BENCH_FLOOR";
const ECHO: &str = "echo";
const DRAIN: &str = "drain";
const END: &str = "end";

/// As long as the messages that are streamed one way.
const MESSAGE: [u8; 64] = [FILLING; 64];

/// What is sent there and back: as much as a number.
const NUMBER: usize = 8;

pub(super) fn contestants() -> Vec<ProcessContestant> {
    let floor =
        |name, how, fits, run| ProcessContestant { name, how, kind: Kind::Floor, fits, run };
    vec![
        floor("pipe", PIPE, talks, |load| talk(load, pipes)),
        floor("socket", SOCKET, talks, |load| talk(load, sockets)),
        floor("process", PROCESS, |work| matches!(work, Work::Start | Work::Recycle { .. }), spawn),
        floor("memcpy, warm", WARM, copies, |load| copy(load, true)),
        floor("memcpy, fresh", FRESH, copies, |load| copy(load, false)),
    ]
}

const PIPE: &str = "two pipes to one process: 64 bytes a message one way, a `write` each, read in large pieces; 8 bytes \
     there and back";
const SOCKET: &str = "the same with a pair of Unix stream sockets";
const PROCESS: &str =
    "this binary executed again, to end at once: `Command::status`, one after the other";
const WARM: &str = "the bytes copied to where bytes have been before";
const FRESH: &str = "the bytes copied to newly allocated memory";

/// The first thing in `main`: does not return in the process at the other end.
pub(super) fn init() {
    if let Ok(part) = env::var(PART) {
        end_with_parent();
        if part != END {
            // The parent has gone: nothing is left to do.
            let _ = answer(&part);
        }
        process::exit(0);
    }
}

/// Reads standard input, and answers on standard output.
fn answer(part: &str) -> io::Result<()> {
    // Not as `Stdin` and `Stdout`: those have buffers of their own.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; 1 << 16];
    let mut drained = 0_u64;
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        drained += count as u64;
        // While it drains it answers once, to what ends the stream.
        if part == ECHO || buffer[count - 1] != FILLING {
            output.write_all(&drained.to_ne_bytes())?;
        }
    }
}

type Ends = (Box<dyn Write>, Box<dyn Read>, Child);

fn pipes(command: &mut Command) -> anyhow::Result<Ends> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(input), Some(output)) => Ok((Box::new(input), Box::new(output), child)),
        _ => bail!("the process has no pipes"),
    }
}

fn sockets(command: &mut Command) -> anyhow::Result<Ends> {
    let (ours, theirs) = UnixStream::pair()?;
    let again = OwnedFd::from(theirs.try_clone()?);
    let child = command.stdin(OwnedFd::from(theirs)).stdout(again).spawn()?;
    Ok((Box::new(ours.try_clone()?), Box::new(ours), child))
}

fn talks(work: &Work) -> bool {
    matches!(work, Work::Bulk { .. } | Work::RoundTrips { .. })
}

fn talk(load: &Load, ends: fn(&mut Command) -> anyhow::Result<Ends>) -> anyhow::Result<Vec<f64>> {
    let start = |part| {
        let mut command = Command::new("/proc/self/exe");
        // The command keeps its ends of the sockets open, so it must go before anybody waits for the process.
        ends(command.env(PART, part))
    };
    let (result, child) = match load.work {
        Work::Bulk { tasks } => {
            let (to, from, child) = start(DRAIN)?;
            (stream(to, from, tasks), child)
        }
        Work::RoundTrips { trips, crowded, at_most } => {
            let (to, from, child) = start(ECHO)?;
            let run = || ping(to, from, trips, at_most);
            (if crowded { in_a_crowd(run) } else { run() }, child)
        }
        _ => bail!("not for pipes and sockets"),
    };
    // Both ends are closed, so that it finds the end of its input.
    end(child)?;
    result
}

fn end(mut child: Child) -> anyhow::Result<()> {
    let status = child.wait()?;
    ensure!(status.success(), "the process at the other end: {status}");
    Ok(())
}

fn stream(mut to: impl Write, mut from: impl Read, messages: u32) -> anyhow::Result<Vec<f64>> {
    let begin = Instant::now();
    for _ in 1..messages {
        to.write_all(&MESSAGE)?;
    }
    to.write_all(&[!FILLING; MESSAGE.len()])?;
    let drained = number(&mut from)?;
    let elapsed = begin.elapsed();
    ensure!(drained == u64::from(messages) * MESSAGE.len() as u64, "{drained} bytes arrived");
    Ok(vec![micros(elapsed) / f64::from(messages)])
}

fn ping(
    mut to: impl Write,
    mut from: impl Read,
    trips: u32,
    at_most: Duration,
) -> anyhow::Result<Vec<f64>> {
    round_trips(trips, at_most, |trip| {
        to.write_all(&u64::from(trip).to_ne_bytes())?;
        let answered = number(&mut from)?;
        ensure!(answered == (u64::from(trip) + 1) * NUMBER as u64, "{answered} bytes arrived");
        Ok(())
    })
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; NUMBER];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn spawn(load: &Load) -> anyhow::Result<Vec<f64>> {
    let processes = match load.work {
        Work::Recycle { tasks } => tasks,
        _ => 1,
    };
    let begin = Instant::now();
    for _ in 0..processes {
        let status = Command::new("/proc/self/exe").env(PART, END).status()?;
        ensure!(status.success(), "the process: {status}");
    }
    Ok(vec![millis(begin.elapsed()) / f64::from(processes)])
}

fn copies(work: &Work) -> bool {
    matches!(work, Work::In { .. } | Work::Out { .. } | Work::ManyIn { .. })
}

fn copy(load: &Load, warm: bool) -> anyhow::Result<Vec<f64>> {
    let (length, copies, unit): (_, _, fn(Duration) -> f64) = match load.work {
        Work::In { length } | Work::Out { length } => (length, 1, millis),
        Work::ManyIn { buffers, length } => (length, buffers, micros),
        _ => bail!("not for memcpy"),
    };
    let from = vec![FILLING; length];
    let mut to = vec![!FILLING; length];
    let begin = Instant::now();
    for _ in 0..copies {
        if warm {
            to.copy_from_slice(black_box(&from));
        } else {
            black_box(black_box(&from).clone());
        }
        black_box(&mut to);
    }
    let elapsed = begin.elapsed();
    Ok(vec![unit(elapsed) / f64::from(copies)])
}
