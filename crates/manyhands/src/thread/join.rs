//! `join`: two closures, of which another worker may take the second one over.
//!
//! Each worker's thread has a [`Deque`] for what its tasks lend, and so has a caller in `install`: oldest first for the
//! others, newest first for itself; the closures lie on its stack. What nobody has taken costs two atomic steps and no
//! allocation.
//!
//! Who waits for what another has taken helps with that, and with nothing else: it takes from the deque of the one
//! who has it, where only parts of it can be. So it never has to do with a lock that it holds itself, and its
//! stack grows no deeper than that of a plain recursion. If there is nothing to help with, it sleeps as any task
//! does that waits for another (`nested`), and to the wait-for graph the part is a task.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use manyhands_join::{Deque, Fork, Part, Stolen};

use super::pool::{Idle, Lender, Parts, Pool};
use crate::call_site::CallSite;
use crate::crossing::{FunctionType, Remote};
use crate::errors::BrokenExecutor;
use crate::job::{Job, Leftover, Run};
use crate::nested::graph::{How, TaskId};
use crate::nested::{self, Running, Targets, sleep_here};
use crate::panic::{self, Unwound, unwind};
use crate::ready::Ready;
use crate::spin;

/// Calls two closures and gives what both return; in a task on threads, or in
/// [`install`](crate::ThreadPoolExecutor::install), perhaps both at the same time.
///
/// `a` is called here and now. `b` may be taken over meanwhile by another worker of the same
/// [`ThreadPoolExecutor`](crate::ThreadPoolExecutor) or [`Scope`](crate::Scope), one that has no task to run;
/// otherwise it is called here afterwards. In all other threads one is called after the other. Both may borrow
/// what is on the stack, and nothing is allocated.
///
/// It is made for divide and conquer: a call costs some nanoseconds, and what is large is taken over first.
/// Prefer [`spawn`](crate::Executor::spawn) where a part is to be waited for by somebody else, to be cancelled, to
/// have a place in the queue, or to run also on other executors. `b` is no task of its own: it is not in the
/// [`Stats`](crate::Stats), it belongs to the task that calls `join`, and [`shutdown`](crate::Executor::shutdown)
/// waits for it as for that.
///
/// Neither closure may count on running at the same time as the other: `a` must not wait for what `b` does. Each
/// may wait for other tasks, as in any task; if `b` waits for the task that calls `join`, that is a
/// [`Deadlock`](crate::Deadlock), and it is told.
///
/// # Panics
/// If one of them panics, with its panic; if both do, with that of `a`. Both are called to their ends first.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor, join};
///
/// fn sort(numbers: &mut [u32]) {
///     if numbers.len() < 1_000 {
///         return numbers.sort_unstable();
///     }
///     let middle = numbers.len() / 2;
///     numbers.select_nth_unstable(middle);
///     let (low, high) = numbers.split_at_mut(middle);
///     join(|| sort(low), || sort(high));
/// }
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let mut numbers: Vec<u32> = (0..10_000).map(|n| n * 7919 % 10_007).collect();
/// let sorted = pool.spawn(move || {
///     sort(&mut numbers);
///     numbers
/// })?;
/// assert!(sorted.into_result(None)?.is_sorted());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
#[track_caller]
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB + Send,
    RB: Send,
{
    let (a, b) = (|| unwind(a), || unwind(b));
    let both = match here() {
        Some(here) => here.deque.join(a, b, || here.offer(), |stolen| here.wait(stolen)),
        None => (a(), b()),
    };
    match both {
        (Ok(a), Ok(b)) => (a, b),
        (Err(panic), b) => go_on_with(panic, b),
        (a, Err(panic)) => go_on_with(panic, a),
    }
}

/// So many parts for each processor at the most: few enough that a million items do not notice what their `join`s cost,
/// some nanoseconds each, and enough for workers to get equal shares.
const PARTS: usize = 64;

/// Calls a function with each item of a slice and gives what it returns, in the order of the items; in a task on
/// threads, or in [`install`](crate::ThreadPoolExecutor::install), perhaps at several places at the same time.
///
/// The slice is halved again and again by [`join`], into 64 parts for each processor at the most: what is said there of
/// threads, workers, waits and tasks holds for these. Each value is written where it is in the end. So a quick function over
/// many items costs what it costs one thread, divided by the workers that are free. Where the input is no slice, or
/// comes bit by bit, or the results are wanted one by one, there is [`Executor::map`](crate::Executor::map).
///
/// # Panics
/// If the function panics, with that of the first item for which it does. It is called with the other items all the
/// same, but for those of the same part, and what it has returned is dropped.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor, map_slice};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let words = vec!["one", "three", "eleven"];
/// assert_eq!(pool.install(|| map_slice(&words, |word| word.len())), [3, 5, 6]);
/// let lengths = pool.spawn(move || map_slice(&words, |word| word.len()))?;
/// assert_eq!(lengths.into_result(None)?, [3, 5, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn map_slice<T, U, F>(items: &[T], function: F) -> Vec<U>
where
    T: Sync,
    U: Send,
    F: Fn(&T) -> U + Sync,
{
    manyhands_join::map_slice(
        items,
        items.len().div_ceil(PARTS * spin::cores()),
        &function,
        &Joined,
    )
}

struct Joined;

impl Fork for Joined {
    #[inline]
    #[track_caller]
    fn fork<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        join(a, b)
    }
}

/// The value of the one that has not panicked, or the later panic, is dropped first: it may panic in turn.
#[cold]
fn go_on_with<R>(panic: Unwound, other: Result<R, Unwound>) -> ! {
    panic::drop_caught(other);
    panic.resume()
}

/// How a thread calls a worker for what it has lent.
pub(super) trait Call {
    /// It has lent it there.
    fn call(&self, lent: &Arc<Deque>);
}

/// Where this thread lends, and to whom.
struct Here {
    deque: Arc<Deque>,
    idle: Idle,
    /// Whether the others know this place.
    known: Cell<bool>,
    others: Arc<dyn Call>,
    /// Whether this thread is one of these workers itself.
    is_worker: bool,
}

thread_local! {
    static HERE: RefCell<Option<Rc<Here>>> = const { RefCell::new(None) };
}

/// `None`: this thread lends to nobody, or is so near its end that its locals are gone.
#[inline]
fn here() -> Option<Rc<Here>> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Gives what was there.
fn put_here(here: Option<Rc<Here>>) -> Option<Rc<Here>> {
    HERE.try_with(|place| place.replace(here)).ok().flatten()
}

/// Has what tasks lend in this worker's thread be found by the other workers, until the value is dropped.
pub(super) fn lend_to_others(idle: Idle, others: Arc<dyn Call>) -> Lends {
    let (deque, known) = (Arc::new(Deque::new()), Cell::new(false));
    Here { deque, idle, known, others, is_worker: true }.lend()
}

/// Has what this thread lends, which is no worker of that pool, be found by its workers, until the value is dropped.
pub(super) fn lend_to<'env, C: Call + 'static>(
    pool: &Pool<Job<'env>>,
    call: impl FnOnce(Lender<Job<'env>>) -> C,
) -> Lends {
    let deque = Arc::new(Deque::new());
    let lender = pool.lender(Arc::clone(&deque) as _);
    let (idle, known) = (lender.idle(), Cell::new(true));
    Here { deque, idle, known, others: Arc::new(call(lender)), is_worker: false }.lend()
}

/// Where this thread has lent before.
#[must_use = "the thread lends as long as this lives"]
pub(super) struct Lends(Option<Rc<Here>>);

impl Drop for Lends {
    fn drop(&mut self) {
        put_here(self.0.take());
    }
}

impl Here {
    fn lend(self) -> Lends {
        Lends(put_here(Some(Rc::new(self))))
    }

    /// Others can find something new in the deque.
    #[inline]
    fn offer(&self) {
        if self.idle.take() || !self.known.get() {
            self.call();
        }
    }

    #[cold]
    fn call(&self) {
        self.known.set(true);
        self.others.call(&self.deque);
    }

    /// Helps with what another worker has taken, or waits until it is over.
    #[cold]
    fn wait(&self, stolen: &Stolen<'_>) {
        let mut part = None;
        spin::for_caller(|| {
            part = stolen.thief().filter(|thief| !thief.seems_empty()).and_then(|it| it.take());
            part.is_some() || stolen.is_over()
        });
        match part {
            Some(part) => run(part, &self.deque),
            None => sleep(stolen, self.is_worker),
        }
    }
}

fn sleep(stolen: &Stolen<'_>, of_own_pool: bool) {
    let ready = Arc::new(Ready::new());
    if !stolen.wake_when_over(&Waker::from(Arc::new(Bell(Arc::clone(&ready))))) {
        return;
    }
    let targets = || {
        let mut targets = Targets::new(How::All);
        targets.add(stolen.id(), None, None);
        targets
    };
    // Told that it would wait for ever, it waits all the same: its stack is borrowed. So are others in that
    // cycle, and one of them ends it.
    while !stolen.is_over() {
        sleep_here(&ready, 1, of_own_pool, &targets, None);
    }
}

/// Wakes one who waits for a part.
struct Bell(Arc<Ready>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.push([0]);
    }
}

/// Runs a part in this thread.
fn run(part: Part, deque: &Arc<Deque>) {
    let running = Running {
        id: part.id(),
        name: part.name(),
        place: CallSite::of(part.place()),
        known_as: 0,
    };
    nested::run(running, || part.run(deque));
}

impl<'env> Parts<Job<'env>> for Deque {
    fn take_part(&self) -> Option<Job<'env>> {
        let part = self.take()?;
        let (id, name, place) = (part.id(), part.name(), part.place());
        Some(Job::new(Arc::new(TakenOver { id, name, place, part: Mutex::new(Some(part)) })))
    }

    fn has_parts(&self) -> bool {
        self.has_parts()
    }

    fn is_in_use(&self) -> bool {
        !self.seems_empty()
    }
}

/// A part as a job of the worker that has taken it. Whatever becomes of that, the part ends: one that is dropped
/// is called by its owner.
struct TakenOver {
    id: TaskId,
    name: &'static str,
    place: &'static Location<'static>,
    part: Mutex<Option<Part>>,
}

impl TakenOver {
    fn part(&self) -> Option<Part> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Run for TakenOver {
    fn run<'env>(self: Arc<Self>, _publish: &mut dyn FnMut(bool)) -> Option<Leftover<'env>>
    where
        Self: 'env,
    {
        if let (Some(part), Some(here)) = (self.part(), here()) {
            // What it panics with is its owner's; the place of the panic is noted here.
            let _ = panic::catch(|| run(part, &here.deque));
        }
        None
    }

    fn discard(self: Arc<Self>) {
        drop(self.part());
    }

    fn fail(self: Arc<Self>, _why: BrokenExecutor) {
        drop(self.part());
    }

    fn remote(self: Arc<Self>) -> Option<Arc<dyn Remote>> {
        None
    }

    fn function(&self) -> Option<FunctionType> {
        None
    }

    fn id(&self) -> TaskId {
        self.id
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn place(&self) -> Option<&'static Location<'static>> {
        Some(self.place)
    }

    /// Nobody waits for it as for a task.
    fn set_pool(&self, _number: u32) {}
}
