//! How a worker is born, and how a birth fails.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use manyhands::Exit;
use manyhands::process::birth::{ArrivalError, Birth, BirthError, Handover, Progress, arrive_on};
use manyhands::process::launch::{Launcher, ProcessLauncher};
use manyhands::process::link::Link;
use manyhands::process::link::frames::{Kind, frame, header};

use crate::harness::tests;
use crate::manager::{bear, bear_with, hello, launcher, pipe, read_now, start};

tests![
    a_worker_is_born_works_and_leaves,
    a_worker_of_another_build_refuses,
    an_initializer_that_fails_says_why,
    a_reason_of_any_length_comes_through,
    a_worker_that_dies_early_leaves_its_last_lines,
    a_worker_that_aborts_early_is_seen,
    a_worker_without_a_hello_gives_up,
    what_is_no_worker_is_an_error,
    nonsense_is_an_error_of_that_worker,
    a_large_hello_comes_with_its_descriptors,
    a_parent_that_talks_nonsense_is_an_error,
    a_program_that_is_not_there_is_an_error,
];

fn a_worker_is_born_works_and_leaves() {
    let mut worker = bear("serve", b"").unwrap();
    assert_eq!(worker.ask("echo hello"), "hello");
    let long = "long ".repeat(100_000);
    assert_eq!(worker.ask(&format!("echo {long}")), long);
    assert_eq!(worker.ask("group"), "true", "Ctrl-C does not reach it");
    assert_eq!(worker.end(), Exit::Code(0));
}

fn a_worker_of_another_build_refuses() {
    let (mut newborn, error) = *bear("another-build", b"").unwrap_err();
    let BirthError::Refused(reason) = error else { panic!("{error}") };
    assert!(reason.contains("another build"), "{reason}");
    assert_eq!(newborn.exit(), Exit::Code(4));
}

fn an_initializer_that_fails_says_why() {
    let (mut newborn, error) = *bear("serve", b"fail no licence").unwrap_err();
    assert_eq!(error.to_string(), "the worker cannot start: no licence");
    assert_eq!(newborn.exit(), Exit::Code(3));
}

fn a_reason_of_any_length_comes_through() {
    let reason = "because ".repeat(100_000);
    let (_, error) = *bear("serve", format!("fail {reason}").as_bytes()).unwrap_err();
    let BirthError::Refused(shortened) = error else { panic!("{error}") };
    assert!(reason.starts_with(&shortened) && shortened.len() > 10_000);
}

fn a_worker_that_dies_early_leaves_its_last_lines() {
    let (mut newborn, error) = *bear("dies-early", b"").unwrap_err();
    assert!(matches!(error, BirthError::Closed), "{error}");
    assert_eq!(newborn.exit(), Exit::Code(7));
    newborn.lines.drain();
    let lines: Vec<_> = (1..=50).map(|line| format!("line {line}\n")).collect();
    let last = lines[31..].concat() + "and an end";
    assert_eq!(newborn.lines.text(), last, "the last twenty");
    assert_eq!(newborn.forwarded(), lines.concat() + "and an end", "passed on in full");
    assert!(newborn.lines.interest().is_none(), "nothing is left to do");
}

fn a_worker_that_aborts_early_is_seen() {
    let (mut newborn, error) = *bear("aborts-early", b"").unwrap_err();
    assert!(matches!(error, BirthError::Closed), "{error}");
    let exit = newborn.exit();
    assert_eq!(exit, Exit::Signal(6));
    assert_eq!(exit.to_string(), "was killed by SIGABRT");
}

fn a_worker_without_a_hello_gives_up() {
    let (mut newborn, _socket, _handover) = start(&mut launcher("impatient")).unwrap();
    assert_eq!(newborn.exit(), Exit::Code(4));
    newborn.lines.drain();
    assert!(newborn.lines.text().contains("has not said hello within 20ms"));
}

fn what_is_no_worker_is_an_error() {
    let mut launcher =
        ProcessLauncher { program: Some("/bin/true".into()), ..ProcessLauncher::default() };
    let (mut newborn, error) = *bear_with(&mut launcher, b"", Vec::new()).unwrap_err();
    assert!(matches!(error, BirthError::Closed), "{error}");
    assert_eq!(newborn.exit(), Exit::Code(0));
    let (newborn, error) = *bear("talks-nonsense", b"").unwrap_err();
    let BirthError::Nonsense(why) = error else { panic!("{error}") };
    assert!(why.contains("unknown kind"), "{why}");
    let pid = newborn.child.pid();
    drop(newborn);
    assert!(!crate::manager::is_alive(pid), "who is dropped is killed");
}

fn nonsense_is_an_error_of_that_worker() {
    let cases = [
        frame(Kind::Begun, &[]),
        frame(Kind::Reply, &[]),
        frame(Kind::Reply, &[b"\x09"]),
        frame(Kind::Reply, &[b"\x01\xff\xff\xff\xff\x0f"]),
        header(Kind::Reply, usize::MAX).to_vec(),
        vec![0; 64],
    ];
    for bytes in cases {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut birth = Birth::new(ours.into(), &hello(b""), Handover::default(), Vec::new());
        assert_eq!(birth.advance().unwrap(), Progress::Waiting);
        theirs.write_all(&bytes).unwrap();
        let error = birth.advance().unwrap_err();
        assert!(matches!(error, BirthError::Nonsense(_)), "{error}");
    }
    let ready = frame(Kind::Reply, &[&[0, 5]]);
    // Ready before it could know for what.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let large = vec![0; 10 << 20];
    let mut birth = Birth::new(ours.into(), &hello(&large), Handover::default(), Vec::new());
    theirs.write_all(&ready).unwrap();
    assert!(matches!(birth.advance(), Err(BirthError::Nonsense(_))));
    // Ready, and more.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut birth = Birth::new(ours.into(), &hello(b""), Handover::default(), Vec::new());
    theirs.write_all(&[ready, vec![1]].concat()).unwrap();
    assert_eq!(birth.advance().unwrap(), Progress::Ready { pid: 5 });
    assert!(matches!(birth.into_socket(), Err(BirthError::Nonsense(_))));
    // Gone before the hello, with the whole of it in the way.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut birth = Birth::new(ours.into(), &hello(&large), Handover::default(), Vec::new());
    assert_eq!(birth.advance().unwrap(), Progress::Waiting);
    theirs.read_exact(&mut [0; 64]).unwrap();
    drop(theirs);
    assert!(matches!(birth.advance(), Err(BirthError::Closed)));
}

fn a_large_hello_comes_with_its_descriptors() {
    let (pipes, ends): (Vec<_>, Vec<_>) = (0..250).map(|_| pipe()).unzip();
    let large = vec![b'x'; 5 << 20];
    let mut worker = bear_with(&mut launcher("serve"), &large, ends).unwrap();
    assert_eq!(worker.ask("echo here"), "here");
    for (number, pipe) in pipes.iter().enumerate() {
        assert_eq!(read_now(pipe), format!("{number}: {} bytes", large.len()));
    }
    assert_eq!(worker.link().in_flight(), 0);
}

fn a_parent_that_talks_nonsense_is_an_error() {
    let cases = [
        frame(Kind::Request, &[]),
        frame(Kind::Hello, &[]),
        frame(Kind::Hello, &[&[255; 20]]),
        // All right, but for a descriptor that did not come along.
        frame(Kind::Hello, &[&[2, 7, 0, 0, 0, 1, 0]]),
        vec![0; 64],
    ];
    let hear = |bytes: &[u8]| {
        let (mut parent, ours) = UnixStream::pair().unwrap();
        parent.write_all(bytes).unwrap();
        drop(parent);
        arrive_on(ours.into(), 7, Duration::from_secs(50))
    };
    for bytes in cases {
        let error = hear(&bytes).unwrap_err();
        assert!(matches!(error, ArrivalError::Nonsense(_)), "{bytes:?}: {error}");
    }
    let hello = frame(Kind::Hello, &[&[2, 7, 0, 0, 0, 0, 0], b"go"]);
    assert_eq!(hear(&hello).unwrap().hello.initializer, b"go");
    for cut in 0..hello.len() {
        let error = hear(&hello[..cut]).unwrap_err();
        assert!(matches!(error, ArrivalError::Orphan), "{cut}: {error}");
    }
    let newer = frame(Kind::Hello, &[&[3, 7, 0, 0, 0, 0, 0]]);
    assert!(matches!(hear(&newer), Err(ArrivalError::Protocol(3))));
}

fn a_program_that_is_not_there_is_an_error() {
    let program = Some("/no/such/program".into());
    let error = ProcessLauncher { program, ..ProcessLauncher::default() }.launch(0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
