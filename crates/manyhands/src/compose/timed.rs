//! Futures and time: `timeout` and `delay`.

use std::sync::Arc;
use std::time::Duration;

use super::derived::{cancel, finish, passed_on};
use super::outcome::Next;
use crate::errors::Exception;
use crate::future::{Continue, Core, Future};
use crate::job::Carried;
use crate::onward;
use crate::panic;
use crate::promise::Promise;
use crate::timer::{Alarm, Setting};

/// A future that is done after this time. No thread waits for it: all timers of the program have one
/// together, which is there only as long as there are timers. What comes after a timer runs in that thread
/// and should be short, or be submitted somewhere. Cancelling the future takes the timer away.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor, delay};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let pool = Arc::new(ThreadPoolExecutor::new(1)?);
/// let later = pool.submit_after(|()| 6 * 7, (delay(Duration::from_millis(5)),));
/// assert_eq!(later.result(None)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn delay(time: Duration) -> Future<()> {
    let (setting, core) = in_time(time);
    let future = Future::task(Arc::clone(&core) as _);
    setting.set(move || {
        if core.claim().is_some() {
            finish(&core, Ok(()));
        }
    });
    future
}

impl<T: Send + 'static, E: Send + Sync + 'static> Future<T, E> {
    /// A future that ends as this one does, or with [`Exception::Elapsed`] if that has not happened
    /// within this time. This one is left alone: to end its task too, keep a clone and cancel it. What
    /// comes after a timeout runs in the thread that all timers share; see [`delay`].
    ///
    /// ```
    /// use manyhands::{Exception, Future};
    /// use std::time::Duration;
    ///
    /// let never: Future<i32> = Future::new();
    /// let exception = never.clone().timeout(Duration::from_millis(5)).exception(None)?;
    /// assert!(matches!(exception, Some(Exception::Elapsed(_))));
    /// assert!(!never.done());
    /// # Ok::<(), manyhands::FutureError>(())
    /// ```
    pub fn timeout(self, time: Duration) -> Self {
        let (setting, core) = in_time(time);
        let ending = Arc::clone(&core);
        setting.set(move || {
            if ending.claim().is_some() {
                finish(&ending, Err(Exception::Elapsed(time)));
            }
        });
        self.go_on_with(Arc::new(InTime(Arc::clone(&core))));
        Self::task(core)
    }
}

type Timed<T, E> = Arc<Core<Alarm, T, E>>;

/// A promise that carries its alarm, so that whoever ends it takes the alarm away.
fn in_time<T: Send, E: Send + Sync>(time: Duration) -> (Setting, Timed<T, E>) {
    let (alarm, setting) = Alarm::after(time);
    (setting, Arc::new(Promise::new(Some(alarm))))
}

impl<T, E> Carried<T, E> for Alarm {}

struct InTime<T, E>(Timed<T, E>);

impl<T, E> Continue<T, E> for InTime<T, E>
where
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn go_on(self: Arc<Self>, source: Future<T, E>) {
        onward::go(move || {
            if source.cancelled() {
                cancel(&self.0);
            } else if let Some(alarm) = self.0.claim() {
                drop(alarm);
                if let Next::Ended(outcome) = passed_on(source.take()) {
                    finish(&self.0, outcome);
                }
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
