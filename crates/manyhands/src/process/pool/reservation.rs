//! A place for a task whose arguments are about to be written.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use super::Pool;
use super::arrivals::Arrival;
use crate::listening::Leave;
use crate::process::request::Request;
use crate::process::supervisor::{Rules, Seat};
use crate::process::task::Task;

thread_local! {
    /// The pools that this thread has places reserved in.
    pub(super) static SUBMITS_TO: RefCell<Vec<NonZeroU32>> = const { RefCell::new(Vec::new()) };
}

/// A place for a task. It stays in its thread.
#[derive(Debug)]
pub struct Reservation<'a, T: Task> {
    pub(super) pool: &'a Arc<Pool<T>>,
    /// It has been given back with the task.
    pub(super) is_over: bool,
}

impl<T: Task> Reservation<'_, T> {
    /// Puts the task in. One that the pool, broken or ended by force since it was reserved, does not accept any
    /// more ends as such. The seats of workers that the caller is to start for it, and to have
    /// [taken on](Pool::take_on): none in a pool that is [`ManagedBy::Pool`](super::ManagedBy::Pool).
    #[inline]
    pub fn submit(mut self, task: T, request: Request, rules: Rules) -> Vec<Seat> {
        let Pool { intake, listening, managed_by, .. } = &**self.pool;
        match intake.leave(Arrival::new(task, request, rules)) {
            Ok(Leave { first, has_place }) => {
                self.is_over = !has_place;
                if first {
                    listening.call();
                }
                Vec::new()
            }
            Err(arrival) => {
                let mut state = listening.lock();
                state.submit(arrival, Instant::now());
                let launches = state.take_launches(*managed_by);
                self.pool.let_go(state);
                launches
            }
        }
    }
}

impl<T: Task> Drop for Reservation<'_, T> {
    #[inline]
    fn drop(&mut self) {
        SUBMITS_TO.with_borrow_mut(|pools| {
            let at = pools.iter().rposition(|pool| *pool == self.pool.number);
            at.map(|at| pools.remove(at));
        });
        if !self.is_over && self.pool.intake.give_back() {
            let mut state = self.pool.lock();
            state.close_if_asked(Instant::now());
            self.pool.let_go(state);
        }
    }
}
