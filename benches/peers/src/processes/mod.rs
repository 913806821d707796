//! The peers of pools of worker processes, and the floors below them all.

mod floors;
mod inline;
mod ipc_bare;
mod ipc_channel;
mod procspawn;
mod python;

use std::process;

use manyhands_bench::process::{Kind, ProcessContestant};
use rustix::process::{Signal, set_parent_process_death_signal};

/// The first thing in `main`: does not return in a worker process.
pub fn init() {
    // manyhands comes first here, once it has worker processes: `manyhands_bench::process::Manyhands::init()`.
    procspawn::init();
    ipc_channel::init();
    floors::init();
    // `ring.rs`, once there is the crate `manyhands-shm`: `ring::init()`.
}

/// All peers and floors.
pub fn contestants() -> Vec<ProcessContestant> {
    // And here: `ProcessContestant::of::<manyhands_bench::process::Manyhands>(Kind::Ours)`.
    let mut all = vec![
        ProcessContestant::of::<procspawn::Procspawn>(Kind::Peer),
        ProcessContestant::of::<ipc_channel::IpcChannel>(Kind::Peer),
    ];
    all.extend(python::contestants());
    all.push(ProcessContestant::of::<ipc_bare::IpcBare>(Kind::Floor));
    all.extend(floors::contestants());
    // And `all.push(ring::contestant())`.
    all
}

/// Worker processes never outlive the run, not even one that is killed.
fn end_with_parent() {
    if let Err(reason) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("a worker process cannot be told when its parent dies: {reason}");
        process::exit(1);
    }
}
