//! `downloads`: several pages at once, each with a time limit of its own, where some may fail. From
//! Python's documentation (`as_completed`) and from the proposal of 2009 (`run_to_futures`).

#![allow(
    clippy::mutable_key_type,
    reason = "as a key, a future is its identity, which never changes"
)]

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use manyhands::{Executor, ReturnWhen, as_completed, process, tasks};
use seeds::Workers;
use serde_bytes::ByteBuf;

/// Downloads pages over plain HTTP and says how long each is.
#[derive(Parser)]
struct Args {
    /// Which way to write it
    #[arg(long, value_enum, default_value = "as_completed")]
    form: Form,
    /// Where the work is done
    #[arg(long, value_enum, default_value = "threads")]
    executor: Workers,
    /// How many seconds each page may take
    #[arg(long, default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// The pages, each with its `http://`
    #[arg(required = true)]
    urls: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Form {
    /// Each page as soon as it is there
    AsCompleted,
    /// All pages, in the order given, once the last is there (not on processes: its calls are closures)
    RunToFutures,
}

fn main() -> Result<()> {
    process::init(tasks![load_url]);
    let Args { form, executor, timeout, urls } = Args::parse();
    let executor = executor.executor()?;
    match form {
        Form::AsCompleted => with_as_completed(&executor, urls, timeout),
        Form::RunToFutures => with_run_to_futures(&executor, &urls, timeout),
    }
}

fn with_as_completed(executor: &impl Executor, urls: Vec<String>, timeout: Duration) -> Result<()> {
    let mut future_to_url = HashMap::new();
    for url in urls {
        future_to_url.insert(executor.try_submit(load_url, (url.clone(), timeout))?, url);
    }
    for future in as_completed(future_to_url.keys().cloned(), None) {
        let future = future?;
        let url = &future_to_url[&future];
        match future.into_result(None) {
            Ok(page) => println!("'{url}' page is {} bytes", page.len()),
            Err(error) => println!("'{url}' generated an exception: {error}"),
        }
    }
    Ok(())
}

fn with_run_to_futures(executor: &impl Executor, urls: &[String], timeout: Duration) -> Result<()> {
    let calls = urls.iter().cloned().map(|url| move || load_url(url, timeout));
    let futures = executor.run_to_futures(calls, None, ReturnWhen::AllCompleted)?;
    for (url, future) in urls.iter().zip(&futures) {
        if let Some(exception) = future.exception(None)? {
            println!("'{url}' generated an exception: {exception}");
        } else {
            println!("'{url}' page is {} bytes", future.result(None)?.len());
        }
    }
    Ok(())
}

/// Retrieves one page; an error as its words, which can leave a worker process.
#[expect(clippy::needless_pass_by_value, reason = "a task owns its arguments")]
fn load_url(url: String, timeout: Duration) -> Result<ByteBuf, String> {
    let request = ureq::get(&url).config().timeout_global(Some(timeout)).build();
    let page = request.call().and_then(|mut response| response.body_mut().read_to_vec());
    page.map(ByteBuf::from).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}
