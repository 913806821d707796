//! Cutting an input into blocks of whole lines, each read only when it is asked for.

use std::io::{self, Read};

use manyhands::process::Buffer;
use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

/// How much is read before a block is cut off.
const BLOCK_BYTES: usize = 1 << 20;

/// The longest line that is looked at. No server writes such a line; a file that is not a log may.
const LINE_BYTES: usize = 8 << 20;

/// How much of a longer line is kept to be shown.
const HEAD_BYTES: usize = 1 << 10;

/// Lines to be counted in one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Index of the file among the inputs.
    pub file: u32,
    /// Number of the block's first line in that file, counted from 1.
    pub first_line: u64,
    /// How many of the largest responses are wanted.
    pub top: usize,
    /// The lines.
    pub text: Text,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// Whole lines; only the input's last one may lack its end. A worker process reads them where they
    /// lie, in shared memory.
    Lines(Buffer<u8>),
    /// The beginning of one line that is longer than any line of a log.
    TooLong(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// Where an input is cut.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes read before a block is cut off at its last line end.
    pub block: usize,
    /// Bytes of the longest line accepted, its end included; also of the longest block.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { block: BLOCK_BYTES, line: LINE_BYTES }
    }
}

/// Cuts one input; yields each text with the number of its first line.
///
/// After an error the input is at its end.
#[derive(Debug)]
pub struct Cutter<R> {
    input: R,
    limits: Limits,
    /// Read, but not yet part of a block.
    rest: Vec<u8>,
    next_line: u64,
    at_end: bool,
}

impl<R: Read> Cutter<R> {
    /// Cut `input` at `limits`.
    ///
    /// # Panics
    /// If a limit is 0.
    pub fn new(input: R, limits: Limits) -> Self {
        assert!(limits.block > 0 && limits.line > 0, "nothing can be read {limits:?} at a time");
        // So that no line within a block can be longer than the longest line.
        let limits = Limits { block: limits.block.min(limits.line), ..limits };
        Self { input, limits, rest: Vec::new(), next_line: 1, at_end: false }
    }

    fn cut(&mut self) -> io::Result<Option<(u64, Text)>> {
        let mut text = std::mem::take(&mut self.rest);
        let mut searched = 0;
        loop {
            self.read_more(&mut text)?;
            if let Some(end) = memrchr(b'\n', &text[searched..]) {
                self.rest = text.split_off(searched + end + 1);
                return Ok(Some(self.lines(text)));
            }
            if self.at_end {
                return Ok((!text.is_empty()).then(|| self.lines(text)));
            }
            if text.len() == self.limits.line {
                return self.skip_line(text).map(Some);
            }
            searched = text.len();
        }
    }

    /// Append a block's worth; less only at the end of the input or where the text gets too long.
    fn read_more(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let mut filled = text.len();
        text.resize(self.limits.line.min(filled + self.limits.block), 0);
        while filled < text.len() {
            match self.input.read(&mut text[filled..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        text.truncate(filled);
        Ok(())
    }

    fn lines(&mut self, text: Vec<u8>) -> (u64, Text) {
        let first_line = self.next_line;
        self.next_line += memchr_iter(b'\n', &text).count() as u64;
        (first_line, Text::Lines(text.into()))
    }

    /// Drop the rest of a line that is too long, keeping its head.
    fn skip_line(&mut self, mut head: Vec<u8>) -> io::Result<(u64, Text)> {
        head.truncate(HEAD_BYTES);
        head.shrink_to_fit();
        let mut text = Vec::new();
        while !self.at_end {
            text.clear();
            self.read_more(&mut text)?;
            if let Some(end) = memchr(b'\n', &text) {
                self.rest = text.split_off(end + 1);
                break;
            }
        }
        let first_line = self.next_line;
        self.next_line += 1;
        Ok((first_line, Text::TooLong(head)))
    }
}

impl<R: Read> Iterator for Cutter<R> {
    type Item = io::Result<(u64, Text)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at_end && self.rest.is_empty() {
            return None;
        }
        let cut = self.cut().transpose();
        if let Some(Err(_)) = &cut {
            self.at_end = true;
            self.rest.clear();
        }
        cut
    }
}
