//! Models of the answers: each arrives once, whole and in order, and nobody sleeps beside one, nor
//! beside room for one.

use loom::thread;

use super::{ends, exhaustive, preempted_at_most, receive, receive_or_sleep};

#[test]
fn an_answer_that_meets_a_look_is_received_whole() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(4, 8);
        let sending = thread::spawn(move || {
            worker.send(&[b"first"]).unwrap();
            worker.send(&[b"second, ", b"long"]).unwrap();
        });
        let mut received: Vec<_> = (0..2).filter_map(|_| receive(&mut parent)).collect();
        sending.join().unwrap();
        assert_eq!(parent.has_answer(), received.len() < 2);
        received.extend((0..3).filter_map(|_| receive(&mut parent)));
        assert_eq!(received, [b"first".as_slice(), b"second, long"]);
    });
}

#[test]
fn a_parent_that_falls_asleep_hears_the_answer() {
    exhaustive(|| {
        let (mut parent, mut worker, doorbell) = ends(4, 4);
        let sending = thread::spawn(move || worker.send(&[b"wake"]).unwrap());
        assert_eq!(receive_or_sleep(&mut parent, &doorbell), b"wake");
        sending.join().unwrap();
    });
}

#[test]
fn a_parent_that_wakes_and_sleeps_again_hears_the_next_answer() {
    exhaustive(|| {
        let (mut parent, mut worker, doorbell) = ends(4, 8);
        let sending = thread::spawn(move || {
            worker.send(&[b"1"]).unwrap();
            worker.send(&[b"2"]).unwrap();
        });
        assert_eq!(receive_or_sleep(&mut parent, &doorbell), b"1");
        assert_eq!(receive_or_sleep(&mut parent, &doorbell), b"2");
        sending.join().unwrap();
    });
}

/// The ring holds one of them, and the parent only looks.
#[test]
fn a_worker_that_waits_for_room_goes_on() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(4, 2);
        worker.send(&[b"first"]).unwrap();
        let sending = thread::spawn(move || worker.send(&[b"second"]).unwrap());
        assert_eq!(receive(&mut parent).as_deref(), Some(b"first".as_slice()));
        sending.join().unwrap();
        assert_eq!(receive(&mut parent).as_deref(), Some(b"second".as_slice()));
    });
}

/// Three answers through a ring for little more than one, while both sides sleep.
#[test]
fn answers_that_wrap_are_received_whole() {
    preempted_at_most(3, || {
        let (mut parent, mut worker, doorbell) = ends(4, 4);
        let answers: [&[u8]; 3] = [b"0123456789abcdef", b"01234567", b"fedcba9876543210"];
        let sending = thread::spawn(move || {
            for answer in answers {
                worker.send(&[answer]).unwrap();
            }
        });
        for answer in answers {
            assert_eq!(receive_or_sleep(&mut parent, &doorbell), answer);
        }
        sending.join().unwrap();
    });
}
