//! The finished report: what is printed as JSON, and what the table shows.
//!
//! Text that is not UTF-8 is shown with replacement characters.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::counts::{KeyTraffic, Traffic};
use crate::line::Flaw;
use crate::tally::{FlawedLine, Partial, Position, Response};

/// The figures of all inputs together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The inputs, in the order in which they were read.
    pub inputs: Vec<String>,
    /// Lines read: `requests` plus those that are unparsable.
    pub lines: u64,
    /// All requests and the bytes of their responses.
    #[serde(flatten)]
    pub total: Traffic,
    /// Lines that could not be parsed.
    pub unparsable: Unparsable,
    /// Requests answered with 4xx or 5xx.
    pub errors: Share,
    /// Requests per class of status: `1xx` to `5xx`, and `other`.
    pub status_classes: BTreeMap<&'static str, u64>,
    /// Requests per status.
    pub statuses: BTreeMap<String, u64>,
    /// Traffic per day, as written in the log.
    pub days: Vec<DayRow>,
    /// Traffic per hour of the day, as written in the log; all 24.
    pub hours: Vec<HourRow>,
    /// Pages with the most requests.
    pub pages: Top,
    /// Pages with the most requests answered with 404.
    pub not_found: Top,
    /// Referrers with the most requests; `-` where the client named none.
    pub referrers: Top,
    /// User agents with the most requests; `-` where the client named none.
    pub agents: Top,
    /// Clients with the most requests.
    pub clients: Top,
    /// The largest responses.
    pub largest: Vec<ResponseRow>,
}

/// Lines that could not be parsed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unparsable {
    /// How many there are.
    pub lines: u64,
    /// The first of them.
    pub first: Vec<UnparsableRow>,
}

/// A line that could not be parsed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnparsableRow {
    /// The input it is in.
    pub file: String,
    /// Its number there, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
    /// Its beginning.
    pub text: String,
}

/// Some of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub requests: u64,
    /// How many of all, 0 to 1.
    pub rate: f64,
}

/// Traffic of a day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DayRow {
    /// Such as `2015-05-17`.
    pub day: String,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Traffic of an hour of the day, over all days.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HourRow {
    /// 0 to 23.
    pub hour: usize,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// The keys with the most requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Top {
    /// How many different keys there are in all.
    pub distinct: usize,
    /// The first of them.
    pub top: Vec<KeyRow>,
}

/// Traffic of a key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyRow {
    /// The page, referrer, agent or client.
    pub key: String,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// One response.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResponseRow {
    /// Its size.
    pub bytes: u64,
    /// Its status.
    pub status: u16,
    /// What was asked for.
    pub page: String,
    /// Who asked.
    pub client: String,
    /// The input it was logged in.
    pub file: String,
    /// The line there, counted from 1.
    pub line: u64,
}

impl Report {
    /// The report of what was counted in `inputs`, with tables of `top` rows.
    pub fn new(inputs: Vec<String>, tally: Partial, top: usize) -> Self {
        let failed = tally.statuses.range(400..600).map(|(_, requests)| requests).sum();
        Self {
            lines: tally.lines,
            total: tally.total,
            unparsable: Unparsable {
                lines: tally.unparsable,
                first: tally
                    .flawed
                    .into_sorted_vec()
                    .into_iter()
                    .map(|line| UnparsableRow::new(&inputs, &line))
                    .collect(),
            },
            errors: Share::new(failed, tally.total.requests),
            status_classes: classes(&tally.statuses),
            statuses: tally
                .statuses
                .iter()
                .map(|(status, requests)| (format!("{status:03}"), *requests))
                .collect(),
            days: tally
                .days
                .iter()
                .map(|(day, &traffic)| DayRow { day: day.to_string(), traffic })
                .collect(),
            hours: (0..)
                .zip(tally.hours)
                .map(|(hour, traffic)| HourRow { hour, traffic })
                .collect(),
            pages: Top::new(&tally.pages, top),
            not_found: Top::new(&tally.not_found, top),
            referrers: Top::new(&tally.referrers, top),
            agents: Top::new(&tally.agents, top),
            clients: Top::new(&tally.clients, top),
            largest: tally
                .largest
                .into_sorted_vec()
                .into_iter()
                .map(|response| ResponseRow::new(&inputs, &response))
                .collect(),
            inputs,
        }
    }
}

impl UnparsableRow {
    fn new(inputs: &[String], line: &FlawedLine) -> Self {
        let (file, number) = place(inputs, line.at);
        Self { file, line: number, flaw: line.flaw, text: text(&line.text) }
    }
}

impl ResponseRow {
    fn new(inputs: &[String], response: &Response) -> Self {
        let (file, line) = place(inputs, response.at);
        Self {
            bytes: response.bytes.0,
            status: response.status,
            page: text(&response.page),
            client: text(&response.client),
            file,
            line,
        }
    }
}

impl Share {
    /// So many requests `of` so many; none of none.
    pub fn new(requests: u64, of: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let rate = if of == 0 { 0.0 } else { requests as f64 / of as f64 };
        Self { requests, rate }
    }
}

impl Top {
    fn new(counted: &KeyTraffic, top: usize) -> Self {
        let rows = counted.top(top).into_iter();
        Self {
            distinct: counted.len(),
            top: rows.map(|(key, traffic)| KeyRow { key: text(key), traffic }).collect(),
        }
    }
}

fn classes(statuses: &BTreeMap<u16, u64>) -> BTreeMap<&'static str, u64> {
    let mut classes: BTreeMap<_, _> =
        ["1xx", "2xx", "3xx", "4xx", "5xx", "other"].map(|class| (class, 0)).into();
    for (status, requests) in statuses {
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        };
        *classes.entry(class).or_default() += requests;
    }
    classes
}

fn place(inputs: &[String], at: Position) -> (String, u64) {
    let file = usize::try_from(at.file).expect("an index of the inputs");
    (inputs[file].clone(), at.line)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
