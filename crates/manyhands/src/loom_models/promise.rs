//! Models of [`Promise`]: whichever way two transitions meet, the task ends once, and everybody
//! hears of it once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use super::exhaustive;
use crate::promise::{Cancel, Promise, State, Turn, View, Wake, Watch};

type Task = Promise<&'static str, u8, (), Watcher>;

/// Tells by a number that loom does not see: it makes no schedule of its own.
#[derive(Debug)]
struct Watcher {
    told: Arc<AtomicUsize>,
    waits_for_notice: bool,
}

impl Watcher {
    fn new(waits_for_notice: bool) -> (Self, Told) {
        let told = Arc::new(AtomicUsize::new(0));
        (Self { told: Arc::clone(&told), waits_for_notice }, Told(told))
    }

    fn tell(self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}

impl Watch for Watcher {
    fn waits_for_notice(&self) -> bool {
        self.waits_for_notice
    }
}

struct Told(Arc<AtomicUsize>);

impl Told {
    #[track_caller]
    fn exactly_once(self) {
        assert_eq!(self.0.load(Ordering::Relaxed), 1, "told so many times");
    }
}

fn tell(wake: Wake<Watcher>) {
    wake.for_each(Watcher::tell);
}

/// As any host: one who comes too late to be told by others is told here.
fn watch(task: &Task, watcher: Watcher) {
    if let Err(watcher) = task.watch(watcher) {
        watcher.tell();
    }
}

/// Ends the task as a thread of its own; whether it was this one who ended it.
fn finish_elsewhere(task: &Arc<Task>) -> thread::JoinHandle<bool> {
    let task = Arc::clone(task);
    thread::spawn(move || task.finish(Ok(7), |_| ()).map(tell).is_ok())
}

fn value(task: &Task) -> Option<u8> {
    task.look(|view| if let View::Done(value) = view { Some(*value) } else { None })
}

#[test]
fn finish_against_cancel_has_one_winner_and_all_are_told() {
    exhaustive(|| {
        let task = Arc::new(Task::new(None));
        let (callback, callback_told) = Watcher::new(false);
        let (waiter, waiter_told) = Watcher::new(true);
        watch(&task, callback);
        watch(&task, waiter);

        let finishing = finish_elsewhere(&task);
        let cancelled = match task.cancel() {
            Cancel::Now(_, wake) => {
                tell(wake);
                true
            }
            Cancel::Already | Cancel::TooLate(_) => false,
        };
        assert!(task.wait(None));
        let finished = finishing.join().unwrap();

        assert!(finished != cancelled, "finished: {finished}, cancelled: {cancelled}");
        assert_eq!(value(&task).is_some(), finished);
        // Only its executor can say that a bare task will not run.
        if cancelled && let Ok(Turn::Skip(wake)) = task.set_running_or_notify_cancel() {
            tell(wake);
        }
        assert!(task.state().is_notified());
        callback_told.exactly_once();
        waiter_told.exactly_once();
    });
}

#[test]
fn a_watcher_that_meets_the_end_is_told_once() {
    exhaustive(|| {
        let task = Arc::new(Task::new(None));
        let (watcher, told) = Watcher::new(true);
        let finishing = finish_elsewhere(&task);
        watch(&task, watcher);
        finishing.join().unwrap();
        told.exactly_once();
    });
}

#[test]
fn a_waiter_that_meets_the_end_returns() {
    exhaustive(|| {
        let task = Arc::new(Task::new(None));
        let finishing = finish_elsewhere(&task);
        assert!(task.wait(None));
        assert_eq!((task.state(), value(&task)), (State::Finished, Some(7)));
        finishing.join().unwrap();
    });
}

#[test]
fn a_waiter_that_meets_the_cancel_returns() {
    exhaustive(|| {
        let task = Arc::new(Task::new(Some("job")));
        let cancelling = {
            let task = Arc::clone(&task);
            thread::spawn(move || matches!(task.cancel(), Cancel::Now(Some("job"), _)))
        };
        assert!(task.wait(None));
        assert_eq!(task.state(), State::CancelledAndNotified);
        assert!(cancelling.join().unwrap());
    });
}

#[test]
fn two_waiters_both_return() {
    exhaustive(|| {
        let task = Arc::new(Task::new(None));
        let waiting = {
            let task = Arc::clone(&task);
            thread::spawn(move || task.wait(None))
        };
        let finishing = finish_elsewhere(&task);
        assert!(task.wait(None));
        assert!(waiting.join().unwrap());
        finishing.join().unwrap();
    });
}

#[test]
fn a_job_is_claimed_or_given_back() {
    exhaustive(|| {
        let task = Arc::new(Task::new(Some("job")));
        let claiming = {
            let task = Arc::clone(&task);
            thread::spawn(move || {
                let job = task.claim();
                if job.is_some() {
                    tell(task.finish(Ok(7), |_| ()).expect("whoever claimed it ends it"));
                }
                job
            })
        };
        let given_back = match task.cancel() {
            Cancel::Now(job, wake) => {
                tell(wake);
                Some(job.expect("who cancels gets the job"))
            }
            Cancel::Already => panic!("nobody else cancels"),
            Cancel::TooLate(_) => None,
        };
        let claimed = claiming.join().unwrap();
        assert!(claimed.is_some() != given_back.is_some(), "{claimed:?}, {given_back:?}");
        let ended = if claimed.is_some() { State::Finished } else { State::CancelledAndNotified };
        assert_eq!((task.state(), value(&task).is_some()), (ended, claimed.is_some()));
    });
}

/// What a poll does, coming back with a new waker.
#[test]
fn a_watcher_that_replaces_itself_is_told_once_and_its_neighbour_too() {
    exhaustive(|| {
        let task = Arc::new(Task::new(None));
        let (old, old_told) = Watcher::new(false);
        let (new, new_told) = Watcher::new(false);
        let (neighbour, neighbour_told) = Watcher::new(true);
        let is_old = {
            let old = Arc::clone(&old.told);
            move |watcher: &Watcher| Arc::ptr_eq(&watcher.told, &old)
        };
        watch(&task, old);
        watch(&task, neighbour);

        let finishing = finish_elsewhere(&task);
        // Taken back, or told by the end.
        tell(task.unwatch(is_old));
        watch(&task, new);
        assert!(finishing.join().unwrap());
        old_told.exactly_once();
        new_told.exactly_once();
        neighbour_told.exactly_once();
    });
}

#[test]
fn a_job_that_was_sent_away_is_begun_or_cancelled() {
    exhaustive(|| {
        let task = Arc::new(Task::new(Some("job")));
        assert_eq!(task.send_away(None), Some("job"));
        let (waiter, told) = Watcher::new(true);
        watch(&task, waiter);
        let beginner = Arc::clone(&task);
        let beginning = thread::spawn(move || {
            let begun = beginner.begin();
            if begun {
                let _ = beginner.finish(Ok(7), |_| ()).map(tell);
            }
            begun
        });
        let cancelled = match task.cancel() {
            Cancel::Now(job, wake) => {
                assert_eq!(job, None);
                tell(wake);
                true
            }
            Cancel::Already | Cancel::TooLate(_) => false,
        };
        let begun = beginning.join().unwrap();
        assert_ne!(begun, cancelled, "a cancelled task was begun");
        assert_eq!(value(&task).is_some(), begun);
        told.exactly_once();
    });
}

#[test]
fn a_running_task_is_finished_or_cancelled() {
    exhaustive(|| {
        let executor = NonZeroU32::new(3);
        let task = Arc::new(Task::new(Some("job")));
        let _ = task.send_away(executor);
        assert!(task.begin());
        let (waiter, told) = Watcher::new(true);
        watch(&task, waiter);
        let finishing = finish_elsewhere(&task);
        let cancelled = match task.cancel_running() {
            (Cancel::Now(None, wake), stops) => {
                assert_eq!(stops, executor);
                tell(wake);
                true
            }
            (Cancel::Now(Some(_), _) | Cancel::Already, _) => unreachable!("it runs"),
            (Cancel::TooLate(_), _) => false,
        };
        assert_ne!(finishing.join().unwrap(), cancelled, "it ended twice, or not at all");
        assert!(task.state().is_notified());
        told.exactly_once();
    });
}
