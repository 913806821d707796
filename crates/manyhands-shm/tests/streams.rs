//! Both ends in one process, a thread each: what is offered, claimed, answered and taken back.
#![cfg(target_os = "linux")]

mod common;

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{claim_or_sleep, ends, fd, page, receive_or_sleep};
use manyhands_shm::{Doorbell, Full, ParentEnd, SendError, Shape, WorkerEnd};

/// A frame of its own for each number: its length and its bytes tell which.
fn frame(number: u64) -> Vec<u8> {
    let len = usize::try_from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58).unwrap();
    let mut frame = number.to_le_bytes().to_vec();
    frame.resize(8 + len, number.to_le_bytes()[0]);
    frame
}

#[test]
fn a_million_frames_arrive_whole_and_in_order() {
    const FRAMES: u64 = 1_000_000;
    let (mut parent, mut worker, doorbell) = ends(Shape { lane: page(), answers: page() });
    let working = thread::spawn(move || {
        for number in 0..FRAMES {
            let claimed = claim_or_sleep(&mut worker);
            assert_eq!(claimed, frame(number));
            worker.send(&[&claimed[..8], &claimed[8..]]).unwrap();
        }
    });
    let (mut offered, mut received) = (0, 0);
    let mut answer = Vec::new();
    while received < FRAMES {
        while offered < FRAMES {
            let next = frame(offered);
            let (start, rest) = next.split_at(8);
            if parent.offer(&[start, &[], rest]).is_err() {
                break;
            }
            offered += 1;
        }
        receive_or_sleep(&mut parent, &doorbell, &mut answer);
        assert_eq!(answer, frame(received));
        parent.release(1).unwrap();
        received += 1;
    }
    working.join().unwrap();
    assert_eq!((parent.in_flight(), parent.claimed(), parent.has_answer()), (0, 0, false));
}

#[test]
fn each_frame_is_claimed_or_taken_back() {
    const ROUNDS: u64 = 200_000;
    let (mut parent, mut worker, doorbell) = ends(Shape { lane: page(), answers: page() });
    let working = thread::spawn(move || {
        loop {
            let claimed = claim_or_sleep(&mut worker);
            worker.send(&[&claimed]).unwrap();
            if claimed.is_empty() {
                return;
            }
        }
    });
    let mut expected = VecDeque::new();
    let (mut next, mut taken_back, mut answered) = (0, 0_u64, 0_u64);
    let mut answer = Vec::new();
    for round in 0..ROUNDS {
        for _ in 0..round % 7 {
            if parent.offer(&[&frame(next)]).is_ok() {
                expected.push_back(frame(next));
                next += 1;
            }
        }
        let most = u32::try_from(round % 5).unwrap();
        let taken = parent.take_back(most);
        assert!(taken.len() <= most as usize);
        taken_back += taken.len() as u64;
        let kept = expected.len() - taken.len();
        assert_eq!(expected.split_off(kept), taken);
        while parent.receive(&mut answer).unwrap() {
            assert_eq!(Some(&answer), expected.front());
            expected.pop_front();
            parent.release(1).unwrap();
            answered += 1;
        }
        assert_eq!(parent.in_flight() as usize, expected.len());
        assert!(parent.claimed() <= parent.in_flight());
    }
    while parent.offer(&[]).is_err() {
        taken_back += parent.take_back(1).len() as u64;
    }
    loop {
        receive_or_sleep(&mut parent, &doorbell, &mut answer);
        parent.release(1).unwrap();
        if answer.is_empty() {
            break;
        }
        answered += 1;
    }
    working.join().unwrap();
    assert_eq!((parent.in_flight(), answered + taken_back), (0, next));
}

#[test]
fn frames_of_every_length_fit_up_to_the_longest() {
    let (mut parent, mut worker, _doorbell) = ends(Shape { lane: page(), answers: page() });
    let (longest_request, longest_answer) = (parent.max_request(), parent.max_answer());
    assert_eq!((longest_request, longest_answer), (page() / 2 - 8, page() - 8));
    let mut received = vec![0; 17];
    for len in [0, 1, 7, 8, 9, longest_request - 1, longest_request] {
        let bytes = vec![5; len];
        parent.offer(&[&bytes]).unwrap();
        assert_eq!(parent.request(0), Some(bytes.clone()));
        assert_eq!(worker.claim().unwrap(), Some(bytes.as_slice()));
        for answer in [&bytes, &vec![6; longest_answer]] {
            worker.send(&[answer]).unwrap();
            assert!(parent.receive(&mut received).unwrap());
            assert_eq!(&received, answer);
        }
        parent.release(1).unwrap();
    }
    let len = longest_request + 1;
    assert_eq!(parent.offer(&[&vec![0; len]]), Err(Full { len }));
    let (len, most) = (longest_answer + 1, longest_answer);
    assert_eq!(worker.send(&[&vec![0; len]]), Err(SendError::TooLong { len, most }));
    assert_eq!(parent.in_flight(), 0);
    assert!(!parent.has_answer() && !worker.has_offer());
}

#[test]
fn a_full_lane_takes_frames_again_when_some_are_released() {
    let (mut parent, mut worker, _doorbell) = ends(Shape { lane: page(), answers: page() });
    // Sixteen bytes each, the first word included: an exact fit.
    let most = page() / 16;
    for _ in 0..most {
        parent.offer(&[b"8 bytes."]).unwrap();
    }
    assert_eq!(parent.offer(&[]), Err(Full { len: 0 }));
    assert_eq!(worker.claim().unwrap(), Some(b"8 bytes.".as_slice()));
    worker.send(&[]).unwrap();
    assert!(parent.receive(&mut Vec::new()).unwrap());
    parent.release(1).unwrap();
    parent.offer(&[b"another."]).unwrap();
    assert_eq!(parent.in_flight() as usize, most);
    let taken = parent.take_back(u32::MAX);
    assert_eq!(taken.len(), most);
    assert_eq!(taken.last().unwrap(), b"another.");
    assert!(!worker.has_offer());
}

#[test]
fn what_the_worker_may_still_read_is_not_released() {
    let (mut parent, mut worker, _doorbell) = ends(Shape::default());
    parent.offer(&[b"one"]).unwrap();
    parent.offer(&[b"two"]).unwrap();
    assert!(parent.release(1).is_err());
    assert!(worker.claim().unwrap().is_some());
    assert!(parent.release(1).is_err());
    worker.send(&[b"1"]).unwrap();
    assert!(parent.receive(&mut Vec::new()).unwrap());
    assert!(parent.release(2).is_err());
    assert_eq!((parent.in_flight(), parent.claimed()), (2, 1));
    parent.release(1).unwrap();
    assert_eq!((parent.in_flight(), parent.claimed()), (1, 0));
    assert_eq!((parent.request(0), parent.request(1)), (Some(b"two".to_vec()), None));
}

#[test]
fn a_wish_to_stop_is_for_one_frame() {
    let (mut parent, mut worker, _doorbell) = ends(Shape::default());
    let stop = worker.stop_token();
    let mut answer = Vec::new();
    for _ in 0..3 {
        parent.offer(&[b"one"]).unwrap();
        parent.offer(&[b"two"]).unwrap();
        parent.ask_to_stop(1);
        parent.ask_to_stop(2);
        for stops in [false, true] {
            assert!(worker.claim().unwrap().is_some());
            assert_eq!(stop.is_set(), stops);
            worker.send(&[]).unwrap();
            assert!(parent.receive(&mut answer).unwrap());
            parent.release(1).unwrap();
        }
    }
    // A wish for what is taken back does not hit what is offered in its place.
    parent.offer(&[b"one"]).unwrap();
    parent.ask_to_stop(0);
    assert_eq!(parent.take_back(1), [b"one"]);
    parent.offer(&[b"two"]).unwrap();
    assert!(worker.claim().unwrap().is_some());
    assert!(!stop.is_set());
}

#[test]
fn a_worker_sleeps_until_the_time_is_up() {
    let (mut parent, worker, _doorbell) = ends(Shape::default());
    worker.sleep(Some(Duration::from_millis(1)));
    worker.sleep(Some(Duration::ZERO));
    assert!(!worker.has_offer());
    // Without a limit it returns at once: there is an offer.
    parent.offer(&[]).unwrap();
    worker.sleep(None);
    worker.sleep(Some(Duration::MAX));
    assert!(worker.has_offer());
}

#[test]
fn a_worker_that_waits_for_room_goes_on() {
    let (mut parent, mut worker, _doorbell) = ends(Shape { lane: page(), answers: page() });
    let (sent, sends) = mpsc::channel();
    let answer = vec![1; page() / 2];
    let expected = answer.clone();
    let working = thread::spawn(move || {
        for _ in 0..100 {
            worker.send(&[&answer]).unwrap();
            sent.send(()).unwrap();
        }
    });
    let mut received = Vec::new();
    for _ in 0..100 {
        // Sent before it can be received; nothing but the parent's look makes room for the next.
        sends.recv().unwrap();
        assert!(parent.receive(&mut received).unwrap());
        assert_eq!(received, expected);
    }
    working.join().unwrap();
}

#[test]
fn a_doorbell_is_rung_for_a_sleeper_alone() {
    let (mut parent, mut worker, doorbell) = ends(Shape::default());
    worker.send(&[b"1"]).unwrap();
    assert!(!doorbell.clear());
    assert!(parent.set_asleep(0), "there is an answer");
    worker.send(&[b"2"]).unwrap();
    assert!(!doorbell.clear());
    for _ in 0..2 {
        assert!(parent.receive(&mut Vec::new()).unwrap());
    }
    assert!(!parent.set_asleep(0));
    worker.send(&[b"3"]).unwrap();
    assert!(doorbell.clear());
    worker.send(&[b"4"]).unwrap();
    assert!(!doorbell.clear(), "once is enough");
    for _ in 0..2 {
        assert!(parent.receive(&mut Vec::new()).unwrap());
    }
    assert!(!parent.set_asleep(0));
    parent.set_awake();
    worker.send(&[b"5"]).unwrap();
    assert!(!doorbell.clear());
    doorbell.ring();
    assert!(doorbell.clear() && !doorbell.clear());
}

#[test]
fn each_sleeper_has_a_doorbell_of_its_own() {
    let bells = [(); 2].map(|()| Doorbell::create().unwrap());
    let mut parent = ParentEnd::create(Shape::default()).unwrap();
    let memory = parent.memory().try_clone_to_owned().unwrap();
    let mut worker = WorkerEnd::open(memory, bells.each_ref().map(fd)).unwrap();
    for who in [0, 1, 1, 0] {
        assert!(!parent.set_asleep(who));
        worker.send(&[b"1"]).unwrap();
        assert!(bells[who].clear() && !bells[1 - who].clear());
        assert!(parent.receive(&mut Vec::new()).unwrap());
    }
    assert!(!parent.set_asleep(0) && !parent.set_asleep(1));
    parent.set_awake();
    worker.send(&[b"2"]).unwrap();
    assert!(!bells[0].clear() && !bells[1].clear());
}
