//! Models of a worker's death between any two of its steps: the parent can tell of every frame
//! whether it was answered, may have been begun, or was not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::thread;

use super::{Died, LEFT, claim, ends, exhaustive, receive};
use crate::parent::ParentEnd;
use crate::worker::WorkerEnd;

const FRAMES: [&[u8]; 3] = [b"first", b"second, long", b"third"];

/// As many steps as the worker takes: with so many it lives.
const STEPS: u32 = 16;

/// Runs the model for a worker that dies after each number of steps.
fn after_each_step(model: fn(u32)) {
    for steps in 0..=STEPS {
        exhaustive(move || model(steps));
    }
}

/// Echoes two frames and claims a third; whether it lived to do so.
fn work(mut worker: WorkerEnd, steps: u32) -> bool {
    LEFT.set(Some(steps));
    let lived = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..2 {
            if let Some(frame) = claim(&mut worker) {
                worker.send(&[&frame]).unwrap();
            }
        }
        claim(&mut worker);
    }));
    LEFT.set(None);
    lived.map_err(|died| assert!(died.is::<Died>(), "the worker panicked")).is_ok()
}

/// The worker is gone. What is known of each frame: answered, perhaps begun, or taken back.
fn settle(mut parent: ParentEnd, mut answered: Vec<Vec<u8>>, mut taken: Vec<Vec<u8>>) {
    while let Some(answer) = receive(&mut parent) {
        answered.push(answer);
        parent.release(1).unwrap();
    }
    let begun = parent.claimed();
    assert!(begun <= 1, "{begun} frames may have been begun");
    let begun: Vec<_> = (0..begun).map(|nth| parent.request(nth).unwrap()).collect();
    taken.splice(0..0, parent.take_back(u32::MAX));
    assert_eq!(parent.in_flight() as usize, begun.len());
    assert_eq!([answered, begun, taken].concat(), FRAMES);
}

#[test]
fn a_worker_that_dies_leaves_a_clear_account() {
    after_each_step(|steps| {
        let (mut parent, worker, _doorbell) = ends(16, 8);
        for frame in FRAMES {
            parent.offer(&[frame]).unwrap();
        }
        let working = thread::spawn(move || work(worker, steps));
        let mut answered = Vec::new();
        if let Some(answer) = receive(&mut parent) {
            answered.push(answer);
            parent.release(1).unwrap();
        }
        let lived = working.join().unwrap();
        assert_eq!(lived, steps == STEPS, "STEPS is how many there are");
        settle(parent, answered, Vec::new());
    });
}

#[test]
fn frames_taken_back_from_a_dying_worker_are_not_begun() {
    after_each_step(|steps| {
        let (mut parent, worker, _doorbell) = ends(16, 8);
        for frame in FRAMES {
            parent.offer(&[frame]).unwrap();
        }
        let working = thread::spawn(move || work(worker, steps));
        let taken = parent.take_back(2);
        working.join().unwrap();
        settle(parent, Vec::new(), taken);
    });
}
