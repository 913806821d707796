//! One task as the Rust host has it: its promise with the kinds filled in, what a handle can ask of
//! it, and whom it tells.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::task::{Wake as _, Waker};
use std::time::Instant;

use crate::call_site::CallSite;
use crate::errors::{Deadlock, Exception};
use crate::job::{Carried, Run};
use crate::nested::graph::How;
use crate::panic;
#[cfg(all(target_os = "linux", not(loom)))]
use crate::process;
use crate::promise::{Cancel, Promise, State, Turn, View, Wake, Watch};
use crate::ready::Ready;

use super::Future;
use super::block_on::Alarm;
use super::continuation::Continuation;
use crate::nested::{Source, Sources};

/// A promise as the Rust host has it. An exception is larger than most values and much rarer: it lies elsewhere.
/// Until it ends, it knows where it was submitted, if that is known.
pub(crate) type Core<J, T, E> = Promise<J, T, Box<Exception<E>>, Watcher<T, E>, CallSite>;

type Callback<T, E> = Box<dyn FnOnce(&Future<T, E>) + Send>;

type Look<'a, T, E> = dyn FnMut(View<'_, T, Exception<E>>) + 'a;

/// Whom a Rust promise tells.
pub(crate) enum Watcher<T, E> {
    Callback(Callback<T, E>),
    /// Who polls, told from others by the address of its handle.
    Waker(usize, Waker),
    /// The same, where it does so in `block_on`.
    Blocked(usize, Arc<Alarm>),
    /// A queue of completed futures, and the number of this one in it.
    Ready(Arc<Ready>, usize),
    /// A task that waits for this one alone.
    Task(Arc<Ready>),
    /// What goes on with the outcome.
    Next(Continuation<T, E>),
    /// Nobody: this one ends as that one does.
    Follows(Weak<dyn Source>),
}

impl<T, E> Watch for Watcher<T, E> {
    fn waits_for_notice(&self) -> bool {
        matches!(self, Self::Ready(..))
    }
}

/// The promise behind a handle, whatever job it carries.
pub(crate) trait Handle<T, E>: Send + Sync {
    fn state(&self) -> State;
    /// The number of the pool whose workers may run it.
    fn pool(&self) -> u32;
    /// Itself, if it can be run here.
    fn as_run(self: Arc<Self>) -> Option<Arc<dyn Run>>;
    /// Itself, for those that are made from it.
    fn as_source(self: Arc<Self>) -> Option<Weak<dyn Source>>;
    /// See [`Source::sources`].
    fn sources(&self) -> Option<Sources>;
    /// Whether a process runs it that its waiters have to attend to.
    fn is_away(&self) -> bool;
    /// The number of the executor that it was sent away by.
    fn executor(&self) -> Option<NonZeroU32>;
    fn wait(&self, deadline: Option<Instant>) -> Result<bool, Deadlock>;
    /// As long as somebody waits for it: runs it here, where its executor lets a task that waits do so.
    fn run_if_parents(&self);
    fn look(&self, look: &mut Look<'_, T, E>);
    fn take(&self) -> Option<T>;
    /// The outcome of a task that has ended, its value moved out; `None` if it was cancelled, or taken before.
    fn into_outcome(self: Arc<Self>) -> Option<Result<T, Exception<E>>>;
    fn watch(&self, watcher: Watcher<T, E>) -> Result<(), Watcher<T, E>>;
    fn unwatch(&self, which: &mut dyn FnMut(&Watcher<T, E>) -> bool) -> Wake<Watcher<T, E>>;
    /// `Ok(None)`: cancelled before. Drops the job.
    fn cancel(&self) -> Result<Option<Wake<Watcher<T, E>>>, State>;
    /// As `cancel`, for a task that is running too, if its executor can stop it.
    fn cancel_running(&self) -> Result<Option<Wake<Watcher<T, E>>>, State>;
    fn set_running_or_notify_cancel(&self) -> Result<Turn<Watcher<T, E>>, State>;
    fn finish(&self, outcome: Result<T, Exception<E>>) -> Result<Wake<Watcher<T, E>>, State>;
}

impl<J: Carried<T, E>, T: Send, E: Send + Sync> Handle<T, E> for Core<J, T, E> {
    fn state(&self) -> State {
        Promise::state(self)
    }

    fn pool(&self) -> u32 {
        Promise::pool(self)
    }

    fn as_run(self: Arc<Self>) -> Option<Arc<dyn Run>> {
        J::as_run(self)
    }

    fn as_source(self: Arc<Self>) -> Option<Weak<dyn Source>> {
        J::as_source(self)
    }

    fn sources(&self) -> Option<Sources> {
        Source::sources(self)
    }

    fn is_away(&self) -> bool {
        Promise::executor(self).is_some_and(|number| number != DERIVED)
    }

    fn executor(&self) -> Option<NonZeroU32> {
        Promise::executor(self)
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<bool, Deadlock> {
        #[cfg(all(target_os = "linux", not(loom)))]
        if !Promise::state(self).is_done() {
            let executor = Promise::executor(self);
            if let Some(executor) = executor {
                process::attend(executor, self, deadline);
            }
            let address = (executor == Some(process::PARENTS)).then(|| address(self));
            let one = |address| process::For { tasks: vec![address], how: How::All };
            let what = || address.map(one);
            let _waits = process::waits(what, deadline, |soon| Promise::wait(self, soon));
            return if process::may_last() {
                process::wait_in_graph(|until| Promise::wait(self, until))
            } else {
                Ok(Promise::wait(self, deadline))
            };
        }
        Ok(Promise::wait(self, deadline))
    }

    fn run_if_parents(&self) {
        #[cfg(all(target_os = "linux", not(loom)))]
        if process::is_worker() && Promise::executor(self) == Some(process::PARENTS) {
            process::attend(process::PARENTS, self, None);
        }
    }

    fn look(&self, look: &mut Look<'_, T, E>) {
        Promise::look(self, |view| look(unboxed(&view)));
    }

    fn take(&self) -> Option<T> {
        Promise::take(self)
    }

    fn into_outcome(self: Arc<Self>) -> Option<Result<T, Exception<E>>> {
        let shared = match Arc::try_unwrap(self) {
            Ok(own) => return Some(own.into_outcome()?.map_err(|exception| *exception)),
            Err(shared) => shared,
        };
        Promise::take(&shared).map(Ok).or_else(|| {
            shared.look(|view| match view {
                View::Failed(exception) => Some(Err(Exception::clone(exception))),
                _ => None,
            })
        })
    }

    fn watch(&self, watcher: Watcher<T, E>) -> Result<(), Watcher<T, E>> {
        Promise::watch(self, watcher)
    }

    fn unwatch(&self, which: &mut dyn FnMut(&Watcher<T, E>) -> bool) -> Wake<Watcher<T, E>> {
        Promise::unwatch(self, which)
    }

    fn cancel(&self) -> Result<Option<Wake<Watcher<T, E>>>, State> {
        match Promise::cancel(self) {
            Cancel::Now(job, wake) => {
                panic::drop_caught(job);
                Ok(Some(wake))
            }
            Cancel::Already => Ok(None),
            #[cfg(all(target_os = "linux", not(loom)))]
            Cancel::TooLate(State::Running)
                if Promise::executor(self) == Some(process::PARENTS) =>
            {
                withdraw(self, false)
            }
            Cancel::TooLate(state) => Err(state),
        }
    }

    fn cancel_running(&self) -> Result<Option<Wake<Watcher<T, E>>>, State> {
        #[cfg(all(target_os = "linux", not(loom)))]
        if Promise::executor(self) == Some(process::PARENTS) && process::is_passed(address(self)) {
            return withdraw(self, true);
        }
        let (cancelled, executor) = Promise::cancel_running(self);
        #[cfg(all(target_os = "linux", not(loom)))]
        if let Some(executor) = executor {
            process::stop(executor, address(self));
        }
        #[cfg(not(all(target_os = "linux", not(loom))))]
        debug_assert!(
            executor.is_none_or(|number| number == DERIVED),
            "nobody here has a number to be told by"
        );
        match cancelled {
            Cancel::Now(job, wake) => {
                panic::drop_caught(job);
                Ok(Some(wake))
            }
            Cancel::Already => Ok(None),
            Cancel::TooLate(state) => Err(state),
        }
    }

    fn set_running_or_notify_cancel(&self) -> Result<Turn<Watcher<T, E>>, State> {
        Promise::set_running_or_notify_cancel(self)
    }

    fn finish(&self, outcome: Result<T, Exception<E>>) -> Result<Wake<Watcher<T, E>>, State> {
        Promise::finish(self, outcome.map_err(Box::new), |_| ()).map_err(|(_, state)| state)
    }
}

#[cfg(all(target_os = "linux", not(loom)))]
impl<J: Send, T: Send, E: Send + Sync> process::Awaited for Core<J, T, E> {
    fn address(&self) -> usize {
        address(self)
    }

    fn is_done(&self) -> bool {
        Promise::state(self).is_done()
    }

    fn watch(&self, waker: &Waker) -> bool {
        Promise::watch(self, Watcher::Waker(ATTENDS, waker.clone())).is_ok()
    }

    fn unwatch(&self) {
        let is_it = |watcher: &Watcher<T, E>| matches!(watcher, Watcher::Waker(ATTENDS, _));
        drop(Promise::unwatch(self, is_it));
    }
}

fn unboxed<'a, T, E>(view: &View<'a, T, Box<Exception<E>>>) -> View<'a, T, Exception<E>> {
    match *view {
        View::Unfinished(state) => View::Unfinished(state),
        View::Cancelled => View::Cancelled,
        View::Done(value) => View::Done(value),
        View::Failed(exception) => View::Failed(exception),
        View::Taken => View::Taken,
    }
}

/// In a worker: has the parent cancel it, also if it is `running`.
#[cfg(all(target_os = "linux", not(loom)))]
fn withdraw<J, T, E>(
    core: &Core<J, T, E>,
    running: bool,
) -> Result<Option<Wake<Watcher<T, E>>>, State> {
    let Some(_withdrawn) = process::withdraw(address(core), running) else {
        // One that has come here may have been told of that before the answer.
        let state = Promise::state(core);
        return if state == State::CancelledAndNotified { Ok(None) } else { Err(state) };
    };
    match Promise::cancel_running(core).0 {
        Cancel::Now(_, wake) => Ok(Some(wake)),
        Cancel::Already => Ok(None),
        Cancel::TooLate(state) => Err(state),
    }
}

/// By which the executor of a task knows it.
#[cfg(all(target_os = "linux", not(loom)))]
fn address<J, T, E>(core: &Core<J, T, E>) -> usize {
    std::ptr::from_ref(core).addr()
}

/// The party of a thread that attends to a pool of processes: no handle has this address.
#[cfg(all(target_os = "linux", not(loom)))]
const ATTENDS: usize = 0;

/// The number that stands for the executor of a future made from another: no pool has it. Such a future
/// can be cancelled while its closure runs, for all that is lost is the outcome.
pub(crate) const DERIVED: NonZeroU32 = NonZeroU32::MAX;

/// Tells all in `wake` that the task has ended; `future` makes a handle for the callbacks.
pub(crate) fn tell<T: Send, E: Send + Sync>(
    wake: Wake<Watcher<T, E>>,
    future: impl Fn() -> Future<T, E>,
) {
    for watcher in wake {
        watcher.tell(&future);
    }
}

impl<T: Send, E: Send + Sync> Watcher<T, E> {
    /// Whether it is who polls the handle at this address.
    pub(super) fn is_of(&self, party: usize) -> bool {
        matches!(self, Self::Waker(other, _) | Self::Blocked(other, _) if *other == party)
    }

    pub(super) fn tell(self, future: impl Fn() -> Future<T, E>) {
        match self {
            Self::Ready(ready, number) => ready.push([number]),
            Self::Task(ready) => ready.push([0]),
            Self::Blocked(_, alarm) => alarm.wake(),
            Self::Next(continuation) => continuation.go_on(future()),
            Self::Follows(_) => (),
            Self::Callback(callback) => {
                let future = future();
                if let Err(panic) = panic::catch(|| callback(&future)) {
                    log::error!("panic in a callback of {future:?}: {panic}");
                }
            }
            Self::Waker(_, waker) => {
                if let Err(panic) = panic::catch(|| waker.wake()) {
                    log::error!("panic in a waker: {panic}");
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Core;

    #[test]
    fn a_pending_task_takes_no_more_than_what_the_documents_say() {
        assert_eq!(size_of::<Core<(), (), String>>(), 24);
        assert_eq!(size_of::<Core<[u64; 2], u64, String>>(), 40);
        assert_eq!(size_of::<Core<(), String, String>>(), 32);
    }
}
