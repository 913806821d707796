//! The socket link: what every link must do, and what a hostile worker can try with a socket.

#![cfg(all(target_os = "linux", not(loom)))]

mod common;
mod link_conformance;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use link_conformance::{Pair, link_conformance};
use manyhands::process::link::frames::{HEADER, Kind, frame, header};
use manyhands::process::link::socket::{SocketLink, SocketWorkerLink};
use manyhands::process::link::{Link, LinkError, OfferError, WorkerLink};
use proptest::prelude::*;

/// The longest answer that the parent accepts.
const MOST: usize = 16 << 20;

fn pair() -> Pair {
    let (ours, theirs) = UnixStream::pair().unwrap();
    Pair {
        link: Box::new(SocketLink::new(ours.into(), MOST)),
        worker: Box::new(SocketWorkerLink::new(theirs.into())),
        doorbell: None,
    }
}

link_conformance!(socket, super::pair);

/// A link with a request in flight whose worker is this test.
fn hostile() -> (SocketLink, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut link = SocketLink::new(ours.into(), 100);
    link.offer(&[b"work"]).unwrap();
    let mut request = [0; HEADER + 4];
    theirs.read_exact(&mut request).unwrap();
    assert_eq!(request[..], frame(Kind::Request, &[b"work"]));
    (link, theirs)
}

fn begun() -> Vec<u8> {
    frame(Kind::Begun, &[])
}

#[test]
fn what_no_worker_sends_is_an_error_of_that_worker() {
    let answer = frame(Kind::Answer, &[b"!"]);
    let cases: [(&str, Vec<u8>); 11] = [
        ("the unknown kind 0", vec![0; HEADER]),
        ("the unknown kind 255", vec![255; HEADER]),
        ("1 bytes (Answer) while the request was not begun", answer.clone()),
        ("0 bytes (Begun) while the request was begun", [begun(), begun()].concat()),
        ("1 bytes (Begun)", frame(Kind::Begun, &[b"?"])),
        ("101 bytes, where 100", [begun(), frame(Kind::Answer, &[&[0; 101]])].concat()),
        ("bytes, where 100", [begun(), header(Kind::Answer, usize::MAX).to_vec()].concat()),
        ("(Request)", frame(Kind::Request, &[b"work"])),
        ("(Stop)", frame(Kind::Stop, &[&[1; 8]])),
        ("(Hello)", frame(Kind::Hello, &[])),
        ("(Reply)", frame(Kind::Reply, &[])),
    ];
    for (expected, bytes) in cases {
        let (mut link, mut worker) = hostile();
        worker.write_all(&bytes).unwrap();
        for _ in 0..2 {
            match link.receive(&mut Vec::new()) {
                Err(LinkError::Torn { why }) => assert!(why.contains(expected), "{why}"),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert!(link.interest().is_none() && !link.has_answer() && !link.set_asleep(0));
        assert!(matches!(link.offer(&[]), Err(OfferError::Full)));
        link.release(link.claimed());
        assert!(link.in_flight() == 0 || link.take_back(1) == [b"work"]);
        assert!(matches!(link.offer(&[]), Err(OfferError::Broken(_))));
    }
}

#[test]
fn an_answer_to_nothing_is_an_error() {
    let (mut link, mut worker) = hostile();
    let answer = frame(Kind::Answer, &[b"!"]);
    worker.write_all(&[begun(), answer.clone(), answer].concat()).unwrap();
    assert!(link.receive(&mut Vec::new()).unwrap());
    link.release(1);
    assert!(matches!(link.receive(&mut Vec::new()), Err(LinkError::Torn { .. })));
}

#[test]
fn what_is_begun_must_have_been_sent() {
    let (ours, mut worker) = UnixStream::pair().unwrap();
    let mut link = SocketLink::new(ours.into(), 100);
    link.offer(&[&vec![0; 10 << 20]]).unwrap();
    worker.write_all(&begun()).unwrap();
    let torn = link.receive(&mut Vec::new());
    assert!(matches!(torn, Err(LinkError::Torn { why }) if why.contains("not sent in full")));
}

#[test]
fn bytes_may_come_one_by_one() {
    let (mut link, mut worker) = hostile();
    let bytes = [begun(), frame(Kind::Answer, &[b"bit by bit"])].concat();
    let mut answer = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        assert!(!link.receive(&mut answer).unwrap());
        assert_eq!(link.claimed(), u32::from(at >= HEADER));
        worker.write_all(&[*byte]).unwrap();
        assert!(link.has_answer());
    }
    assert!(link.receive(&mut answer).unwrap());
    assert_eq!(answer, b"bit by bit");
}

#[test]
fn an_answer_that_was_only_sent_in_part_is_dropped() {
    for cut in 1..HEADER + 3 {
        let (mut link, mut worker) = hostile();
        let answer = frame(Kind::Answer, &[b"half"]);
        worker.write_all(&[&begun(), &answer[..cut]].concat()).unwrap();
        assert!(!link.receive(&mut Vec::new()).unwrap());
        drop(worker);
        assert!(matches!(link.receive(&mut Vec::new()), Err(LinkError::Closed)));
        assert_eq!(link.claimed(), 1);
    }
}

#[test]
fn a_worker_that_does_not_listen_any_more_has_closed_the_link() {
    let (ours, worker) = UnixStream::pair().unwrap();
    let mut link = SocketLink::new(ours.into(), 100);
    link.offer(&[&vec![0; 10 << 20]]).unwrap();
    worker.shutdown(std::net::Shutdown::Read).unwrap();
    assert!(matches!(link.receive(&mut Vec::new()), Err(LinkError::Closed)));
    assert_eq!(link.take_back(1).len(), 1);
}

#[test]
fn a_socket_that_a_grandchild_holds_does_not_keep_the_link_open() {
    let (mut link, worker) = hostile();
    let _left_behind = worker.try_clone().unwrap();
    drop(worker);
    assert!(!link.receive(&mut Vec::new()).unwrap());
    link.set_dead();
    assert!(matches!(link.receive(&mut Vec::new()), Err(LinkError::Closed)));
}

#[test]
fn a_socket_that_a_forked_child_holds_does_not_keep_the_worker() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let _forked = ours.try_clone().unwrap();
    let mut worker = SocketWorkerLink::new(theirs.into());
    drop(SocketLink::new(ours.into(), MOST));
    assert!(matches!(worker.claim(None), Err(LinkError::Closed)));
}

#[test]
fn no_answer_is_left_lying_when_there_is_none_to_receive() {
    let _watchdog = common::watched();
    for _ in 0..500 {
        let (mut link, worker) = hostile();
        let writer = std::thread::spawn(move || {
            let answer = frame(Kind::Answer, &[b"!"]);
            // In pieces, each of which the link may come upon by itself.
            for piece in [&begun()[..], &answer[..4], &answer[4..]] {
                (&worker).write_all(piece).unwrap();
            }
            worker
        });
        while !link.receive(&mut Vec::new()).unwrap() {
            assert!(!link.set_asleep(0), "what is here was looked at");
        }
        writer.join().unwrap();
    }
}

#[test]
fn an_endless_answer_does_not_keep_the_manager() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut link = SocketLink::new(ours.into(), usize::MAX);
    link.offer(&[b"work"]).unwrap();
    theirs.read_exact(&mut [0; HEADER + 4]).unwrap();
    theirs.write_all(&[begun(), header(Kind::Answer, usize::MAX).to_vec()].concat()).unwrap();
    theirs.set_nonblocking(true).unwrap();
    while theirs.write_all(&[7; 8 << 10]).is_ok() {}
    assert!(!link.receive(&mut Vec::new()).unwrap());
    assert!(link.has_answer(), "it comes back to the manager before all is read");
    while link.has_answer() {
        assert!(!link.receive(&mut Vec::new()).unwrap());
    }
}

/// What a hostile worker may send: frames of all kinds, true and false lengths, noise.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(begun()),
        4 => (0..200_usize).prop_map(|length| frame(Kind::Answer, &[&vec![1; length]])),
        1 => (0..8_u8, any::<u16>()).prop_map(|(kind, length)| {
            let mut bytes = header(Kind::Answer, length.into());
            bytes[0] = kind;
            bytes.to_vec()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_a_worker_sends_the_parent_keeps_its_head(bytes in noise(), releases: bool) {
        let _watchdog = common::watched();
        let (mut link, mut worker) = hostile();
        worker.write_all(&bytes).unwrap();
        drop(worker);
        let mut answer = Vec::new();
        let mut answers = 0;
        while let Ok(received) = link.receive(&mut answer) {
            if received {
                answers += 1;
                prop_assert!(answer.len() <= 100);
                prop_assert_eq!(link.claimed(), 1);
                if releases {
                    link.release(1);
                }
            }
        }
        prop_assert!(answers <= bytes.len() / HEADER);
        prop_assert!(!releases || answers <= 1);
        prop_assert_eq!(link.claimed() + u32::try_from(link.take_back(1).len()).unwrap(), u32::from(!releases || answers == 0));
    }
}
