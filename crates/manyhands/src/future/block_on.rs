//! `block_on`: runs a future of any kind in the calling thread, and knows whom the thread sleeps for.
//!
//! While it polls, our futures that are found pending register here, and take no waker for it. So a clone of
//! the waker is in the hands of others: a timer, a socket, a channel. As long as there is one, the thread may
//! be woken at any moment. If there is none, only the end of one of the registered futures can do that, and
//! the thread waits as [`wait`](crate::wait()) does for the first of them: as the wait-for graph knows it.
//! Nobody but the sleeping thread can make the first clone, so what was true when it fell asleep stays so.
//!
//! Who is there is known from the counts of `Arc`s, looked at without a lock. Whoever wakes the thread does that
//! first and lets go of the `Arc` then; so what is not seen there any more is seen in what wakes the thread, if
//! one looks there afterwards.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use crate::errors::Deadlock;
use crate::nested::graph::{How, TaskId};
use crate::nested::{self, Source, Targets, Woken};
use crate::panic;
use crate::ready::Ready;
use crate::spin;
use crate::sync::sabotaged;

/// Runs a future of any kind in the calling thread, which sleeps whenever there is nothing to do, and gives
/// its output. May be called anywhere, also in a task, and in what another `block_on` runs.
///
/// In a task, the waits of [`Future`](crate::Future)s in it are those of
/// [`result`](crate::Future::result): a task that is pending in the same pool is run in place, or else
/// another worker works while this thread sleeps, and tasks that wait for each other are told of their
/// [`Deadlock`]. So an `.await` in it ends with [`FutureError::Deadlock`](crate::FutureError::Deadlock) if
/// nothing but futures of tasks could wake the thread, and none of these ever would; all of those that are
/// awaited at that moment end so. What has been told goes on, and may await the same futures again.
///
/// Whether something else could wake the thread is known from the clones of its waker. A timer or a channel
/// has one, so as long as it is awaited too there is no deadlock. But so have combinators that poll with
/// wakers of their own, such as `FuturesUnordered`: a deadlock among what they hold is not found. For many
/// futures as one there are [`join_all`](crate::join_all) and [`race`](crate::race). Other executors'
/// `block_on` finds none at all.
///
/// # Panics
/// If the future does.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor, block_on};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let sum = block_on(async {
///     let (a, b) = (pool.spawn(|| 6 * 7)?, pool.spawn(|| 6 * 9)?);
///     Ok::<_, Box<dyn std::error::Error>>(a.await? + b.await?)
/// })?;
/// assert_eq!(sum, 96);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A task that awaits itself:
///
/// ```
/// use manyhands::{Executor, Future, FutureError, ThreadPoolExecutor, block_on};
/// use std::sync::mpsc;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let (sender, receiver) = mpsc::channel::<Future<bool>>();
/// let future = pool.spawn(move || {
///     let outcome = block_on(async { receiver.recv().unwrap().await });
///     matches!(outcome, Err(FutureError::Deadlock(_)))
/// })?;
/// sender.send(future.clone())?; // its own
/// assert!(future.result(None)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let blocked = Rc::new(Blocked::new());
    blocked.run(|context| {
        let _innermost = Innermost::begin(&blocked);
        future.as_mut().poll(context)
    })
}

thread_local! {
    static INNERMOST: RefCell<Option<Rc<Blocked>>> = const { RefCell::new(None) };
    /// Whether there is one: for polls elsewhere, which should hardly notice.
    static IS_ONE: Cell<bool> = const { Cell::new(false) };
}

/// The [`block_on`] that polls in the calling thread, if this is its waker.
#[inline]
pub(super) fn innermost(waker: &Waker) -> Option<Rc<Blocked>> {
    if IS_ONE.get() { Blocked::innermost(waker) } else { None }
}

/// A `block_on` is the innermost of its thread until this is dropped.
struct Innermost(Option<Rc<Blocked>>);

impl Innermost {
    fn begin(blocked: &Rc<Blocked>) -> Self {
        let outer = INNERMOST.try_with(|innermost| innermost.replace(Some(Rc::clone(blocked))));
        // A thread that ends has none any more. Then our futures take wakers.
        IS_ONE.set(outer.is_ok());
        Self(outer.unwrap_or_default())
    }
}

impl Drop for Innermost {
    fn drop(&mut self) {
        IS_ONE.set(self.0.is_some());
        let _ = INNERMOST.try_with(|innermost| innermost.replace(self.0.take()));
    }
}

/// A thread in [`block_on`].
pub(crate) struct Blocked {
    ready: Arc<Ready>,
    /// That of the waker.
    alarm: Weak<Alarm>,
    waker: Waker,
    awaited: RefCell<BTreeMap<Party, Awaited>>,
    /// Those of which the next poll is to say that they would never end.
    stuck: RefCell<Option<(Deadlock, Vec<TaskId>)>>,
}

/// A future, and the address of the handle that was polled.
pub(crate) type Party = (TaskId, usize);

/// What wakes the thread. All clones of the waker are one, and each future has one of its own, which it holds as
/// long as it is pending.
pub(crate) struct Alarm(Arc<Ready>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if sabotaged("blockon_lets_go_before_it_wakes") {
            let ready = Arc::clone(&self.0);
            drop(self);
            return ready.push_once();
        }
        self.0.push_once();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.push_once();
    }
}

struct Awaited {
    alarm: Weak<Alarm>,
    /// Of the pool that the thread works for.
    own: bool,
    /// Itself, if it may be made from others.
    source: Option<Weak<dyn Source>>,
}

impl Awaited {
    fn is_pending(&self) -> bool {
        self.alarm.strong_count() > 0
    }
}

impl Blocked {
    pub(crate) fn new() -> Self {
        let ready = Arc::new(Ready::new());
        let alarm = Arc::new(Alarm(Arc::clone(&ready)));
        let (awaited, stuck) = Default::default();
        Self { ready, alarm: Arc::downgrade(&alarm), waker: Waker::from(alarm), awaited, stuck }
    }

    #[inline(never)]
    fn innermost(waker: &Waker) -> Option<Rc<Self>> {
        let is_its = |blocked: &&Rc<Self>| blocked.waker.will_wake(waker);
        let find =
            |innermost: &RefCell<Option<_>>| innermost.borrow().as_ref().filter(is_its).cloned();
        INNERMOST.try_with(find).ok()?
    }

    /// Polls again and again, and sleeps in between.
    pub(crate) fn run<R>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
        loop {
            // Whoever wakes it from here on, wakes it for another poll.
            let late = sabotaged("blockon_forgets_who_wakes_it");
            if !late {
                self.ready.clear();
            }
            let polled = poll(&mut Context::from_waker(&self.waker));
            if late {
                self.ready.clear();
            }
            if let Poll::Ready(output) = polled {
                return output;
            }
            self.awaited.borrow_mut().retain(|_, awaited| awaited.is_pending());
            let deadlock = self.sleep();
            let awaited = || self.awaited.borrow().keys().map(|(id, _)| *id).collect();
            let stuck = deadlock.map(|deadlock| (deadlock, awaited()));
            self.stuck.replace(stuck);
        }
    }

    /// Until it is woken, or never would be.
    fn sleep(&self) -> Option<Deadlock> {
        // By a future that was polled with a waker of somebody else's.
        let awaits_own = nested::stop_awaiting();
        if !nested::in_task() {
            self.ready.wait_for_all(1, None);
            return None;
        }
        if spin::for_caller(|| self.ready.has(1)) {
            return None;
        }
        let own = awaits_own || self.awaited.borrow().values().any(|awaited| awaited.own);
        match nested::sleep_here(&self.ready, 1, own, &|| self.targets(), None) {
            Woken::Deadlock(deadlock) => Some(deadlock),
            Woken::Ended | Woken::TimeIsUp => None,
        }
    }

    /// What the thread waits for, as the graph has to know it.
    pub(crate) fn targets(&self) -> Targets {
        let mut targets = Targets::new(How::Any);
        let others = self.alarm.strong_count() > 1;
        if others && !sabotaged("blockon_takes_itself_for_alone") {
            // Others may wake it, until they let go.
            targets.may_change = true;
            return targets;
        }
        for ((id, _), awaited) in &*self.awaited.borrow() {
            if !awaited.is_pending() {
                continue;
            }
            let source = awaited.source.as_ref().and_then(Weak::upgrade);
            let sources = source.as_ref().and_then(|source| source.sources());
            panic::drop_caught(source);
            targets.add(*id, sources, awaited.source.clone());
        }
        // One of them may let go unended: dropped, or polled elsewhere.
        targets.may_change |= targets.on.len() > 1;
        // Whoever had let go by then may have woken the thread before, with this lock held.
        if !sabotaged("blockon_looks_once") && !self.ready.is_empty_for_sure() {
            return Targets::new(How::Any);
        }
        targets
    }

    /// Whether a future would never end: told as many times as it was awaited. Its handles may have been moved.
    pub(super) fn is_stuck(&self, future: TaskId) -> Option<Deadlock> {
        let mut stuck = self.stuck.borrow_mut();
        let (deadlock, futures) = stuck.as_mut()?;
        let place = futures.iter().position(|other| *other == future)?;
        futures.swap_remove(place);
        Some(deadlock.clone())
    }

    /// Whether a future has registered for this handle, and will still tell.
    pub(super) fn knows(&self, party: Party) -> bool {
        self.awaited.borrow().get(&party).is_some_and(Awaited::is_pending)
    }

    /// For a future that is pending, to be told when it has ended. `own`: it is of the pool that the thread
    /// works for.
    pub(crate) fn register(
        &self,
        party: Party,
        own: bool,
        source: Option<Weak<dyn Source>>,
    ) -> Arc<Alarm> {
        let alarm = Arc::new(Alarm(Arc::clone(&self.ready)));
        let awaited = Awaited { alarm: Arc::downgrade(&alarm), own, source };
        self.awaited.borrow_mut().insert(party, awaited);
        alarm
    }

    #[cfg(all(test, loom))]
    pub(crate) fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }

    #[cfg(all(test, loom))]
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }
}
