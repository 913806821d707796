//! The binaries as a user runs them, at the smallest sizes.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_manyhands-bench")).args(arguments).output().unwrap()
}

#[test]
fn every_row_is_measured_and_written() {
    let file = format!("{}/results.md", env!("CARGO_TARGET_TMPDIR"));
    let output = bench(&["--scale", "0.001", "--rounds", "1", "--write", &file]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    for row in ["a", "b1", "b2", "b3", "c0", "c1", "c10", "c100", "d", "d1", "e", "f"] {
        let heading = format!("\n## {row}: ");
        assert!(printed.contains(&heading) && written.contains(&heading), "no row {row}");
    }
    assert_eq!(written.matches("\n| manyhands ").count(), 12, "{written}");
}

#[test]
fn only_the_rows_asked_for_are_measured() {
    let output = bench(&["--scale", "0.001", "--rounds", "1", "--rows", "d1,e"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.matches("\n## ").count(), 2, "{printed}");
}

#[test]
fn a_mistake_on_the_command_line_is_explained() {
    for (arguments, told) in [
        (["--rows", "z"], "no row z; the rows are a, b1"),
        (["--subjects", "nobody"], "no such subject; there are manyhands"),
        (["--scale", "0"], "--scale must be above 0"),
        (["--rounds", "0"], "invalid value '0'"),
    ] {
        let output = bench(&arguments);
        assert!(!output.status.success());
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains(told), "{complaint}");
    }
}
