//! The queue in which futures leave their numbers as they end: what `wait`, `as_completed` and
//! `CompletionQueue` sleep on.

use std::collections::VecDeque;
use std::time::Instant;

use crate::spin;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// The numbers of the futures that have ended and not been fetched. Futures know it, and it knows
/// no future: so nothing keeps anything alive in a circle.
pub(crate) struct Ready {
    numbers: Mutex<Numbers>,
    /// How many there are, for one who looks without the lock.
    count: AtomicUsize,
    arrived: Condvar,
}

struct Numbers {
    queue: VecDeque<usize>,
    /// How many the sleeper is waiting for; none when nobody sleeps.
    wanted: Option<usize>,
}

impl Ready {
    pub(crate) fn new() -> Self {
        Self {
            numbers: Mutex::new(Numbers { queue: VecDeque::new(), wanted: None }),
            count: AtomicUsize::new(0),
            arrived: Condvar::new(),
        }
    }

    pub(crate) fn push(&self, ended: impl IntoIterator<Item = usize>) {
        let mut numbers = self.numbers.lock();
        numbers.queue.extend(ended);
        let count = numbers.queue.len();
        self.count.store(count, Ordering::Release);
        let enough = numbers.wanted.is_some_and(|wanted| count >= wanted);
        if enough || cfg!(sabotage = "completion_push_forgets_the_sleeper") {
            numbers.wanted = None;
        }
        drop(numbers);
        if enough {
            self.arrived.notify_all();
        }
    }

    /// The next one; `None` when the time is up.
    pub(crate) fn pop(&self, deadline: Option<Instant>) -> Option<usize> {
        let mut numbers = self.wait_for(1, deadline);
        let number = numbers.queue.pop_front()?;
        self.count.store(numbers.queue.len(), Ordering::Release);
        Some(number)
    }

    /// All there are, but at least one, into an empty queue; none when the time is up.
    pub(crate) fn pop_all(&self, deadline: Option<Instant>, numbers: &mut VecDeque<usize>) {
        let mut arrived = self.wait_for(1, deadline);
        std::mem::swap(&mut arrived.queue, numbers);
        self.count.store(0, Ordering::Release);
    }

    /// Waits until `wanted` are there, with one wake-up in all, or until the time is up.
    pub(crate) fn wait_for_all(&self, wanted: usize, deadline: Option<Instant>) {
        drop(self.wait_for(wanted, deadline));
    }

    /// For one waiting thread at a time.
    fn wait_for(&self, wanted: usize, deadline: Option<Instant>) -> MutexGuard<'_, Numbers> {
        let patient = || deadline.is_none_or(|deadline| Instant::now() < deadline);
        let enough = || self.count.load(Ordering::Acquire) >= wanted;
        if !enough() && patient() {
            spin::for_caller(enough);
        }
        let mut numbers = self.numbers.lock();
        while numbers.queue.len() < wanted && patient() {
            numbers.wanted = Some(wanted);
            numbers = self.arrived.wait(numbers, deadline);
        }
        numbers.wanted = None;
        numbers
    }
}
