//! `test`: everything that can fail at run time, in the order that finds failures soonest.

use std::thread;

use anyhow::{Result, anyhow, bail};

use crate::guard;
use crate::loom;
use crate::python::{self, Profile};
use crate::shell::{Shell, step};

/// How long the chaos tests last here.
pub(crate) const CHAOS_SECONDS: u64 = 60;

/// By what the chaos tests are told.
const CHAOS: &str = "MANYHANDS_CHAOS_SECONDS";

/// The chaos tests alone. They have a watchdog of their own, as long as they are.
pub(crate) fn chaos(shell: &Shell, seconds: u64) -> Result<()> {
    let tests = ["test", "--release", "-p", "manyhands", "--test", "process_chaos"];
    let mut command = shell.cargo(tests);
    step(command.args(["--", "--nocapture"]).env(CHAOS, seconds.to_string()))
}

pub(crate) fn run(shell: &Shell) -> Result<()> {
    if shell.has("nextest") {
        // Its watchdog is in .config/nextest.toml, one for each test.
        let tests = ["nextest", "run", "--workspace"];
        step(shell.cargo(tests).env(CHAOS, CHAOS_SECONDS.to_string()))?;
    } else {
        let tests = ["--workspace", "--lib", "--bins", "--tests", "--examples"];
        step(guard::cargo_test(shell).args(tests).env(CHAOS, CHAOS_SECONDS.to_string()))?;
    }
    step(guard::cargo_test(shell).args(["--workspace", "--doc"]))?;
    // The models keep the cores busy; most of the Python tests sleep.
    let (models, python) = thread::scope(|scope| {
        let python = scope.spawn(|| python::test(shell, &[], Profile::Release));
        let models = loom::run(shell, None);
        (models, python.join().unwrap_or_else(|_| Err(anyhow!("the Python tests panicked"))))
    });
    match (models, python) {
        (Err(models), Err(python)) => bail!("{models:#}\n{python:#}"),
        (models, python) => models.and(python)?,
    }
    println!("test: all passed");
    Ok(())
}
