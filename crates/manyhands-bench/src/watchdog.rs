//! Ends a run that hangs.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Does the work in this thread; calls `expired` in another one if the work lasts longer than `limit`.
pub(crate) fn guard<R>(
    limit: Duration,
    expired: impl FnOnce() + Send + 'static,
    work: impl FnOnce() -> R,
) -> R {
    let (working, over) = mpsc::channel::<()>();
    // Detached: it sleeps until the work ends, and costs no processor time meanwhile.
    thread::spawn(move || {
        if over.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            expired();
        }
    });
    let result = work();
    drop(working);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_while_the_work_hangs() {
        let (tell, told) = mpsc::channel();
        let hang = move || told.recv();
        let heard = guard(Duration::from_millis(1), move || tell.send("late").unwrap(), hang);
        assert_eq!(heard, Ok("late"));
    }

    #[test]
    fn stays_silent_when_the_work_ends() {
        let (tell, told) = mpsc::channel::<()>();
        let value = guard(Duration::from_mins(10), move || tell.send(()).unwrap(), || 7);
        assert_eq!(value, 7);
        // The closure is dropped uncalled, and the sender with it.
        assert!(told.recv().is_err());
    }
}
