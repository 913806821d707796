//! One line of the log: what it says, or what is wrong with it.
//!
//! The format is Apache's and Nginx's *combined* one, or the *common* one, which lacks the last
//! two fields:
//!
//! ```text
//! client identity user [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 1234 "referrer" "agent"
//! ```
//!
//! Fields are slices of the line, as written there: escapes stay, and no byte is copied.

use std::fmt;

use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

/// Stands for a field that is absent or empty, as in the log itself.
const NOTHING: &[u8] = b"-";

/// The fields of a line that the report counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Address or name of the client.
    pub client: &'a [u8],
    /// Day as written in the log, whatever its time zone.
    pub day: Date,
    /// Hour of the day, 0 to 23, as written in the log.
    pub hour: u8,
    /// What was asked for, query included; the whole request where it has but one word.
    pub page: &'a [u8],
    /// Status of the response, three digits.
    pub status: u16,
    /// Bytes of the response; `-` counts as none.
    pub bytes: u64,
    /// Where the client came from, `-` if it does not say.
    pub referrer: &'a [u8],
    /// The client's program, `-` if it does not say.
    pub agent: &'a [u8],
}

/// A date without a time zone; it orders by time and prints as `2015-05-17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// The first thing that keeps a line from being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// Nothing on the line.
    Empty,
    /// More bytes than any server writes in a line.
    TooLong,
    /// The line begins with a space instead of a client.
    Client,
    /// No date where one belongs.
    Date,
    /// The request is not in quotes, or its quotes are not closed.
    Request,
    /// The status is not three digits.
    Status,
    /// The size is neither a number nor `-`.
    Bytes,
    /// Something follows the size, but no referrer in closed quotes.
    Referrer,
    /// A referrer without an agent in closed quotes.
    Agent,
}

/// Read one line, given without its line end.
///
/// # Errors
/// The first [`Flaw`] from the left.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Flaw> {
    if line.is_empty() {
        return Err(Flaw::Empty);
    }
    let (client, rest) = client(line).ok_or(Flaw::Client)?;
    let ((day, hour), rest) = date(rest).ok_or(Flaw::Date)?;
    let (request, rest) = quoted(rest).ok_or(Flaw::Request)?;
    let (status, rest) = status(rest).ok_or(Flaw::Status)?;
    let (bytes, rest) = bytes(rest).ok_or(Flaw::Bytes)?;
    let (referrer, agent) = if rest.is_empty() {
        (NOTHING, NOTHING)
    } else {
        let (referrer, rest) = quoted(rest).ok_or(Flaw::Referrer)?;
        let (agent, rest) = quoted(rest).ok_or(Flaw::Agent)?;
        // Many servers append fields of their own (times, hosts); those are not ours to judge.
        if !matches!(rest.first(), None | Some(b' ')) {
            return Err(Flaw::Agent);
        }
        (or_nothing(referrer), or_nothing(agent))
    };
    Ok(Line { client, day, hour, page: page(request), status, bytes, referrer, agent })
}

fn client(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (client, rest) = line.split_at(memchr(b' ', line).unwrap_or(line.len()));
    (!client.is_empty()).then_some((client, rest))
}

/// Identity and user are passed over. A user's name may hold spaces and brackets, so the date is
/// the first bracket that opens one.
fn date(rest: &[u8]) -> Option<((Date, u8), &[u8])> {
    let identity = rest.strip_prefix(b" ")?;
    let user = &identity[memchr(b' ', identity)? + 1..];
    memchr_iter(b'[', user).filter(|&at| at > 0 && user[at - 1] == b' ').find_map(|at| {
        let (stamp, rest) = user[at..].split_first_chunk()?;
        Some((day_and_hour(stamp)?, rest))
    })
}

#[rustfmt::skip]
fn day_and_hour(stamp: &[u8; 28]) -> Option<(Date, u8)> {
    let [b'[', d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4,
         b':', h1, h2, b':', n1, n2, b':', s1, s2,
         b' ', b'+' | b'-', z1, z2, z3, z4, b']'] = *stamp else { return None };
    let month = match &[m1, m2, m3] {
        b"Jan" => 1, b"Feb" => 2, b"Mar" => 3, b"Apr" => 4, b"May" => 5, b"Jun" => 6,
        b"Jul" => 7, b"Aug" => 8, b"Sep" => 9, b"Oct" => 10, b"Nov" => 11, b"Dec" => 12,
        _ => return None,
    };
    let year = u16::from(two_digits(y1, y2)?) * 100 + u16::from(two_digits(y3, y4)?);
    let day = two_digits(d1, d2).filter(|day| (1..=31).contains(day))?;
    let hour = two_digits(h1, h2).filter(|hour| *hour < 24)?;
    two_digits(n1, n2).filter(|minute| *minute < 60)?;
    // 60 is a leap second.
    two_digits(s1, s2).filter(|second| *second <= 60)?;
    two_digits(z1, z2).and(two_digits(z3, z4))?;
    Some((Date { year, month, day }, hour))
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// A field in quotes after a space; a quote behind a backslash belongs to the field.
fn quoted(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let field = rest.strip_prefix(b" \"")?;
    let end = memchr_iter(b'"', field).find(|&at| !is_escaped(&field[..at]))?;
    Some((&field[..end], &field[end + 1..]))
}

/// A backslash may itself be escaped, so only an odd number of them escapes what follows.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn status(rest: &[u8]) -> Option<(u16, &[u8])> {
    let (&[b' ', a, b, c], rest) = rest.split_first_chunk()? else { return None };
    if !(a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit()) {
        return None;
    }
    let digit = |byte| u16::from(byte - b'0');
    Some((digit(a) * 100 + digit(b) * 10 + digit(c), rest))
}

fn bytes(rest: &[u8]) -> Option<(u64, &[u8])> {
    let field = rest.strip_prefix(b" ")?;
    let end = field.iter().position(|&byte| byte == b' ').unwrap_or(field.len());
    let (field, rest) = field.split_at(end);
    if field == NOTHING {
        return Some((0, rest));
    }
    if field.is_empty() {
        return None;
    }
    let number = field.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some((number, rest))
}

/// The request without its method and its protocol. Spaces in between belong to the page.
fn page(request: &[u8]) -> &[u8] {
    let Some(space) = memchr(b' ', request) else { return or_nothing(request) };
    let target = &request[space + 1..];
    match memrchr(b' ', target) {
        Some(end) if target[end + 1..].starts_with(b"HTTP/") => or_nothing(&target[..end]),
        _ => or_nothing(target),
    }
}

fn or_nothing(field: &[u8]) -> &[u8] {
    if field.is_empty() { NOTHING } else { field }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the line is empty",
            Self::TooLong => "the line is too long",
            Self::Client => "no client at its beginning",
            Self::Date => "no date such as [17/May/2015:10:05:03 +0000]",
            Self::Request => "no request in closed quotes",
            Self::Status => "no status of three digits",
            Self::Bytes => "no size in bytes, nor `-`",
            Self::Referrer => "no referrer in closed quotes",
            Self::Agent => "no user agent in closed quotes",
        })
    }
}
