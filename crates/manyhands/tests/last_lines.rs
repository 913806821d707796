//! What a newborn worker prints: nothing lost on the way, nobody blocked, the last of it kept.

#![cfg(all(target_os = "linux", not(loom)))]

mod common;

use std::io::{PipeReader, PipeWriter, Read, Write};

use common::watched;
use manyhands::process::last_lines::LastLines;
use rustix::event::PollFlags;
use rustix::io::ioctl_fionbio;

/// The worker's end, the reader of it, and what has been passed on.
fn lines() -> (PipeWriter, LastLines, PipeReader) {
    let (pipe, worker) = std::io::pipe().unwrap();
    ioctl_fionbio(&pipe, true).unwrap();
    let (passed_on, to) = std::io::pipe().unwrap();
    (worker, LastLines::new(pipe.into(), to.into()), passed_on)
}

fn wants(lines: &LastLines) -> Option<PollFlags> {
    lines.interest().map(|(_, flags)| flags)
}

#[test]
fn text_is_passed_on_and_the_last_lines_are_kept() {
    let _watchdog = watched();
    let (mut worker, mut lines, mut passed_on) = lines();
    let mut expected = String::new();
    for number in 0..30 {
        let line = format!("line {number}\n");
        let (start, end) = line.split_at(3);
        for part in [start, end] {
            worker.write_all(part.as_bytes()).unwrap();
            assert_eq!(wants(&lines), Some(PollFlags::IN));
            lines.advance();
        }
        expected.push_str(&line);
    }
    drop(worker);
    lines.advance();
    assert_eq!(wants(&lines), None);
    let last: Vec<_> = expected.lines().skip(10).collect();
    assert_eq!(lines.text(), last.join("\n"));
    drop(lines);
    let mut text = String::new();
    passed_on.read_to_string(&mut text).unwrap();
    assert_eq!(text, expected);
}

#[test]
fn a_reader_who_stalls_blocks_nobody_and_misses_nothing() {
    let _watchdog = watched();
    let (mut worker, mut lines, mut passed_on) = lines();
    let text: Vec<u8> =
        (0..40_000_u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let sent = text.clone();
    // The worker waits, as it would for a terminal that was stopped.
    let worker = std::thread::spawn(move || worker.write_all(&sent).unwrap());
    while wants(&lines) != Some(PollFlags::OUT) {
        lines.advance();
    }
    let seen = lines.text();
    for _ in 0..100 {
        lines.advance();
        assert_eq!(wants(&lines), Some(PollFlags::OUT));
        assert_eq!(lines.text(), seen, "it takes in no more than it can pass on");
    }
    let mut read = vec![0; 0];
    while wants(&lines).is_some() {
        let mut piece = vec![0; 64 << 10];
        if wants(&lines) == Some(PollFlags::OUT) {
            let length = passed_on.read(&mut piece).unwrap();
            read.extend_from_slice(&piece[..length]);
        }
        lines.advance();
    }
    worker.join().unwrap();
    assert_eq!(lines.text().lines().count(), 20);
    assert!(lines.text().ends_with("\n39999"));
    drop(lines);
    passed_on.read_to_end(&mut read).unwrap();
    assert!(read == text, "every byte, once");
}

#[test]
fn what_is_left_after_death_is_kept_though_nobody_reads() {
    let _watchdog = watched();
    let (mut worker, mut lines, passed_on) = lines();
    drop(passed_on);
    worker.write_all(b"one\n\xfftwo\n\nthree").unwrap();
    // Somebody whom the worker has started lives on.
    let _left_behind = worker.try_clone().unwrap();
    drop(worker);
    lines.drain();
    assert_eq!(lines.text(), "one\n\u{fffd}two\n\nthree");
    assert_eq!(wants(&lines), Some(PollFlags::IN));
}

#[test]
fn a_line_without_end_is_cut() {
    let _watchdog = watched();
    let (mut worker, mut lines, _passed_on) = lines();
    worker.write_all(&[b'x'; 5_000]).unwrap();
    worker.write_all(b"\nnext").unwrap();
    lines.drain();
    assert_eq!(lines.text(), format!("{}\nnext", "x".repeat(1 << 10)));
}
