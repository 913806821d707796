//! Both ends step by step beside a model that is two queues.
#![cfg(target_os = "linux")]

mod common;

use std::collections::VecDeque;

use common::{ends, page};
use manyhands_shm::Shape;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Of so many bytes.
    Offer(usize),
    TakeBack(u32),
    /// The worker claims one and answers with so many bytes, if there is room.
    Work(usize),
    /// The parent receives one answer, and releases the frame at once or later.
    Receive {
        release: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0_usize..20, 0..page() / 3, (page() / 2 - 24)..=(page() / 2 - 8)];
    prop_oneof![
        4 => len.clone().prop_map(Step::Offer),
        1 => (0_u32..4).prop_map(Step::TakeBack),
        3 => len.prop_map(Step::Work),
        3 => any::<bool>().prop_map(|release| Step::Receive { release }),
    ]
}

/// What a frame takes of a ring.
fn taken(len: usize) -> usize {
    8 + len.next_multiple_of(8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn both_ends_agree_with_two_queues(steps in vec(step(), 1..200)) {
        let (mut parent, mut worker, _doorbell) = ends(Shape { lane: page(), answers: page() });
        // In flight, oldest first; so many of them are claimed, answered, and received.
        let mut lane = VecDeque::new();
        let (mut claimed, mut received) = (0, 0);
        let mut answers: VecDeque<Vec<u8>> = VecDeque::new();
        let mut answer = Vec::new();
        for (mark, step) in (0_u8..=255).cycle().zip(steps) {
            match step {
                Step::Offer(len) => {
                    let frame = vec![mark; len];
                    let (one, other) = frame.split_at(len / 3);
                    let in_lane: usize = lane.iter().map(|frame: &Vec<u8>| taken(frame.len())).sum();
                    let offered = parent.offer(&[one, other]).is_ok();
                    prop_assert!(!offered || in_lane + taken(len) <= page());
                    // A frame that goes around the end loses less of the ring than it takes.
                    prop_assert!(offered || 2 * (in_lane + taken(len)) > page());
                    if offered {
                        lane.push_back(frame);
                    }
                }
                Step::TakeBack(most) => {
                    let unclaimed = lane.len() - claimed;
                    let back = lane.split_off(lane.len() - unclaimed.min(most as usize));
                    prop_assert_eq!(back, parent.take_back(most));
                }
                Step::Work(len) => {
                    let in_ring: usize = answers.iter().map(|answer| taken(answer.len())).sum();
                    // Room is told late: wait for none here.
                    if in_ring > 0 && in_ring + taken(len) > page() / 2 {
                        continue;
                    }
                    prop_assert_eq!(worker.has_offer(), claimed < lane.len());
                    prop_assert_eq!(worker.claim().unwrap(), lane.get(claimed).map(Vec::as_slice));
                    if claimed < lane.len() {
                        claimed += 1;
                        answers.push_back(vec![mark; len]);
                        worker.send(&[&vec![mark; len]]).unwrap();
                    }
                }
                Step::Receive { release } => {
                    prop_assert_eq!(parent.has_answer(), !answers.is_empty());
                    let there = parent.receive(&mut answer).unwrap();
                    prop_assert_eq!(there.then_some(&answer), answers.front());
                    received += usize::from(answers.pop_front().is_some());
                    let releases = u32::try_from(received).unwrap() * u32::from(release);
                    parent.release(releases).unwrap();
                    for _ in 0..releases {
                        lane.pop_front();
                        claimed -= 1;
                        received -= 1;
                    }
                }
            }
            prop_assert_eq!(parent.in_flight() as usize, lane.len());
            prop_assert_eq!(parent.claimed() as usize, claimed);
            let frames = (0_u32..).map_while(|nth| parent.request(nth));
            prop_assert!(frames.eq(lane.iter().cloned()));
        }
    }
}
