//! THE INTAKE: where tasks are left for the manager while all workers are busy anyway.
//!
//! Who submits while a worker is free sends the task there and then, under the pool's lock. While none is,
//! it could only put it into a queue, and would take the lock and its memory from the manager for that, which
//! needs them for every answer. So the manager opens the intake then, and takes all that was left there at
//! once, with the next turn in which the workers have not enough before them.
//!
//! ```text
//! shut ──open: no worker is free, and the manager takes a turn soon──▶ open ──shut──▶ shut
//! ```
//!
//! - **Open means that the manager comes**: it shuts the intake before it sleeps or does anything that may take
//!   long (to read the results that have come is not taken for that; who waits for a task receives meanwhile, and
//!   takes in what was left), and takes what is there with the same step. Who leaves something calls it, should it
//!   spin.
//! - **A thread's tasks stay in order**: who finds the intake shut takes the pool's lock, under which everything
//!   left before was taken.
//! - **A pool is closed behind the last task**: whoever is about to submit has a place [reserved](Intake::reserve),
//!   and the pool is closed by the last of them, if [shut down](Intake::refuse) meanwhile.

use crate::chunks::Chunks;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, sabotaged};

/// What is submitted to a pool, on its way to what is under the pool's lock.
pub(crate) struct Intake<E> {
    /// Places reserved, above two flags.
    gate: AtomicUsize,
    /// Whether something was left, for those who look without the lock.
    filled: AtomicBool,
    /// The manager's turns, for those who leave it alone as long as it takes them.
    turns: AtomicUsize,
    left: Mutex<Left<E>>,
}

struct Left<E> {
    open: bool,
    /// Places that are taken in the gate and were given back here, which costs nothing.
    given_back: usize,
    entries: Chunks<E>,
}

/// What became of an entry that was left.
pub(crate) struct Leave {
    /// It is the first, and the manager is to be called.
    pub(crate) first: bool,
    /// The caller's place is still to be [given back](Intake::give_back).
    pub(crate) has_place: bool,
}

/// The pool accepts nothing more: who reserves a place must ask why.
const REFUSES: usize = 1;
/// Nobody manages it yet.
const UNMANAGED: usize = 2;
const PLACE: usize = 4;

impl<E> Intake<E> {
    /// It is shut. With `unmanaged`, each place has to be asked for until it is [managed](Self::set_managed).
    pub(crate) fn new(unmanaged: bool) -> Self {
        Self {
            gate: AtomicUsize::new(if unmanaged { UNMANAGED } else { 0 }),
            filled: AtomicBool::new(false),
            turns: AtomicUsize::new(0),
            left: Mutex::new(Left { open: false, given_back: 0, entries: Chunks::new() }),
        }
    }

    /// Takes a place, which is to be [given back](Self::give_back) once the task is in or will not be. `false`:
    /// it must be asked for under the pool's lock whether there may be one.
    pub(crate) fn reserve(&self) -> bool {
        self.gate.fetch_add(PLACE, Ordering::AcqRel) & (REFUSES | UNMANAGED) == 0
    }

    /// Whether this was the last place of a pool that accepts nothing more.
    #[must_use = "somebody has to close the pool"]
    pub(crate) fn give_back(&self) -> bool {
        let gate = self.gate.fetch_sub(PLACE, Ordering::AcqRel) - PLACE;
        let last = gate & REFUSES != 0 && gate < PLACE;
        last && !sabotaged("intake_last_place_closes_nothing")
    }

    /// The pool accepts nothing more, but for those who have a place. Under the pool's lock, after what
    /// they are to be told was written.
    pub(crate) fn refuse(&self) {
        if sabotaged("intake_refusal_is_stored") {
            self.gate.store(self.gate.load(Ordering::Acquire) | REFUSES, Ordering::Release);
        } else {
            self.gate.fetch_or(REFUSES, Ordering::AcqRel);
        }
    }

    pub(crate) fn set_managed(&self) {
        self.gate.fetch_and(!UNMANAGED, Ordering::AcqRel);
    }

    /// Whether nobody has a place. What they have left is there, for who asks.
    pub(crate) fn is_free(&self) -> bool {
        self.settle(&mut self.left.lock());
        self.gate.load(Ordering::Acquire) < PLACE
    }

    /// Takes those out of the gate that have been given back.
    fn settle(&self, left: &mut Left<E>) {
        let given_back = std::mem::take(&mut left.given_back);
        if given_back > 0 {
            self.gate.fetch_sub(given_back * PLACE, Ordering::AcqRel);
        }
    }

    /// Leaves it for the manager, in the caller's place.
    ///
    /// # Errors
    /// Itself, if the intake is shut.
    pub(crate) fn leave(&self, entry: E) -> Result<Leave, E> {
        let mut left = self.left.lock();
        if !left.open {
            return Err(entry);
        }
        let first = left.entries.is_empty() && !sabotaged("intake_first_calls_nobody");
        left.entries.push_back(entry);
        if first {
            self.filled.store(true, Ordering::Relaxed);
        }
        // Who closes the pool asks with this lock, after it has refused: it finds the place given back, or this finds
        // that it refuses.
        let refuses = self.gate.load(Ordering::Relaxed) & REFUSES != 0;
        let gives_back = !refuses || sabotaged("intake_place_is_given_back_unseen");
        left.given_back += usize::from(gives_back);
        Ok(Leave { first, has_place: !gives_back })
    }

    /// Whether there is something of what this thread knows to be left.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Relaxed)
    }

    /// While the manager is at full work, the number of its last turn.
    pub(crate) fn turn(&self) -> Option<usize> {
        self.left.lock().open.then(|| self.turns.load(Ordering::Relaxed))
    }

    /// The manager takes a turn, under the pool's lock.
    pub(crate) fn note_turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes all, under the pool's lock, in exchange for something empty.
    pub(crate) fn take(&self, into: &mut Chunks<E>) {
        let mut left = self.left.lock();
        self.settle(&mut left);
        std::mem::swap(&mut left.entries, into);
        self.filled.store(false, Ordering::Relaxed);
    }

    /// For the manager, under the pool's lock.
    pub(crate) fn open(&self) {
        self.left.lock().open = true;
    }

    /// Takes the last, likewise, behind what is there.
    pub(crate) fn shut(&self, into: &mut Chunks<E>) {
        let mut left = self.left.lock();
        left.open = sabotaged("intake_shut_leaves_it_open");
        if !sabotaged("intake_shut_forgets_the_last") {
            into.append(&mut left.entries);
        }
        self.filled.store(false, Ordering::Relaxed);
    }
}
