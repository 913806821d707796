//! Single lines: which are parsed, as what, and what is wrong with the others.

mod common;

use access_log::line::{Flaw, Line, parse};
use common::ODD_LINES;
use proptest::prelude::*;

/// Client, date, hour, page, status, bytes, referrer, agent.
type Fields<'a> = (&'a str, &'a str, u8, &'a str, u16, u64, &'a str, &'a str);

fn fields<T>(line: &Line<'_>, then: impl FnOnce(Fields<'_>) -> T) -> T {
    let text = String::from_utf8_lossy;
    then((
        &text(line.client),
        &line.day.to_string(),
        line.hour,
        &text(line.page),
        line.status,
        line.bytes,
        &text(line.referrer),
        &text(line.agent),
    ))
}

#[test]
fn odd_lines_are_parsed_or_named_by_their_first_flaw() {
    let expected: [Result<Fields<'_>, Flaw>; 20] = [
        Ok(("10.0.0.1", "2015-05-17", 10, "/common", 200, 12, "-", "-")),
        Ok(("10.0.0.1", "2015-05-17", 10, r#"/\"quoted\""#, 200, 1, r#"a\"b"#, r"c\\")),
        Ok(("::1", "2024-01-01", 0, "-", 408, 0, "-", "-")),
        Ok(("fe80::1%eth0", "1999-12-31", 23, "-", 400, 0, "-", "-")),
        Ok((
            "10.0.0.2",
            "2016-02-29",
            12,
            r"\x16\x03\x01",
            400,
            226,
            "-",
            "\u{fffd}\u{fffd}\u{fffd}",
        )),
        Ok(("10.0.0.2", "2015-05-17", 10, "/a b c", 404, 5, "-", "-")),
        Ok(("10.0.0.2", "2015-05-17", 10, "/old", 200, 5, "-", "-")),
        Ok(("10.0.0.2", "2015-05-17", 10, "/x", 9, 5, "-", "-")),
        Err(Flaw::Empty),
        Err(Flaw::Date),
        Err(Flaw::Client),
        Err(Flaw::Date),
        Err(Flaw::Date),
        Err(Flaw::Date),
        Err(Flaw::Request),
        Err(Flaw::Status),
        Err(Flaw::Bytes),
        Err(Flaw::Agent),
        Err(Flaw::Agent),
        Err(Flaw::Agent),
    ];
    assert_eq!(ODD_LINES.len(), expected.len());
    for (line, expected) in ODD_LINES.iter().zip(expected) {
        check(line, expected);
    }
}

#[test]
fn a_line_cut_off_anywhere_is_named_by_the_field_that_is_broken() {
    let line = br#"a - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "r" "agent""#;
    let expected = |length| match length {
        0 => Err(Flaw::Empty),
        1..34 => Err(Flaw::Date),
        34..51 => Err(Flaw::Request),
        51..55 => Err(Flaw::Status),
        55..57 => Err(Flaw::Bytes),
        // What is left is a whole line of the common format, the first time with half its size.
        57 => Ok(1),
        58 | 70 => Ok(12),
        59..62 => Err(Flaw::Referrer),
        _ => Err(Flaw::Agent),
    };
    for length in 0..=line.len() {
        let parsed = parse(&line[..length]).map(|line| line.bytes);
        assert_eq!(parsed, expected(length), "{length} bytes");
    }
}

#[test]
fn numbers_and_dates_out_of_range_are_flaws() {
    let with_date = |date: &str| {
        let line = format!("a - - [{date}] \"GET / HTTP/1.1\" 200 12");
        parse(line.as_bytes()).map(|line| line.day.to_string())
    };
    assert_eq!(with_date("09/Sep/0009:00:00:00 +0000"), Ok("0009-09-09".to_owned()));
    for date in [
        "00/May/2015:10:05:03 +0000",
        "32/May/2015:10:05:03 +0000",
        "17/may/2015:10:05:03 +0000",
        "17/May/2015:10:60:03 +0000",
        "17/May/2015:10:05:61 +0000",
        "17/May/2015:1a:05:03 +0000",
        "17/May/2015:10:05:03 0000",
        "17/May/2015:10:05:03 +000",
        "17/May/2015 10:05:03 +0000",
        "17/May/15:10:05:03 +0000",
    ] {
        assert_eq!(with_date(date), Err(Flaw::Date), "{date}");
    }
    let with_bytes = |bytes: &str| {
        let line = format!("a - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 {bytes}");
        parse(line.as_bytes()).map(|line| line.bytes)
    };
    assert_eq!(with_bytes("18446744073709551615"), Ok(u64::MAX));
    for bytes in ["18446744073709551616", "-1", "1.5", "", "--"] {
        assert_eq!(with_bytes(bytes), Err(Flaw::Bytes), "{bytes}");
    }
}

#[track_caller]
fn check(line: &[u8], expected: Result<Fields<'_>, Flaw>) {
    let shown = String::from_utf8_lossy(line);
    match parse(line) {
        Ok(parsed) => fields(&parsed, |parsed| assert_eq!(Ok(parsed), expected, "{shown}")),
        Err(flaw) => assert_eq!(Err(flaw), expected, "{shown}"),
    }
}

/// A field in quotes as a server writes it: quotes and backslashes escaped.
fn quoted_field() -> impl Strategy<Value = String> {
    "[ -~]{0,20}".prop_map(|text| text.replace('\\', r"\\").replace('"', r#"\""#))
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line in any::<Vec<u8>>()) {
        let _ = parse(&line);
    }

    #[test]
    fn what_a_server_writes_is_read_back(
        client in "[!-~]{1,20}",
        hour in 0u8..24,
        path in "[!#-\\[\\]-~]{1,20}",
        status in 100u16..600,
        bytes in any::<u64>(),
        referrer in quoted_field(),
        agent in quoted_field(),
    ) {
        let line = format!(
            "{client} - - [17/May/2015:{hour:02}:05:03 +0000] \"GET {path} HTTP/1.1\" {status} {bytes} \
             \"{referrer}\" \"{agent}\""
        );
        let parsed = parse(line.as_bytes()).unwrap();
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let expected =
            (&*client, "2015-05-17", hour, &*path, status, bytes, &*or_dash(&referrer), &*or_dash(&agent));
        fields(&parsed, |parsed| assert_eq!(parsed, expected));
    }

    #[test]
    fn a_changed_byte_never_makes_it_panic(at in 0usize..72, byte in any::<u8>()) {
        let mut line =
            br#"a - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "r" "agent""#.to_vec();
        let at = at % line.len();
        line[at] = byte;
        if let Ok(line) = parse(&line) {
            prop_assert!(line.hour < 24 && line.status < 1000);
        }
    }
}
