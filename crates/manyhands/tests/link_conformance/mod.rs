//! What every link must do, whatever it is made of. One line runs all of it:
//! `link_conformance!(socket, make_a_pair);`.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod ends;
mod flow;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use manyhands::process::link::{Link, LinkError, OfferError, WorkerLink};
use rustix::event::{PollFd, PollFlags, poll};

pub(crate) use ends::*;
pub(crate) use flow::*;

/// Both ends of one link.
pub(crate) struct Pair {
    pub(crate) link: Box<dyn Link>,
    pub(crate) worker: Box<dyn WorkerLink>,
    /// What rings, if the link's own descriptor does not: an eventfd that does not block.
    pub(crate) doorbell: Option<OwnedFd>,
}

/// Runs everything on the pairs that `$make: fn() -> Pair` makes.
macro_rules! link_conformance {
    ($name:ident, $make:expr) => {
        link_conformance!($name, $make;
            frames_and_answers_keep_their_order,
            frames_of_all_lengths_arrive_whole,
            a_frame_that_is_too_large_is_refused,
            offering_never_blocks,
            a_full_link_refuses_and_loses_nothing,
            a_claim_is_seen_by_the_parent,
            requests_can_be_read_again,
            what_is_taken_back_is_never_seen,
            take_back_and_claim_share_out_every_frame,
            a_stop_reaches_the_frame_that_runs,
            a_stop_that_is_early_waits_for_its_frame,
            a_stop_that_is_late_reaches_nobody,
            a_stop_for_what_is_taken_back_reaches_nobody,
            many_threads_can_look_at_a_token,
            a_token_that_outlives_its_frame_does_no_harm,
            nobody_oversleeps,
            a_claim_can_be_given_up,
            what_was_answered_before_death_is_received,
            what_was_begun_before_death_is_known,
            what_was_not_begun_before_death_comes_back,
            nothing_can_be_offered_to_the_dead,
            a_worker_learns_that_its_parent_is_gone,
        );
    };
    ($name:ident, $make:expr; $($test:ident,)*) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    let _watchdog = crate::common::watched();
                    crate::link_conformance::$test($make);
                }
            )*
        }
    };
}
pub(crate) use link_conformance;

type Echo = thread::JoinHandle<Vec<Vec<u8>>>;

impl Pair {
    /// Offers `frame`, for which there must be room.
    pub(crate) fn offer(&mut self, frame: &[u8]) {
        self.link.offer(&[frame]).expect("there is room");
    }

    /// The worker's next frame, in this thread. The link has it already.
    pub(crate) fn claim(&mut self) -> Vec<u8> {
        self.worker.claim(None).expect("the parent is there").expect("as long as it takes").to_vec()
    }

    /// The next answer; sleeps until it is there, as the manager does.
    pub(crate) fn wait_for_answer(&mut self) -> Result<Vec<u8>, LinkError> {
        wait_for_answer(&mut *self.link, self.doorbell.as_ref())
    }

    /// Has the worker answer everything with what it was asked, until the link is closed.
    /// Its thread returns what it has seen.
    pub(crate) fn echo(self) -> (Box<dyn Link>, Option<OwnedFd>, Echo) {
        let Self { link, mut worker, doorbell } = self;
        let echo = thread::spawn(move || {
            let mut seen = Vec::new();
            while let Ok(Some(frame)) = worker.claim(None) {
                let frame = frame.to_vec();
                let (start, end) = frame.split_at(frame.len() / 3);
                if worker.answer(&[start, end]).is_err() {
                    break;
                }
                seen.push(frame);
            }
            seen
        });
        (link, doorbell, echo)
    }
}

pub(crate) fn wait_for_answer(
    link: &mut dyn Link,
    doorbell: Option<&OwnedFd>,
) -> Result<Vec<u8>, LinkError> {
    let mut answer = b"left over".to_vec();
    loop {
        if link.receive(&mut answer)? {
            return Ok(answer);
        }
        if !link.set_asleep(0) {
            let mut fds: Vec<_> = link
                .interest()
                .map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags))
                .into_iter()
                .chain(doorbell.map(|fd| PollFd::new(fd, PollFlags::IN)))
                .collect();
            poll(&mut fds, None).unwrap();
            if let Some(doorbell) = doorbell {
                let _ = rustix::io::read(doorbell.as_fd(), &mut [0; 8]);
            }
        }
        link.set_awake();
    }
}

/// Sends all `frames` as fast as the link takes them; returns the answers. `each` sees the link
/// after each answer, before it is released.
pub(crate) fn send_all(
    link: &mut dyn Link,
    doorbell: Option<&OwnedFd>,
    frames: &[Vec<u8>],
    mut each: impl FnMut(&mut dyn Link),
) -> Vec<Vec<u8>> {
    let mut to_send: VecDeque<_> = frames.iter().collect();
    let mut answers = Vec::new();
    while answers.len() < frames.len() {
        while let Some(frame) = to_send.front() {
            match link.offer(&[frame]) {
                Ok(()) => drop(to_send.pop_front()),
                Err(OfferError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        answers.push(wait_for_answer(link, doorbell).unwrap());
        each(link);
        link.release(1);
    }
    answers
}
