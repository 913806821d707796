//! `.await`: a future as the standard library's, for any async runtime.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::block_on::{Blocked, innermost};
use super::{Future, Watcher};
use crate::errors::FutureError;
use crate::nested;

impl<T: Send, E: Send + Sync> std::future::Future for Future<T, E> {
    type Output = Result<T, FutureError<E>>;

    /// Moves the value out, as [`Future::into_result`] does. In a task, one that is pending in the same pool
    /// is run in place; else another worker works in the stead of this one until it is seen to go on. Tasks
    /// that wait for each other are told of their [`Deadlock`](crate::Deadlock) if they await by
    /// [`block_on`](crate::block_on()). Under another executor they hang: whether its thread sleeps, and for
    /// what else, nobody else knows.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        nested::stop_awaiting();
        // Only the newest waker of a party counts. A party is known by the handle it polls, which
        // stays where it is from the first poll on, as pinned things do; one that is moved all the
        // same leaves a waker behind, which wakes it once too often.
        let party = std::ptr::from_ref(&*self).addr();
        let blocked = innermost(context.waker());
        let stuck = |blocked: &Rc<Blocked>| blocked.is_stuck(self.id());
        if let Some(deadlock) = blocked.as_ref().and_then(stuck) {
            drop(self.handle().unwatch(&mut |watcher| watcher.is_of(party)));
            return Poll::Ready(Err(FutureError::Deadlock(deadlock)));
        }
        if !self.done() {
            // Whether the thread that polls is going to sleep, nobody is told.
            self.run_if_parents();
        }
        if self.done() || self.run_in_place() {
            return Poll::Ready(self.take());
        }
        let watcher = match &blocked {
            Some(blocked) if blocked.knows((self.id(), party)) => return Poll::Pending,
            Some(blocked) => {
                let own = nested::is_own(self.pool());
                let alarm = blocked.register((self.id(), party), own, self.own_source());
                Watcher::Blocked(party, alarm)
            }
            None => Watcher::Waker(party, context.waker().clone()),
        };
        drop(self.handle().unwatch(&mut |watcher| {
            let same = |waker: &Waker| waker.will_wake(context.waker());
            watcher.is_of(party) || matches!(watcher, Watcher::Waker(_, waker) if same(waker))
        }));
        match self.handle().watch(watcher) {
            Ok(()) => {
                if blocked.is_none() {
                    nested::begin_awaiting(self.pool());
                }
                Poll::Pending
            }
            Err(_) => Poll::Ready(self.take()),
        }
    }
}
