//! `test`: everything that can fail at run time, in the order that finds failures soonest.

use anyhow::Result;

use crate::guard;
use crate::loom;
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
    loom::run(shell, None)?;
    println!("test: all passed");
    Ok(())
}
