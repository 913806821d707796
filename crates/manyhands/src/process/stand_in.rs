//! Callbacks that wait, in the thread that manages a pool: another thread manages it from then on.
//!
//! The manager calls what the ends of tasks bring about. Should that wait for another task, of which it would
//! be the manager who hears that its worker has died, say, then everything that it needs lies ready for a
//! thread that stands in for it. The first thread lives on until that has ended: on Linux its workers die with
//! it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::crossing::Telling;
use crate::panic;

/// A manager, as what can go on in another thread.
pub(super) trait Manages: Send + 'static {
    /// Goes on, and begins with these callbacks.
    fn run(self: Box<Self>, tellings: VecDeque<Telling>);
}

thread_local! {
    /// There while this thread calls what ends of tasks bring about.
    static CALLING: RefCell<Option<Arc<dyn HandsOver>>> = const { RefCell::new(None) };
}

trait HandsOver {
    fn hand_over(self: Arc<Self>);
}

struct Calls<M> {
    /// The manager and what is still to be called, for whoever comes next.
    resting: Mutex<Option<(Box<M>, VecDeque<Telling>)>>,
    stand_in: Mutex<Option<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M: Manages> HandsOver for Calls<M> {
    fn hand_over(self: Arc<Self>) {
        let mut stand_in = lock(&self.stand_in);
        if stand_in.is_some() {
            return;
        }
        let calls = Arc::clone(&self);
        let run = move || {
            // Nothing is there if the first thread has come back sooner.
            let resting = lock(&calls.resting).take();
            if let Some((manager, tellings)) = resting {
                manager.run(tellings);
            }
        };
        match thread::Builder::new().name("manyhands-stand-in".to_owned()).spawn(run) {
            Ok(thread) => *stand_in = Some(thread),
            Err(error) => {
                log::error!("a process pool is not managed while a callback waits: {error}");
            }
        }
    }
}

/// Calls them all; the manager, or `None` if another thread has managed the pool to its end.
pub(super) fn tell<M: Manages>(manager: Box<M>, tellings: VecDeque<Telling>) -> Option<Box<M>> {
    if tellings.is_empty() {
        return Some(manager);
    }
    let resting = Mutex::new(Some((manager, tellings)));
    let calls = Arc::new(Calls { resting, stand_in: Mutex::default() });
    CALLING.replace(Some(Arc::clone(&calls) as _));
    let next = || lock(&calls.resting).as_mut()?.1.pop_front();
    while let Some(telling) = next() {
        panic::contain(telling);
    }
    CALLING.take();
    let manager = lock(&calls.resting).take().map(|(manager, _)| manager);
    let stand_in = lock(&calls.stand_in).take();
    if let (None, Some(thread)) = (&manager, stand_in)
        && thread.join().is_err()
    {
        log::error!("the stand-in of a process pool's manager has panicked");
    }
    manager
}

/// Whether this thread manages a pool, and calls what the program has.
pub(super) fn is_calling() -> bool {
    CALLING.with_borrow(Option::is_some)
}

/// For a thread that begins to wait: if it manages a pool, another one does from now on.
pub(super) fn hand_over() {
    let calls = CALLING.with_borrow(Clone::clone);
    if let Some(calls) = calls {
        calls.hand_over();
    }
}
