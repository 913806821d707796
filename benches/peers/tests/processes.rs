//! Every peer and floor delivers in every row it has a place in, at the smallest sizes, and leaves no process behind.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use manyhands_bench::process::tree::descendants;
use manyhands_bench_peers::processes::contestants;

/// Rows, and in how many of them each subject has a place.
const ROWS: [&str; 10] = ["a2", "a8", "b1", "b2", "c1", "c2", "c3", "d", "e", "f"];

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_manyhands-bench-processes"));
    command.args(["--rounds", "1"]).args(arguments);
    command
}

fn smallest(arguments: &[&str]) -> Command {
    let mut command = bench(&["--scale", "0.0005"]);
    command.args(arguments);
    command
}

fn printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn everybody_runs_every_row_or_is_named_with_the_reason() {
    let file = format!("{}/processes.md", env!("CARGO_TARGET_TMPDIR"));
    let text = printed(smallest(&["--write", &file]).output().unwrap());
    for row in ROWS {
        assert!(text.contains(&format!("\n## {row}: ")), "no row {row}: {text}");
    }
    for contestant in contestants() {
        let measured = text.matches(&format!("\n| {} ", contestant.name)).count();
        let absent = text.matches(&format!("\n- {}: ", contestant.name)).count();
        let places = match contestant.name {
            "manyhands" => 10,
            name if name.starts_with("ipc-channel") => 10,
            "procspawn" | "CPython executor" | "CPython mp.Pool" => 10,
            "pipe" | "socket" | "ring" => 4,
            "CPython map" | "memcpy, warm" | "memcpy, fresh" => 3,
            "process" => 2,
            name => panic!("say in how many rows {name} has a place"),
        };
        assert_eq!(measured + absent, places, "{}: {text}", contestant.name);
    }
    assert!(text.contains("\n## Overview\n"), "{text}");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("<!-- processes:begin -->") && written.contains("\n## f: "));
}

#[test]
fn a_python_that_is_not_there_is_said_to_be_missing() {
    let mut command = smallest(&["--rows", "d", "--subjects", "CPython executor"]);
    // Neither on PATH, nor one that pyenv knows of.
    command.env("PATH", "").env_remove("MANYHANDS_BENCH_PYTHON");
    let text = printed(command.output().unwrap());
    assert!(text.contains("\n- CPython executor: not found: "), "{text}");
}

#[test]
fn the_peers_in_rust_do_all_but_what_their_libraries_lack() {
    let text = printed(smallest(&["--subjects", "procspawn,by hand"]).output().unwrap());
    let absent: Vec<&str> = text.lines().filter(|line| line.starts_with("- ipc")).collect();
    assert_eq!(absent, ["- ipc-channel by hand: does not recycle workers"], "{text}");
    assert_eq!(text.matches("\n| procspawn ").count(), ROWS.len(), "{text}");
}

#[test]
fn worker_processes_do_not_outlive_a_run_that_is_killed() {
    for subject in ["procspawn", "ipc-channel", "pipe"] {
        // An idle pool, and round trips that nothing but the clock ends.
        let row = if subject == "pipe" { "b1" } else { "f" };
        let mut run = bench(&["--scale", "100", "--rows", row, "--subjects", subject]);
        let mut run = run.stdout(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(run.id()).unwrap();
        let mut workers = Vec::new();
        let started = until(|| {
            workers = descendants(pid);
            // More than those it asks for the facts of the machine.
            !workers.is_empty() && workers.iter().all(|&worker| executes_the_bench(worker))
        });
        run.kill().unwrap();
        run.wait().unwrap();
        assert!(started, "{subject} started no worker process");
        let ended = until(|| workers.iter().all(|&worker| !executes_the_bench(worker)));
        assert!(ended, "{subject} left {workers:?} behind");
    }
}

fn executes_the_bench(pid: i32) -> bool {
    // There is no such link any more when it is dead, even if nobody has asked for its status yet.
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    program.is_ok_and(|path| path.ends_with("manyhands-bench-processes"))
}

/// Whether it came true within a minute.
fn until(mut is_true: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !is_true() {
        if begin.elapsed() > Duration::from_mins(1) {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}
