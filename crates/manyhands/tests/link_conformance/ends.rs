//! One side ends, and the other learns it: deaths, partings, patience.

use std::time::Duration;

use manyhands::process::link::{LinkError, OfferError};

use super::Pair;

pub(crate) fn a_claim_can_be_given_up(make: fn() -> Pair) {
    let mut pair = make();
    for wait in [0, 1, 20].map(Duration::from_millis) {
        assert!(pair.worker.claim(Some(wait)).unwrap().is_none());
    }
    pair.offer(b"late");
    assert_eq!(pair.claim(), b"late");
}

/// The worker's process ends, and the parent has seen it.
fn die(pair: Pair) -> Box<dyn manyhands::process::link::Link> {
    let Pair { mut link, worker, .. } = pair;
    drop(worker);
    link.set_dead();
    link
}

pub(crate) fn what_was_answered_before_death_is_received(make: fn() -> Pair) {
    let mut pair = make();
    let count = pair.link.capacity().min(3);
    for number in 0..count {
        pair.offer(&[0]);
        pair.claim();
        pair.worker.answer(&[b"answer ", &number.to_le_bytes()]).unwrap();
    }
    let mut link = die(pair);
    let mut answer = Vec::new();
    for number in 0..count {
        assert!(link.receive(&mut answer).unwrap());
        assert_eq!(answer, [&b"answer "[..], &number.to_le_bytes()].concat());
        link.release(1);
    }
    for _ in 0..3 {
        assert!(matches!(link.receive(&mut answer), Err(LinkError::Closed)));
    }
}

pub(crate) fn what_was_begun_before_death_is_known(make: fn() -> Pair) {
    let mut pair = make();
    let more = pair.link.capacity().min(3) - 1;
    pair.offer(b"fatal");
    for number in 0..more {
        pair.offer(&number.to_le_bytes());
    }
    pair.claim();
    let mut link = die(pair);
    assert!(matches!(link.receive(&mut Vec::new()), Err(LinkError::Closed)));
    assert_eq!((link.in_flight(), link.claimed()), (1 + more, 1));
    let rest: Vec<_> = (0..more).map(|number| number.to_le_bytes().to_vec()).collect();
    assert_eq!(link.take_back(u32::MAX), rest);
    assert_eq!(link.request(0).unwrap(), b"fatal");
    assert_eq!((link.in_flight(), link.claimed()), (1, 1));
}

pub(crate) fn what_was_not_begun_before_death_comes_back(make: fn() -> Pair) {
    let mut pair = make();
    let frames: Vec<_> =
        (0..pair.link.capacity().min(3)).map(|number| number.to_le_bytes().to_vec()).collect();
    for frame in &frames {
        pair.offer(frame);
    }
    let mut link = die(pair);
    assert!(matches!(link.receive(&mut Vec::new()), Err(LinkError::Closed)));
    assert_eq!(link.claimed(), 0);
    assert_eq!(link.take_back(u32::MAX), frames);
    assert_eq!(link.in_flight(), 0);
}

pub(crate) fn nothing_can_be_offered_to_the_dead(make: fn() -> Pair) {
    let mut link = die(make());
    assert!(matches!(link.offer(&[b"work"]), Err(OfferError::Broken(_))));
    assert!(matches!(link.receive(&mut Vec::new()), Err(LinkError::Closed)));
    assert!(matches!(link.offer(&[b"work"]), Err(OfferError::Broken(_))));
    assert_eq!(link.in_flight(), 0);
    link.ask_to_stop();
}

pub(crate) fn a_worker_learns_that_its_parent_is_gone(make: fn() -> Pair) {
    let mut pair = make();
    pair.offer(b"work");
    pair.claim();
    let token = pair.worker.stop_token();
    assert!(!token.is_set());
    let Pair { link, mut worker, .. } = pair;
    drop(link);
    assert!(token.is_set(), "nobody waits for the answer");
    for _ in 0..2 {
        assert!(matches!(worker.claim(None), Err(LinkError::Closed)));
    }
}
