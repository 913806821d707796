//! The project's chores, one word each: `cargo xtask check`, `test`, `loom`, `python`, `bench`, `demo`.

mod check;
mod guard;
mod loom;
mod python;
mod sabotage;
mod shell;
mod test;
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::python::Profile::{Dev, Release};
use crate::shell::{Shell, step};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about)]
enum Task {
    /// Formatting, lints, rustdoc, dependencies and the house rules
    Check,
    /// Everything that can fail at run time: tests, doctests, loom models and their sabotages
    Test,
    /// The loom models, which must pass; then once with every fault, which must not
    Loom {
        /// Only with faults: those named, or all
        #[arg(long, value_name = "NAME", num_args = 0..)]
        sabotage: Option<Vec<String>>,
    },
    /// Worker processes killed, stopped and slowed at random under load, with every task accounted for
    Chaos {
        /// How long
        #[arg(long, default_value_t = test::CHAOS_SECONDS)]
        seconds: u64,
    },
    /// The Python package, built for and tested on every Python of this machine
    Python {
        /// Only these versions: 3.13, 3.14t, ...
        versions: Vec<String>,
        /// Compile as for a release, without the checks of a debug build
        #[arg(long)]
        release: bool,
    },
    /// Our workloads and the peers' side by side; `bench processes` for pools of worker processes
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// The main example: a web server's log, read by several workers
    Demo {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// What cargo runs test binaries through, so that a hanging one is killed
    #[command(hide = true)]
    Guard {
        seconds: u64,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    match Task::parse() {
        Task::Guard { seconds, command } => return guard::run(seconds, &command),
        Task::Check => check::run(&Shell::new()?)?,
        Task::Test => test::run(&Shell::new()?)?,
        Task::Loom { sabotage } => loom::run(&Shell::new()?, sabotage.as_deref())?,
        Task::Chaos { seconds } => test::chaos(&Shell::new()?, seconds)?,
        Task::Python { versions, release } => {
            python::test(&Shell::new()?, &versions, if release { Release } else { Dev })?;
        }
        Task::Bench { args } => bench(&Shell::new()?, &args)?,
        Task::Demo { args } => demo(&Shell::new()?, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn bench(shell: &Shell, args: &[OsString]) -> Result<()> {
    let peers = ["--release", "--manifest-path", "benches/peers/Cargo.toml"];
    // All of its programs: the one that is run starts another to measure memory.
    step(shell.cargo(["build", "--bins"]).args(peers))?;
    let (program, args) = bench_program(args);
    step(shell.cargo(["run", "--bin", program]).args(peers).arg("--").args(args))
}

/// Which program measures, and with what arguments: the first may say `processes`.
fn bench_program(args: &[OsString]) -> (&'static str, &[OsString]) {
    match args {
        [first, rest @ ..] if first == "processes" => ("manyhands-bench-processes", rest),
        _ => ("manyhands-bench-peers", args),
    }
}

fn demo(shell: &Shell, args: &[OsString]) -> Result<()> {
    let log = "examples/access_log/data/apache_logs.gz";
    let mut command = shell.cargo(["run", "--release", "-p", "access_log", "--", log]);
    if !args.iter().any(|arg| arg.to_string_lossy().starts_with("--executor")) {
        command.args(["--executor", "threads"]);
    }
    step(command.args(args))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Task, bench_program};

    #[test]
    fn the_command_line_is_sound() {
        Task::command().debug_assert();
    }

    #[test]
    fn the_bench_of_processes_is_asked_for_by_name() {
        let program = |args: &[&str]| {
            let Task::Bench { args } = Task::parse_from(args) else {
                panic!("{args:?} is a bench task");
            };
            let (program, rest) = bench_program(&args);
            (program, rest.len())
        };
        let rows = ["xtask", "bench", "--rows", "a"];
        assert_eq!(program(&rows), ("manyhands-bench-peers", 2));
        let rows = ["xtask", "bench", "processes", "--rows", "a"];
        assert_eq!(program(&rows), ("manyhands-bench-processes", 2));
    }

    #[test]
    fn a_bare_sabotage_is_not_the_same_as_none() {
        let sabotage = |args: &[&str]| match Task::parse_from(args) {
            Task::Loom { sabotage } => sabotage,
            _ => panic!("{args:?} is a loom task"),
        };
        assert_eq!(sabotage(&["xtask", "loom"]), None);
        assert_eq!(sabotage(&["xtask", "loom", "--sabotage"]), Some(vec![]));
        let one = sabotage(&["xtask", "loom", "--sabotage", "lost_wake"]);
        assert_eq!(one, Some(vec!["lost_wake".to_owned()]));
    }

    #[test]
    fn the_guard_hands_every_argument_on() {
        let Task::Guard { seconds, command } =
            Task::parse_from(["xtask", "guard", "5", "a-test", "--nocapture", "name"])
        else {
            panic!("guard is a task");
        };
        assert_eq!((seconds, command.len()), (5, 3));
    }
}
