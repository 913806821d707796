//! A future that is made from another: its promise carries what is to be done with the outcome.
//!
//! As for any promise that carries its job, cancelling it takes that away and is all the notice there
//! need be. The other future knows nothing of it.

use std::sync::{Arc, Weak};

use super::outcome::Next;
use crate::call_site::CallSite;
use crate::errors::{Exception, FutureError};
use crate::future::{Continue, Core, DERIVED, Future, Watcher, tell};
use crate::job::{self, Carried, end};
use crate::nested::{self, Running, Source, Sources};
use crate::onward;
use crate::panic;
use crate::promise::{Cancel, Promise};

/// What is done with the outcome of a future, and which one that is.
pub(super) struct With<F> {
    transform: F,
    source: Option<Weak<dyn Source>>,
}

impl<F, T, E> Carried<T, E> for With<F>
where
    F: Send + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn as_source(core: Arc<Core<Self, T, E>>) -> Option<Weak<dyn Source>> {
        Some(job::source(&core))
    }

    fn sources(carried: Option<&Self>) -> Option<Sources> {
        Some(carried.and_then(|with| with.source.clone()).into_iter().collect())
    }
}

/// A future with what `transform` makes of the outcome of `source`.
pub(super) fn derive<T, E, F, U, V>(source: &Future<T, E>, transform: F) -> Future<U, V>
where
    T: Send + 'static,
    E: Send + Sync + 'static,
    F: FnOnce(Result<T, FutureError<E>>) -> Next<U, V> + Send + 'static,
    U: Send + 'static,
    V: Send + Sync + 'static,
{
    let with = With { transform, source: source.as_source() };
    let core: Arc<Core<With<F>, U, V>> = Arc::new(Promise::new(Some(with)));
    core.set_pool(source.pool());
    source.go_on_with(Arc::clone(&core) as _);
    Future::task(core)
}

impl<F, T, E, U, V> Continue<T, E> for Core<With<F>, U, V>
where
    F: FnOnce(Result<T, FutureError<E>>) -> Next<U, V> + Send + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
    U: Send + 'static,
    V: Send + Sync + 'static,
{
    fn go_on(self: Arc<Self>, source: Future<T, E>) {
        onward::go(move || {
            if let Some(With { transform, .. }) = self.send_away(Some(DERIVED)) {
                let begun = self.begin();
                let name = std::any::type_name::<F>();
                let running =
                    Running { id: self.id(), name, place: CallSite::UNKNOWN, known_as: 0 };
                // Cancelled at this very moment, it is only dropped.
                let run = move || begun.then(|| nested::run(running, || transform(source.take())));
                let next = panic::catch(run);
                match next {
                    Ok(next) => next.into_iter().for_each(|next| settle(&self, next)),
                    Err(panic) => settle(&self, Next::Ended(Err(Exception::Panic(panic)))),
                }
            }
            panic::drop_caught(self);
        });
    }

    fn give_up(self: Arc<Self>) {
        onward::go(move || {
            Future::task(Arc::clone(&self) as _).cancel();
            panic::drop_caught(self);
        });
    }
}

/// Ends a future that has begun, or has it end with another.
fn settle<J, T, E>(core: &Arc<Core<J, T, E>>, next: Next<T, E>)
where
    J: Carried<T, E> + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    match next {
        Next::Ended(outcome) => finish(core, outcome),
        Next::Cancelled => cancel(core),
        Next::With(other) => {
            if let Some(source) = other.as_source() {
                // Cancelled meanwhile, it follows nobody.
                drop(core.watch(Watcher::Follows(source)));
            }
            other.go_on_with(Arc::new(Follow(Arc::clone(core))));
        }
    }
}

/// Ends it, whether it has begun or not.
pub(super) fn finish<J, T, E>(core: &Arc<Core<J, T, E>>, outcome: Result<T, Exception<E>>)
where
    J: Carried<T, E> + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    end(core, outcome, |_| (), || Future::task(Arc::clone(core) as _));
}

/// Cancels it, whether it has begun or not.
pub(super) fn cancel<J, T, E>(core: &Arc<Core<J, T, E>>)
where
    J: Carried<T, E> + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    if let Cancel::Now(job, wake) = core.cancel_running().0 {
        panic::drop_caught(job);
        tell(wake, || Future::task(Arc::clone(core) as _));
    }
}

/// Ends a future as another one ends.
struct Follow<J, T, E>(Arc<Core<J, T, E>>);

impl<J, T, E> Continue<T, E> for Follow<J, T, E>
where
    J: Carried<T, E> + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn go_on(self: Arc<Self>, source: Future<T, E>) {
        onward::go(move || {
            if !self.0.state().is_done() {
                settle(&self.0, passed_on(source.take()));
            }
            panic::drop_caught((self, source));
        });
    }

    fn give_up(self: Arc<Self>) {
        onward::go(move || {
            cancel(&self.0);
            panic::drop_caught(self);
        });
    }
}

/// The same outcome for a future with the same types.
pub(super) fn passed_on<T: Send, E: Send + Sync>(outcome: Result<T, FutureError<E>>) -> Next<T, E> {
    match outcome {
        Ok(value) => Next::Ended(Ok(value)),
        Err(error) => failed(error, |exception| exception),
    }
}

/// The same failure for a future with other types; `exception` does it for an exception.
pub(super) fn failed<T: Send, E, F: Send + Sync>(
    error: FutureError<E>,
    exception: impl FnOnce(Exception<E>) -> Exception<F>,
) -> Next<T, F> {
    Next::Ended(Err(match error {
        FutureError::Exception(own) => exception(own),
        FutureError::Refused(reason) => Exception::Refused(reason),
        FutureError::Taken => Exception::Taken,
        // The other has ended, so it is none of these but the first.
        FutureError::Cancelled | FutureError::TimedOut | FutureError::Deadlock(_) => {
            return Next::Cancelled;
        }
    }))
}
