//! Where and when the figures were taken.

use std::fs;
use std::process::Command;
use std::thread;

/// How many cores this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What a reader must know before comparing the figures with others, as a Markdown list.
pub(crate) fn facts() -> String {
    let kernel = rustix::system::uname();
    format!(
        "- machine: {}, {} cores, {} {}, load before the run {}\n- compiler: {}\n- date: {}, commit: {}\n",
        processor().unwrap_or_else(|| "unknown processor".into()),
        cores(),
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
        load().unwrap_or_else(|| "unknown".into()),
        said_by("rustc", &["--version"]),
        said_by("date", &["-u", "+%F"]),
        commit(),
    )
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(": ").map(|(_, name)| name.into())
}

/// Others at work on the machine make the figures worse, so the reader shall see them.
fn load() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next().map(Into::into)
}

fn commit() -> String {
    let commit = said_by("git", &["rev-parse", "--short", "HEAD"]);
    let changed = said_by("git", &["status", "--porcelain", "--untracked-files=no"]);
    match changed.as_str() {
        "" | UNKNOWN => commit,
        _ => format!("{commit} with changes"),
    }
}

const UNKNOWN: &str = "unknown";

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.ok().filter(|output| output.status.success()).map_or_else(
        || UNKNOWN.into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_name_machine_compiler_and_commit() {
        let facts = facts();
        for word in ["machine: ", " cores, Linux ", "compiler: rustc ", "date: 20", "commit: "] {
            assert!(facts.contains(word), "no {word:?} in {facts}");
        }
    }

    #[test]
    fn a_program_that_fails_says_nothing() {
        assert_eq!(said_by("false", &[]), UNKNOWN);
        assert_eq!(said_by("no-such-program-here", &[]), UNKNOWN);
        assert_eq!(said_by("echo", &["seen"]), "seen");
    }
}
