//! What several tests need: the program under a watchdog, and inputs for it.
#![allow(dead_code, reason = "no test needs all of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Only a program that hangs takes so long.
const WATCHDOG: Duration = Duration::from_mins(2);

/// The program, which is killed if it hangs.
pub(crate) fn access_log() -> Command {
    watched(assert_cmd::cargo::cargo_bin_cmd!("access_log"))
}

/// Any command, killed if it hangs.
pub(crate) fn watched(mut command: Command) -> Command {
    command.timeout(WATCHDOG);
    command
}

/// The real log that lies beside the sources.
pub(crate) fn real_log() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/apache_logs.gz")
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What the program prints as JSON.
pub(crate) fn json(command: &mut Command) -> serde_json::Value {
    let output = command.args(["--format", "json"]).assert().success().stderr("");
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

/// Lines that are in some way odd; about half of them can be parsed.
pub(crate) const ODD_LINES: &[&[u8]] = &[
    br#"10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /common HTTP/1.0" 200 12"#,
    br#"10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /\"quoted\" HTTP/1.1" 200 1 "a\"b" "c\\""#,
    br#"::1 - frank [01/Jan/2024:00:00:00 -0800] "-" 408 - "-" "-""#,
    br#"fe80::1%eth0 - a [b] c [31/Dec/1999:23:59:60 +1345] "" 400 0 "" """#,
    b"10.0.0.2 - - [29/Feb/2016:12:00:00 +0000] \"\\x16\\x03\\x01\" 400 226 \"-\" \"\xff\xfe\xe9\"",
    br#"10.0.0.2 - - [17/May/2015:10:05:03 +0000] "GET /a b c HTTP/1.1" 404 5 "-" "-" 0.003 "x""#,
    br#"10.0.0.2 - - [17/May/2015:10:05:03 +0000] "GET /old" 200 5 "-" "-""#,
    br#"10.0.0.2 - - [17/May/2015:10:05:03 +0000] "GET /x HTTP/1.1" 009 5 "-" "-""#,
    b"",
    b"no log at all",
    b" - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"",
    br#"10.0.0.3 - - [17/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#,
    br#"10.0.0.3 - - [17/May/2015:24:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#,
    br#"10.0.0.3 - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#,
    br#"10.0.0.3 - - [17/May/2015:10:05:03 +0000] GET / HTTP/1.1 200 5 "-" "-""#,
    br#"10.0.0.3 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 20 5 "-" "-""#,
    br#"10.0.0.3 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5k "-" "-""#,
    br#"10.0.0.3 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-""#,
    br#"10.0.0.3 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "-"x"#,
    br#"10.0.0.3 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "broken o"#,
];
