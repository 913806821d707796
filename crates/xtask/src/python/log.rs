//! One log for each Python: versions are tested side by side, and what they say must not mix.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::shell::{seconds, shown};

pub(crate) struct Log {
    version: String,
    path: PathBuf,
    file: File,
}

impl Log {
    pub(crate) fn create(folder: &Path, version: &str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(format!("log-{version}.txt"));
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { version: version.to_owned(), path, file })
    }

    /// Runs `command` with its output in the log; a line tells the terminal how it went.
    pub(crate) fn step(&self, what: &str, command: &mut Command) -> Result<()> {
        let line = shown(command);
        writeln!(&self.file, "==> {line}").context("cannot write the log")?;
        let start = Instant::now();
        command.stdin(Stdio::null()).stdout(self.file.try_clone()?).stderr(self.file.try_clone()?);
        let status = command.status().with_context(|| format!("could not start `{line}`"))?;
        let outcome = if status.success() { "took" } else { "FAILED after" };
        let took = seconds(start.elapsed());
        eprintln!("python {}: {what} {outcome} {took}", self.version);
        if !status.success() {
            let log = self.path.display();
            bail!("python {}: {what} failed ({status}), as told in {log}", self.version);
        }
        Ok(())
    }

    /// All that was said, under one head, as one piece.
    pub(crate) fn print(&self) -> Result<()> {
        let said = fs::read(&self.path).with_context(|| self.path.display().to_string())?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "---------- python {} ----------", self.version)?;
        out.write_all(&said)?;
        writeln!(out, "---------- python {} ends ----------", self.version)?;
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::Log;

    #[test]
    fn what_a_step_says_is_in_the_log_however_it_ends() {
        let folder = std::env::temp_dir().join(format!("xtask-log-{}", std::process::id()));
        let log = Log::create(&folder, "3.0").expect("the folder can be made");
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        log.step("good", &mut shell("echo fine")).expect("echo works");
        let error = log.step("bad", &mut shell("echo poor >&2; exit 3")).expect_err("exit 3");
        assert!(error.to_string().starts_with("python 3.0: bad failed"), "{error}");
        let said = fs::read_to_string(folder.join("log-3.0.txt")).expect("it was written");
        fs::remove_dir_all(&folder).expect("it is ours");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(
            lines,
            ["==> sh -c 'echo fine'", "fine", "==> sh -c 'echo poor >&2; exit 3'", "poor"]
        );
    }
}
