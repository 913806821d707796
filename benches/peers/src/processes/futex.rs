//! A bare hand-over by futex: what a round trip takes where nobody spins.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{bail, ensure};
use manyhands_bench::process::{Kind, Load, ProcessContestant, Work, in_a_crowd, round_trips};
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};

/// A number that no trip has.
const END: u32 = u32::MAX;

pub(super) fn contestant() -> ProcessContestant {
    ProcessContestant {
        name: "futex",
        how: "a number handed to another thread of this process and back, a futex each way, nobody spins",
        kind: Kind::Floor,
        fits: |work| matches!(work, Work::RoundTrips { .. }),
        run,
    }
}

fn run(load: &Load) -> anyhow::Result<Vec<f64>> {
    let Work::RoundTrips { trips, crowded, at_most } = load.work else {
        bail!("only for round trips")
    };
    let (there, back) = (Word::default(), Word::default());
    thread::scope(|scope| {
        let other = scope.spawn(|| -> io::Result<()> {
            let mut seen = 0;
            while seen != END {
                seen = there.wait_while(seen)?;
                back.set(seen)?;
            }
            Ok(())
        });
        let run = || {
            round_trips(trips, at_most, |trip| {
                there.set(trip + 1)?;
                ensure!(back.wait_while(trip)? == trip + 1, "a wrong number");
                Ok(())
            })
        };
        let figures = if crowded { in_a_crowd(run) } else { run() };
        there.set(END)?;
        other.join().expect("it does not panic")?;
        figures
    })
}

#[derive(Default)]
struct Word(AtomicU32);

impl Word {
    fn set(&self, number: u32) -> io::Result<()> {
        self.0.store(number, Ordering::Release);
        futex::wake(&self.0, Flags::PRIVATE, 1)?;
        Ok(())
    }

    /// Sleeps until it is another number than this, and yields that.
    fn wait_while(&self, number: u32) -> io::Result<u32> {
        loop {
            let now = self.0.load(Ordering::Acquire);
            if now != number {
                return Ok(now);
            }
            match futex::wait(&self.0, Flags::PRIVATE, number, None) {
                // It has changed meanwhile, or a signal came: look again.
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
