//! `wait`: for all of several futures, for the first to complete, or for the first to fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::completion::distinct;
use crate::future::{Future, Watcher, deadline, targets};
use crate::nested::graph::How;
use crate::nested::{self, Woken};
use crate::ready::Ready;

/// When [`wait`] returns. The names are those of `concurrent.futures` and of its 2009 proposal.
///
/// ```
/// use manyhands::{Executor, Future, InlineExecutor, ReturnWhen, wait};
///
/// let futures = [InlineExecutor::new().spawn(|| 1)?, Future::new()];
/// let first = wait(futures.clone(), None, ReturnWhen::FirstCompleted);
/// assert_eq!(first.done, futures[..1]);
/// let now = wait(futures.clone(), None, ReturnWhen::Immediately);
/// assert_eq!(now.not_done, futures[1..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// When any future has ended or is cancelled.
    FirstCompleted,
    /// When any future has failed (cancelling is no failure), or else when all have ended.
    FirstException,
    /// When all futures have ended.
    #[default]
    AllCompleted,
    /// At once: the 2009 proposal's `RETURN_IMMEDIATELY`.
    Immediately,
}

/// What [`wait`] returns: the futures it was given, sorted, each once and in the order given.
///
/// ```
/// use manyhands::{DoneAndNotDone, Executor, Future, InlineExecutor, ReturnWhen, wait};
///
/// let (ended, pending) = (InlineExecutor::new().spawn(|| 1)?, Future::new());
/// let DoneAndNotDone { done, not_done } =
///     wait([pending.clone(), ended.clone()], None, ReturnWhen::FirstCompleted);
/// assert_eq!((done, not_done), (vec![ended], vec![pending]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DoneAndNotDone<T: Send, E: Send + Sync = std::convert::Infallible> {
    /// Those that have ended or are cancelled.
    pub done: Vec<Future<T, E>>,
    /// Those that are pending or running.
    pub not_done: Vec<Future<T, E>>,
}

/// Waits for `futures`, `timeout` at the longest (`None`: for as long as it takes), until the
/// condition `return_when` holds. Never fails: what has not ended by then is in `not_done`; also what never
/// will end, because it waits for the task that calls this ([`Deadlock`](crate::Deadlock), which is logged).
///
/// The futures may belong to different executors. A bare future (one of [`Future::new`]) that was
/// cancelled counts as not done until its executor has been told, as in CPython.
///
/// To take "whichever is done next" again and again, use [`as_completed`](crate::as_completed) or a
/// [`CompletionQueue`](crate::CompletionQueue): this function looks at every future at every call.
///
/// ```
/// use manyhands::{Executor, ReturnWhen, ThreadPoolExecutor, wait};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let futures = [pool.spawn(|| 1)?, pool.spawn(|| 2)?];
/// let sorted = wait(futures, None, ReturnWhen::AllCompleted);
/// assert_eq!(sorted.done.len(), 2);
/// assert!(sorted.not_done.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wait<T: Send, E: Send + Sync>(
    futures: impl IntoIterator<Item = Future<T, E>>,
    timeout: impl Into<Option<Duration>>,
    return_when: ReturnWhen,
) -> DoneAndNotDone<T, E> {
    let deadline = deadline(timeout.into());
    let futures: Vec<_> = distinct(futures).collect();

    let notified = |future: &Future<T, E>| future.state().is_notified();
    let fulfilled = match return_when {
        ReturnWhen::AllCompleted => false,
        ReturnWhen::Immediately => true,
        ReturnWhen::FirstCompleted => futures.iter().any(notified),
        ReturnWhen::FirstException => futures.iter().any(Future::has_failed),
    };
    if !fulfilled {
        let ready = Arc::new(Ready::new());
        let watch = |(number, future): (usize, &Future<T, E>)| {
            let watched = future.watch(Watcher::Ready(Arc::clone(&ready), number));
            watched.is_err().then_some(number)
        };
        // Those that have ended by now, perhaps only just: as if they had told the queue themselves.
        let ended: Vec<_> = futures.iter().enumerate().filter_map(watch).collect();
        ready.push(ended);
        let all = futures.len();
        let wait = |wanted, how| wait_until(&ready, wanted, deadline, &futures, how);
        match return_when {
            ReturnWhen::Immediately => (),
            ReturnWhen::FirstCompleted => {
                wait(all.min(1), How::Any);
            }
            ReturnWhen::AllCompleted => {
                if deadline.is_none() {
                    futures.iter().for_each(Future::run_if_parents);
                }
                wait(all, How::All);
            }
            ReturnWhen::FirstException => {
                let next = |_| if wait(1, How::Any) { ready.pop(deadline) } else { None };
                (0..all).map_while(next).find(|&n| futures[n].has_failed());
            }
        }
        for future in futures.iter().filter(|future| !notified(future)) {
            future.forget(&ready);
        }
    }
    let (done, not_done) = futures.into_iter().partition(notified);
    DoneAndNotDone { done, not_done }
}

/// Waits until so many numbers are there; whether they are.
fn wait_until<T: Send, E: Send + Sync>(
    ready: &Arc<Ready>,
    wanted: usize,
    deadline: Option<Instant>,
    futures: &[Future<T, E>],
    how: How,
) -> bool {
    if !nested::in_task() {
        return ready.wait_for_all(wanted, deadline);
    }
    // All are wanted, so nothing is lost by running one in place.
    if how == How::All && deadline.is_none() {
        for future in futures {
            future.run_in_place();
        }
    }
    let left = || futures.iter().filter(|future| !future.done());
    let for_left = || targets(left(), how);
    let own = left().any(|future| nested::is_own(future.pool()));
    matches!(nested::sleep_here(ready, wanted, own, &for_left, deadline), Woken::Ended)
}
