//! Pools by their numbers, which is all that a task keeps of its pool: for a future that is cancelled
//! while its task runs, and for a thread that waits for one.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::nested::{self, PARENTS};
use super::stand_in;

pub use crate::listening::Awaited;

/// What a task asks of its pool.
pub(super) trait Known: Send + Sync {
    /// Stops the task at this address.
    fn stop(&self, address: usize);

    /// Sees to the pool's answers as long as the calling thread waits for `task`.
    fn attend(&self, task: &dyn Awaited, deadline: Option<Instant>);
}

static POOLS: Mutex<Vec<(NonZeroU32, Weak<dyn Known>)>> = Mutex::new(Vec::new());

/// Makes a pool known as long as it lives.
pub(super) fn know(number: NonZeroU32, pool: &Arc<dyn Known>) {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|(_, pool)| pool.strong_count() > 0);
    pools.push((number, Arc::downgrade(pool)));
}

/// Has the pool of this number stop the task at this address.
pub fn stop(number: NonZeroU32, address: usize) {
    if number == PARENTS {
        nested::stop(address);
    } else if let Some(pool) = pool(number) {
        pool.stop(address);
    }
}

/// Has the pool of this number attended to while the calling thread waits for `task`. Returns when that
/// is done, or the deadline is over, or somebody else attends to it.
pub fn attend(number: NonZeroU32, task: &dyn Awaited, deadline: Option<Instant>) {
    if number == PARENTS {
        if deadline.is_none() {
            nested::run_in_place(task);
        }
    } else if let Some(pool) = pool(number) {
        if !task.is_done() {
            stand_in::hand_over();
        }
        pool.attend(task, deadline);
    }
}

fn pool(number: NonZeroU32) -> Option<Arc<dyn Known>> {
    let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.iter().find(|(of, _)| *of == number).and_then(|(_, pool)| pool.upgrade())
}
