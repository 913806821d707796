//! A task of this process that runs in another: what the executor there may do with it.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Answer, Body, Cross, Declared, DecodeError, EncodeError, Failure, Kind, later};
use crate::errors::Exception;
use crate::future::{Core, Future, Watcher, tell};
use crate::job::Run;
use crate::panic;
use crate::promise::{Cancel, Wake};

/// A task that can be sent away.
pub(crate) trait Remote: Run {
    /// Writes the arguments and lets go of them, for the executor of this number. `None`: the task was
    /// cancelled or has ended.
    fn pack(
        &self,
        executor: NonZeroU32,
        declared: &dyn Declared,
        body: &mut Body,
    ) -> Option<Result<(), EncodeError>>;

    /// Its turn has come. `false`: it was cancelled, and must not run.
    fn begin(&self) -> bool;

    /// Ends it with what the other process answered.
    ///
    /// # Errors
    /// The bytes are none of an answer to this task; it has ended with that as its exception.
    fn answer(
        self: Arc<Self>,
        declared: &dyn Declared,
        kind: Kind,
        body: &[u8],
    ) -> Result<(), DecodeError>;

    /// Ends it without an answer.
    fn lose(self: Arc<Self>, why: Exception<std::convert::Infallible>);

    /// Cancels it, even if it is running.
    fn stop(self: Arc<Self>);
}

impl<C, T, E> Remote for Core<C, T, E>
where
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn pack(
        &self,
        executor: NonZeroU32,
        declared: &dyn Declared,
        body: &mut Body,
    ) -> Option<Result<(), EncodeError>> {
        let call = self.send_away(Some(executor))?;
        Some(match panic::catch(|| call.pack(declared, body)) {
            Ok(packed) => packed,
            Err(panic) => Err(EncodeError(panic.to_string())),
        })
    }

    fn begin(&self) -> bool {
        Self::begin(self)
    }

    fn answer(
        self: Arc<Self>,
        declared: &dyn Declared,
        kind: Kind,
        body: &[u8],
    ) -> Result<(), DecodeError> {
        let read = if kind == Kind::Failed {
            Failure::read(body).and_then(|failure| match failure {
                Some(failure) => Ok(Err(failure.into_exception())),
                None => Err(DecodeError("it has failed, and does not say how".to_owned())),
            })
        } else {
            let mut answer = Answer { kind, bytes: body };
            // Reading a value runs code of the program's.
            match panic::catch(|| C::unpack(declared, &mut answer)) {
                Ok(Ok(Ok(value))) => Ok(Ok(value)),
                Ok(Ok(Err(error))) => Ok(Err(Exception::Error(Arc::new(error)))),
                Ok(Err(error)) => Err(error),
                Err(panic) => Err(DecodeError(panic.to_string())),
            }
        };
        let (outcome, read) = match read {
            Ok(outcome) => (outcome, Ok(())),
            Err(error) => (Err(Exception::not_crossed("the result", error.0.clone())), Err(error)),
        };
        finish(&self, outcome);
        read
    }

    fn lose(self: Arc<Self>, why: Exception<std::convert::Infallible>) {
        finish(&self, Err(why.widen()));
    }

    fn stop(self: Arc<Self>) {
        if let (Cancel::Now(call, wake), _) = self.cancel_running() {
            panic::drop_caught(call);
            tell_later(&self, wake);
        }
    }
}

fn finish<C, T, E>(core: &Arc<Core<C, T, E>>, outcome: Result<T, Exception<E>>)
where
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    match Core::finish(core, outcome.map_err(Box::new), |_| ()) {
        Ok(wake) => tell_later(core, wake),
        // Ended from outside: that counts, and this is for nobody.
        Err((outcome, _)) => panic::drop_caught(outcome),
    }
}

/// Those who wait for it are told here and now, or later by somebody else, where this thread only waits for a
/// task of its own: it may hold what their callbacks ask for.
fn tell_later<C, T, E>(core: &Arc<Core<C, T, E>>, wake: Wake<Watcher<T, E>>)
where
    C: Cross<Value = T, Error = E>,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    if !wake.is_empty() {
        let core = Arc::clone(core);
        later::tell_later(move || tell(wake, || Future::task(Arc::clone(&core) as _)));
    }
}
