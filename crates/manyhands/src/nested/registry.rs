//! The wait-for graph of this process: its lock, and who is told of a cycle.
//!
//! Whoever closes a cycle finds it, for each one adds its wait and looks for a cycle without letting go of
//! the lock in between. It also tells all in the cycle before it lets go; so one who has taken its wait out
//! of the graph will not be told any more.
//!
//! What a future is made from may have changed since a wait was added. So before anybody is told, all waits
//! that are stuck are asked whether what they say is still so: without the lock, for to look at a future may
//! drop it. As long as the same waits are there afterwards, all was true at the moment in between. If it was
//! not, one of them will look again.

use std::sync::Arc;

use super::graph::{Wait, WaitGraph, WaitId, Waits};
use crate::errors::Deadlock;
use crate::sync::{Mutex, MutexGuard, sabotaged};

/// The waits of all tasks of this process that have lasted for a while.
struct Registry(Mutex<WaitGraph<dyn Waits>>);

#[cfg(not(loom))]
static REGISTRY: Registry = Registry(Mutex::new(WaitGraph::new()));

#[cfg(loom)]
loom::lazy_static! {
    static ref REGISTRY: Registry = Registry(Mutex::new(WaitGraph::new()));
}

/// A wait in the graph, until it is dropped.
#[must_use = "the wait is in the graph as long as this lives"]
#[derive(Debug)]
pub struct Registered(Option<WaitId>);

/// Puts a wait without a timeout into the graph of this process. If it closes a cycle, all that are in it
/// are told to give up, before this returns.
pub fn register(wait: Wait<dyn Waits>) -> Registered {
    // None: it stays behind in the process that this one was forked from. Then no deadlock is found here, and
    // nobody hangs for that.
    let Some(mut waits) = REGISTRY.0.lock_unless_orphaned() else { return Registered(None) };
    let id = waits.add(wait);
    let Some(waits) = find_stuck(waits, id) else { return Registered(Some(id)) };
    let Some(cycle) = waits.cycle(id) else { return Registered(Some(id)) };
    let deadlock = Deadlock::new(waits.describe(&cycle));
    let all = if sabotaged("nested_tells_one_of_a_cycle") { 1 } else { cycle.len() };
    for waiter in waits.waiters(&cycle).take(all) {
        waiter.give_up(&deadlock);
    }
    drop(waits);
    log::warn!("{deadlock}");
    Registered(Some(id))
}

type Locked = MutexGuard<'static, WaitGraph<dyn Waits>>;

/// The graph locked, if this wait is stuck in it.
fn find_stuck(mut waits: Locked, id: WaitId) -> Option<Locked> {
    let mut stuck = waits.stuck_with(id)?;
    loop {
        let asked: Vec<_> = waits.waiters(&stuck).map(Arc::clone).collect();
        drop(waits);
        if !asked.iter().all(|waiter| waiter.is_up_to_date()) {
            return None;
        }
        waits = REGISTRY.0.lock_unless_orphaned()?;
        let still = waits.stuck_with(id)?;
        if still.is_subset(&stuck) {
            return Some(waits);
        }
        stuck = still;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(id) = self.0
            && let Some(mut waits) = REGISTRY.0.lock_unless_orphaned()
        {
            let wait = waits.remove(id);
            drop(waits);
            drop(wait);
        }
    }
}
