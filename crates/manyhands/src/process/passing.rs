//! [`Future`] as an argument of a declared function: what the Rust face does about it.
//!
//! Written as part of a task, a future leaves its place among those that go along. Read in the worker, it is
//! one that ends as that one does.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Wake, Waker};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lending::{Carrier, carrying, with_carrier};
use super::nested::{
    Answered, Ends, Outlet, PARENTS, PassedFuture, PassedOn, Upward, passes, unopened,
};
use super::task::{Loss, Task};
use crate::crossing::{
    DecodeError, Failure, Kind, because, decode, encode, fail, is_crossing, tell_later,
    unread_because,
};
use crate::errors::{BrokenProcessPool, Exception, NoWorkerLeft};
use crate::future::{Core, Future, tell};
use crate::nested::Targets;
use crate::nested::graph::TaskId;
use crate::panic;
use crate::promise::{Cancel, Promise, View};

/// The futures in what is being written.
pub(super) enum Passing {
    /// In the process of the pool.
    Out(Vec<Arc<dyn PassedFuture>>),
    /// In one of its workers.
    On(Vec<PassedOn>),
}

/// A future is an argument of a declared function, or part of one; anywhere else it cannot be written. The
/// worker's ends as this one does, with a copy of its value: an exception that is not a panic arrives as
/// text.
impl<T: Serialize + Send + 'static> Serialize for Future<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if with_carrier(|carrier| carrier.for_show) == Some(true) {
            return serializer.collect_str("a future");
        }
        let place = if is_crossing() { pass(self) } else { Err(ELSEWHERE.to_owned()) };
        place.map_err(because::<S::Error>)?.serialize(serializer)
    }
}

const ELSEWHERE: &str = "a future goes to another process only as an argument of a task";

impl<'de, T: DeserializeOwned + Send + 'static> Deserialize<'de> for Future<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let place = u64::deserialize(deserializer)?;
        if with_carrier(|carrier| carrier.for_show) == Some(true) {
            return Ok(Self::new());
        }
        let arrived = if is_crossing() { arrive(place) } else { Err(ELSEWHERE.to_owned()) };
        arrived.map_err(unread_because)
    }
}

/// Its place among those that go along.
fn pass<T: Serialize + Send + 'static>(future: &Future<T>) -> Result<u64, String> {
    let goes_on = with_carrier(|carrier| Some(matches!(carrier.passing.as_ref()?, Passing::On(_))));
    let goes_on = goes_on.flatten().ok_or(ELSEWHERE)?;
    // Before the carrier is looked at again: to write an outcome is to write what is in it.
    let on = if goes_on { Some(pass_on(future)?) } else { None };
    let place = with_carrier(|carrier| match (&mut carrier.passing, on) {
        (Some(Passing::On(all)), Some(on)) => {
            all.push(on);
            all.len() - 1
        }
        (Some(Passing::Out(all)), None) => {
            all.push(Arc::new(Host(future.clone())));
            all.len() - 1
        }
        _ => 0, // It is what it was.
    });
    Ok(place.unwrap_or_default() as u64)
}

fn pass_on<T: Serialize + Send + 'static>(future: &Future<T>) -> Result<PassedOn, String> {
    let upward = Upward::current().ok_or(ELSEWHERE)?;
    let is_done = |until| {
        // In this order: it may end at this moment.
        let ends = future.executor() == Some(PARENTS);
        ends && future.wait_before(Some(until)) == Ok(true) || future.done()
    };
    let ends = Box::new(Host(future.clone()));
    upward.pass_on(future.address().addr(), ends, is_done).ok_or_else(|| {
        "a future that was made in a worker process, and is no task's, can be passed to other tasks only \
         when it has ended"
            .to_owned()
    })
}

/// One that goes along.
struct Host<T>(Future<T>);

impl<T: Serialize + Send + 'static> Host<T> {
    /// How it has ended, and what goes along with that. `None`: it was cancelled.
    fn outcome(&self, passing: Passing) -> Option<(Kind, Vec<u8>, Option<Passing>)> {
        let mut body = Vec::new();
        let carrier = Carrier { passing: Some(passing), ..Carrier::default() };
        let (kind, carrier) = carrying(carrier, || {
            // With the future locked, as for a clone of its value.
            self.0.look(|view| match view {
                View::Done(value) => Some(match panic::catch(|| encode(value, &mut body)) {
                    Ok(Ok(())) => Kind::One,
                    Ok(Err(error)) => fail(&Failure::Result(error.0), &mut body),
                    Err(panic) => fail(&Failure::Result(panic.to_string()), &mut body),
                }),
                View::Failed(exception) => Some(fail(&Failure::of(exception), &mut body)),
                View::Taken => Some(fail(&Failure::of(&Exception::<Infallible>::Taken), &mut body)),
                View::Cancelled | View::Unfinished(_) => None,
            })
        });
        Some((kind?, body, carrier.passing))
    }
}

impl<T: Serialize + Send + 'static> PassedFuture for Host<T> {
    fn id(&self) -> TaskId {
        self.0.address().addr()
    }

    fn add_to(&self, targets: &mut Targets) {
        self.0.add_to(targets);
    }

    fn pool(&self) -> Option<NonZeroU32> {
        self.0.executor()
    }

    fn watch(&self, outlet: &Outlet) {
        let tells = Arc::new(Tells { future: self.0.clone(), outlet: outlet.clone() });
        if !self.0.wake_when_done(outlet.party(), Waker::from(Arc::clone(&tells))) {
            tells.tell();
        }
    }

    fn unwatch(&self, outlet: &Outlet) {
        self.0.forget_waker(outlet.party());
    }

    fn cancel(&self, running: bool) -> bool {
        if running { self.0.cancel_running() } else { self.0.cancel() }
    }
}

impl<T: Serialize + Send + 'static> Ends for Host<T> {
    fn is_done(&self) -> bool {
        self.0.done()
    }

    fn outcome(&self) -> Option<Answered> {
        let (kind, body, passing) = self.outcome(Passing::On(Vec::new()))?;
        let passes = if let Some(Passing::On(passes)) = passing { passes } else { Vec::new() };
        Some((kind, body, passes))
    }
}

/// Tells a worker of the end.
struct Tells<T> {
    future: Future<T>,
    outlet: Outlet,
}

impl<T: Serialize + Send + 'static> Tells<T> {
    fn tell(&self) {
        if !self.outlet.is_wanted() {
            return;
        }
        match Host(self.future.clone()).outcome(Passing::Out(Vec::new())) {
            None => self.outlet.cancel(),
            Some((kind, body, passing)) => {
                let futures = if let Some(Passing::Out(all)) = passing { all } else { Vec::new() };
                self.outlet.answer(kind, &body, futures);
            }
        }
    }
}

impl<T: Serialize + Send + 'static> Wake for Tells<T> {
    fn wake(self: Arc<Self>) {
        self.tell();
    }
}

type Arrival<T> = Core<(), T, Infallible>;

/// The future with this place among those that have come with what is being read.
fn arrive<T: DeserializeOwned + Send + 'static>(place: u64) -> Result<Future<T>, String> {
    let first = passes().ok_or(ELSEWHERE)?;
    let upward = Upward::current().ok_or(ELSEWHERE)?;
    // It is like the future of a task that this worker has submitted.
    let core: Arc<Arrival<T>> = Arc::new(Promise::new(Some(())));
    core.send_away(Some(PARENTS));
    core.begin();
    let arrived = Arrived(Some(Arc::clone(&core)));
    upward.receive(first + place, arrived).map_err(|reason| reason.to_string())?;
    Ok(Future::bare(core))
}

/// A future that has come to a worker, until it ends.
struct Arrived<T: Send + 'static>(Option<Arc<Arrival<T>>>);

impl<T: Send + 'static> Arrived<T> {
    fn finish(mut self, outcome: Result<T, Exception<Infallible>>) {
        let Some(core) = self.0.take() else { return };
        match Promise::finish(&*core, outcome.map_err(Box::new), |_| ()) {
            Ok(wake) => tell_later(move || tell(wake, || Future::bare(Arc::clone(&core)))),
            // It was ended here: that counts.
            Err((outcome, _)) => panic::drop_caught(outcome),
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Task for Arrived<T> {
    fn begin(&self) -> bool {
        true
    }

    fn answer(self, kind: Kind, mut body: &[u8]) {
        let _unopened = passes().and_then(unopened);
        let not_read = |why: DecodeError| Exception::not_crossed("the result", why.0);
        self.finish(if kind == Kind::Failed {
            Err(match Failure::read(body) {
                Ok(Some(failure)) => failure.into_exception(),
                Ok(None) => not_read(DecodeError("it has failed, and does not say how".to_owned())),
                Err(error) => not_read(error),
            })
        } else {
            // Reading a value runs code of the program's.
            match panic::catch(|| decode(&mut body)) {
                Ok(read) => read.map_err(not_read),
                Err(panic) => Err(not_read(DecodeError(panic.to_string()))),
            }
        });
    }

    fn lose(self, loss: Loss, _: Kind, _: &[u8]) {
        let broken = |reason| Exception::Broken(BrokenProcessPool { reason }.into());
        self.finish(Err(match loss {
            // Dropping it cancels it.
            Loss::Cancelled => return,
            Loss::Refused(reason) => Exception::Refused(reason),
            Loss::NoWorkerLeft { workers } => Exception::NoWorkerLeft(NoWorkerLeft { workers }),
            Loss::Broken { reason, .. } => broken(reason),
            Loss::Crashed { exit, .. } => {
                broken(Arc::new(format!("the worker process that ran it {exit}")))
            }
            Loss::TimedOut { timeout, .. } => {
                broken(Arc::new(format!("it ran for longer than its timeout of {timeout:?}")))
            }
        }));
    }

    fn address(&self) -> Option<usize> {
        self.0.as_ref().map(|core| Arc::as_ptr(core).addr())
    }

    fn is_wanted(&self) -> bool {
        let watched = |core: &Arrival<T>| {
            core.trace(|held| match held {
                crate::promise::Held::Watcher(_) => Err(()),
                _ => Ok(()),
            })
        };
        self.0.as_ref().is_some_and(|core| Arc::strong_count(core) > 1 || watched(core).is_err())
    }
}

impl<T: Send + 'static> Drop for Arrived<T> {
    fn drop(&mut self) {
        if let Some(core) = self.0.take()
            && let (Cancel::Now(_, wake), _) = core.cancel_running()
        {
            tell_later(move || tell(wake, || Future::bare(Arc::clone(&core))));
        }
    }
}
