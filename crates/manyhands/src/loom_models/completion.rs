//! Models of [`Ready`]: no future's number is left lying while somebody sleeps for it.

use std::sync::Arc;

use loom::thread;

use super::{exhaustive, join_all};
use crate::ready::Ready;

fn push_elsewhere(ready: &Arc<Ready>, number: usize) -> thread::JoinHandle<()> {
    let ready = Arc::clone(ready);
    thread::spawn(move || ready.push([number]))
}

#[test]
fn a_pop_that_meets_a_push_gets_its_number() {
    exhaustive(|| {
        let ready = Arc::new(Ready::new());
        let pushing = push_elsewhere(&ready, 7);
        assert_eq!(ready.pop(None), Some(7));
        pushing.join().unwrap();
    });
}

#[test]
fn two_pops_get_what_two_pushed() {
    exhaustive(|| {
        let ready = Arc::new(Ready::new());
        let pushing = [1, 2].map(|number| push_elsewhere(&ready, number));
        let mut numbers = [ready.pop(None), ready.pop(None)];
        numbers.sort_unstable();
        assert_eq!(numbers, [Some(1), Some(2)]);
        join_all(pushing);
    });
}

#[test]
fn one_who_waits_for_two_sleeps_until_both_are_there_and_no_longer() {
    exhaustive(|| {
        let ready = Arc::new(Ready::new());
        let pushing = [1, 2].map(|number| push_elsewhere(&ready, number));
        ready.wait_for_all(2, None);
        // Both are there, so neither pop can sleep.
        let mut numbers = [ready.pop(None), ready.pop(None)];
        numbers.sort_unstable();
        assert_eq!(numbers, [Some(1), Some(2)]);
        join_all(pushing);
    });
}

#[test]
fn an_interrupt_that_meets_a_sleeper_and_a_push_wakes_it() {
    exhaustive(|| {
        let ready = Arc::new(Ready::new());
        let interrupted = Arc::clone(&ready);
        let interrupting = thread::spawn(move || interrupted.interrupt());
        let pushing = push_elsewhere(&ready, 1);
        // One push is not enough, so that the interrupt alone can wake it.
        assert!(!ready.wait_for_all(2, None));
        assert!(ready.take_interrupt());
        assert_eq!(ready.pop(None), Some(1));
        join_all([interrupting, pushing]);
    });
}
