//! The watchdog for what `cargo test` runs: it kills a test binary that outlives its time.
//!
//! cargo can start test binaries through a runner. xtask names itself as that runner, so each
//! binary has a parent that waits with a limit; a hang then ends with a message, not with a
//! terminal that says nothing. It guards against hangs and is far above any honest run.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::shell::Shell;

/// Printed when a test binary died of a signal, as an abort does.
pub(crate) const DIED: &str = "xtask guard: died";

const SECONDS_PER_BINARY: u64 = 600;
const POLL: Duration = Duration::from_millis(10);

/// A `cargo test` whose binaries run under the guard.
pub(crate) fn cargo_test(shell: &Shell) -> Command {
    let runner = [shell.this.to_string_lossy().as_ref(), "guard", &SECONDS_PER_BINARY.to_string()]
        .map(|word| format!("{word:?}"))
        .join(",");
    let runner = format!("target.\"cfg(all())\".runner=[{runner}]");
    shell.cargo(["test", "--config", &runner])
}

/// The start of a command that runs `program` under the guard.
pub(crate) fn command(shell: &Shell, seconds: u64, program: &Path) -> Command {
    let mut command = Command::new(&shell.this);
    command.arg("guard").arg(seconds.to_string()).arg(program);
    command
}

/// Runs `command` for at most `seconds` and passes on how it ended.
pub(crate) fn run(seconds: u64, command: &[OsString]) -> Result<ExitCode> {
    let (program, args) = command.split_first().context("the guard needs a command to run")?;
    let mut child = Command::new(program)
        .args(args)
        // rustdoc names the binary only to tests without a runner; not told, they share a process.
        .env("RUSTDOC_DOCTEST_BIN_PATH", program)
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(status) = child.try_wait()? {
            if status.code().is_none() {
                eprintln!("{DIED} {}: {status}", program.display());
            }
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            eprintln!(
                "xtask guard: killed {} after {seconds} s: a test in it hangs",
                program.display()
            );
            return Ok(ExitCode::FAILURE);
        }
        thread::sleep(POLL);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsString;
    use std::process::ExitCode;

    use super::run;

    fn ends_with(seconds: u64, command: &[&str]) -> ExitCode {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        run(seconds, &command).expect("the command starts")
    }

    #[test]
    fn an_ending_is_passed_on() {
        assert_eq!(ends_with(60, &["true"]), ExitCode::SUCCESS);
        assert_eq!(ends_with(60, &["sh", "-c", "exit 7"]), ExitCode::from(7));
        assert_eq!(ends_with(60, &["sh", "-c", "kill -ABRT $$"]), ExitCode::FAILURE);
    }

    #[test]
    fn a_hang_is_killed() {
        // Only a kill ends this before nextest's own watchdog does.
        assert_eq!(ends_with(1, &["sleep", "100000"]), ExitCode::FAILURE);
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(run(1, &[OsString::from("/no/such/test/binary")]).is_err());
    }
}
