//! The program as it is used: what it reads, what it prints, how it fails.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use common::{access_log, gzip, json, real_log, watched};
use tempfile::TempDir;

const LINE: &str =
    "10.0.0.1 - - [17/May/2015:10:05:03 +0000] \"GET /page HTTP/1.1\" 200 2048 \"-\" \"agent\"\n";

#[test]
fn a_table_for_people() {
    let (_directory, paths) =
        files(&[("a.log", (LINE.repeat(1500) + "broken\x1b[2J\n").as_bytes())]);
    let output = access_log().args(&paths).assert().success().stderr("");
    let table = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    for row in [
        "Requests     1,500",
        "Sent         2.9 MiB",
        "Period       2015-05-17",
        "Errors       0 (0.0 %) answered with 4xx or 5xx",
        "Unparsable   1 of 1,501 lines",
        "  2015-05-17     1,500  2.9 MiB  ##############################",
        "     1,500  100.0 %  2.9 MiB  /page",
    ] {
        assert!(table.lines().any(|line| line == row), "no line `{row}` in\n{table}");
    }
    assert!(table.contains("a.log:1501  no date such as"), "{table}");
    assert!(table.contains(r"broken\u{1b}[2J") && !table.contains('\x1b'), "{table}");
}

#[test]
fn two_files_and_compressed_ones_add_up() {
    let multi_member = [gzip(LINE.as_bytes()), gzip(LINE.repeat(2).as_bytes())].concat();
    let (_directory, paths) = files(&[
        ("a.log", LINE.repeat(10).as_bytes()),
        ("b.log", LINE.repeat(20).trim_end().as_bytes()),
        ("c.log.gz", &multi_member),
        // Known by its content, not its name.
        ("d.log", &gzip(LINE.repeat(4).as_bytes())),
    ]);
    let report = json(access_log().args(&paths));
    assert_eq!((&report["lines"], &report["requests"]), (&37.into(), &37.into()));
    assert_eq!(report["inputs"].as_array().unwrap().len(), 4);
}

#[test]
fn a_pattern_names_all_that_it_matches() {
    let (directory, _paths) = files(&[
        ("a.log", LINE.as_bytes()),
        ("b.log", LINE.repeat(2).as_bytes()),
        ("c.txt", LINE.repeat(4).as_bytes()),
        // Not a pattern, since there is a file of this name.
        ("[ab].log", LINE.repeat(8).as_bytes()),
    ]);
    let report = json(access_log().arg(directory.path().join("?.log")));
    assert_eq!(report["lines"], 3);
    let report = json(access_log().arg(directory.path().join("[ab].log")));
    assert_eq!(report["lines"], 8);
}

#[test]
fn standard_input_plain_and_compressed() {
    let plain = LINE.repeat(3);
    for input in [plain.clone().into_bytes(), gzip(plain.as_bytes())] {
        let report = json(access_log().arg("-").write_stdin(input));
        assert_eq!(report["requests"], 3);
        assert_eq!(report["inputs"][0], "standard input");
    }
    let report = json(access_log().arg("-").write_stdin(""));
    assert_eq!(report["lines"], 0);
    assert_eq!(report["errors"]["rate"], 0.0);
    access_log().arg("-").write_stdin("").assert().success();
}

#[test]
fn the_tables_have_as_many_rows_as_wanted() {
    for top in [0, 1, 3] {
        let report = json(access_log().arg(real_log()).args(["--top", &top.to_string()]));
        let rows = [
            report["pages"]["top"].as_array(),
            report["clients"]["top"].as_array(),
            report["largest"].as_array(),
        ];
        assert_eq!(rows.map(|rows| rows.unwrap().len()), [top; 3]);
        assert_eq!(report["clients"]["distinct"], 1753);
    }
}

#[test]
fn an_input_that_cannot_be_read_is_named_and_nothing_is_reported() {
    let packed = gzip(LINE.repeat(1000).as_bytes());
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let (directory, paths) = files(&[
        ("good.log", LINE.as_bytes()),
        ("cut.log.gz", &packed[..packed.len() - 5]),
        ("head.log.gz", &packed[..1]),
        ("empty.log.gz", b""),
        ("plain.log.gz", LINE.as_bytes()),
        ("damaged.log.gz", &damaged),
        ("trailing.log.gz", &[&packed[..], LINE.as_bytes()].concat()),
    ]);
    let (good, bad) = paths.split_first().unwrap();
    for path in bad {
        for executor in ["inline", "threads", "processes"] {
            let mut command = access_log();
            command.args(["--executor", executor]).arg(good).arg(path);
            fails(command, &["cannot unpack", path.to_str().unwrap()]);
        }
    }
    let missing = directory.path().join("missing.log");
    let missing = missing.to_str().unwrap();
    fails(with(good, missing), &["cannot read", missing, "No such file"]);
    let folder = directory.path().to_str().unwrap();
    fails(with(good, folder), &[folder, "is a directory"]);
    let nothing = format!("{folder}/*.nothing");
    fails(with(good, &nothing), &["no file matches", &nothing]);
    fails(with(good, "a[b"), &["a[b", "neither a file nor a valid pattern"]);
}

#[test]
fn workers_must_be_a_number_above_zero() {
    for (workers, reason) in [("0", "without a worker"), ("-1", ""), ("many", "invalid digit")] {
        let output = access_log()
            .arg(real_log())
            .arg(format!("--workers={workers}"))
            .assert()
            .code(2)
            .stdout("");
        let message = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(message.contains("--workers") && message.contains(reason), "{message}");
    }
}

#[test]
fn an_input_and_a_known_executor_are_required() {
    access_log().assert().code(2).stdout("");
    access_log().arg("-").args(["--executor", "magic"]).assert().code(2).stdout("");
}

#[test]
#[cfg(unix)]
fn a_reader_that_has_seen_enough_is_no_error() {
    let program = access_log();
    let mut shell = watched(Command::new("sh"));
    // Far more rows than a pipe holds, so that writing goes on after `head` has left.
    shell.args(["-c", r#""$0" --top 100000 "$1" "$1"; echo $? >&2"#]);
    shell.arg(program.get_program()).arg(real_log());
    let script = shell.assert().success();
    assert!(script.get_output().stdout.len() > 1 << 17, "the report is too short for this test");

    let mut shell = watched(Command::new("sh"));
    shell.args(["-c", r#"{ "$0" --top 100000 "$1" "$1"; echo $? >&2; } | head -n 1"#]);
    shell.arg(program.get_program()).arg(real_log());
    shell.assert().success().stderr("0\n").stdout("Requests     19,998\n");
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_log() {
    // The log is twice as large as all the memory that the program may take.
    let (_directory, paths) = files(&[("large.log", LINE.repeat(1_000_000).as_bytes())]);
    for executor in ["inline", "threads", "processes"] {
        let mut shell = watched(Command::new("sh"));
        shell.args(["-c", r#"ulimit -d 49152; exec "$0" "$@""#]);
        shell.arg(access_log().get_program());
        shell.args(["--workers", "2", "--executor", executor]).args(&paths);
        assert_eq!(json(&mut shell)["requests"], 1_000_000, "{executor}");
    }
}

fn with(good: &Path, bad: &str) -> Command {
    let mut command = access_log();
    command.arg(good).arg(bad);
    command
}

#[track_caller]
fn fails(mut command: Command, message: &[&str]) {
    let output = command.assert().code(1).stdout("");
    let error = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(error.starts_with("access_log: "), "{error}");
    assert!(message.iter().all(|part| error.contains(part)), "{message:?} in {error}");
}

fn files(contents: &[(&str, &[u8])]) -> (TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let paths = contents.iter().map(|(name, content)| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    });
    let paths = paths.collect();
    (directory, paths)
}
