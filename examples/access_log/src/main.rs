//! The command line: arguments in, report out.

use std::ffi::OsString;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;

use access_log::blocks::Limits;
use access_log::input::Input;
use access_log::job::{self, Options};
use access_log::report::Report;
use access_log::table::Table;
use access_log::tally::parse_block;
use anyhow::Context;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use manyhands::{
    Executor, InlineExecutor, ProcessPoolExecutor, ThreadPoolExecutor, process, tasks,
};

/// Reports on Apache and Nginx access logs in the combined or the common format.
///
/// Counts requests and bytes per day, hour, page, referrer, user agent and client, statuses,
/// errors, pages not found and the largest responses. Days and hours are those written in the log;
/// time zones are not converted. Lines that cannot be parsed are counted, and the first are shown.
///
/// Memory does not grow with the size of the log, but with the number of its different pages,
/// referrers, agents and clients: each is counted exactly.
///
/// If an input cannot be read to its end, nothing is reported, and the exit status is 1.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Files, patterns such as `logs/*.gz`, or `-` for the standard input; plain or gzip.
    #[arg(required = true)]
    inputs: Vec<OsString>,

    /// Where blocks of lines are counted.
    #[arg(long, value_enum, default_value_t = ExecutorKind::Threads)]
    executor: ExecutorKind,

    /// Workers of the executor [default: one per core]; `inline` has none.
    #[arg(long, value_parser = workers)]
    workers: Option<u16>,

    /// Rows of each table.
    #[arg(long, default_value_t = 10)]
    top: usize,

    /// What is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum ExecutorKind {
    /// In the main thread, one block after the other.
    Inline,
    /// In a pool of threads.
    Threads,
    /// In a pool of worker processes.
    Processes,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Tables for people.
    Table,
    /// JSON for programs.
    Json,
}

fn main() -> ExitCode {
    process::init(tasks![parse_block]); // a worker process becomes one here
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("access_log: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let inputs = Input::resolve(&args.inputs)?;
    let workers = match args.workers {
        Some(workers) => workers.into(),
        None => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let options = Options { top: args.top, ahead: 2 * workers, limits: Limits::default() };
    let progress = progress(&inputs)?;
    let executor = executor(args.executor, workers)?;
    let report = job::report(&executor, &inputs, options, &progress);
    progress.finish_and_clear();
    print(&report?, args.format)
}

/// The one place where the pool is chosen.
fn executor(kind: ExecutorKind, workers: usize) -> anyhow::Result<Box<dyn Executor>> {
    Ok(match kind {
        ExecutorKind::Inline => Box::new(InlineExecutor::new()),
        ExecutorKind::Threads => Box::new(ThreadPoolExecutor::new(workers)?),
        ExecutorKind::Processes => Box::new(ProcessPoolExecutor::new(workers)?),
    })
}

fn workers(argument: &str) -> Result<u16, String> {
    match argument.parse() {
        Ok(0) => Err("nothing can be counted without a worker; give 1 or more".to_owned()),
        Ok(workers) => Ok(workers),
        Err(error) => Err(error.to_string()),
    }
}

/// Bytes, rate and time left; without an end if an input has none that is known. Draws nothing
/// unless standard error is a terminal.
fn progress(inputs: &[Input]) -> anyhow::Result<ProgressBar> {
    let size: Option<u64> = inputs.iter().map(Input::size).sum();
    Ok(match size {
        Some(size) => ProgressBar::new(size).with_style(ProgressStyle::with_template(
            "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        )?),
        None => ProgressBar::no_length()
            .with_style(ProgressStyle::with_template("{spinner} {bytes}, {bytes_per_sec}")?),
    })
}

fn print(report: &Report, format: Format) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => Table(report).to_string(),
        Format::Json => serde_json::to_string_pretty(report)? + "\n",
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever reads has seen enough, as in `access_log … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the report"),
    }
}
