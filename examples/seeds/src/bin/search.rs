//! `search`: a word in several files at once, in the five forms by which an article on Python 3.2
//! introduced futures. A file that cannot be read is that file's exception and spoils no other.

#![allow(
    clippy::mutable_key_type,
    reason = "as a key, a future is its identity, which never changes"
)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use manyhands::{Exception, Executor, Future, FutureError, ReturnWhen, as_completed};
use manyhands::{process, tasks, wait};
use seeds::Workers;
use serde::{Deserialize, Serialize};

/// Says where a word first stands in each of several files.
#[derive(Parser)]
struct Args {
    /// Which way to write it
    #[arg(long, value_enum, default_value = "map")]
    form: Form,
    /// Where the work is done
    #[arg(long, value_enum, default_value = "threads")]
    executor: Workers,
    /// What to search for
    word: String,
    /// Where to search
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Form {
    /// A future for each file, asked in turn
    Submit,
    /// A callback on each future, called as the file is done
    Callbacks,
    /// One call for all files; results in the order of the files
    Map,
    /// Results once all files are done
    Wait,
    /// Results as the files are done
    AsCompleted,
}

fn main() -> Result<()> {
    process::init(tasks![search]);
    let Args { form, executor, word, files } = Args::parse();
    let executor = executor.executor()?;
    match form {
        Form::Submit => with_submit(&executor, &word, files),
        Form::Callbacks => with_callbacks(&executor, &word, files),
        Form::Map => with_map(&executor, &word, &files),
        Form::Wait => with_wait(&executor, &word, files),
        Form::AsCompleted => with_as_completed(&executor, &word, files),
    }
}

fn with_submit(executor: &impl Executor, word: &str, files: Vec<PathBuf>) -> Result<()> {
    for (future, file) in submit_all(executor, word, files)? {
        report(&file, outcome(&future));
    }
    Ok(())
}

fn with_callbacks(executor: &impl Executor, word: &str, files: Vec<PathBuf>) -> Result<()> {
    for (future, file) in submit_all(executor, word, files)? {
        future.add_done_callback(move |future| report(&file, outcome(future)));
    }
    executor.shutdown(true, false);
    Ok(())
}

fn with_map(executor: &impl Executor, word: &str, files: &[PathBuf]) -> Result<()> {
    // `try_starmap` would end at the first file that cannot be read, as Python's `map` does.
    let calls = files.iter().cloned().map(OsString::from).zip(iter::repeat(word.to_owned()));
    let searched = executor.starmap(search, calls);
    for (file, found) in files.iter().zip(searched) {
        report(file, found?);
    }
    Ok(())
}

fn with_wait(executor: &impl Executor, word: &str, files: Vec<PathBuf>) -> Result<()> {
    let future_to_file: HashMap<_, _> = submit_all(executor, word, files)?.into_iter().collect();
    let sorted = wait(future_to_file.keys().cloned(), None, ReturnWhen::AllCompleted);
    for future in sorted.done {
        report(&future_to_file[&future], outcome(&future));
    }
    Ok(())
}

fn with_as_completed(executor: &impl Executor, word: &str, files: Vec<PathBuf>) -> Result<()> {
    let future_to_file: HashMap<_, _> = submit_all(executor, word, files)?.into_iter().collect();
    for future in as_completed(future_to_file.keys().cloned(), None) {
        let future = future?;
        report(&future_to_file[&future], outcome(&future));
    }
    Ok(())
}

type Searching = Future<Option<Place>, String>;

fn submit_all(
    executor: &impl Executor,
    word: &str,
    files: Vec<PathBuf>,
) -> Result<Vec<(Searching, PathBuf)>> {
    let submit = |file: PathBuf| {
        let future = executor.try_submit(search, (file.clone().into(), word.to_owned()))?;
        Ok((future, file))
    };
    files.into_iter().map(submit).collect()
}

/// What a search has found, or the system's own words why it could not be made.
fn outcome(future: &Searching) -> Result<Option<Place>, String> {
    future.result(None).map_err(|error| match error {
        FutureError::Exception(Exception::Error(error)) => error.to_string(),
        other => other.to_string(),
    })
}

fn report(file: &Path, outcome: Result<Option<Place>, impl fmt::Display>) {
    let file = file.display();
    match outcome {
        Ok(Some(place)) => println!("{file}: found at {place}"),
        Ok(None) => println!("{file}: not found"),
        Err(error) => println!("{file}: generated an exception: {error}"),
    }
}

/// Where a word stands, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Where `word` first stands in `file`; an error as its words, which can leave a worker process.
///
/// The file is an `OsString`, for serde refuses a `PathBuf` whose name is not UTF-8.
#[expect(clippy::needless_pass_by_value, reason = "a task owns its arguments")]
fn search(file: OsString, word: String) -> Result<Option<Place>, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    Ok(first(&String::from_utf8_lossy(&text), &word))
}

fn first(text: &str, word: &str) -> Option<Place> {
    text.lines().zip(1..).find_map(|(content, line)| {
        let before = &content[..content.find(word)?];
        Some(Place { line, column: before.chars().count() + 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::{Place, first};

    #[test]
    fn the_first_place_counts() {
        let text = "nothing here\nwörds: a word, a word\nword\n";
        assert_eq!(first(text, "word"), Some(Place { line: 2, column: 10 }));
        assert_eq!(first(text, "nothing"), Some(Place { line: 1, column: 1 }));
        assert_eq!(first(text, "Word"), None);
        assert_eq!(first("", "word"), None);
    }
}
