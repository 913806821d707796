//! Models of two threads at one lock: of more that wait, loom finds ever new turns. Its cell is loom's, which fails when two are at it that do not
//! know of each other.

use std::sync::Arc;

use loom::sync::atomic::Ordering;
use loom::thread;

use crate::WordMutex;

fn add_one(lock: &WordMutex<u8>) {
    let mut value = lock.lock();
    *value += 1;
    lock.byte.store(*value, Ordering::Release);
}

#[test]
fn who_comes_next_sees_what_was_written_before() {
    loom::model(|| {
        let lock = Arc::new(WordMutex::new(0, 0, 0));
        let other = Arc::clone(&lock);
        let other = thread::spawn(move || add_one(&other));
        add_one(&lock);
        other.join().unwrap();
        assert_eq!(lock.byte.load(Ordering::Acquire), 2);
        assert_eq!(*lock.lock(), 2, "somebody was not alone");
    });
}

#[test]
fn one_that_tries_gets_it_or_does_not_touch_it() {
    loom::model(|| {
        let lock = Arc::new(WordMutex::new(0, 0, 0));
        let other = Arc::clone(&lock);
        let other = thread::spawn(move || other.try_lock().map(|mut value| *value += 1).is_some());
        let here = lock.try_lock().map(|mut value| *value += 1).is_some();
        let there = other.join().unwrap();
        assert!(here || there, "nobody else was there");
        assert_eq!(*lock.lock(), u8::from(here) + u8::from(there));
    });
}
