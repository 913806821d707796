//! `test`: everything that can fail at run time, in the order that finds failures soonest.

use std::thread;

use anyhow::{Result, anyhow, bail};

use crate::guard;
use crate::loom;
use crate::python::{self, Profile};
use crate::shell::{Shell, step};

pub(crate) fn run(shell: &Shell) -> Result<()> {
    if shell.has("nextest") {
        // Its watchdog is in .config/nextest.toml, one for each test.
        step(&mut shell.cargo(["nextest", "run", "--workspace"]))?;
    } else {
        let tests = ["--workspace", "--lib", "--bins", "--tests", "--examples"];
        step(guard::cargo_test(shell).args(tests))?;
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
