//! A future to wait for, of ours or of the standard library's kind.

use std::sync::Arc;

use manyhands::ready::Ready;
use pyo3::intern;
use pyo3::prelude::*;

use crate::future::PyFuture;
use crate::task::{Core, Watcher};
use crate::waiter;

/// A future to wait for.
pub(crate) enum Awaited<'py> {
    /// One of ours whose promise keeps its life.
    Lean(Bound<'py, PyFuture>),
    /// One that keeps its waiters in a list: the standard library's, or one of ours that turned fat.
    Listed(Bound<'py, PyAny>),
}

impl<'py> Awaited<'py> {
    pub(crate) fn new(future: Bound<'py, PyAny>) -> Self {
        match future.cast_into::<PyFuture>() {
            Ok(ours) if ours.get().core.fat.get().is_none() => Self::Lean(ours),
            Ok(ours) => Self::Listed(ours.into_any()),
            Err(other) => Self::Listed(other.into_inner()),
        }
    }

    pub(crate) fn into_future(self) -> Bound<'py, PyAny> {
        match self {
            Self::Lean(future) => future.into_any(),
            Self::Listed(future) => future,
        }
    }

    pub(crate) fn future(&self) -> &Bound<'py, PyAny> {
        match self {
            Self::Lean(future) => future.as_any(),
            Self::Listed(future) => future,
        }
    }

    /// Its promise, if that keeps its life.
    pub(crate) fn core(&self) -> Option<&Arc<Core>> {
        match self {
            Self::Lean(future) => Some(&future.get().core),
            Self::Listed(_) => None,
        }
    }

    pub(crate) fn is_notified(&self) -> PyResult<bool> {
        if let Self::Lean(future) = self
            && let Some(state) = future.get().state()
        {
            return Ok(state.is_notified());
        }
        waiter::hold(self.future(), || waiter::is_notified(self.future()))
    }

    /// Whether it has ended with an exception.
    pub(crate) fn has_failed(&self) -> PyResult<bool> {
        if let Self::Lean(future) = self
            && future.get().state().is_some()
        {
            future.get().check_lock()?;
            return future.get().has_failed(future.py());
        }
        waiter::hold(self.future(), || {
            let future = self.future();
            let ended = future.getattr(intern!(future.py(), "_state"))?.eq("FINISHED")?;
            Ok(ended && !future.getattr(intern!(future.py(), "_exception"))?.is_none())
        })
    }

    /// Asks for this number in the queue at the end; `false`: it has ended already.
    pub(crate) fn watch(&self, ready: &Arc<Ready>, number: usize) -> PyResult<bool> {
        if let Self::Lean(future) = self {
            let core = &future.get().core;
            let watched = core.life.watch(Watcher::Ready(Arc::clone(ready), number)).is_ok();
            if watched || core.fat.get().is_none() {
                return Ok(watched);
            }
        }
        waiter::watch(self.future(), ready, number)
    }

    /// Takes back what `watch` has asked.
    pub(crate) fn forget(&self, ready: &Arc<Ready>) -> PyResult<()> {
        if let Self::Lean(future) = self {
            let ours = |watcher: &Watcher| match watcher {
                Watcher::Ready(theirs, _) => Arc::ptr_eq(theirs, ready),
                _ => false,
            };
            drop(future.get().core.life.unwatch(ours));
            if future.get().core.fat.get().is_none() {
                return Ok(());
            }
        }
        waiter::forget(self.future(), ready)
    }

    /// An error if the workers that would end it are in another process.
    pub(crate) fn check_process(&self) -> PyResult<()> {
        match self {
            Self::Lean(future) => future.get().check_process(),
            Self::Listed(future) => match future.cast::<PyFuture>() {
                Ok(future) => future.get().check_process(),
                Err(_) => Ok(()),
            },
        }
    }
}
