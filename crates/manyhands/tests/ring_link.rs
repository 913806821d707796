//! The ring link: what every link must do. What a hostile worker can do to shared memory is tried in
//! `manyhands-shm`.

#![cfg(all(target_os = "linux", not(loom)))]

mod common;
mod link_conformance;

use std::os::unix::net::UnixStream;

use link_conformance::{Pair, link_conformance};
use manyhands::process::link::ring::{RingLink, RingWorkerLink, prepare};
use manyhands_shm::Doorbell;

fn pair() -> Pair {
    let doorbells = [Doorbell::create().unwrap(), Doorbell::create().unwrap()];
    let (end, fds) = prepare(&doorbells).unwrap();
    let Ok([memory, first, second]) = <[_; 3]>::try_from(fds) else { panic!("three descriptors") };
    let (ours, _) = UnixStream::pair().unwrap();
    Pair {
        link: Box::new(RingLink::new(end, ours.into())),
        worker: Box::new(RingWorkerLink::open(memory, [first, second]).unwrap()),
        doorbell: Some(doorbells[0].fd().try_clone_to_owned().unwrap()),
    }
}

link_conformance!(ring, super::pair);
