//! `check`: what can be said of the code without running it.

use anyhow::{Result, bail};

use crate::python;
use crate::shell::{Shell, step};
use crate::tidy;

pub(crate) fn run(shell: &Shell) -> Result<()> {
    step(&mut shell.cargo(["fmt", "--all", "--check"]))?;
    obeys_house_rules(shell)?;
    let lints = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step(&mut shell.cargo(lints))?;
    checks_what_has_no_gil(shell)?;
    let docs = ["doc", "--workspace", "--no-deps"];
    step(shell.cargo(docs).env("RUSTDOCFLAGS", "-D warnings"))?;
    python::check(shell)?;
    if shell.has("deny") {
        step(&mut shell.cargo(["deny", "check"]))?;
        println!("check: all passed");
    } else {
        println!(
            "check: all passed, but licences, advisories and sources were NOT looked at: cargo-deny \
             is not installed (cargo install --locked cargo-deny)"
        );
    }
    Ok(())
}

/// The code for an interpreter without the GIL, by a description of one: none may be here.
fn checks_what_has_no_gil(shell: &Shell) -> Result<()> {
    let mut command = shell.cargo(["clippy", "-p", "manyhands-pybuffer", "-p", "manyhands-python"]);
    command.arg("--target-dir").arg(shell.target.join("free-threaded"));
    command.env("PYO3_CONFIG_FILE", shell.root.join("crates/xtask/free-threaded.cfg"));
    step(command.args(["--", "-D", "warnings"]))
}

fn obeys_house_rules(shell: &Shell) -> Result<()> {
    eprintln!("==> tidy");
    let complaints = tidy::complaints(&shell.sources(".")?, tidy::LONG_FOR_A_REASON);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        several => bail!("tidy found {several} breaches of the house rules, listed above"),
    }
}
