//! The queue in which futures leave their numbers as they end: what `wait`, `as_completed` and
//! `CompletionQueue` sleep on, in any host.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use crate::spin;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, sabotaged};

/// The numbers of the futures that have ended and not been fetched. Futures know it, and it knows
/// no future: so nothing keeps anything alive in a circle. One thread at a time waits on it.
///
/// ```
/// use manyhands::ready::Ready;
/// use std::sync::Arc;
///
/// let ready = Arc::new(Ready::new());
/// let ended = Arc::clone(&ready);
/// std::thread::spawn(move || ended.push([7]));
/// assert_eq!(ready.pop(None), Some(7));
/// ```
pub struct Ready {
    numbers: Mutex<Numbers>,
    /// How many there are, for one who looks without the lock.
    count: AtomicUsize,
    arrived: Condvar,
}

struct Numbers {
    queue: VecDeque<usize>,
    /// How many the sleeper is waiting for; none when nobody sleeps.
    wanted: Option<usize>,
    /// Whether the sleeper is to wake whatever there is.
    interrupted: bool,
}

impl Ready {
    /// Nothing has ended yet.
    pub fn new() -> Self {
        Self {
            numbers: Mutex::new(Numbers {
                queue: VecDeque::new(),
                wanted: None,
                interrupted: false,
            }),
            count: AtomicUsize::new(0),
            arrived: Condvar::new(),
        }
    }

    /// These have ended.
    ///
    /// ```
    /// # use manyhands::ready::Ready;
    /// let ready = Ready::new();
    /// ready.push([1, 2]);
    /// assert_eq!((ready.pop(None), ready.pop(None)), (Some(1), Some(2)));
    /// ```
    pub fn push(&self, ended: impl IntoIterator<Item = usize>) {
        self.change(|queue| queue.extend(ended));
    }

    /// Wakes one who waits for any: with a zero, unless something is there already.
    pub(crate) fn push_once(&self) {
        self.change(|queue| {
            if queue.is_empty() {
                queue.push_back(0);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut VecDeque<usize>)) {
        let mut numbers = self.numbers.lock();
        change(&mut numbers.queue);
        let count = numbers.queue.len();
        self.count.store(count, Ordering::Release);
        let enough = numbers.wanted.is_some_and(|wanted| count >= wanted);
        if enough || sabotaged("completion_push_forgets_the_sleeper") {
            numbers.wanted = None;
        }
        drop(numbers);
        if enough {
            self.arrived.notify_all();
        }
    }

    /// The next one; `None` when the time is up.
    ///
    /// ```
    /// # use manyhands::ready::Ready;
    /// # use std::time::Instant;
    /// assert_eq!(Ready::new().pop(Some(Instant::now())), None);
    /// ```
    pub fn pop(&self, deadline: Option<Instant>) -> Option<usize> {
        let mut numbers = self.wait_for(1, deadline);
        let number = numbers.queue.pop_front()?;
        self.count.store(numbers.queue.len(), Ordering::Release);
        Some(number)
    }

    /// All there are, but at least one, into an empty queue; none when the time is up.
    ///
    /// ```
    /// # use manyhands::ready::Ready;
    /// # use std::collections::VecDeque;
    /// let (ready, mut arrived) = (Ready::new(), VecDeque::new());
    /// ready.push([1, 2]);
    /// ready.pop_all(None, &mut arrived);
    /// assert_eq!(arrived, [1, 2]);
    /// ```
    pub fn pop_all(&self, deadline: Option<Instant>, numbers: &mut VecDeque<usize>) {
        let mut arrived = self.wait_for(1, deadline);
        std::mem::swap(&mut arrived.queue, numbers);
        self.count.store(0, Ordering::Release);
    }

    /// Forgets all there are.
    pub(crate) fn clear(&self) {
        let mut numbers = self.numbers.lock();
        numbers.queue.clear();
        self.count.store(0, Ordering::Release);
    }

    /// Whether there is none at this moment.
    ///
    /// ```
    /// # use manyhands::ready::Ready;
    /// let ready = Ready::new();
    /// assert!(ready.is_empty());
    /// ready.push([1]);
    /// assert!(!ready.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// The same, for one who knows from elsewhere that somebody may have pushed before.
    pub(crate) fn is_empty_for_sure(&self) -> bool {
        self.numbers.lock().queue.is_empty()
    }

    /// Waits until `wanted` are there, with one wake-up in all, or until the time is up; whether they
    /// are there.
    ///
    /// ```
    /// # use manyhands::ready::Ready;
    /// # use std::time::Instant;
    /// let ready = Ready::new();
    /// ready.push([1, 2]);
    /// assert!(ready.wait_for_all(2, None));
    /// assert!(!ready.wait_for_all(3, Some(Instant::now())));
    /// ```
    pub fn wait_for_all(&self, wanted: usize, deadline: Option<Instant>) -> bool {
        self.wait_for(wanted, deadline).queue.len() >= wanted
    }

    /// Whether so many are there at this moment.
    ///
    /// ```
    /// # use manyhands::ready::Ready;
    /// let ready = Ready::new();
    /// ready.push([1]);
    /// assert!(ready.has(1) && !ready.has(2));
    /// ```
    pub fn has(&self, wanted: usize) -> bool {
        self.count.load(Ordering::Acquire) >= wanted
    }

    /// Wakes the one who waits, and lets nobody sleep here until `take_interrupt`.
    ///
    /// ```
    /// # use manyhands::ready::Ready;
    /// let ready = Ready::new();
    /// ready.interrupt();
    /// assert!(!ready.wait_for_all(1, None));
    /// assert!(ready.take_interrupt() && !ready.take_interrupt());
    /// ```
    pub fn interrupt(&self) {
        self.numbers.lock().interrupted = true;
        if !sabotaged("completion_interrupt_wakes_nobody") {
            self.arrived.notify_all();
        }
    }

    /// Whether it was interrupted, which is forgotten.
    pub fn take_interrupt(&self) -> bool {
        std::mem::take(&mut self.numbers.lock().interrupted)
    }

    /// Whether it was interrupted.
    pub fn is_interrupted(&self) -> bool {
        self.numbers.lock().interrupted
    }

    fn wait_for(&self, wanted: usize, deadline: Option<Instant>) -> MutexGuard<'_, Numbers> {
        let patient = || deadline.is_none_or(|deadline| Instant::now() < deadline);
        let enough = || self.count.load(Ordering::Acquire) >= wanted;
        if !enough() && patient() {
            spin::for_caller(enough);
        }
        #[cfg(all(target_os = "linux", not(loom)))]
        let _waits = if enough() || !patient() {
            None
        } else {
            let is_done = |soon| self.sleep_for(wanted, soon).queue.len() >= wanted;
            crate::process::waits(|| None, deadline, is_done)
        };
        self.sleep_for(wanted, deadline)
    }

    fn sleep_for(&self, wanted: usize, deadline: Option<Instant>) -> MutexGuard<'_, Numbers> {
        let patient = || deadline.is_none_or(|deadline| Instant::now() < deadline);
        let mut numbers = self.numbers.lock();
        while numbers.queue.len() < wanted && !numbers.interrupted && patient() {
            numbers.wanted = Some(wanted);
            numbers = self.arrived.wait(numbers, deadline);
        }
        numbers.wanted = None;
        numbers
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ready").field(&self.count.load(Ordering::Acquire)).finish()
    }
}
