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
    let all = all_models(shell)?;
    if sabotaged.is_none() {
        step(&mut models(shell, ALL, &[]))?;
    }
    let mut names = sabotages(shell)?;
    let wanted = sabotaged.unwrap_or_default();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(*name)) {
        bail!("there is no sabotage {unknown:?}; there are {names:?}");
    }
    names.retain(|name| wanted.is_empty() || wanted.contains(name));
    names.iter().try_for_each(|name| is_caught(shell, name, &all))
}

/// Where the models are in the library.
const ALL: &str = "loom_models::";

/// Runs the models whose path holds `filter`.
fn models(shell: &Shell, filter: &str, libtest: &[&str]) -> Command {
    let mut command = guard::cargo_test(shell);
    command.args(["--release", "-p", "manyhands", "--lib", "--", filter]).args(libtest);
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg loom").trim_start());
    command.env("CARGO_TARGET_DIR", target(shell));
    command
}

/// A folder of its own: with other flags cargo would otherwise build everything again and again.
fn target(shell: &Shell) -> PathBuf {
    shell.target.join("loom")
}

/// The models' paths. None at all means that something was renamed, not that all is well.
fn all_models(shell: &Shell) -> Result<Vec<String>> {
    let output = models(shell, ALL, &["--list"]).output().context("could not start cargo")?;
    if !output.status.success() {
        bail!("the loom models do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let models = listed(&String::from_utf8_lossy(&output.stdout));
    if models.is_empty() {
        bail!("no loom models found: they belong in crates/manyhands/src/loom_models");
    }
    println!("loom: {} models", models.len());
    Ok(models)
}

/// The models that have to notice a fault: those of the part that its name begins with, or all.
fn concerned(name: &str, models: &[String]) -> String {
    let part = name.split('_').next().unwrap_or_default();
    let of_part = format!("{ALL}{part}::");
    if models.iter().any(|model| model.starts_with(&of_part)) { of_part } else { ALL.to_owned() }
}

/// The tests that libtest's `--list` names.
fn listed(list: &str) -> Vec<String> {
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
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

/// Builds with the fault in and runs the models, one of which has to notice.
fn is_caught(shell: &Shell, name: &str, all: &[String]) -> Result<()> {
    let start = Instant::now();
    let compiler = sabotage::compiler(&shell.this, &target(shell), name)?;
    let output = models(shell, &concerned(name, all), &[])
        .env("RUSTC_WORKSPACE_WRAPPER", &compiler)
        .output()
        .context("could not start cargo")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    match sabotage::verdict(output.status.success(), &said) {
        Verdict::Caught(by) => {
            println!("sabotage {name}: caught by {by} ({})", seconds(start.elapsed()));
            Ok(())
        }
        Verdict::Missed => {
            bail!("sabotage {name} was not noticed: every model passed with the fault compiled in")
        }
        Verdict::Unproved => {
            bail!("sabotage {name}: the models neither passed nor failed:\n{said}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{concerned, listed};

    #[test]
    fn only_tests_count_as_models() {
        assert_eq!(
            listed("a::b: test\nc: test\nd: benchmark\n\n2 tests, 1 benchmark\n"),
            ["a::b", "c"]
        );
        assert!(listed("0 tests, 0 benchmarks\n").is_empty());
    }

    #[test]
    fn a_fault_concerns_the_part_it_is_named_for() {
        let models = ["loom_models::pool::a".to_owned(), "loom_models::promise::b".to_owned()];
        assert_eq!(concerned("pool_close_wakes_nobody", &models), "loom_models::pool::");
        assert_eq!(concerned("promise_claim_lets_go", &models), "loom_models::promise::");
        assert_eq!(concerned("condvar_lets_go", &models), "loom_models::");
    }
}
