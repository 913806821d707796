//! `Trial`: what a test of a behaviour is made with: the executor, tasks that are held, waits that end.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use manyhands::{Executor, Future};

use crate::place::{Place, TURN};
use crate::subject::{Break, Subject};
use crate::tasks::hold;

/// How long to wait for what should not come. It may come later, unseen.
pub(crate) const SHORT: Duration = Duration::from_millis(20);

pub(crate) struct Trial {
    pub(crate) subject: Subject,
    pub(crate) place: Place,
    /// Not dropped by a test that fails: tasks that hang would have the drop hang too.
    kept: Arc<Mutex<Vec<Shared>>>,
}

pub(crate) type Shared = Arc<dyn Executor>;

impl Trial {
    pub(crate) fn new(subject: Subject, place: Place) -> Self {
        Self { subject, place, kept: Arc::default() }
    }

    /// For a test in several rounds: what is held in one is not let go of in another.
    pub(crate) fn round(&self, number: usize) -> Self {
        Self {
            subject: self.subject.clone(),
            place: self.place.round(number),
            kept: Arc::clone(&self.kept),
        }
    }

    /// An executor, which lives until the test is over.
    pub(crate) fn executor(&self) -> Shared {
        let executor = self.subject.make();
        self.kept.lock().unwrap().push(Arc::clone(&executor));
        executor
    }

    /// An executor that is dropped by the test.
    pub(crate) fn executor_to_drop(&self) -> Shared {
        self.subject.make()
    }

    /// An executor, and what breaks it.
    pub(crate) fn breaking_executor(&self) -> (Shared, Break) {
        let (executor, breaks) = self.subject.make_breaking();
        self.kept.lock().unwrap().push(Arc::clone(&executor));
        (executor, breaks)
    }

    pub(crate) fn patience(&self) -> Duration {
        self.subject.patience
    }

    /// What the task returns.
    #[track_caller]
    pub(crate) fn value<T, E>(&self, future: &Future<T, E>) -> T
    where
        T: Send + Clone,
        E: Send + Sync + Debug,
    {
        match future.result(self.patience()) {
            Ok(value) => value,
            Err(why) => panic!("expected a task to return its value, but it is {}: {why:?}", {
                future.state()
            }),
        }
    }

    /// Waits until the task has ended, however.
    #[track_caller]
    pub(crate) fn ended<T: Send, E: Send + Sync>(&self, future: &Future<T, E>) {
        self.until("a task to end", || future.done());
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + self.patience();
        while !holds() {
            assert!(
                Instant::now() < end,
                "expected {what}, but it did not come within {:?}",
                self.patience()
            );
            thread::sleep(TURN);
        }
    }

    /// Receives what must come.
    #[track_caller]
    pub(crate) fn received<T>(&self, what: &str, receiver: &mpsc::Receiver<T>) -> T {
        receiver.recv_timeout(self.patience()).unwrap_or_else(|_| {
            panic!("expected {what}, but it did not come within {:?}", self.patience())
        })
    }

    /// Makes a call in a thread of its own, which must return.
    #[track_caller]
    pub(crate) fn returns<T: Send + 'static>(
        &self,
        what: &str,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.received(&format!("{what} to return"), &in_thread(call))
    }

    /// Keeps all workers busy until what it gives is dropped: further tasks are pending.
    #[track_caller]
    pub(crate) fn busy(&self, executor: &Shared) -> Held {
        self.hold(executor, self.subject.workers())
    }

    /// Keeps so many workers busy.
    #[track_caller]
    pub(crate) fn hold(&self, executor: &Shared, workers: u64) -> Held {
        let held = self.submit_held(executor, workers);
        for (number, future) in (0..).zip(&held.futures) {
            let has_begun = || self.place.has_begun(number);
            self.until("a task to begin while others run", || has_begun() || future.done());
            assert!(has_begun(), "expected a task to run, but it has ended: {:?}", future.state());
        }
        held
    }

    /// Submits tasks that will be held, when they begin.
    pub(crate) fn submit_held(&self, executor: &Shared, count: u64) -> Held {
        let futures =
            (0..count).map(|n| executor.submit(hold, (self.place.name(), n)).unwrap()).collect();
        Held { place: self.place.clone(), futures }
    }
}

/// Tasks that run until this is dropped. (To be declared after their executor, whose drop may wait for them.)
pub(crate) struct Held {
    place: Place,
    pub(crate) futures: Vec<Future<u64>>,
}

impl Held {
    pub(crate) fn end(&self) {
        self.place.open();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes a call in a thread of its own, and tells what it has returned.
pub(crate) fn in_thread<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(call());
    });
    receiver
}
