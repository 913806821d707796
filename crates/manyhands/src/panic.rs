//! A panic of a task, caught and kept with its message and place.
//!
//! The place is known only to the panic hook, so the first task that runs puts one in front of the
//! hook that is there. It notes the place for the thread and calls the other: what a panic prints,
//! and to where, stays the program's own affair.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use crate::onward;

/// A task's panic.
///
/// ```
/// use manyhands::{Exception, Executor, InlineExecutor};
///
/// let exception = InlineExecutor::new().spawn(|| panic!("no luck"))?.exception(None)?;
/// let Some(Exception::Panic(panic)) = exception else { unreachable!() };
/// assert_eq!(panic.message(), "no luck");
/// assert!(panic.location().is_some_and(|place| place.contains(':')));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Panic(Arc<Caught>);

struct Caught {
    message: String,
    location: Option<String>,
    backtrace: Option<String>,
}

impl Panic {
    /// What `panic!` was given.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The place in the source, as `file:line:column`. `None` when the panic hook has not seen it:
    /// for a panic that was resumed, which calls no hook, and in a program that set a hook of its
    /// own after the first task ran.
    pub fn location(&self) -> Option<&str> {
        self.0.location.as_deref()
    }

    /// The way to that place, as [`Backtrace`] prints it: always for a task that panicked in a worker
    /// process, unless `RUST_BACKTRACE` is `0`; in a thread only where `RUST_BACKTRACE` asks for it.
    pub fn backtrace(&self) -> Option<&str> {
        self.0.backtrace.as_deref()
    }

    /// One that was caught in another process.
    pub(crate) fn from_parts(
        message: String,
        location: Option<String>,
        backtrace: Option<String>,
    ) -> Self {
        Self(Arc::new(Caught { message, location, backtrace }))
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task panicked: {}", self.message())?;
        match self.location() {
            Some(location) => write!(f, " (at {location})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("message", &self.message())
            .field("location", &self.location())
            .finish()
    }
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static PLACE: Cell<Option<Box<Place>>> = const { Cell::new(None) };
}

struct Place {
    location: Option<String>,
    backtrace: Option<String>,
}

/// Has a backtrace taken of every panic in this process that `catch` catches, also where
/// `RUST_BACKTRACE` does not ask for one.
pub(crate) fn take_backtraces() {
    let refused = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value == "0");
    ALWAYS.store(!refused, Ordering::Relaxed);
}

static ALWAYS: AtomicBool = AtomicBool::new(false);

/// Calls `f`; a panic in it comes back as a value.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    static HOOK: Once = Once::new();
    // A hook cannot be set while the thread panics; the next task will do it.
    if !HOOK.is_completed() && !std::thread::panicking() {
        HOOK.call_once(set_hook);
    }
    let outer = CATCHING.replace(true);
    let going_on = onward::pause();
    // One that was caught before, by others, has left its place: `resume_unwind` would inherit it.
    let _ = take_place();
    let result = unwind(f);
    CATCHING.set(outer);
    drop(going_on);
    result.map_err(|Unwound { payload, place }| {
        let (location, backtrace) = place.map_or((None, None), |at| (at.location, at.backtrace));
        Panic::from_parts(message_of(payload), location, backtrace)
    })
}

/// A panic on its way, held up until something else is done, perhaps in another thread.
pub(crate) struct Unwound {
    payload: Box<dyn Any + Send>,
    place: Option<Box<Place>>,
}

/// Calls `f`; holds up a panic in it.
#[inline]
pub(crate) fn unwind<R>(f: impl FnOnce() -> R) -> Result<R, Unwound> {
    let held_up = |payload| Unwound { payload, place: take_place() };
    catch_unwind(AssertUnwindSafe(f)).map_err(held_up)
}

impl Unwound {
    /// Lets it go on, in this thread.
    pub(crate) fn resume(self) -> ! {
        let _ = PLACE.try_with(|place| place.set(self.place));
        resume_unwind(self.payload)
    }
}

fn set_hook() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        note_place(info);
        others(info);
    }));
}

/// `None` also in a thread so near its end that its locals are gone.
fn take_place() -> Option<Box<Place>> {
    PLACE.try_with(Cell::take).ok().flatten()
}

/// The second line of defence: code of a program's is caught where it is called, but what is said of its panics may
/// panic too, a logger, say. `None`: it has.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // It may panic again when it is dropped.
            std::mem::forget(payload);
            None
        }
    }
}

/// Drops what may panic as it goes, where the rest must be done all the same.
pub(crate) fn drop_caught<T>(value: T) {
    if std::mem::needs_drop::<T>()
        && let Err(panic) = catch(|| drop(value))
    {
        log::error!("panic while a task was dropped: {panic}");
    }
}

fn note_place(info: &PanicHookInfo<'_>) {
    if !CATCHING.get() {
        return;
    }
    let always = ALWAYS.load(Ordering::Relaxed);
    let backtrace = if always { Backtrace::force_capture() } else { Backtrace::capture() };
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let location = info.location().map(ToString::to_string);
    let _ = PLACE.try_with(|place| place.set(Some(Box::new(Place { location, backtrace }))));
}

fn message_of(payload: Box<dyn Any + Send>) -> String {
    let message = match payload.downcast::<String>() {
        Ok(message) => return *message,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(message) => return (*message).to_owned(),
            Err(payload) => payload,
        },
    };
    // A payload of another type may panic when it is dropped; that must not end a worker.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(message)));
    "a panic whose payload is no text".to_owned()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn keeps_message_and_place() {
        let panic = catch(|| panic!("no {}", "luck")).unwrap_err();
        assert_eq!(panic.message(), "no luck");
        let location = panic.location().unwrap();
        assert!(location.contains("panic.rs:"), "{location}");
        assert_eq!(panic.to_string(), format!("the task panicked: no luck (at {location})"));
    }

    #[test]
    fn survives_a_payload_that_panics_when_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                assert!(std::thread::panicking(), "dropped");
            }
        }
        let panic = catch(|| std::panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(panic.message(), "a panic whose payload is no text");
    }
}
