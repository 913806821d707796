//! `loom`: every schedule of the concurrent parts, and the proof that the models would notice.
//!
//! A model that passes says little until it has been seen to fail. So the sources hold named faults,
//! each behind `sabotaged("name")`; the models are run once with every fault, and one of the same
//! crate must then fail. A fault that no model notices fails this task.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use manyhands_sabotage::NAMED_BY;

use crate::guard;
use crate::sabotage::{self, Verdict};
use crate::shell::{Shell, Source, seconds, step};

/// The crates that have models, each in `src/loom_models`.
const PACKAGES: [&str; 4] = ["manyhands", "manyhands-join", "manyhands-lock", "manyhands-shm"];

/// Where the models are in a library.
const ALL: &str = "loom_models::";

/// Runs the models as they are and then against every fault; or, where `sabotaged` is given,
/// against the faults it names alone (all of them if it names none).
pub(crate) fn run(shell: &Shell, sabotaged: Option<&[String]>) -> Result<()> {
    let suites: Vec<Suite> =
        PACKAGES.iter().map(|package| Suite::find(shell, package)).collect::<Result<_>>()?;
    let wanted = sabotaged.unwrap_or_default();
    let names: Vec<&String> = suites.iter().flat_map(|suite| &suite.sabotages).collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        bail!("there is no sabotage {unknown:?}; there are {names:?}");
    }
    if sabotaged.is_none() {
        for suite in &suites {
            step(&mut models(shell, suite.package, ALL, &[]))?;
        }
    }
    for suite in &suites {
        for name in &suite.sabotages {
            if wanted.is_empty() || wanted.contains(name) {
                suite.catches(shell, name)?;
            }
        }
    }
    Ok(())
}

/// One crate's models, and the faults in its source, which are theirs to notice.
struct Suite {
    package: &'static str,
    /// Their paths.
    models: Vec<String>,
    sabotages: BTreeSet<String>,
    /// The file that says which model catches which fault.
    table: String,
}

impl Suite {
    /// None at all means that something was renamed, not that all is well.
    fn find(shell: &Shell, package: &'static str) -> Result<Self> {
        let sources = shell.sources(&format!("crates/{package}"))?;
        let sabotages: BTreeSet<String> =
            sources.iter().flat_map(|source| sabotage::names(&source.text)).collect();
        if sabotages.is_empty() {
            bail!(
                "no `sabotaged(\"...\")` in crates/{package}: nothing shows that the models can fail"
            );
        }
        let output =
            models(shell, package, ALL, &["--list"]).output().context("could not start cargo")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("the loom models of {package} do not build:\n{said}");
        }
        let models = listed(&String::from_utf8_lossy(&output.stdout));
        if models.is_empty() {
            bail!("no loom models found: they belong in crates/{package}/src/loom_models");
        }
        println!("loom: {} models of {package}", models.len());
        let is_table = |source: &Source| source.path.ends_with("src/loom_models/mod.rs");
        let table = sources.into_iter().find(is_table).map(|source| source.text);
        Ok(Self { package, models, sabotages, table: table.unwrap_or_default() })
    }

    /// Runs the models with the fault, which one of them has to notice: first the one that is said to, for the
    /// others may take minutes.
    fn catches(&self, shell: &Shell, name: &str) -> Result<()> {
        let start = Instant::now();
        let expected = expected(&self.table, name);
        for filter in expected.into_iter().chain([concerned(name, &self.models)]) {
            let output = models(shell, self.package, &filter, &[])
                .env(NAMED_BY, name)
                .output()
                .context("could not start cargo")?;
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            match sabotage::verdict(output.status.success(), &said) {
                Verdict::Caught(by) => {
                    println!("sabotage {name}: caught by {by} ({})", seconds(start.elapsed()));
                    return Ok(());
                }
                Verdict::Missed => (),
                Verdict::Unproved => {
                    bail!("sabotage {name}: the models neither passed nor failed:\n{said}")
                }
            }
        }
        bail!("sabotage {name} was not noticed: every model passed with the fault in")
    }
}

/// Runs the models of a crate whose path holds `filter`.
fn models(shell: &Shell, package: &str, filter: &str, libtest: &[&str]) -> Command {
    let mut command = guard::cargo_test(shell);
    command.args(["--release", "-p", package, "--lib", "--", filter]).args(libtest);
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    // Models have no use for much of a crate, of which hundreds of lines would tell.
    let flags = format!("{flags} --cfg loom -Adead_code -Aunused_imports");
    command.env("RUSTFLAGS", flags.trim_start());
    command.env("CARGO_TARGET_DIR", target(shell));
    command
}

/// A folder of its own: with other flags cargo would otherwise build everything again and again.
fn target(shell: &Shell) -> PathBuf {
    shell.target.join("loom")
}

/// The models that have to notice a fault: those of the part that its name begins with, or all.
fn concerned(name: &str, models: &[String]) -> String {
    let part = name.split('_').next().unwrap_or_default();
    let of_part = format!("{ALL}{part}::");
    if models.iter().any(|model| model.starts_with(&of_part)) { of_part } else { ALL.to_owned() }
}

/// The models that the table names first for a fault, by the beginning of their path.
fn expected(table: &str, name: &str) -> Option<String> {
    let row = format!("//! | `{name}` | `");
    let models = table.lines().find_map(|line| line.strip_prefix(&row))?;
    let (path, _) = models.split_once(['…', '`'])?;
    path.contains("::").then(|| format!("{ALL}{path}"))
}

/// The tests that libtest's `--list` names.
fn listed(list: &str) -> Vec<String> {
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{concerned, expected, listed};

    #[test]
    fn only_tests_count_as_models() {
        assert_eq!(
            listed("a::b: test\nc: test\nd: benchmark\n\n2 tests, 1 benchmark\n"),
            ["a::b", "c"]
        );
        assert!(listed("0 tests, 0 benchmarks\n").is_empty());
    }

    #[test]
    fn the_table_says_which_model_comes_first() {
        let table = "//! | `pool_a` | `pool::a_job_that…`, `pool::b…` |\n\
                     //! | `pool_b` | all in which somebody sleeps |\n\
                     //! | `pool_c` | `pool::whole` |\n";
        assert_eq!(expected(table, "pool_a").as_deref(), Some("loom_models::pool::a_job_that"));
        assert_eq!(expected(table, "pool_c").as_deref(), Some("loom_models::pool::whole"));
        assert_eq!(expected(table, "pool_b"), None);
        assert_eq!(expected(table, "pool_d"), None);
    }

    #[test]
    fn a_fault_concerns_the_part_it_is_named_for() {
        let models = ["loom_models::pool::a".to_owned(), "loom_models::promise::b".to_owned()];
        assert_eq!(concerned("pool_close_wakes_nobody", &models), "loom_models::pool::");
        assert_eq!(concerned("promise_claim_lets_go", &models), "loom_models::promise::");
        assert_eq!(concerned("condvar_lets_go", &models), "loom_models::");
    }
}
