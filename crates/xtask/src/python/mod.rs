//! `python`: the Python package, built for and tested on every Python that is here.
//!
//! Each version has a virtual environment, a build and a log of its own, so that two of them can
//! be at it at the same time: most of their tests sleep.

mod find;
mod log;
mod venv;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};

use self::find::{Interpreter, interpreters};
use self::log::Log;
pub(crate) use self::venv::Profile;
use self::venv::{Venv, folder, is_abi3};
use crate::shell::{Shell, step};

/// Far above any honest run. Each test has a limit of its own; this is for what surrounds them.
const SECONDS_FOR_TESTS: u64 = 1_800;
const SECONDS_TO_LINT: u64 = 300;
const AT_ONCE: usize = 2;

/// Builds the package for the versions `wanted`, or for all that are here, and tests it on them.
pub(crate) fn test(shell: &Shell, wanted: &[String], profile: Profile) -> Result<()> {
    let interpreters = interpreters(wanted)?;
    let newest = &interpreters[0].version;
    let names: Vec<_> = interpreters.iter().map(|python| python.version.as_str()).collect();
    eprintln!("==> python {}, {AT_ONCE} at a time", names.join(", "));
    if !interpreters.iter().any(|python| python.has_suite) {
        println!(
            "python: CPython's own tests are NOT run: no Python here came with its `test` package \
             (those that pyenv builds have it)"
        );
    }
    let left = Mutex::new(interpreters.iter());
    let failed = Mutex::new(Vec::new());
    let wheel = SharedWheel::default();
    // Not in the loop's head: there the lock would be held for the whole turn.
    let next = || locked(&left).next();
    let work = || {
        while let Some(python) = next() {
            let job = Job { shell, python, profile, wheel: &wheel };
            if let Err(error) = job.run(python.version == *newest) {
                locked(&failed).push(format!("{error:#}"));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let failed = locked(&failed);
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

/// What can be said of the Python sources without building anything.
pub(crate) fn check(shell: &Shell) -> Result<()> {
    let interpreters = interpreters(&[])?;
    let log = Log::create(&folder(shell), "check")?;
    let venv = Venv::ready(shell, &interpreters[0], &log)?;
    let ruff = |words: &[&str]| {
        let mut ruff = venv.python(SECONDS_TO_LINT);
        ruff.args(["-m", "ruff"]).args(words).args(["--no-cache", "python", "benches/python"]);
        ruff
    };
    step(&mut ruff(&["check"]))?;
    step(&mut ruff(&["format", "--check"]))?;
    let mut mypy = venv.python(SECONDS_TO_LINT);
    mypy.args(["-m", "mypy", "--strict", "--cache-dir"]).arg(folder(shell).join("mypy"));
    step(mypy.args(["python/manyhands", "python/examples"]))
}

/// The wheel that fits all, where there is one.
type SharedWheel = Mutex<Option<PathBuf>>;

/// All that one version goes through.
struct Job<'a> {
    shell: &'a Shell,
    python: &'a Interpreter,
    profile: Profile,
    wheel: &'a SharedWheel,
}

impl Job<'_> {
    fn run(&self, checks_stubs: bool) -> Result<()> {
        let log = Log::create(&folder(self.shell), &self.python.version)?;
        let outcome = self.steps(&log, checks_stubs);
        log.print()?;
        outcome
    }

    /// Runs every kind of test even if one has failed: each says something of its own.
    fn steps(&self, log: &Log, checks_stubs: bool) -> Result<()> {
        let venv = Venv::ready(self.shell, self.python, log)?;
        venv.install(&self.built(&venv)?)?;
        let mut kinds = vec![("tests", self.ours(&venv))];
        if checks_stubs {
            kinds.push(("stubs", Self::stubs(&venv)));
        }
        if self.python.has_suite {
            kinds.push(("CPython's own tests", self.upstream(&venv)));
        }
        let ends = kinds.iter_mut().map(|(kind, command)| log.step(kind, command));
        let failed: Vec<_> = ends.filter_map(|end| end.err().map(|e| e.to_string())).collect();
        if !failed.is_empty() {
            bail!("{}", failed.join("\n"));
        }
        // Hundreds of megabytes for each version; not test by test, for workers may still wait for a file there. What
        // cannot be removed is no fault of the tests.
        drop(fs::remove_dir_all(self.temporary()));
        Ok(())
    }

    /// Where the tests keep their files.
    fn temporary(&self) -> PathBuf {
        folder(self.shell).join(format!("tmp-{}", self.python.version))
    }

    /// The wheel for this version. One build at a time: each takes all cores anyway, and the
    /// first may turn out to be for all.
    fn built(&self, venv: &Venv<'_>) -> Result<PathBuf> {
        let mut shared = locked(self.wheel);
        if let Some(wheel) = shared.as_ref().filter(|_| !self.python.is_free_threaded()) {
            return Ok(wheel.clone());
        }
        let wheel = venv.build(self.profile).context("the package cannot be built")?;
        if is_abi3(&wheel) {
            *shared = Some(wheel.clone());
        }
        Ok(wheel)
    }

    fn ours(&self, venv: &Venv<'_>) -> Command {
        let mut pytest = venv.python(SECONDS_FOR_TESTS);
        pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "python/tests", "--basetemp"]);
        pytest.arg(self.temporary());
        pytest
    }

    fn stubs(venv: &Venv<'_>) -> Command {
        let mut stubtest = venv.python(SECONDS_TO_LINT);
        stubtest.args(["-m", "mypy.stubtest", "manyhands"]);
        stubtest
    }

    fn upstream(&self, venv: &Venv<'_>) -> Command {
        let mut upstream = venv.python(SECONDS_FOR_TESTS);
        let logs = folder(self.shell).join(format!("upstream-{}", self.python.version));
        upstream.args(["python/tests/upstream/run.py", "--logs"]).arg(logs);
        upstream
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
