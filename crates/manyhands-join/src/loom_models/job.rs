//! Models of one closure that is lent: it is called once, its result arrives, and nobody is at its memory when
//! its owner goes on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use loom::sync::Notify;
use loom::thread;

use crate::{Deque, Part, Stolen};

/// Wakes an owner that sleeps.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// A wait that asks again and again.
fn ask(_: &Stolen<'_>) {
    thread::yield_now();
}

/// Lends a closure that borrows, to as many as `thieves`, who do this with what they find.
fn lend(thieves: usize, with: fn(Part, &Arc<Deque>), wait: fn(&Stolen<'_>)) {
    let deque = Arc::new(Deque::new());
    let threads: Vec<_> = (0..thieves)
        .map(|_| {
            let deque = Arc::clone(&deque);
            thread::spawn(move || {
                if let Some(part) = deque.take() {
                    with(part, &Arc::new(Deque::new()));
                }
            })
        })
        .collect();
    let (calls, word) = (AtomicUsize::new(0), Box::new(17));
    let call = || {
        calls.fetch_add(1, Ordering::Relaxed);
        *word + 1
    };
    let (_, result) = deque.join(|| (), call, || (), wait);
    assert_eq!(result, 18);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "called so often");
    assert!(!deque.has_parts());
    for thread in threads {
        thread.join().unwrap();
    }
}

fn run(part: Part, deque: &Arc<Deque>) {
    part.run(deque);
}

#[test]
fn taken_back_or_stolen_it_is_called_once() {
    loom::model(|| lend(1, run, ask));
}

#[test]
fn two_thieves_do_not_get_the_same() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| lend(2, run, ask));
}

#[test]
fn an_owner_that_sleeps_is_woken_at_the_end() {
    fn sleep(stolen: &Stolen<'_>) {
        let bell = Arc::new(Bell(Notify::new()));
        while stolen.wake_when_over(&Waker::from(Arc::clone(&bell))) {
            bell.0.wait();
        }
    }
    loom::model(|| lend(1, run, sleep));
}

#[test]
fn a_part_that_is_dropped_is_called_by_its_owner() {
    loom::model(|| lend(1, |part, _| drop(part), ask));
}

#[test]
fn what_a_thief_lends_can_be_taken_by_the_one_who_waits_for_it() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let deques = [(); 2].map(|()| Arc::new(Deque::new()));
        let [own, thiefs] = deques.clone();
        let thief = thread::spawn(move || {
            if let Some(part) = own.take() {
                part.run(&thiefs);
            }
        });
        let below = Arc::clone(&deques[1]);
        let (_, sum) = deques[0].join(
            || (),
            move || {
                let (one, two) = below.join(|| 1, || 2, || (), ask);
                one + two
            },
            || (),
            |stolen| {
                match stolen.thief().and_then(|thief| thief.take()) {
                    Some(part) => part.run(&deques[0]),
                    None => thread::yield_now(),
                };
            },
        );
        assert_eq!(sum, 3);
        thief.join().unwrap();
    });
}

#[test]
fn an_owner_that_panics_waits_for_the_thief() {
    loom::model(|| {
        let deque = Arc::new(Deque::new());
        let own = Arc::clone(&deque);
        let thief = thread::spawn(move || {
            if let Some(part) = own.take() {
                part.run(&Arc::new(Deque::new()));
            }
        });
        let (calls, word) = (AtomicUsize::new(0), Box::new(17));
        let call = || calls.fetch_add(*word, Ordering::Relaxed);
        let join = || deque.join(|| resume_unwind(Box::new(())), call, || (), ask);
        assert!(catch_unwind(AssertUnwindSafe(join)).is_err());
        assert!([0, 17].contains(&calls.load(Ordering::Relaxed)));
        assert!(!deque.has_parts());
        thief.join().unwrap();
    });
}
