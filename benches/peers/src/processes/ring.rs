//! Bare rings in shared memory: the floor of a pool that makes no system call while there is work.

use std::hint;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{bail, ensure};
use manyhands_bench::process::{
    Kind, Load, ProcessContestant, Work, add, in_a_crowd, micros, round_trips,
};
use manyhands_shm::{Doorbell, ParentEnd, Shape, WorkerEnd};
use rustix::event::{PollFd, PollFlags, poll};

use super::other_end::{OtherEnd, serve};

const WORKER: &str = "MANYHANDS_BENCH_RING";

/// How often one looks before one sleeps: well longer than it takes to wake somebody on another core. A tenth of it
/// was measured to be slower on idle cores than not to spin at all.
const LOOKS: u32 = 10_000;

pub(super) fn contestant() -> ProcessContestant {
    ProcessContestant {
        name: "ring",
        how: "a pair of rings in shared memory for each worker, nothing but numbers in them; both sides spin a little, \
              then sleep",
        kind: Kind::Floor,
        fits: |work| matches!(work, Work::Bulk { .. } | Work::RoundTrips { .. }),
        run,
    }
}

/// The first thing in `main`: does not return in a worker process.
pub(super) fn init() {
    serve("ring", WORKER, work);
}

/// Its memory is what it finds as standard input, and the doorbell as standard output.
fn work() -> anyhow::Result<()> {
    let memory = io::stdin().as_fd().try_clone_to_owned()?;
    let doorbell = io::stdout().as_fd().try_clone_to_owned()?;
    let mut end = WorkerEnd::open(memory, [doorbell.try_clone()?, doorbell])?;
    loop {
        if let Some(frame) = end.claim()? {
            let sum = add(u64::from_ne_bytes(frame[..8].try_into()?), 1);
            end.send(&[&sum.to_ne_bytes()])?;
        } else if !seen_soon(|| end.has_offer()) {
            end.sleep(None);
        }
    }
}

fn seen_soon(is_there: impl Fn() -> bool) -> bool {
    (0..LOOKS).any(|_| {
        hint::spin_loop();
        is_there()
    })
}

fn run(load: &Load) -> anyhow::Result<Vec<f64>> {
    let mut rings = Rings::start(load.workers)?;
    rings.bulk(1_000)?;
    match load.work {
        Work::Bulk { tasks } => {
            let begin = Instant::now();
            rings.bulk(tasks)?;
            Ok(vec![micros(begin.elapsed()) / f64::from(tasks)])
        }
        Work::RoundTrips { trips, crowded, at_most } => {
            let mut run = || {
                round_trips(trips, at_most, |trip| {
                    rings.workers[0].end.offer(&[&u64::from(trip).to_ne_bytes()])?;
                    ensure!(rings.number(0)? == u64::from(trip) + 1, "a wrong number");
                    Ok(())
                })
            };
            if crowded { in_a_crowd(run) } else { run() }
        }
        _ => bail!("not for rings"),
    }
}

struct Rings {
    doorbell: Doorbell,
    workers: Vec<Worker>,
    answer: Vec<u8>,
}

struct Worker {
    _process: OtherEnd,
    end: ParentEnd,
}

impl Rings {
    fn start(workers: usize) -> anyhow::Result<Self> {
        let doorbell = Doorbell::create()?;
        let start = |_| {
            let end = ParentEnd::create(Shape::default())?;
            let process = OtherEnd::start(WORKER, end.memory(), doorbell.fd())?;
            Ok(Worker { _process: process, end })
        };
        let workers = (0..workers).map(start).collect::<io::Result<_>>()?;
        Ok(Self { doorbell, workers, answer: Vec::new() })
    }

    fn bulk(&mut self, tasks: u32) -> anyhow::Result<()> {
        let mut sum = 0;
        for task in 0..tasks {
            let turn = usize::try_from(task)? % self.workers.len();
            while self.workers[turn].end.offer(&[&u64::from(task).to_ne_bytes()]).is_err() {
                sum += self.number(turn)?;
            }
        }
        for turn in 0..self.workers.len() {
            while self.workers[turn].end.in_flight() > 0 {
                sum += self.number(turn)?;
            }
        }
        let expected = u64::from(tasks) * (u64::from(tasks) + 1) / 2;
        ensure!(sum == expected, "the numbers sum up to {sum} and not to {expected}");
        Ok(())
    }

    /// Waits for the next answer of this worker.
    fn number(&mut self, worker: usize) -> anyhow::Result<u64> {
        let end = &mut self.workers[worker].end;
        while !end.receive(&mut self.answer)? {
            if seen_soon(|| end.has_answer()) || end.set_asleep(0) {
                continue;
            }
            poll(&mut [PollFd::new(&self.doorbell.fd(), PollFlags::IN)], None)?;
            self.doorbell.clear();
            end.set_awake();
        }
        end.release(1)?;
        Ok(u64::from_ne_bytes(self.answer[..].try_into()?))
    }
}
