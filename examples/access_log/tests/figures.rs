//! The report's figures are those of a second, independent count (`count.py`), on every executor, and
//! the report is the same to the byte.

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::{ODD_LINES, access_log, gzip, real_log, watched};
use flate2::read::GzDecoder;
use serde_json::Value;

const EXECUTORS: [&[&str]; 7] = [
    &["--executor", "inline"],
    &["--executor", "threads", "--workers", "1"],
    &["--executor", "threads", "--workers", "2"],
    &["--executor", "threads", "--workers", "5"],
    &["--executor", "processes", "--workers", "1"],
    &["--executor", "processes", "--workers", "2"],
    &["--executor", "processes", "--workers", "5"],
];

#[test]
fn figures_of_the_real_log_agree_with_an_independent_count() {
    // All rows of every table, then a few.
    for top in [10_000, 7] {
        let log = real_log();
        let expected = counted(top, &[&log]);
        assert_eq!(expected["lines"], 10_000);
        assert_eq!(expected["unparsable"]["lines"], 1);
        agrees(&expected, top, &[&log]);
    }
}

#[test]
fn figures_of_several_odd_inputs_agree_with_an_independent_count() {
    let directory = tempfile::tempdir().unwrap();
    let real = unpacked(&real_log());
    let odd = ODD_LINES.join(&b"\n"[..]);
    // The same lines often enough to fill several blocks, and the odd ones where blocks end.
    let long = [&real[..], &odd[..], b"\n"].concat().repeat(3);
    let windows = odd.iter().flat_map(|&byte| match byte {
        b'\n' => vec![b'\r', b'\n'],
        byte => vec![byte],
    });
    let inputs = [
        ("1.log", long.clone()),
        ("2.log", windows.collect()),
        ("3.log", Vec::new()),
        ("4.log.gz", [gzip(&long[..1_234_567]), gzip(b""), gzip(&long[1_234_567..])].concat()),
        ("5.log", odd),
    ];
    let paths = inputs.map(|(name, content)| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    });
    let paths = paths.each_ref().map(AsRef::as_ref);
    let expected = counted(50, &paths);
    assert_eq!(expected["lines"], 6 * 10_000 + 8 * ODD_LINES.len());
    agrees(&expected, 50, &paths);
}

fn agrees(expected: &Value, top: usize, inputs: &[&Path]) {
    let mut printed = Vec::new();
    for executor in EXECUTORS {
        let mut command = access_log();
        command.args(executor).args(["--top", &top.to_string(), "--format", "json"]).args(inputs);
        let output = command.assert().success().stderr("");
        printed.push(output.get_output().stdout.clone());
        let mut report: Value = serde_json::from_slice(&printed[0]).unwrap();
        assert!(printed.last() == printed.first(), "{executor:?} prints other bytes");
        // The kind of flaw is not counted again; it is tested in `lines.rs`.
        for row in report["unparsable"]["first"].as_array_mut().unwrap() {
            assert!(row.as_object_mut().unwrap().remove("flaw").is_some());
        }
        let tables =
            |report: &Value| report.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(tables(&report), tables(expected));
        for (table, expected) in expected.as_object().unwrap() {
            assert_eq!(&report[table], expected, "{table} with {executor:?}");
        }
    }
}

fn counted(top: usize, inputs: &[&Path]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/count.py");
    let mut python = watched(Command::new("python3"));
    let output = python.arg(script).arg(top.to_string()).args(inputs).assert().success();
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(fs::File::open(path).unwrap());
    std::io::Read::read_to_end(&mut decoder, &mut bytes).unwrap();
    bytes
}
