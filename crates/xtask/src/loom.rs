//! `loom`: every schedule of the concurrent parts, and the proof that the models would notice.
//!
//! A model that passes says little until it has been seen to fail. So the source of manyhands
//! holds named faults, each behind `cfg(sabotage = "name")`; every fault is compiled in once, and
//! a model must then fail. A fault that no model notices fails this task.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::guard;
use crate::sabotage::{self, Verdict};
use crate::shell::{Shell, seconds, step};

/// Runs the models as they are and then against every fault; or, where `sabotaged` is given,
/// against the faults it names alone (all of them if it names none).
pub(crate) fn run(shell: &Shell, sabotaged: Option<&[String]>) -> Result<()> {
    let suites = suites(shell)?;
    if sabotaged.is_none() {
        for suite in &suites {
            step(&mut suite.command(shell, &[]))?;
        }
    }
    let mut names = sabotages(shell)?;
    let wanted = sabotaged.unwrap_or_default();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(*name)) {
        bail!("there is no sabotage {unknown:?}; there are {names:?}");
    }
    names.retain(|name| wanted.is_empty() || wanted.contains(name));
    names.iter().try_for_each(|name| is_caught(shell, &suites, name))
}

/// Models that one `cargo test` runs together.
struct Suite {
    targets: &'static [&'static str],
    filter: &'static [&'static str],
}

/// In-crate models have `loom` in their path; those in `tests/loom_*.rs` are all models.
const IN_CRATE: Suite = Suite { targets: &["--lib"], filter: &["loom"] };
const IN_TESTS: Suite = Suite { targets: &["--test", "loom_*"], filter: &[] };

impl Suite {
    fn command(&self, shell: &Shell, libtest: &[&str]) -> Command {
        let mut command = guard::cargo_test(shell);
        command
            .args(["--release", "-p", "manyhands"])
            .args(self.targets)
            .arg("--")
            .args(self.filter)
            .args(libtest);
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{flags} --cfg loom").trim_start());
        command.env("CARGO_TARGET_DIR", target(shell));
        command
    }
}

/// A folder of its own: with other flags cargo would otherwise build everything again and again.
fn target(shell: &Shell) -> PathBuf {
    shell.target.join("loom")
}

/// The suites that hold models. None at all means that something was renamed, not that all is well.
fn suites(shell: &Shell) -> Result<Vec<Suite>> {
    let mut candidates = vec![IN_CRATE];
    let tests = shell.root.join("crates/manyhands/tests");
    if tests.is_dir()
        && shell.sources("crates/manyhands/tests")?.iter().any(|s| is_model_file(&s.path))
    {
        candidates.push(IN_TESTS);
    }
    let mut suites = Vec::new();
    for suite in candidates {
        let mut list = suite.command(shell, &["--list"]);
        let output = list.output().context("could not start cargo")?;
        if !output.status.success() {
            bail!("the loom models do not build:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let models = listed(&String::from_utf8_lossy(&output.stdout));
        println!("loom: {} models in {}", models, suite.targets.join(" "));
        if models > 0 {
            suites.push(suite);
        }
    }
    if suites.is_empty() {
        bail!(
            "no loom models found: they belong in crates/manyhands/tests/loom_*.rs or in modules \
             of crates/manyhands/src with `loom` in their name"
        );
    }
    Ok(suites)
}

fn is_model_file(path: &str) -> bool {
    path.strip_prefix("crates/manyhands/tests/").is_some_and(|name| name.starts_with("loom_"))
}

/// How many tests libtest's `--list` names.
fn listed(list: &str) -> usize {
    list.lines().filter(|line| line.ends_with(": test")).count()
}

fn sabotages(shell: &Shell) -> Result<BTreeSet<String>> {
    let sources = shell.sources("crates/manyhands")?;
    let names: BTreeSet<String> = sources.iter().flat_map(|s| sabotage::names(&s.text)).collect();
    if names.is_empty() {
        bail!(
            "no `sabotage = \"...\"` in crates/manyhands: nothing shows that the models can fail"
        );
    }
    Ok(names)
}

/// Builds with the fault in and runs the suites until one notices.
fn is_caught(shell: &Shell, suites: &[Suite], name: &str) -> Result<()> {
    let start = Instant::now();
    let compiler = sabotage::compiler(&shell.this, &target(shell), name)?;
    for suite in suites {
        let mut command = suite.command(shell, &[]);
        command.env("RUSTC_WORKSPACE_WRAPPER", &compiler);
        let output = command.output().context("could not start cargo")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        match sabotage::verdict(output.status.success(), &said) {
            Verdict::Caught(by) => {
                println!("sabotage {name}: caught by {by} ({})", seconds(start.elapsed()));
                return Ok(());
            }
            Verdict::Missed => {}
            Verdict::Unproved => {
                bail!("sabotage {name}: the models neither passed nor failed:\n{said}")
            }
        }
    }
    bail!("sabotage {name} was not noticed: every model passed with the fault compiled in")
}

#[cfg(test)]
mod tests {
    use super::{is_model_file, listed};

    #[test]
    fn only_tests_count_as_models() {
        assert_eq!(listed("a::b: test\nc: test\nd: benchmark\n\n2 tests, 1 benchmark\n"), 2);
        assert_eq!(listed("0 tests, 0 benchmarks\n"), 0);
    }

    #[test]
    fn model_files_are_known_by_name() {
        assert!(is_model_file("crates/manyhands/tests/loom_promise.rs"));
        assert!(!is_model_file("crates/manyhands/tests/heirloom_x.rs"));
        assert!(!is_model_file("crates/manyhands/tests/pool.rs"));
    }
}
