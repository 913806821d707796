//! What the integration tests share: a watchdog, a logger that remembers, values whose drops are
//! counted, tasks that occupy workers, and the smallest async runtime.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod awaiting;
pub(crate) mod processes;

use std::panic;
use std::pin::pin;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use manyhands::{Executor, join};

const LIMIT: Duration = Duration::from_mins(1);

/// What a test panics with on purpose begins like this, and is not printed.
pub(crate) const PLANNED: &str = "planned: ";

/// Ends the process when the test that holds it hangs. Must be a test's first value, so that it is
/// dropped last, and made before any executor, so that the crate's panic hook comes upon ours.
#[must_use = "it watches until it is dropped"]
pub(crate) struct Watchdog {
    _ends_with: mpsc::Sender<()>,
}

pub(crate) fn watched() -> Watchdog {
    watched_for(LIMIT)
}

/// For tests whose length is the caller's choice.
pub(crate) fn watched_for(limit: Duration) -> Watchdog {
    set_up();
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let (ends_with, ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("WATCHDOG: {test} hangs: it has not ended within {limit:?}");
            process::abort();
        }
    });
    Watchdog { _ends_with: ends_with }
}

fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Memory).expect("no other logger is set");
        log::set_max_level(log::LevelFilter::Trace);
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.payload_as_str().is_some_and(|message| message.starts_with(PLANNED)) {
                default(info);
            }
        }));
    });
}

struct Memory;

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl log::Log for Memory {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.lock().unwrap().push(format!("{}: {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// The lines logged so far that contain `text`.
pub(crate) fn logged(text: &str) -> Vec<String> {
    LOGGED.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

/// Counts how many of its [`Counted`] values are alive.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

/// A value whose life is counted, clones included.
pub(crate) struct Counted(Counter);

impl Counter {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn value(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.value()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tasks that keep workers busy until this is dropped.
#[must_use = "the workers are free again when it is dropped"]
pub(crate) struct Busy {
    _holds: Vec<mpsc::Sender<()>>,
}

/// Keeps so many workers busy; returns when they are.
pub(crate) fn occupy(executor: &impl Executor, workers: usize) -> Busy {
    let (started, starts) = mpsc::channel();
    let holds = (0..workers)
        .map(|_| {
            let (hold, released) = mpsc::channel::<()>();
            let started = started.clone();
            let task = move || {
                started.send(()).unwrap();
                let _ = released.recv();
            };
            executor.spawn(task).unwrap();
            hold
        })
        .collect();
    for _ in 0..workers {
        starts.recv().unwrap();
    }
    Busy { _holds: holds }
}

pub(crate) fn here() -> ThreadId {
    thread::current().id()
}

/// A join whose second closure runs in another thread: the first one waits until it has begun.
pub(crate) fn stolen<RA, RB: Send>(
    a: impl FnOnce() -> RA,
    b: impl FnOnce() -> RB + Send,
) -> (RA, RB) {
    let (begun, begins) = mpsc::channel();
    let owner = here();
    join(
        || {
            assert_ne!(begins.recv(), Ok(owner), "another worker was free");
            a()
        },
        move || {
            begun.send(here()).unwrap();
            b()
        },
    )
}

/// Runs an async computation in this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
