//! `.await`: a future as the standard library's, for any async runtime.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Future, Watcher};
use crate::errors::FutureError;
use crate::nested;

impl<T: Send, E: Send + Sync> std::future::Future for Future<T, E> {
    type Output = Result<T, FutureError<E>>;

    /// Moves the value out, as [`Future::into_result`] does. In a task, one that is pending in the same pool
    /// is run in place; else another worker works in the stead of this one until it is seen to go on. (A
    /// cycle is not found: whether the thread sleeps, and for what else, only its runtime knows.)
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        nested::stop_awaiting();
        if !self.done() {
            // Whether the thread that polls is going to sleep, nobody is told.
            self.run_if_parents();
        }
        if self.done() || self.run_in_place() {
            return Poll::Ready(self.take());
        }
        // Only the newest waker of a party counts. A party is known by the handle it polls, which
        // stays where it is from the first poll on, as pinned things do; one that is moved all the
        // same leaves a waker behind, which wakes it once too often.
        let party = std::ptr::from_ref(&*self).addr();
        drop(self.handle().unwatch(&mut |watcher| match watcher {
            Watcher::Waker(other, waker) => *other == party || waker.will_wake(context.waker()),
            _ => false,
        }));
        match self.handle().watch(Watcher::Waker(party, context.waker().clone())) {
            Ok(()) => {
                nested::begin_awaiting(self.pool());
                Poll::Pending
            }
            Err(_) => Poll::Ready(self.take()),
        }
    }
}
