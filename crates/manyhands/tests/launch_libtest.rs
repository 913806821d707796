//! Workers of a test binary with the usual harness: the worker is one of its tests.

#![cfg(all(target_os = "linux", not(loom)))]

mod common;

use std::io::{Read, pipe};
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use common::watched;
use manyhands::process::birth::{Birth, Hello, Progress, Transport, arrive};
use manyhands::process::launch::{Launcher, Output, ProcessLauncher};
use manyhands::process::link::socket::{SocketLink, SocketWorkerLink};
use manyhands::process::link::{Link, WorkerLink};

/// Does nothing as a test.
#[test]
fn worker() {
    let Some(arrival) = arrive(1, Duration::from_secs(50)).unwrap() else { return };
    println!("printed too early");
    let mut link = SocketWorkerLink::new(arrival.reply.ready().unwrap());
    while let Ok(Some(request)) = link.claim(None) {
        let request = request.to_vec();
        println!("asked: {}", String::from_utf8_lossy(&request));
        link.answer(&[&request]).unwrap();
    }
    // The harness would say how its test has ended.
    exit(0);
}

#[test]
fn nothing_of_the_harness_is_printed() {
    let _watchdog = watched();
    let (mut printed, stdout) = pipe().unwrap();
    let mut launcher = ProcessLauncher {
        args: ["worker", "--exact", "--nocapture", "--test-threads=1"].map(Into::into).to_vec(),
        stdout: Output::Descriptor(Arc::new(stdout.into())),
        quiet_birth: true,
        ..ProcessLauncher::default()
    };
    let newborn = launcher.launch(0).unwrap();
    drop(launcher);
    let hello =
        Hello { build_id: 1, seat: 0, transport: Transport::Socket, initializer: Vec::new() };
    let mut birth = Birth::new(newborn.socket, &hello, newborn.handover, Vec::new());
    while birth.advance().unwrap() == Progress::Waiting {}
    let mut link = SocketLink::new(birth.into_socket().unwrap(), 100);
    link.offer(&[b"well?"]).unwrap();
    let mut answer = Vec::new();
    while !link.receive(&mut answer).unwrap() {}
    assert_eq!(answer, b"well?");
    drop(link);
    let mut text = String::new();
    printed.read_to_string(&mut text).unwrap();
    assert_eq!(text, "asked: well?\n");
}
