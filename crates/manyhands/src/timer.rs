//! The timers of the program: one thread for all of them, which is there only while there are any.
//!
//! Timers lie in a tree by their time. The thread sleeps until the first is due, calls what has come
//! due, with no lock held, and ends when it has had nothing to wait for during [`IDLE`]: until then, the
//! next timer needs no new thread.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the thread stays without a timer.
const IDLE: Duration = Duration::from_secs(1);

type Action = Box<dyn FnOnce() + Send>;

/// Those that come due at one moment are told apart by a number, in the order in which they were made.
type Key = (Instant, u64);

static TIMERS: Mutex<Timers> = Mutex::new(Timers {
    waiting: BTreeMap::new(),
    unset: BTreeSet::new(),
    made: 0,
    has_thread: false,
});
static CHANGED: Condvar = Condvar::new();

struct Timers {
    waiting: BTreeMap<Key, Option<Action>>,
    /// Those that came due before they were set.
    unset: BTreeSet<Key>,
    made: u64,
    has_thread: bool,
}

/// A timer that is waited for. Dropping it takes the timer away.
#[derive(Debug)]
pub(crate) struct Alarm(Option<Key>);

/// A timer's place, where what it does is still to be put.
pub(crate) struct Setting(Option<Key>);

impl Alarm {
    /// One that is still to be set. A time beyond all clocks never comes.
    pub(crate) fn after(time: Duration) -> (Self, Setting) {
        let key = Instant::now().checked_add(time).map(|due| {
            let mut timers = lock();
            timers.made += 1;
            let key = (due, timers.made);
            timers.waiting.insert(key, None);
            key
        });
        (Self(key), Setting(key))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let action = self.0.and_then(|key| {
            let mut timers = lock();
            timers.unset.remove(&key);
            timers.waiting.remove(&key)
        });
        // Here, where the lock is free again.
        drop(action);
    }
}

impl Setting {
    /// Has `action` called when the time has come, in the timers' thread, unless the alarm is dropped
    /// before that.
    pub(crate) fn set(self, action: impl FnOnce() + Send + 'static) {
        let mut action: Option<Action> = Some(Box::new(action));
        let Some(key) = self.0 else { return };
        let mut timers = lock();
        if timers.unset.remove(&key) {
            timers.waiting.insert(key, None);
        }
        let Some(waiting) = timers.waiting.get_mut(&key) else { return };
        *waiting = action.take();
        let is_first = timers.waiting.first_key_value().is_some_and(|(first, _)| *first == key);
        if !timers.has_thread {
            timers.has_thread = start();
        } else if is_first {
            CHANGED.notify_one();
        }
    }
}

fn lock() -> MutexGuard<'static, Timers> {
    TIMERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the thread could be started; if not, the next timer tries again.
fn start() -> bool {
    match thread::Builder::new().name("manyhands-timer".to_owned()).spawn(run) {
        Ok(_) => true,
        Err(error) => {
            log::error!("no thread for timers could be started, so they are late: {error}");
            false
        }
    }
}

/// What the thread does.
fn run() {
    let mut timers = lock();
    loop {
        let now = Instant::now();
        let wait = match timers.waiting.first_key_value() {
            Some(((due, _), _)) if *due <= now => {
                match timers.waiting.pop_first() {
                    Some((_, Some(action))) => {
                        drop(timers);
                        // What is called catches panics itself; a logger may panic all the same.
                        drop(catch_unwind(AssertUnwindSafe(action)));
                        timers = lock();
                    }
                    Some((key, None)) => drop(timers.unset.insert(key)),
                    None => (),
                }
                continue;
            }
            Some(((due, _), _)) => *due - now,
            None => IDLE,
        };
        let (woken, slept) =
            CHANGED.wait_timeout(timers, wait).unwrap_or_else(PoisonError::into_inner);
        timers = woken;
        if slept.timed_out() && timers.waiting.is_empty() {
            timers.has_thread = false;
            return;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn timers_come_in_the_order_of_their_times() {
        let came = loop {
            let (sender, came) = mpsc::channel();
            let began = Instant::now();
            let alarms: Vec<_> = [30, 10, 20, 10]
                .into_iter()
                .enumerate()
                .map(|(index, time)| {
                    let sender = sender.clone();
                    let (alarm, setting) = Alarm::after(Duration::from_millis(time));
                    setting.set(move || sender.send(index).unwrap());
                    alarm
                })
                .collect();
            let made_in = began.elapsed();
            drop(sender);
            let came = came.iter().collect::<Vec<_>>();
            drop(alarms);
            // On a busy machine they may not be due in that order.
            if made_in < Duration::from_millis(10) {
                break came;
            }
        };
        assert_eq!(came, [1, 3, 2, 0]);
    }

    #[test]
    fn a_timer_whose_alarm_is_dropped_lets_go_of_its_action() {
        let (sender, came) = mpsc::channel::<()>();
        let (alarm, setting) = Alarm::after(Duration::from_hours(1));
        setting.set(move || drop(sender));
        assert_eq!(came.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(alarm);
        assert_eq!(came.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[test]
    fn a_timer_that_is_due_before_it_is_set_comes() {
        let (sender, came) = mpsc::channel();
        // So that there is a thread.
        let (first, setting) = Alarm::after(Duration::ZERO);
        let told = sender.clone();
        setting.set(move || told.send(1).unwrap());
        assert_eq!(came.recv(), Ok(1));
        let (second, setting) = Alarm::after(Duration::ZERO);
        while !lock().unset.contains(&second.0.unwrap()) {
            CHANGED.notify_one();
            thread::yield_now();
        }
        setting.set(move || sender.send(2).unwrap());
        assert_eq!(came.recv(), Ok(2));
        drop((first, second));
    }

    #[test]
    fn an_alarm_dropped_before_it_is_set_never_comes() {
        let (sender, came) = mpsc::channel::<()>();
        let (alarm, setting) = Alarm::after(Duration::ZERO);
        drop(alarm);
        setting.set(move || sender.send(()).unwrap());
        assert!(came.recv().is_err());
    }
}
