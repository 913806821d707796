//! `race`: whichever future is done first.

use std::sync::{Arc, Weak};

use super::derived::{cancel, finish};
use crate::errors::{Exception, FutureError};
use crate::future::{Continue, Core, Future};
use crate::job::{self, Carried};
use crate::nested::{Source, Sources};
use crate::onward;
use crate::panic;
use crate::promise::Promise;

/// A future that ends as the first of these to be done does: with its value, with its exception, or as
/// cancelled. The others run on, and their values stay with them. Of none at all, it is cancelled, for
/// it would never end.
///
/// ```
/// use manyhands::{Executor, Future, InlineExecutor, race};
///
/// let slow: Future<&str> = Future::new();
/// let quick = InlineExecutor::new().spawn(|| "quick")?;
/// assert_eq!(race([slow.clone(), quick]).result(None)?, "quick");
/// assert!(!slow.done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn race<T, E>(futures: impl IntoIterator<Item = Future<T, E>>) -> Future<T, E>
where
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    let futures: Vec<_> = futures.into_iter().collect();
    let racing = Racing(futures.iter().map(Future::as_source).collect());
    let race = Arc::new(Race(Arc::new(Promise::new(Some(racing)))));
    for future in futures {
        future.go_on_with(Arc::clone(&race) as _);
    }
    let won = Future::task(Arc::clone(&race.0) as _);
    // Those who run hold on to it; without any, this is its end.
    race.give_up();
    won
}

struct Race<T, E>(Arc<Core<Racing, T, E>>);

/// In the promise: who is in the race. `None`: nobody knows when one of them ends.
struct Racing(Option<Sources>);

impl<T: Send + 'static, E: Send + Sync + 'static> Carried<T, E> for Racing {
    fn as_source(core: Arc<Core<Self, T, E>>) -> Option<Weak<dyn Source>> {
        Some(job::source(&core))
    }

    fn sources(carried: Option<&Self>) -> Option<Sources> {
        Some(carried.and_then(|racing| racing.0.clone()).unwrap_or_default())
    }
}

impl<T, E> Continue<T, E> for Race<T, E>
where
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn go_on(self: Arc<Self>, source: Future<T, E>) {
        onward::go(move || {
            if source.cancelled() {
                Future::task(Arc::clone(&self.0) as _).cancel();
            } else if self.0.claim().is_some() {
                match source.take() {
                    Ok(value) => finish(&self.0, Ok(value)),
                    Err(FutureError::Exception(exception)) => finish(&self.0, Err(exception)),
                    Err(_) => finish(&self.0, Err(Exception::Taken)),
                }
            }
            panic::drop_caught((self, source));
        });
    }

    /// Only when nobody is left in it.
    fn give_up(self: Arc<Self>) {
        onward::go(move || {
            if let Some(race) = Arc::into_inner(self) {
                cancel(&race.0);
            }
        });
    }
}
