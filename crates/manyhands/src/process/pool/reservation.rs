//! A place for a task whose arguments are about to be written.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use super::Pool;
use super::state::Entry;
use crate::process::nested::Whose;
use crate::process::request::Request;
use crate::process::supervisor::{Rules, Seat};
use crate::process::task::Task;

thread_local! {
    /// The pools that this thread has places reserved in.
    pub(super) static SUBMITS_TO: RefCell<Vec<NonZeroU32>> = const { RefCell::new(Vec::new()) };
}

/// A place for a task. It stays in its thread.
#[derive(Debug)]
pub struct Reservation<'a, T: Task>(pub(super) &'a Arc<Pool<T>>);

impl<T: Task> Reservation<'_, T> {
    /// Puts the task in. The seats of workers that the caller is to start for it, and to have
    /// [taken on](Pool::take_on): none in a pool that is [`ManagedBy::Pool`](super::ManagedBy::Pool).
    ///
    /// # Errors
    /// The task, if the pool has broken, or was ended by force, since it was reserved; and why.
    pub fn submit(
        self,
        task: T,
        request: Request,
        rules: Rules,
    ) -> Result<Vec<Seat>, (T, Arc<String>)> {
        let task = Whose::Host(task);
        let entry = Entry { task, request, timeout: rules.timeout, begun: false, sent: None };
        let now = Instant::now();
        let mut state = self.0.listening.lock();
        let state_now = &mut *state;
        let submitted = state_now.supervisor.submit(entry, rules, now, &mut state_now.orders);
        state.carry_out(now);
        state.reserved -= 1;
        if state.closing.is_some() {
            state.close_if_asked(now);
        }
        let broken = state.supervisor.broken().cloned();
        let launches = state.take_launches(self.0.managed_by);
        self.0.let_go(state);
        // What dropping it would do is done.
        self.forget_it();
        std::mem::forget(self);
        match submitted.map_err(|entry| entry.task) {
            Err(Whose::Host(task)) => {
                let ended =
                    || Arc::new("its workers were ended while the task was submitted".into());
                Err((task, broken.unwrap_or_else(ended)))
            }
            Ok(_) | Err(Whose::Worker(_)) => Ok(launches),
        }
    }
}

impl<T: Task> Reservation<'_, T> {
    fn forget_it(&self) {
        SUBMITS_TO.with_borrow_mut(|pools| {
            let at = pools.iter().rposition(|pool| *pool == self.0.number);
            at.map(|at| pools.remove(at));
        });
    }
}

impl<T: Task> Drop for Reservation<'_, T> {
    fn drop(&mut self) {
        self.forget_it();
        let mut state = self.0.listening.lock();
        state.reserved -= 1;
        if state.closing.is_some() {
            state.close_if_asked(Instant::now());
            self.0.let_go(state);
        }
    }
}
