//! Both ends of one worker's memory, and how each waits for the other.
#![allow(dead_code)] // No test file uses all of it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use manyhands_shm::{Doorbell, ParentEnd, Shape, WorkerEnd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The smallest ring there can be.
pub(crate) fn page() -> usize {
    rustix::param::page_size()
}

/// Another descriptor of a doorbell.
pub(crate) fn fd(doorbell: &Doorbell) -> OwnedFd {
    doorbell.fd().try_clone_to_owned().unwrap()
}

pub(crate) fn ends(shape: Shape) -> (ParentEnd, WorkerEnd, Doorbell) {
    let doorbell = Doorbell::create().unwrap();
    let parent = ParentEnd::create(shape).unwrap();
    let memory = parent.memory().try_clone_to_owned().unwrap();
    let worker = WorkerEnd::open(memory, [(); 2].map(|()| fd(&doorbell))).unwrap();
    (parent, worker, doorbell)
}

pub(crate) fn claim_or_sleep(worker: &mut WorkerEnd) -> Vec<u8> {
    loop {
        if let Some(frame) = worker.claim().unwrap() {
            return frame.to_vec();
        }
        // No limit: whoever misses an offer sleeps until the watchdog comes.
        worker.sleep(None);
    }
}

pub(crate) fn receive_or_sleep(parent: &mut ParentEnd, doorbell: &Doorbell, answer: &mut Vec<u8>) {
    while !parent.receive(answer).unwrap() {
        if !parent.set_asleep(0) {
            let mut fds = [PollFd::from_borrowed_fd(doorbell.fd(), PollFlags::IN)];
            let limit = Timespec::try_from(Duration::from_mins(1)).unwrap();
            let rung = poll(&mut fds, Some(&limit)).unwrap();
            assert_eq!(rung, 1, "no answer has come for a minute");
            doorbell.clear();
            parent.set_awake();
        }
    }
}
