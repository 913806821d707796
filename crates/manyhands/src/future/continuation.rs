//! What goes on when a future has ended: other futures that are made from it.

use std::sync::Arc;

use super::Future;

/// Goes on with the outcome of a future.
pub(crate) trait Continue<T, E>: Send + Sync {
    /// `source` is done. Implementations take this as a step of [`onward`](crate::onward).
    fn go_on(self: Arc<Self>, source: Future<T, E>);

    /// The future was dropped unended: nobody is left to end it.
    fn give_up(self: Arc<Self>);
}

/// One that is owed the outcome of a future.
pub(crate) struct Continuation<T, E>(Option<Arc<dyn Continue<T, E>>>);

impl<T, E> Continuation<T, E> {
    pub(super) fn new(next: Arc<dyn Continue<T, E>>) -> Self {
        Self(Some(next))
    }

    pub(super) fn go_on(mut self, source: Future<T, E>) {
        if let Some(next) = self.0.take() {
            next.go_on(source);
        }
    }
}

impl<T, E> Drop for Continuation<T, E> {
    fn drop(&mut self) {
        if let Some(next) = self.0.take() {
            next.give_up();
        }
    }
}
