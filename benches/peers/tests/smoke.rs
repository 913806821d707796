//! Every peer delivers in every row, at the smallest sizes: the binary fails where a value is lost.

use std::process::Command;

use manyhands_bench_peers::contestants;

#[test]
fn every_peer_runs_every_row() {
    let program = env!("CARGO_BIN_EXE_manyhands-bench-peers");
    let output = Command::new(program).args(["--scale", "0.001", "--rounds", "1"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    for contestant in contestants() {
        let line = format!("\n| {} ", contestant.name);
        assert!(
            printed.matches(&line).count() >= 12,
            "{} missed a row: {printed}",
            contestant.name
        );
    }
    assert!(printed.contains("\n## Overview\n"), "{printed}");
}
