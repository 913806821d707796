//! The way from a future that is cancelled while it runs to the pool that has to stop its task: pools
//! are found by their numbers, which is all that a running task keeps of its pool.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A pool that can stop a task of its own.
pub(super) trait Stops: Send + Sync {
    /// Stops the task at this address.
    fn stop(&self, address: usize);
}

static POOLS: Mutex<Vec<(NonZeroU32, Weak<dyn Stops>)>> = Mutex::new(Vec::new());

/// Makes a pool known as long as it lives.
pub(super) fn know(number: NonZeroU32, pool: &Arc<dyn Stops>) {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    pools.retain(|(_, pool)| pool.strong_count() > 0);
    pools.push((number, Arc::downgrade(pool)));
}

/// Has the pool of this number stop the task at this address.
pub(crate) fn stop(number: NonZeroU32, address: usize) {
    let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let pool = pools.iter().find(|(of, _)| *of == number).and_then(|(_, pool)| pool.upgrade());
    drop(pools);
    if let Some(pool) = pool {
        pool.stop(address);
    }
}
