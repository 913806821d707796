//! A bare hand-over by futex between two processes: what a round trip takes where nobody spins.

use std::io;
use std::os::fd::AsFd;

use anyhow::{bail, ensure};
use manyhands_bench::process::{Kind, Load, ProcessContestant, Work, in_a_crowd, round_trips};
use manyhands_shm::Doorbell;

use super::other_end::{OtherEnd, serve};

const WORKER: &str = "MANYHANDS_BENCH_FUTEX";

pub(super) fn contestant() -> ProcessContestant {
    ProcessContestant {
        name: "futex",
        how: "a process woken by a futex, and its parent by another; nothing is handed over, and nobody spins",
        kind: Kind::Floor,
        fits: |work| matches!(work, Work::RoundTrips { .. }),
        run,
    }
}

/// The first thing in `main`: does not return in the process at the other end.
pub(super) fn init() {
    serve("futex", WORKER, work);
}

/// What it sleeps on is what it finds as standard input, and what its parent sleeps on as standard output.
fn work() -> io::Result<()> {
    let there = Doorbell::open(io::stdin().as_fd().try_clone_to_owned()?)?;
    let back = Doorbell::open(io::stdout().as_fd().try_clone_to_owned()?)?;
    loop {
        if there.wait(None)? {
            back.ring();
        }
    }
}

fn run(load: &Load) -> anyhow::Result<Vec<f64>> {
    let Work::RoundTrips { trips, crowded, at_most } = load.work else {
        bail!("only for round trips")
    };
    let (there, back) = (Doorbell::to_sleep_on()?, Doorbell::to_sleep_on()?);
    let _worker = OtherEnd::start(WORKER, there.fd(), back.fd())?;
    let run = || {
        round_trips(trips, at_most, |_| {
            there.ring();
            while !back.wait(None)? {}
            ensure!(!back.clear(), "rung twice");
            Ok(())
        })
    };
    if crowded { in_a_crowd(run) } else { run() }
}
