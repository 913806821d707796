//! `.await`: a future as the standard library's, for any async runtime.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Future, Watcher, tell};
use crate::errors::FutureError;

/// The most wakers one task keeps. The contract of `poll` is that only the newest waker of each
/// awaiting party counts, and a party cannot be told from another here; so past this number all are
/// woken, those still awaiting come back with a new one, and the rest are gone.
const MAX_WAKERS: usize = 32;

impl<T: Send, E: Send + Sync> std::future::Future for Future<T, E> {
    type Output = Result<T, FutureError<E>>;

    /// Moves the value out, as [`Future::into_result`] does.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done() {
            return Poll::Ready(self.take());
        }
        let handle = self.handle();
        let mut kept = 0;
        drop(handle.unwatch(&mut |watcher| match watcher {
            Watcher::Waker(waker) => {
                kept += 1;
                waker.will_wake(context.waker())
            }
            _ => false,
        }));
        if kept >= MAX_WAKERS {
            let stale = handle.unwatch(&mut |watcher| matches!(watcher, Watcher::Waker(_)));
            tell(stale, || self.clone());
        }
        match handle.watch(Watcher::Waker(context.waker().clone())) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(self.take()),
        }
    }
}
