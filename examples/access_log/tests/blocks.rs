//! Wherever an input is cut into blocks, the report is the same.

mod common;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use access_log::blocks::{Block, Cutter, Limits, Text};
use access_log::input::Input;
use access_log::job::{self, Options};
use access_log::report::Report;
use access_log::tally::{Partial, Tally, parse_block};
use common::ODD_LINES;
use indicatif::ProgressBar;
use manyhands::InlineExecutor;
use proptest::prelude::*;

/// No line of the small inputs here is longer.
const LINE: usize = 200;

#[test]
fn every_size_of_blocks_gives_the_same_report() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let unix = ODD_LINES.join(&b"\n"[..]);
    let dos = ODD_LINES.join(&b"\r\n"[..]);
    for content in [&unix[..], &[&unix[..], b"\n"].concat(), &dos, b"\n", b"\n\n", b""] {
        fs::write(&path, content).unwrap();
        let whole = report(&path, Limits::default());
        let lines = content.split_inclusive(|&byte| byte == b'\n').count();
        assert_eq!(whole.lines, u64::try_from(lines).unwrap());
        for block in 1..=content.len() + 1 {
            assert_eq!(report(&path, Limits { block, line: LINE }), whole, "blocks of {block}");
        }
    }
}

#[test]
fn a_line_may_be_longer_than_a_block_up_to_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let line = |page: usize| {
        let page = "x".repeat(page);
        format!("a - - [17/May/2015:10:05:03 +0000] \"GET {page} HTTP/1.1\" 200 12\n")
    };
    let limits = Limits { block: 64, line: 4096 };
    let frame = line(0).len();
    fs::write(
        &path,
        [line(1), line(4096 - frame), line(4097 - frame), line(9000), line(2)].concat(),
    )
    .unwrap();

    let report = report(&path, limits);
    assert_eq!((report.lines, report.total.requests), (5, 3));
    let pages: Vec<_> = report.pages.top.iter().map(|page| page.key.len()).collect();
    assert_eq!(pages, [1, 2, 4096 - frame]);
    let places: Vec<_> =
        report.unparsable.first.iter().map(|line| (line.line, line.flaw)).collect();
    let too_long = access_log::line::Flaw::TooLong;
    assert_eq!(places, [(3, too_long), (4, too_long)]);
}

#[test]
fn the_limit_of_the_program_is_eight_mebibytes() {
    let lines = [vec![b'a'; (8 << 20) - 1], vec![b'b'; 8 << 20], vec![b'c'; 20 << 20], vec![b'd']];
    let input = lines.join(&b'\n');
    let cuts = cut(&input[..], Limits::default());
    let shapes: Vec<_> = cuts
        .iter()
        .map(|(line, text)| match text {
            Text::Lines(text) => (*line, true, text[0]),
            Text::TooLong(head) => (*line, false, head[0]),
        })
        .collect();
    assert_eq!(shapes, [(1, true, b'a'), (2, false, b'b'), (3, false, b'c'), (4, true, b'd')]);
    assert!(
        cuts.iter().all(|(_, text)| matches!(text, Text::Lines(_)) || bytes(text).len() < 2048)
    );
}

#[test]
fn an_error_in_the_middle_is_passed_on_and_ends_the_input() {
    let broken = b"a\nb\nc".chain(Broken);
    let mut cutter = Cutter::new(broken, Limits { block: 2, line: LINE });
    let mut lines = 0;
    let error = loop {
        match cutter.next().expect("an error before the end") {
            Ok(_) => lines += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((lines, error.to_string()), (2, "the disk is on fire".to_owned()));
    assert!(cutter.next().is_none());
}

#[test]
fn what_is_to_cross_to_another_process_survives_the_crossing() {
    let there_and_back = |block: &Block| -> Partial {
        let block = postcard::from_bytes(&postcard::to_stdvec(block).unwrap()).unwrap();
        postcard::from_bytes(&postcard::to_stdvec(&parse_block(block)).unwrap()).unwrap()
    };
    let (mut near, mut far) = (Tally::new(5), Tally::new(5));
    for text in [Text::Lines(ODD_LINES.join(&b'\n').into()), Text::TooLong(b"\xff".to_vec())] {
        let block = Block { file: 0, first_line: 1, top: 5, text };
        far.merge(there_and_back(&block));
        near.merge(parse_block(block));
    }
    let finished = |tally: Tally<_>| Report::new(vec!["log".to_owned()], tally.finish(), 5);
    assert_eq!(finished(far), finished(near));
}

proptest! {
    #[test]
    fn blocks_hold_every_line_once_and_know_its_number(
        input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..60),
        block in 1usize..30,
        line in 1usize..30,
        reads in proptest::collection::vec(1usize..9, 1..9),
    ) {
        let pieces = Pieces { rest: &input, reads: reads.into_iter().cycle(), interrupted: false };
        let cuts = cut(pieces, Limits { block, line });

        let mut found = Vec::new();
        for (first_line, text) in &cuts {
            prop_assert_eq!(*first_line, found.len() as u64 + 1);
            match text {
                Text::Lines(text) => {
                    prop_assert!(!text.is_empty() && text.len() <= line);
                    found.extend(text.split_inclusive(|&byte| byte == b'\n').map(Some));
                }
                Text::TooLong(_) => found.push(None),
            }
        }
        let expected: Vec<_> = input
            .split_inclusive(|&byte| byte == b'\n')
            // The limit counts a line end, also where the last line lacks it.
            .map(|text| (text.strip_suffix(b"\n").unwrap_or(text).len() < line).then_some(text))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_order_of_blocks_does_not_matter(
        order in Just((0..ODD_LINES.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut lines = Tally::new(3);
        for index in order {
            let text = Text::Lines(ODD_LINES[index].iter().copied().chain([b'\n']).collect());
            let first_line = index as u64 + 1;
            lines.merge(parse_block(Block { file: 0, first_line, top: 3, text }));
        }
        let text = ODD_LINES.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
        let text = Text::Lines(text);
        let whole = parse_block(Block { file: 0, first_line: 1, top: 3, text });
        let report = |tally| Report::new(vec!["log".to_owned()], tally, 3);
        prop_assert_eq!(report(lines.finish()), report(whole));
    }
}

fn report(path: &Path, limits: Limits) -> Report {
    let options = Options { top: 30, ahead: 2, limits };
    let inputs = [Input::File(path.to_owned())];
    job::report(&InlineExecutor::new(), &inputs, options, &ProgressBar::hidden()).unwrap()
}

fn cut(input: impl Read, limits: Limits) -> Vec<(u64, Text)> {
    Cutter::new(input, limits).collect::<io::Result<_>>().unwrap()
}

fn bytes(text: &Text) -> &[u8] {
    match text {
        Text::Lines(bytes) => bytes,
        Text::TooLong(bytes) => bytes,
    }
}

/// Gives no more at a time than it is told, as a pipe does, and is interrupted every other time.
struct Pieces<'a, I> {
    rest: &'a [u8],
    reads: I,
    interrupted: bool,
}

impl<I: Iterator<Item = usize>> Read for Pieces<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = self.reads.next().map_or(1, |read| read.min(buffer.len()));
        self.rest.read(&mut buffer[..length])
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is on fire"))
    }
}
