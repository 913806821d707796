//! Stories of tasks that wait for others of their own pool.

use std::time::Duration;

use manyhands::process::supervisor::{Event, Options};

use crate::script::{NOTHING, SHORT, SIGKILL, Script, options};

const STAYS: Duration = Duration::from_secs(1);

fn with_extra(max_workers: u32, most_extra: u32) -> Options {
    Options { most_extra, ..options(max_workers) }
}

/// Worker 0 runs a, which has submitted b.
fn submitted() -> Script {
    let mut pool = Script::new(with_extra(1, 1));
    assert_eq!(pool.submit("a"), ["launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send a to 0"]);
    assert_eq!(pool.submit("b"), NOTHING);
    pool
}

#[test]
fn another_is_launched_in_the_stead_of_one_that_waits_and_leaves_later() {
    let mut pool = submitted();
    assert_eq!(pool.waits(0, "b", false), ["launch 1"]);
    assert_eq!(pool.on(1, Event::Ready), ["send b to 1"]);
    assert_eq!(pool.answer(1), ["settle b"]);
    assert_eq!(pool.resumes(0), NOTHING);
    assert_eq!(pool.until_tick(), Some(STAYS));
    assert_eq!(pool.submit("c"), NOTHING, "a runs, and there is to be one at a time");
    assert_eq!(pool.answer(0), ["settle a", "send c to 0"]);
    assert_eq!(pool.pass(STAYS), ["retire 1"]);
    assert_eq!(pool.answer(0), ["settle c"]);
}

#[test]
fn one_that_is_too_many_is_there_for_the_next_wait() {
    let mut pool = submitted();
    pool.waits(0, "b", false);
    pool.on(1, Event::Ready);
    pool.answer(1);
    pool.resumes(0);
    assert_eq!(pool.submit("c"), NOTHING);
    assert_eq!(pool.waits(0, "c", false), ["send c to 1"]);
}

#[test]
fn what_lies_ahead_of_one_that_waits_is_taken_back() {
    let mut pool = Script::ready(with_extra(1, 1));
    assert_eq!(pool.submit("a"), ["send a to 0"]);
    assert_eq!(pool.submit("b"), ["send b to 0"]);
    assert_eq!(pool.waits(0, "b", false), ["take 1 back from 0"]);
    assert_eq!(pool.taken_back(0, 1), ["launch 1"]);
    assert_eq!(pool.submit("c"), NOTHING, "nothing goes to one that waits");
    assert_eq!(pool.on(1, Event::Ready), ["send b to 1"]);
    assert_eq!(pool.answer_after(1, SHORT), ["settle b", "send c to 1"]);
}

#[test]
fn where_all_wait_and_none_can_come_the_wait_of_one_ends() {
    let mut pool = submitted();
    pool.waits(0, "b", false);
    pool.on(1, Event::Ready);
    assert_eq!(pool.submit("c"), NOTHING);
    assert_eq!(pool.waits(1, "c", false), ["lose c: 2 wait"]);
    assert_eq!(pool.resumes(1), NOTHING);
    assert_eq!(pool.answer(1), ["settle b"]);
}

#[test]
fn a_wait_for_some_time_is_no_deadlock() {
    let mut pool = submitted();
    pool.waits(0, "b", true);
    pool.on(1, Event::Ready);
    pool.submit("c");
    assert_eq!(pool.waits(1, "c", false), NOTHING);
    assert_eq!(pool.resumes(0), NOTHING, "two are there already, and one waits");
    assert_eq!(pool.answer(0), ["settle a", "send c to 0"]);
}

#[test]
fn a_death_makes_room_for_another() {
    let mut pool = submitted();
    pool.waits(0, "b", false);
    pool.on(1, Event::Ready);
    pool.submit("c");
    assert_eq!(
        pool.left(0, SIGKILL, 1),
        ["lose a: 0 was killed by SIGKILL (out of memory, if nobody sent it) in run 1 after 0ns"]
    );
    assert_eq!(pool.waits(1, "c", false), ["launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send c to 0"]);
}

#[test]
fn nothing_is_sent_ahead_of_one_whose_task_submits() {
    let mut pool = Script::ready(with_extra(1, 1));
    assert_eq!(pool.submit("a"), ["send a to 0"]);
    pool.holds_back(0);
    assert_eq!(pool.submit("b"), NOTHING);
    assert_eq!(pool.answer(0), ["settle a", "send b to 0"]);
    assert_eq!(pool.submit("c"), ["send c to 0"], "as before");
}
