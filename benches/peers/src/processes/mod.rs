//! The peers of pools of worker processes, and the floors below them all.

mod floors;
mod futex;
mod inline;
mod ipc_bare;
mod ipc_channel;
mod other_end;
mod procspawn;
mod python;
mod ring;

use std::process;

use manyhands_bench::process::{Kind, Manyhands, ProcessContestant};
use rustix::process::{Signal, set_parent_process_death_signal};

/// The first thing in `main`: does not return in a worker process.
pub fn init() {
    Manyhands::init();
    procspawn::init();
    ipc_channel::init();
    floors::init();
    futex::init();
    ring::init();
}

/// All peers and floors.
pub fn contestants() -> Vec<ProcessContestant> {
    let mut all = vec![
        ProcessContestant::of::<Manyhands>(Kind::Ours),
        ProcessContestant::of::<procspawn::Procspawn>(Kind::Peer),
        ProcessContestant::of::<ipc_channel::IpcChannel>(Kind::Peer),
    ];
    all.extend(python::contestants());
    all.push(ProcessContestant::of::<ipc_bare::IpcBare>(Kind::Floor));
    all.extend(floors::contestants());
    all.push(futex::contestant());
    all.push(ring::contestant());
    all
}

/// Worker processes never outlive the run, not even one that is killed.
fn end_with_parent() {
    if let Err(reason) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("a worker process cannot be told when its parent dies: {reason}");
        process::exit(1);
    }
}
