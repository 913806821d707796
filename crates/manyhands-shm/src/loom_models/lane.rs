//! Models of the lane: each frame is claimed or taken back, whole, and nobody sleeps beside one.

use loom::thread;

use super::{
    claim, claim_or_sleep, ends, exhaustive, preempted_at_most, receive, receive_or_sleep,
};

#[test]
fn an_offer_that_meets_a_claim_is_claimed_whole() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        let claiming = thread::spawn(move || {
            let claimed: Vec<_> = (0..2).filter_map(|_| claim(&mut worker)).collect();
            (worker, claimed)
        });
        parent.offer(&[b"first"]).unwrap();
        parent.offer(&[b"second, ", b"long"]).unwrap();
        let (mut worker, mut claimed) = claiming.join().unwrap();
        claimed.extend((0..3).filter_map(|_| claim(&mut worker)));
        assert_eq!(claimed, [b"first".as_slice(), b"second, long"]);
        assert_eq!((parent.in_flight(), parent.claimed()), (2, 2));
    });
}

#[test]
fn a_sleeper_that_meets_an_offer_wakes() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        let sleeping = thread::spawn(move || claim_or_sleep(&mut worker));
        parent.offer(&[b"wake"]).unwrap();
        assert_eq!(sleeping.join().unwrap(), b"wake");
    });
}

#[test]
fn a_sleeper_that_meets_two_offers_claims_both() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        let sleeping =
            thread::spawn(move || [claim_or_sleep(&mut worker), claim_or_sleep(&mut worker)]);
        parent.offer(&[b"1"]).unwrap();
        parent.offer(&[b"2"]).unwrap();
        assert_eq!(sleeping.join().unwrap(), [b"1", b"2"]);
    });
}

#[test]
fn a_sleeper_that_is_told_of_two_at_once_claims_both() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        let sleeping =
            thread::spawn(move || [claim_or_sleep(&mut worker), claim_or_sleep(&mut worker)]);
        parent.put(&[b"1"]).unwrap();
        parent.put(&[b"2"]).unwrap();
        parent.publish();
        assert_eq!(sleeping.join().unwrap(), [b"1", b"2"]);
    });
}

/// Of what is taken back, the worker may not have been told yet.
#[test]
fn a_frame_that_was_put_there_is_claimed_or_taken_back() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        parent.offer(&[b"first"]).unwrap();
        let claiming = thread::spawn(move || {
            let claimed: Vec<_> = (0..2).filter_map(|_| claim(&mut worker)).collect();
            (worker, claimed)
        });
        parent.put(&[b"second"]).unwrap();
        let taken = parent.take_back(2);
        let (mut worker, mut kept) = claiming.join().unwrap();
        assert_eq!(claim(&mut worker), None);
        kept.extend(taken);
        assert_eq!(kept, [b"first".as_slice(), b"second"]);
    });
}

#[test]
fn a_sleeper_that_meets_the_parents_leave_wakes() {
    exhaustive(|| {
        let (mut parent, worker, _doorbell) = ends(8, 4);
        let sleeping = thread::spawn(move || {
            while !worker.is_left() {
                worker.sleep(None);
            }
            assert!(worker.stop_token().is_set());
        });
        parent.leave();
        sleeping.join().unwrap();
    });
}

/// The worker wakes for an offer that is gone, and has to wake again for the next one.
#[test]
fn a_sleeper_that_was_woken_for_nothing_wakes_again() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        let sleeping = thread::spawn(move || claim_or_sleep(&mut worker));
        parent.offer(&[b"first"]).unwrap();
        let taken = parent.take_back(1);
        if taken.is_empty() {
            assert_eq!(parent.claimed(), 1);
            assert_eq!(sleeping.join().unwrap(), b"first");
        } else {
            assert_eq!(taken, [b"first"]);
            parent.offer(&[b"other"]).unwrap();
            assert_eq!(sleeping.join().unwrap(), b"other");
        }
    });
}

#[test]
fn a_frame_is_claimed_or_taken_back() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        parent.offer(&[b"first"]).unwrap();
        parent.offer(&[b"second"]).unwrap();
        let claiming = thread::spawn(move || {
            let claimed: Vec<_> = (0..2).filter_map(|_| claim(&mut worker)).collect();
            (worker, claimed)
        });
        let taken = parent.take_back(2);
        // What is written now lies where a taken one was.
        parent.offer(&[b"another one"]).unwrap();
        let (mut worker, mut claimed) = claiming.join().unwrap();
        claimed.extend((0..3).filter_map(|_| claim(&mut worker)));

        let mut kept = claimed.clone();
        assert_eq!(kept.pop().as_deref(), Some(b"another one".as_slice()));
        kept.extend(taken);
        assert_eq!(kept, [b"first".as_slice(), b"second"]);
        assert_eq!(parent.claimed() as usize, claimed.len());
    });
}

/// A worker of its own pace, and a lane in which every second frame goes around the end.
#[test]
fn frames_that_wrap_are_claimed_whole() {
    preempted_at_most(3, || {
        let (mut parent, mut worker, doorbell) = ends(8, 4);
        let frames: [&[u8]; 3] = [b"0123456789abcdef", b"01234567", b"fedcba9876543210"];
        let working = thread::spawn(move || {
            for frame in frames {
                assert_eq!(claim_or_sleep(&mut worker), frame);
                worker.send(&[]).unwrap();
            }
        });
        for frame in frames {
            while parent.offer(&[frame]).is_err() {
                receive_or_sleep(&mut parent, &doorbell);
                parent.release(1).unwrap();
            }
        }
        working.join().unwrap();
        while receive(&mut parent).is_some() {
            parent.release(1).unwrap();
        }
        assert_eq!(parent.in_flight(), 0);
    });
}

#[test]
fn a_frame_that_is_being_read_cannot_be_released() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(4, 4);
        parent.offer(&[b"read me"]).unwrap();
        let reading = thread::spawn(move || {
            let claimed = claim(&mut worker);
            worker.send(&[]).unwrap();
            claimed
        });
        let answered = receive(&mut parent).is_some();
        assert_eq!(parent.release(1).is_ok(), answered);
        // Twice: it goes around, to where the first one lies.
        for _ in 0..2 {
            let _ = parent.offer(&[b"written"]);
        }
        assert_eq!(reading.join().unwrap().as_deref(), Some(b"read me".as_slice()));
    });
}

#[test]
fn a_wish_to_stop_meets_the_frame_it_is_for() {
    exhaustive(|| {
        let (mut parent, mut worker, _doorbell) = ends(8, 4);
        parent.offer(&[b"1"]).unwrap();
        parent.offer(&[b"2"]).unwrap();
        let stop = worker.stop_token();
        let working = thread::spawn(move || {
            let first = claim(&mut worker).map(|_| stop.is_set());
            let second = claim(&mut worker).map(|_| stop.is_set());
            (worker, [first, second])
        });
        parent.ask_to_stop(1);
        let (worker, [first, _]) = working.join().unwrap();
        assert_eq!(first, Some(false));
        assert!(worker.stop_token().is_set());
    });
}
