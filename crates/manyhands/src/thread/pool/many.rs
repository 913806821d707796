//! How many jobs come in together.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Phase, Pool, Rejection, Worker};
use crate::sync::atomic::Ordering;

/// Jobs queued with one visit to the lock: workers that come meanwhile wait, and should not have to
/// sleep for it.
const AT_ONCE: usize = 64;

impl<J> Pool<J> {
    /// Queues jobs from the front of `jobs` as [`submit`](Pool::submit) would one by one, without
    /// going to the lock for each. `Some`: the host is to start one more thread with this worker, and
    /// to come back with the jobs that are left.
    ///
    /// # Errors
    /// Why the first of the jobs that are left was not accepted. A full queue is not waited for.
    ///
    /// ```
    /// use manyhands::thread::pool::{Pool, Rejection};
    /// use std::collections::VecDeque;
    /// use std::num::NonZeroUsize;
    ///
    /// let pool = Pool::new(NonZeroUsize::MIN, NonZeroUsize::new(2));
    /// let mut jobs = VecDeque::from(["first", "second", "third"]);
    /// let mut worker = pool.submit_all(&mut jobs).unwrap().unwrap();
    /// let full = pool.submit_all(&mut jobs).unwrap_err();
    /// assert_eq!((full, jobs), (Rejection::Full { max_pending: 2 }, VecDeque::from(["third"])));
    /// assert_eq!((worker.next(), worker.next()), (Some("first"), Some("second")));
    /// ```
    pub fn submit_all(&self, jobs: &mut VecDeque<J>) -> Result<Option<Worker<J>>, Rejection> {
        let shared = &self.0;
        let mut added = Ok(None);
        while !jobs.is_empty() && matches!(added, Ok(None)) {
            let mut state = shared.state.lock();
            match &state.phase {
                Phase::Open => (),
                Phase::Closed => return Err(Rejection::Closed),
                Phase::Broken(reason) => return Err(Rejection::Broken(Arc::clone(reason))),
            }
            for _ in 0..AT_ONCE {
                let most = shared.max_pending.filter(|most| state.queue.len() >= most.get());
                if let Some(most) = most {
                    added = Err(Rejection::Full { max_pending: most.get() });
                    break;
                }
                let Some(job) = jobs.pop_front() else { break };
                state.queue.push_back(job);
                if let Some(worker) = shared.add_worker_if_needed(&mut state) {
                    added = Ok(Some(worker));
                    break;
                }
            }
            shared.queued.store(state.queue.len(), Ordering::Release);
            // A wake-up brings one worker, which calls the next if there is work for more.
            if cfg!(not(sabotage = "pool_submit_all_wakes_nobody")) {
                shared.wake_one(state);
            }
        }
        added
    }
}
