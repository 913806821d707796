//! What a parent makes of a worker that writes anything anywhere into its memory: an error at worst.
#![cfg(target_os = "linux")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{ends, page};
use manyhands_shm::{ParentEnd, Shape};
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::io::pwrite;

#[derive(Clone, Debug)]
enum Step {
    Offer(usize),
    TakeBack(u32),
    Release(u32),
    Stop(u32),
    Receive,
    Sleep,
    /// The worker works as it should.
    Work(usize),
    /// The worker writes this word there.
    Scribble(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let page = page() as u64;
    // The control words lie 128 bytes apart; a header of a frame may be any word of the answers.
    let offset = prop_oneof![
        4 => (0_u64..8).prop_map(|line| line * 128),
        1 => (0..page / 8).prop_map(|word| word * 8),
        3 => (0_u64..16).prop_map(move |word| 2 * page + word * 8),
        1 => (0..page / 8).prop_map(move |word| 2 * page + word * 8),
    ];
    let value = prop_oneof![
        (0_u64..64).prop_map(|words| words * 8),
        (0_u64..9000),
        any::<u64>(),
        any::<u32>().prop_map(|low| u64::from(low) | 0x7FFF_FFFE << 32),
        (0_u64..8).prop_map(|below| u64::MAX - below),
    ];
    prop_oneof![
        2 => (0_usize..600).prop_map(Step::Offer),
        1 => (0_u32..5).prop_map(Step::TakeBack),
        1 => (0_u32..3).prop_map(Step::Release),
        1 => (0_u32..3).prop_map(Step::Stop),
        3 => Just(Step::Receive),
        1 => Just(Step::Sleep),
        2 => (0_usize..600).prop_map(Step::Work),
        3 => (offset, value).prop_map(|(offset, value)| Step::Scribble(offset, value)),
    ]
}

/// What must hold whatever the worker did.
fn is_sane(parent: &ParentEnd) {
    assert!(parent.claimed() <= parent.in_flight());
    for nth in 0..parent.in_flight() {
        assert!(parent.request(nth).is_some());
    }
    assert_eq!(parent.request(parent.in_flight()), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_parent_survives_whatever_a_worker_writes(steps in vec(step(), 1..60)) {
        let (mut parent, mut worker, _doorbell) = ends(Shape { lane: page(), answers: page() });
        let memory = parent.memory().try_clone_to_owned().unwrap();
        let (mut scribbled, mut answers, mut answer) = (false, 0_usize, Vec::new());
        for step in steps {
            match step {
                Step::Offer(len) => {
                    let before = parent.in_flight();
                    let offered = parent.offer(&[&vec![9; len]]).is_ok();
                    prop_assert_eq!(parent.in_flight(), before + u32::from(offered));
                }
                Step::TakeBack(most) => {
                    let before = parent.in_flight();
                    let taken = parent.take_back(most);
                    prop_assert!(taken.len() <= most as usize);
                    prop_assert_eq!(parent.in_flight() as usize, before as usize - taken.len());
                    prop_assert!(taken.iter().flatten().all(|byte| *byte == 9));
                }
                Step::Release(frames) => {
                    let before = parent.in_flight();
                    if parent.release(frames).is_ok() {
                        prop_assert_eq!(parent.in_flight(), before - frames);
                    }
                }
                Step::Stop(nth) => parent.ask_to_stop(nth),
                Step::Receive => match parent.receive(&mut answer) {
                    Ok(there) => {
                        answers = answers.saturating_sub(usize::from(there));
                        prop_assert!(answer.len() <= parent.max_answer());
                    }
                    Err(_) => prop_assert!(scribbled, "torn by a worker that is sound"),
                },
                Step::Sleep => {
                    parent.set_asleep(0);
                    prop_assert!(scribbled || parent.has_answer() == (answers > 0));
                }
                // It would wait for room that nobody makes.
                Step::Work(len) if !scribbled && answers < 6 => {
                    if worker.claim().unwrap().is_some() {
                        worker.send(&[&vec![8; len]]).unwrap();
                        answers += 1;
                    }
                }
                Step::Work(_) => {}
                Step::Scribble(offset, value) => {
                    scribbled = true;
                    pwrite(&memory, &value.to_ne_bytes(), offset).unwrap();
                }
            }
            is_sane(&parent);
        }
    }
}

#[test]
fn a_parent_survives_a_worker_that_writes_while_it_reads() {
    let (mut parent, _worker, _doorbell) = ends(Shape { lane: page(), answers: page() });
    let memory = parent.memory().try_clone_to_owned().unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let scribbling = {
        let enough = Arc::clone(&enough);
        thread::spawn(move || {
            let mut random = 1_u64;
            while !enough.load(Ordering::Relaxed) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let line = (random >> 60) * 128;
                // Mostly what looks right.
                let value = (random >> 23) % (page() as u64 / 4) * 8;
                pwrite(&memory, &value.to_ne_bytes(), line).unwrap();
                let word = 2 * page() as u64 + (random >> 40) % page() as u64;
                pwrite(&memory, &(value % 100).to_ne_bytes(), word & !7).unwrap();
            }
        })
    };
    let (mut answer, mut torn, mut received) = (Vec::new(), 0, 0);
    for round in 0..200_000_u32 {
        let _ = parent.offer(&[&[1; 30]]);
        match parent.receive(&mut answer) {
            Ok(true) => received += 1,
            Ok(false) => {}
            Err(_) => torn += 1,
        }
        assert!(answer.len() <= parent.max_answer());
        let _ = parent.release(round % 3);
        parent.take_back(round % 2);
        parent.set_asleep(0);
        assert!(parent.claimed() <= parent.in_flight());
    }
    enough.store(true, Ordering::Relaxed);
    scribbling.join().unwrap();
    assert!(torn > 0 && received > 0, "{torn} torn, {received} received");
}

#[test]
fn an_answer_to_what_was_taken_back_releases_nothing() {
    let (mut parent, _worker, _doorbell) = ends(Shape { lane: page(), answers: page() });
    for _ in 0..3 {
        parent.offer(&[]).unwrap();
    }
    // An empty answer after three claims (their count begins three before it wraps), and the end of
    // the answers behind it.
    let (answer, tail) = (0_u64, 8_u64);
    pwrite(parent.memory(), &answer.to_ne_bytes(), 2 * page() as u64).unwrap();
    pwrite(parent.memory(), &tail.to_ne_bytes(), 4 * 128).unwrap();
    assert!(parent.receive(&mut Vec::new()).unwrap());
    assert_eq!(parent.take_back(3).len(), 3);
    assert!(parent.release(1).is_err());
    is_sane(&parent);
}
