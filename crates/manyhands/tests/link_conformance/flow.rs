//! Frames go there, answers come back: order, lengths, fullness, taking back, stopping, sleeping.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use manyhands::process::link::OfferError;

use super::{Pair, send_all, wait_for_answer};

const LARGE: usize = 10 << 20;

/// Frames that can be told apart and whose bytes can be told from others'.
fn frame(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((number * 31 + at * 7 + (at >> 8)) % 251).unwrap()).collect()
}

pub(crate) fn frames_and_answers_keep_their_order(make: fn() -> Pair) {
    let (mut link, doorbell, echo) = make().echo();
    let frames: Vec<_> = (0..2_000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    let answers = send_all(&mut *link, doorbell.as_ref(), &frames, |_| ());
    assert_eq!(answers, frames);
    assert_eq!((link.in_flight(), link.claimed()), (0, 0));
    drop(link);
    assert_eq!(echo.join().unwrap(), frames);
}

pub(crate) fn frames_of_all_lengths_arrive_whole(make: fn() -> Pair) {
    let (mut link, doorbell, _echo) = make().echo();
    let longest = LARGE.min(link.max_frame());
    let lengths = (0..70).chain((6..24).flat_map(|bits| [-9, -1, 0, 1].map(|by| (1 << bits) + by)));
    let frames: Vec<_> = lengths
        .map(|length: i32| usize::try_from(length).unwrap())
        .filter(|length| *length < longest)
        .chain([longest])
        .enumerate()
        .map(|(number, length)| frame(number, length))
        .collect();
    let answers = send_all(&mut *link, doorbell.as_ref(), &frames, |_| ());
    assert!(answers == frames, "the bytes differ");
}

pub(crate) fn a_frame_that_is_too_large_is_refused(make: fn() -> Pair) {
    let mut pair = make();
    let most = pair.link.max_frame();
    if most > 1 << 30 {
        return; // Nobody has as much memory: there is nothing to refuse.
    }
    let error = pair.link.offer(&[&vec![0; most], &[0]]).unwrap_err();
    let sizes = |frame, most| (frame, most);
    assert!(
        matches!(error, OfferError::TooLarge { frame, most: limit } if sizes(frame, limit) == (most + 1, most)),
        "{error}"
    );
    assert_eq!(pair.link.in_flight(), 0);
    pair.offer(b"small");
    assert_eq!(pair.claim(), b"small");
}

pub(crate) fn offering_never_blocks(make: fn() -> Pair) {
    let mut pair = make();
    // Nobody reads: this thread would block for ever.
    let frame = frame(1, LARGE.min(pair.link.max_frame()));
    pair.offer(&frame);
    assert!(!pair.link.receive(&mut Vec::new()).unwrap());
    assert_eq!((pair.link.in_flight(), pair.link.claimed()), (1, 0));
    assert!(pair.link.request(0).unwrap() == frame, "the bytes differ");
    let (mut link, doorbell, _echo) = pair.echo();
    assert!(wait_for_answer(&mut *link, doorbell.as_ref()).unwrap() == frame, "the bytes differ");
}

pub(crate) fn a_full_link_refuses_and_loses_nothing(make: fn() -> Pair) {
    let mut pair = make();
    let capacity = pair.link.capacity();
    for number in 0..capacity {
        pair.offer(&number.to_le_bytes());
    }
    for _ in 0..3 {
        assert!(matches!(pair.link.offer(&[b"more"]), Err(OfferError::Full)));
    }
    assert_eq!(pair.link.in_flight(), capacity);
    for number in 0..3 * capacity {
        assert_eq!(pair.claim(), number.to_le_bytes());
        pair.worker.answer(&[b"done"]).unwrap();
        assert_eq!(pair.wait_for_answer().unwrap(), b"done");
        assert_eq!(pair.link.in_flight(), capacity, "it is in flight until it is released");
        assert!(matches!(pair.link.offer(&[b"more"]), Err(OfferError::Full)));
        pair.link.release(1);
        pair.offer(&(number + capacity).to_le_bytes());
    }
}

pub(crate) fn a_claim_is_seen_by_the_parent(make: fn() -> Pair) {
    let mut pair = make();
    for round in 0..3 {
        pair.offer(b"work");
        let _ = pair.link.receive(&mut Vec::new()).unwrap();
        assert_eq!((pair.link.in_flight(), pair.link.claimed()), (1, 0), "round {round}");
        pair.claim();
        assert!(!pair.link.receive(&mut Vec::new()).unwrap(), "it was begun, not answered");
        assert_eq!((pair.link.in_flight(), pair.link.claimed()), (1, 1), "round {round}");
        pair.worker.answer(&[]).unwrap();
        assert_eq!(pair.wait_for_answer().unwrap(), b"");
        assert_eq!((pair.link.in_flight(), pair.link.claimed()), (1, 1), "round {round}");
        pair.link.release(1);
        assert_eq!((pair.link.in_flight(), pair.link.claimed()), (0, 0), "round {round}");
    }
}

pub(crate) fn requests_can_be_read_again(make: fn() -> Pair) {
    let mut pair = make();
    let count = pair.link.capacity().min(4);
    assert_eq!(pair.link.request(0), None);
    for number in 0..count {
        pair.link.offer(&[b"request ", &number.to_le_bytes()]).unwrap();
    }
    let bytes = |number: u32| Some([&b"request "[..], &number.to_le_bytes()].concat());
    for first in 0..count {
        for nth in 0..count - first {
            assert_eq!(pair.link.request(nth), bytes(first + nth));
        }
        assert_eq!(pair.link.request(count - first), None);
        pair.claim();
        assert_eq!(pair.link.request(0), bytes(first), "a frame that was begun too");
        pair.worker.answer(&[b"done"]).unwrap();
        pair.wait_for_answer().unwrap();
        assert_eq!(pair.link.request(0), bytes(first), "until it is released");
        pair.link.release(1);
    }
    assert_eq!(pair.link.request(0), None);
}

pub(crate) fn what_is_taken_back_is_never_seen(make: fn() -> Pair) {
    let mut pair = make();
    let count = pair.link.capacity().min(6);
    let frames: Vec<_> = (0..count).map(|number| number.to_le_bytes().to_vec()).collect();
    for frame in &frames {
        pair.offer(frame);
    }
    assert_eq!(pair.claim(), frames[0]);
    assert!(pair.link.take_back(0).is_empty());
    let newest = pair.link.take_back(1);
    assert!(newest.is_empty() || newest == frames[frames.len() - 1..], "{newest:?}");
    let rest = pair.link.take_back(u32::MAX);
    let left = frames.len() - newest.len() - rest.len();
    assert_eq!(rest, frames[left..frames.len() - newest.len()], "the newest, oldest first");
    assert!(left >= 1, "what was begun stays");
    assert_eq!(pair.link.in_flight() as usize, left);
    pair.worker.answer(&[b"done"]).unwrap();
    for frame in &frames[1..left] {
        assert_eq!(pair.claim(), *frame);
        pair.worker.answer(&[b"done"]).unwrap();
    }
    for _ in 0..left {
        pair.wait_for_answer().unwrap();
        pair.link.release(1);
    }
    pair.offer(b"next");
    assert_eq!(pair.claim(), b"next", "nothing that was taken back comes before it");
}

pub(crate) fn take_back_and_claim_share_out_every_frame(make: fn() -> Pair) {
    const ROUNDS: u32 = 5_000;
    let (mut link, doorbell, echo) = make().echo();
    let mut number = 0_u32;
    let mut taken = Vec::new();
    let mut answered = Vec::new();
    while number < ROUNDS {
        while number < ROUNDS && link.offer(&[&number.to_le_bytes()]).is_ok() {
            number += 1;
        }
        taken.extend(link.take_back(1 + number % 3));
        if link.in_flight() > 0 {
            answered.push(wait_for_answer(&mut *link, doorbell.as_ref()).unwrap());
            link.release(1);
        }
    }
    while link.in_flight() > 0 {
        answered.push(wait_for_answer(&mut *link, doorbell.as_ref()).unwrap());
        link.release(1);
    }
    drop(link);
    assert_eq!(echo.join().unwrap(), answered, "what was seen was answered");
    let mut all = [taken, answered].concat();
    all.sort_by_key(|frame| u32::from_le_bytes(frame[..].try_into().unwrap()));
    let expected: Vec<_> = (0..ROUNDS).map(|number| number.to_le_bytes().to_vec()).collect();
    assert!(all == expected, "each frame went one way");
}

pub(crate) fn a_stop_reaches_the_frame_that_runs(make: fn() -> Pair) {
    let mut pair = make();
    for _ in 0..3 {
        pair.offer(b"long");
        pair.claim();
        let token = pair.worker.stop_token();
        assert!(!token.is_set());
        pair.link.ask_to_stop();
        pair.link.ask_to_stop();
        assert!(token.is_set() && token.clone().is_set(), "and it stays so");
        pair.worker.answer(&[b"stopped"]).unwrap();
        assert_eq!(pair.wait_for_answer().unwrap(), b"stopped");
        pair.link.release(1);
    }
}

pub(crate) fn a_stop_that_is_early_waits_for_its_frame(make: fn() -> Pair) {
    let mut pair = make();
    pair.link.ask_to_stop();
    pair.offer(b"first");
    pair.claim();
    assert!(!pair.worker.stop_token().is_set(), "nothing was in flight");
    pair.worker.answer(&[]).unwrap();
    pair.wait_for_answer().unwrap();
    pair.link.release(1);
    pair.offer(b"second");
    pair.link.ask_to_stop();
    pair.claim();
    assert!(pair.worker.stop_token().is_set());
}

pub(crate) fn a_stop_that_is_late_reaches_nobody(make: fn() -> Pair) {
    let mut pair = make();
    for _ in 0..3 {
        pair.offer(b"first");
        pair.claim();
        pair.worker.answer(&[b"done"]).unwrap();
        // The parent has not seen the answer yet.
        pair.link.ask_to_stop();
        pair.wait_for_answer().unwrap();
        pair.link.release(1);
        pair.offer(b"second");
        pair.claim();
        assert!(!pair.worker.stop_token().is_set(), "it was for the first");
        pair.worker.answer(&[b"done"]).unwrap();
        pair.wait_for_answer().unwrap();
        pair.link.release(1);
        pair.link.ask_to_stop();
    }
}

pub(crate) fn a_stop_for_what_is_taken_back_reaches_nobody(make: fn() -> Pair) {
    let mut pair = make();
    pair.offer(b"first");
    pair.link.ask_to_stop();
    if pair.link.take_back(1).is_empty() {
        assert_eq!(pair.claim(), b"first");
        assert!(pair.worker.stop_token().is_set());
        pair.worker.answer(&[]).unwrap();
        pair.wait_for_answer().unwrap();
        pair.link.release(1);
    }
    pair.offer(b"second");
    assert_eq!(pair.claim(), b"second");
    assert!(!pair.worker.stop_token().is_set(), "it was for the first");
}

pub(crate) fn many_threads_can_look_at_a_token(make: fn() -> Pair) {
    let mut pair = make();
    for _ in 0..50 {
        pair.offer(b"long");
        pair.claim();
        let lookers: Vec<_> = (0..3)
            .map(|_| {
                let token = pair.worker.stop_token();
                thread::spawn(move || {
                    while !token.is_set() {
                        thread::yield_now();
                    }
                })
            })
            .collect();
        pair.link.ask_to_stop();
        // One token outlives its frame, and looks while the next request arrives.
        pair.worker.answer(&[]).unwrap();
        pair.wait_for_answer().unwrap();
        pair.link.release(1);
        pair.offer(b"next");
        assert_eq!(pair.claim(), b"next");
        assert!(!pair.worker.stop_token().is_set());
        pair.worker.answer(&[]).unwrap();
        pair.wait_for_answer().unwrap();
        pair.link.release(1);
        for looker in lookers {
            looker.join().unwrap();
        }
    }
}

pub(crate) fn a_token_that_outlives_its_frame_does_no_harm(make: fn() -> Pair) {
    let mut pair = make();
    pair.offer(b"first");
    pair.claim();
    let token = pair.worker.stop_token();
    pair.worker.answer(&[]).unwrap();
    pair.wait_for_answer().unwrap();
    pair.link.release(1);
    let (mut link, doorbell, _echo) = pair.echo();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = token.is_set();
                }
            });
        }
        // What the lookers took from the link, the worker would wait for.
        let frames: Vec<_> = (0..3_000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
        assert_eq!(send_all(&mut *link, doorbell.as_ref(), &frames, |_| ()), frames);
        done.store(true, Ordering::Relaxed);
    });
}

pub(crate) fn nobody_oversleeps(make: fn() -> Pair) {
    let (mut link, doorbell, _echo) = make().echo();
    for round in 0..3_000_u32 {
        link.offer(&[&round.to_le_bytes()]).unwrap();
        // Both sides at rest, or one of them, or neither.
        match round % 64 {
            0 => thread::sleep(Duration::from_millis(1)),
            1..8 => while !link.has_answer() {},
            _ => {}
        }
        let answer = wait_for_answer(&mut *link, doorbell.as_ref()).unwrap();
        assert_eq!(answer, round.to_le_bytes());
        link.release(1);
    }
}
