//! Counting: a block of lines becomes a [`Partial`], and partials add up to the whole.
//!
//! [`parse_block`] is the task that the executor runs. It is a plain function whose argument and
//! result own what they hold and serialise, so that it may run in another process.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use memchr::memchr;
use serde::{Deserialize, Serialize};

use crate::blocks::{Block, Text};
use crate::counts::{Counts, KeyTraffic, Smallest, Traffic};
use crate::line::{self, Date, Flaw, Line};

/// How many unparsable lines are shown.
const SHOWN_FLAWED: usize = 10;

/// How much of an unparsable line is shown.
const SHOWN_BYTES: usize = 160;

/// Everything that is counted, with traffic per key held in a `K`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tally<K> {
    /// Lines read, good or not.
    pub lines: u64,
    /// Lines that could not be parsed.
    pub unparsable: u64,
    /// The first of those.
    pub flawed: Smallest<FlawedLine>,
    /// All that was parsed.
    pub total: Traffic,
    /// Per day.
    pub days: BTreeMap<Date, Traffic>,
    /// Per hour of the day.
    pub hours: [Traffic; 24],
    /// Requests per status.
    pub statuses: BTreeMap<u16, u64>,
    /// The largest responses.
    pub largest: Smallest<Response>,
    /// Traffic per page.
    pub pages: K,
    /// Traffic per page that was not found (404).
    pub not_found: K,
    /// Traffic per referrer.
    pub referrers: K,
    /// Traffic per user agent.
    pub agents: K,
    /// Traffic per client.
    pub clients: K,
}

/// The counts of one block.
pub type Partial = Tally<KeyTraffic>;

/// A place in the input; it orders as the input does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Index of the file among the inputs.
    pub file: u32,
    /// Line, counted from 1.
    pub line: u64,
}

/// A line that could not be parsed; the first of the input orders first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FlawedLine {
    /// Where it is.
    pub at: Position,
    /// What is wrong.
    pub flaw: Flaw,
    /// Its beginning.
    #[serde(with = "serde_bytes")]
    pub text: Vec<u8>,
}

/// One response; the largest orders first, and of equals the first of the input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Response {
    /// Its size.
    pub bytes: Reverse<u64>,
    /// Where it was logged.
    pub at: Position,
    /// Its status.
    pub status: u16,
    /// What was asked for.
    #[serde(with = "serde_bytes")]
    pub page: Vec<u8>,
    /// Who asked.
    #[serde(with = "serde_bytes")]
    pub client: Vec<u8>,
}

/// Count the lines of one block.
pub fn parse_block(block: Block) -> Partial {
    let mut tally = Tally::new(block.top);
    let mut at = Position { file: block.file, line: block.first_line };
    match block.text {
        Text::Lines(text) => {
            for line in lines(&text) {
                tally.count(at, line);
                at.line += 1;
            }
        }
        Text::TooLong(head) => tally.refuse(at, Flaw::TooLong, &head),
    }
    tally.finish()
}

/// Lines without their ends, which are `\n` or `\r\n`; the last one may lack its end.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr(b'\n', text).unwrap_or(text.len());
        let line = &text[..end];
        text = text.get(end + 1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

impl Tally<Counts> {
    /// Nothing counted yet; the `top` largest responses will be kept.
    pub fn new(top: usize) -> Self {
        Self {
            lines: 0,
            unparsable: 0,
            flawed: Smallest::new(SHOWN_FLAWED),
            total: Traffic::default(),
            days: BTreeMap::new(),
            hours: [Traffic::default(); 24],
            statuses: BTreeMap::new(),
            largest: Smallest::new(top),
            pages: Counts::default(),
            not_found: Counts::default(),
            referrers: Counts::default(),
            agents: Counts::default(),
            clients: Counts::default(),
        }
    }

    fn count(&mut self, at: Position, line: &[u8]) {
        match line::parse(line) {
            Ok(parsed) => self.add(at, &parsed),
            Err(flaw) => self.refuse(at, flaw, line),
        }
    }

    fn add(&mut self, at: Position, line: &Line<'_>) {
        let traffic = Traffic::one(line.bytes);
        self.lines += 1;
        self.total += traffic;
        *self.days.entry(line.day).or_default() += traffic;
        self.hours[usize::from(line.hour)] += traffic;
        *self.statuses.entry(line.status).or_default() += 1;
        self.pages.add(line.page, traffic);
        if line.status == 404 {
            self.not_found.add(line.page, traffic);
        }
        self.referrers.add(line.referrer, traffic);
        self.agents.add(line.agent, traffic);
        self.clients.add(line.client, traffic);
        // Asked first, so that the many small responses are not copied.
        if self.largest.bar().is_none_or(|bar| line.bytes > bar.bytes.0) {
            self.largest.offer(Response {
                bytes: Reverse(line.bytes),
                at,
                status: line.status,
                page: line.page.to_vec(),
                client: line.client.to_vec(),
            });
        }
    }

    fn refuse(&mut self, at: Position, flaw: Flaw, line: &[u8]) {
        self.lines += 1;
        self.unparsable += 1;
        if self.flawed.bar().is_none_or(|bar| at < bar.at) {
            let text = line[..line.len().min(SHOWN_BYTES)].to_vec();
            self.flawed.offer(FlawedLine { at, flaw, text });
        }
    }

    /// Add the counts of a block. The order of blocks does not matter.
    pub fn merge(&mut self, other: Partial) {
        self.lines += other.lines;
        self.unparsable += other.unparsable;
        self.flawed.merge(other.flawed);
        self.total += other.total;
        for (day, traffic) in other.days {
            *self.days.entry(day).or_default() += traffic;
        }
        for (hour, traffic) in self.hours.iter_mut().zip(other.hours) {
            *hour += traffic;
        }
        for (status, requests) in other.statuses {
            *self.statuses.entry(status).or_default() += requests;
        }
        self.largest.merge(other.largest);
        self.pages.merge(&other.pages);
        self.not_found.merge(&other.not_found);
        self.referrers.merge(&other.referrers);
        self.agents.merge(&other.agents);
        self.clients.merge(&other.clients);
    }

    /// The counts, without what counting needed.
    pub fn finish(self) -> Partial {
        Tally {
            lines: self.lines,
            unparsable: self.unparsable,
            flawed: self.flawed,
            total: self.total,
            days: self.days,
            hours: self.hours,
            statuses: self.statuses,
            largest: self.largest,
            pages: self.pages.finish(),
            not_found: self.not_found.finish(),
            referrers: self.referrers.finish(),
            agents: self.agents.finish(),
            clients: self.clients.finish(),
        }
    }
}
