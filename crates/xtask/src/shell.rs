//! Runs the commands the tasks are made of: each is printed before it runs, with its time after.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Where the project lies and how its cargo is called.
pub(crate) struct Shell {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// xtask itself. Found at the start: a build that replaces the binary would hide it later.
    pub(crate) this: PathBuf,
}

impl Shell {
    pub(crate) fn new() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .context("the project's folder is unknown: start me as `cargo xtask`")?;
        let root = Path::new(&manifest)
            .ancestors()
            .nth(2)
            .context("the folder of xtask should be crates/xtask")?
            .to_owned();
        // A relative CARGO_TARGET_DIR is meant from where the caller stands, and so is `absolute`.
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(set) => std::path::absolute(set).context("CARGO_TARGET_DIR")?,
            None => root.join("target"),
        };
        let this = env::current_exe().context("where xtask itself lies")?;
        Ok(Self { root, target, this })
    }

    /// A cargo command in the project's root.
    pub(crate) fn cargo<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).current_dir(&self.root);
        command
    }

    /// Whether `cargo <tool>` is installed here.
    pub(crate) fn has(&self, tool: &str) -> bool {
        let mut probe = self.cargo([tool, "--version"]);
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }

    /// Every Rust or Python source below `folder` (relative to the root), sorted; not what was
    /// built from them.
    pub(crate) fn sources(&self, folder: &str) -> Result<Vec<Source>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.join(folder)];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    let name = entry.file_name();
                    if name != "target" && !name.to_string_lossy().starts_with('.') {
                        folders.push(path);
                    }
                } else if path.extension().is_some_and(|is| is == "rs" || is == "py") {
                    let text = fs::read_to_string(&path)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    let path = path.strip_prefix(&self.root)?.to_string_lossy().replace('\\', "/");
                    found.push(Source { path, text });
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

/// A file of the project: where it lies below the root, and what it says.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Runs `command` in the open; its failure is the task's failure.
pub(crate) fn step(command: &mut Command) -> Result<()> {
    let line = shown(command);
    eprintln!("==> {line}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("could not start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status}) after {}", seconds(start.elapsed()));
    }
    eprintln!("    took {}", seconds(start.elapsed()));
    Ok(())
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The command as one would type it, with the environment it adds.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    // Those without a value are taken away: that is for cleanliness, and nobody would type it.
    for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        words.push(format!("{}={}", name.to_string_lossy(), quoted(&value.to_string_lossy())));
    }
    words.push(
        Path::new(command.get_program()).file_stem().unwrap_or_default().display().to_string(),
    );
    words.extend(command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::shown;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["test", "--test", "loom_*", ""]).env("RUSTFLAGS", "--cfg loom");
        command.env_remove("PYTHONPATH");
        assert_eq!(shown(&command), "RUSTFLAGS='--cfg loom' cargo test --test 'loom_*' ''");
    }
}
