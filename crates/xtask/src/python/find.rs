//! Which Pythons this machine has: pyenv's, and those on PATH.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// The versions that the package is for; a `t` says free-threaded.
const LOOKED_FOR: [&str; 9] =
    ["3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t", "3.15", "3.15t"];

/// Prints one line: the implementation, the release, the kind of build, whether any of CPython's
/// own tests came with it, and where it lies. The path comes last: it may hold spaces.
const PROBE: &str = r#"
import importlib.util as util, sys, sysconfig
suites = ("test.test_concurrent_futures", "test.test_asyncio")
suite = util.find_spec("test") and any(util.find_spec(name) for name in suites)
print(
    sys.implementation.name,
    "%d.%d.%d" % sys.version_info[:3],
    "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "gil",
    "suite" if suite else "bare",
    sys.executable,
)
"#;

/// One Python of this machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interpreter {
    /// As in [`LOOKED_FOR`].
    pub(crate) version: String,
    pub(crate) release: (u32, u32, u32),
    /// Whether CPython's own tests came with it.
    pub(crate) has_suite: bool,
    pub(crate) path: PathBuf,
}

impl Interpreter {
    pub(crate) fn is_free_threaded(&self) -> bool {
        self.version.ends_with('t')
    }
}

/// One interpreter of each version that is here, newest first; only those `wanted`, or all.
pub(crate) fn interpreters(wanted: &[String]) -> Result<Vec<Interpreter>> {
    if let Some(unknown) = wanted.iter().find(|version| !LOOKED_FOR.contains(&version.as_str())) {
        bail!("{unknown:?} is none of the versions the package is for: {}", LOOKED_FOR.join(", "));
    }
    let pyenv = pyenv_versions();
    let mut candidates = pyenv.as_deref().map(pythons_of).unwrap_or_default();
    candidates.extend(LOOKED_FOR.map(|version| PathBuf::from(format!("python{version}"))));
    let mut found = newest_of_each(candidates.iter().filter_map(|path| probe(path)));
    if !wanted.is_empty() {
        found.retain(|python| wanted.contains(&python.version));
    }
    let missing = missing(wanted, &found);
    let looked = format!(
        "looked for pythonX.Y on PATH and {}",
        match &pyenv {
            Some(folder) => format!("in {}", folder.display()),
            None => "found no pyenv to ask".to_owned(),
        }
    );
    if found.is_empty() {
        bail!("no Python to work with; wanted: {} ({looked})", missing.join(" or "));
    }
    if !missing.is_empty() {
        eprintln!("python: not here, so not tried: {} ({looked})", missing.join(", "));
    }
    Ok(found)
}

/// Where pyenv keeps its interpreters.
fn pyenv_versions() -> Option<PathBuf> {
    let output = Command::new("pyenv").arg("root").stderr(Stdio::null()).output().ok()?;
    let root = String::from_utf8(output.stdout).ok()?;
    let versions = Path::new(root.trim()).join("versions");
    versions.is_dir().then_some(versions)
}

fn pythons_of(versions: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(versions).into_iter().flatten().flatten();
    let mut pythons: Vec<_> = folders.map(|folder| folder.path().join("bin/python")).collect();
    pythons.sort();
    pythons
}

/// Asks a candidate what it is. None when it does not start, as a shim of pyenv may not.
fn probe(candidate: &Path) -> Option<Interpreter> {
    let mut command = Command::new(candidate);
    command.args(["-I", "-c", PROBE]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    if output.status.success() { read(&String::from_utf8(output.stdout).ok()?) } else { None }
}

/// Reads what [`PROBE`] has printed. None if that is no Python we are for.
fn read(line: &str) -> Option<Interpreter> {
    let mut words = line.trim_end().splitn(5, ' ');
    let mut word = || words.next();
    let (implementation, release, build, suite, path) =
        (word()?, word()?, word()?, word()?, word()?);
    let mut numbers = release.split('.').map(|number| number.parse().ok());
    let release = (numbers.next()??, numbers.next()??, numbers.next()??);
    let suffix = if build == "free-threaded" { "t" } else { "" };
    let version = format!("{}.{}{suffix}", release.0, release.1);
    let ours = implementation == "cpython" && LOOKED_FOR.contains(&version.as_str());
    let (has_suite, path) = (suite == "suite", PathBuf::from(path));
    ours.then_some(Interpreter { version, release, has_suite, path })
}

/// Of several with the same version the latest release, and of the same release the first.
fn newest_of_each(found: impl Iterator<Item = Interpreter>) -> Vec<Interpreter> {
    let mut newest: BTreeMap<(u32, u32, bool), Interpreter> = BTreeMap::new();
    for python in found {
        let key = (python.release.0, python.release.1, !python.is_free_threaded());
        let better = newest.get(&key).is_none_or(|other| other.release < python.release);
        if better {
            newest.insert(key, python);
        }
    }
    newest.into_values().rev().collect()
}

/// What should have been there and is not.
fn missing(wanted: &[String], found: &[Interpreter]) -> Vec<&'static str> {
    let is_wanted = |version: &str| wanted.is_empty() || wanted.iter().any(|w| w == version);
    let is_found = |version: &str| found.iter().any(|python| python.version == version);
    LOOKED_FOR.into_iter().filter(|version| is_wanted(version) && !is_found(version)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Interpreter, interpreters, missing, newest_of_each, read};

    fn python(version: &str, release: (u32, u32, u32), path: &str) -> Interpreter {
        let (version, path) = (version.to_owned(), PathBuf::from(path));
        Interpreter { version, release, has_suite: true, path }
    }

    #[test]
    fn a_probe_is_read() {
        let line = "cpython 3.13.0 gil suite /opt/my python/bin/python\n";
        let expected = python("3.13", (3, 13, 0), "/opt/my python/bin/python");
        assert_eq!(read(line), Some(expected));
        let line = "cpython 3.14.2 free-threaded bare /a\n";
        let found = read(line).expect("3.14t is ours");
        assert_eq!((found.version.as_str(), found.has_suite), ("3.14t", false));
    }

    #[test]
    fn what_is_not_ours_is_passed_over() {
        for line in
            ["", "cpython 3.9.18 gil suite /a", "pypy 3.10.14 gil suite /a", "usage: python"]
        {
            assert_eq!(read(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_newest_release_of_each_version_counts_newest_version_first() {
        let all = [
            python("3.10", (3, 10, 13), "a"),
            python("3.13", (3, 13, 0), "b"),
            python("3.13", (3, 13, 2), "c"),
            python("3.13", (3, 13, 2), "d"),
            python("3.13t", (3, 13, 1), "e"),
            python("3.9", (3, 9, 1), "f"),
        ];
        let paths: Vec<_> = newest_of_each(all.into_iter()).into_iter().map(|p| p.path).collect();
        assert_eq!(paths, ["c", "e", "a", "f"].map(PathBuf::from));
    }

    #[test]
    fn what_is_missing_is_told() {
        let found = [python("3.13", (3, 13, 0), "a"), python("3.10", (3, 10, 1), "b")];
        assert_eq!(missing(&["3.13".to_owned(), "3.14".to_owned()], &found), ["3.14"]);
        assert_eq!(
            missing(&[], &found),
            ["3.11", "3.12", "3.13t", "3.14", "3.14t", "3.15", "3.15t"]
        );
    }

    #[test]
    fn a_version_that_the_package_is_not_for_is_an_error() {
        let error = interpreters(&["2.7".to_owned()]).expect_err("2.7 is too old");
        assert!(error.to_string().contains("2.7"), "{error}");
    }
}
