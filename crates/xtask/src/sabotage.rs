//! Named faults: finding their names, compiling one in, and judging what the models said.
//!
//! RUSTFLAGS would compile one in as well, but for all dependencies too, half a minute for every
//! fault. A workspace wrapper reaches the project's own crates only. cargo keeps the artifacts of
//! each wrapper path apart, so xtask is called through one link for each fault, and the name of
//! the link says which.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::guard;

const LINK: &str = "sabotage-";

/// What the models made of a fault.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Caught(String),
    Missed,
    /// They did not build, or hung: no proof either way.
    Unproved,
}

/// The names in `source` that a `cfg` asks for; prose about them does not count.
pub(crate) fn names(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("sabotage").skip(1)).filter_map(named).collect()
}

/// The name in `= "name"...`.
fn named(rest: &str) -> Option<String> {
    let quoted = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    let (name, _) = quoted.split_once('"')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(is_word)).then(|| name.to_owned())
}

/// The compiler that cargo is to use so that fault `name` is in.
pub(crate) fn compiler(this: &Path, target: &Path, name: &str) -> Result<PathBuf> {
    let link = target.join(format!("{LINK}{name}")).with_extension(env::consts::EXE_EXTENSION);
    if link.exists() {
        // It may lead to an xtask that has since been built anew.
        fs::remove_file(&link).with_context(|| format!("cannot remove {}", link.display()))?;
    }
    fs::hard_link(this, &link)
        .or_else(|_| fs::copy(this, &link).map(drop))
        .with_context(|| format!("cannot create {}", link.display()))?;
    Ok(link)
}

/// The fault to compile in, when cargo has called this program through such a link.
pub(crate) fn called_as() -> Option<String> {
    let this = env::args_os().next()?;
    let stem = Path::new(&this).file_stem()?.to_str()?;
    stem.strip_prefix(LINK).map(str::to_owned)
}

/// Runs the compiler that cargo put first among the arguments, with the fault named.
pub(crate) fn compile(name: &str) -> Result<ExitCode> {
    let mut args = env::args_os().skip(1);
    let rustc: OsString = args.next().context("a compiler and its arguments are expected")?;
    let status = Command::new(&rustc)
        .args(args)
        .args(["--cfg", &format!("sabotage={name:?}")])
        .status()
        .with_context(|| format!("could not start {}", rustc.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Judges a `cargo test` of a sabotaged build by how it ended and what it said.
pub(crate) fn verdict(passed: bool, said: &str) -> Verdict {
    if passed {
        return Verdict::Missed;
    }
    let failed: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .collect();
    if !failed.is_empty() {
        Verdict::Caught(failed.join(", "))
    } else if said.contains(guard::DIED) {
        // A panic while another unwinds ends the whole binary before libtest can name the test.
        Verdict::Caught("a model that aborted".to_owned())
    } else {
        Verdict::Unproved
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, names, verdict};

    #[test]
    fn names_are_found_in_attributes_and_in_expressions() {
        let source = "#[cfg(not(sabotage = \"lost_wake\"))]\nif cfg!(sabotage=\"late-free\") {}\n\
                      #[cfg(any(sabotage = \"a\", sabotage = \"b\"))]\n";
        assert_eq!(names(source), ["lost_wake", "late-free", "a", "b"]);
    }

    #[test]
    fn prose_and_other_strings_are_not_names() {
        let source = "//! Built with `sabotage = \"name\"`.\n    // sabotage = \"x\"\n\
                      let sabotage = 3;\nlet sabotage = \"two words\";\n";
        assert!(names(source).is_empty(), "{:?}", names(source));
    }

    #[test]
    fn a_failing_model_has_caught_the_fault() {
        let said = "test a::b ... FAILED\ntest c ... ok\nerror: test failed, to rerun pass `--lib`";
        assert_eq!(verdict(false, said), Verdict::Caught("a::b".to_owned()));
    }

    #[test]
    fn an_abort_is_a_failure_too() {
        let said = "running 1 test\nxtask guard: died x: signal: 6 (SIGABRT)\nerror: test failed";
        assert!(matches!(verdict(false, said), Verdict::Caught(_)));
    }

    #[test]
    fn passing_models_have_missed_the_fault() {
        assert_eq!(verdict(true, "test a ... ok"), Verdict::Missed);
    }

    #[test]
    fn a_build_that_breaks_or_hangs_proves_nothing() {
        assert_eq!(verdict(false, "error: could not compile `manyhands`"), Verdict::Unproved);
        let misused = "error: Unrecognized option: 'x'\nerror: test failed, to rerun pass `--lib`";
        assert_eq!(verdict(false, misused), Verdict::Unproved);
        let hung = "xtask guard: killed x after 600 s\nerror: test failed, to rerun pass `--lib`";
        assert_eq!(verdict(false, hung), Verdict::Unproved);
    }
}
