//! The functions that the suite submits: they can cross to other processes, as closures cannot.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

use std::fs;
use std::io::Write;
use std::panic::resume_unwind;
use std::thread;

use crate::place::{Place, TURN};

/// The functions that the suite submits, to be declared where an executor asks for that.
///
/// ```
/// assert!(manyhands_conform::tasks().names().any(|name| name.ends_with("square")));
/// ```
#[cfg(target_os = "linux")]
pub fn tasks() -> manyhands::process::Tasks {
    manyhands::tasks![add, square, odd_only, give_up, hold, note]
}

pub(crate) fn add(a: u64, b: u64) -> u64 {
    a + b
}

pub(crate) fn square(n: u64) -> u64 {
    n * n
}

pub(crate) fn odd_only(n: u64) -> Result<u64, String> {
    if n % 2 == 1 { Ok(n) } else { Err(format!("{n} is even")) }
}

pub(crate) fn give_up(why: String) -> u64 {
    resume_unwind(Box::new(why)) // a panic of which no hook prints anything
}

/// Tells that it has begun, and ends when its place is opened, or is no more.
pub(crate) fn hold(place: String, number: u64) -> u64 {
    let place = Place::at(place);
    place.tell_begun(number);
    while !place.is_open() {
        thread::sleep(TURN);
    }
    number
}

/// Leaves a line that it has run.
pub(crate) fn note(place: String, number: u64) -> u64 {
    let file = fs::OpenOptions::new().append(true).create(true).open(Place::at(place).notes());
    if let Ok(mut file) = file {
        let _ = file.write_all(format!("{number}\n").as_bytes());
    }
    number
}
