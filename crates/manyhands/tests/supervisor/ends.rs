//! Stories of tasks that end before their answer: timeouts and cancels.

use std::time::Duration;

use manyhands::process::supervisor::{Event, Rules};

use crate::script::{GRACE, LEFT, NOTHING, SIGKILL, Script, options};

const TIMEOUT: Duration = Duration::from_secs(3);
const LIMITED: Rules = Rules { timeout: Some(TIMEOUT), retries: Some(9) };

#[test]
fn a_worker_that_answers_when_it_is_asked_to_stop_stays_in_service() {
    let mut pool = Script::ready(options(1));
    pool.submit_with("slow", LIMITED);
    pool.submit("b");
    assert_eq!(pool.until_tick(), Some(TIMEOUT));
    assert_eq!(pool.pass(TIMEOUT), ["lose slow: timed out after 3s", "take 2 back from 0"]);
    assert_eq!(pool.taken_back(0, 1), ["ask 0 to stop"], "b waits, and goes elsewhere if it can");
    assert_eq!(pool.submit("c"), NOTHING);
    assert_eq!(pool.answer(0), ["discard", "send b to 0", "send c to 0"]);
    assert_eq!(pool.pass(10 * GRACE), NOTHING);
}

#[test]
fn a_worker_that_does_not_stop_is_terminated_and_then_killed() {
    let mut pool = Script::ready(options(1));
    pool.submit_with("endless", LIMITED);
    pool.pass(TIMEOUT);
    assert_eq!(pool.taken_back(0, 0), ["ask 0 to stop"]);
    assert_eq!(pool.until_tick(), Some(GRACE));
    assert_eq!(pool.pass(GRACE / 2), NOTHING);
    assert_eq!(pool.pass(GRACE / 2), ["terminate 0"]);
    assert_eq!(pool.submit("b"), NOTHING, "it is still there");
    assert_eq!(pool.until_tick(), Some(GRACE));
    assert_eq!(pool.pass(GRACE), ["kill 0"]);
    assert_eq!(pool.until_tick(), None);
    assert_eq!(pool.left(0, SIGKILL, 1), ["launch 0"]);
    assert_eq!(pool.supervisor.stats().crashed, 0, "it died because it was told to");
}

#[test]
fn a_worker_that_was_terminated_gets_nothing_more_though_it_answers() {
    let mut pool = Script::ready(options(1));
    pool.submit_with("slow", LIMITED);
    pool.submit("b");
    pool.pass(TIMEOUT);
    pool.taken_back(0, 1);
    assert_eq!(pool.pass(GRACE), ["terminate 0"]);
    assert_eq!(pool.answer(0), ["discard"], "the signal may kill it in the next task");
    assert_eq!(pool.pass(GRACE), ["kill 0"]);
    assert_eq!(pool.left(0, SIGKILL, 0), ["launch 0"]);
}

#[test]
fn the_clock_of_a_task_starts_when_it_is_the_oldest_in_its_lane() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    pool.submit_with("b", LIMITED);
    assert_eq!(pool.until_tick(), None);
    assert_eq!(pool.pass(10 * TIMEOUT), NOTHING);
    assert_eq!(pool.answer(0), ["settle a"]);
    assert_eq!(pool.until_tick(), Some(TIMEOUT));
    assert_eq!(pool.answer(0), ["settle b"]);
    assert_eq!(pool.pass(TIMEOUT), NOTHING);
}

#[test]
fn what_was_behind_a_task_that_is_stopped_runs_elsewhere() {
    let mut pool = Script::ready(options(2));
    pool.submit_with("slow", LIMITED); // to 1
    pool.submit("b");
    pool.submit("c"); // behind b
    pool.submit("d"); // behind slow
    pool.pass(TIMEOUT);
    assert_eq!(pool.taken_back(1, 1), ["ask 1 to stop"]);
    assert_eq!(pool.answer(0), ["settle b", "send d to 0"]);
}

#[test]
fn workers_that_are_overdue_at_once_get_nothing_from_each_other() {
    let mut pool = Script::ready(options(2));
    pool.submit_with("a", LIMITED); // to 1
    pool.submit_with("b", LIMITED);
    pool.submit("c"); // behind b
    assert_eq!(
        pool.pass(TIMEOUT),
        [
            "lose b: timed out after 3s",
            "take 2 back from 0",
            "lose a: timed out after 3s",
            "take 1 back from 1",
        ]
    );
    assert_eq!(pool.taken_back(0, 1), ["ask 0 to stop"]);
    assert_eq!(pool.taken_back(1, 0), ["ask 1 to stop"]);
    assert_eq!(pool.answer(1), ["discard", "send c to 1"]);
}

#[test]
fn a_worker_that_has_not_begun_its_task_in_time_is_let_go() {
    let mut pool = Script::ready(options(1));
    pool.submit_with("a", LIMITED);
    pool.submit("b");
    assert_eq!(pool.pass(TIMEOUT), ["lose a: timed out after 3s", "take 2 back from 0"]);
    assert_eq!(pool.taken_back(0, 2), ["retire 0"], "it runs nothing that could be stopped");
    assert_eq!(pool.pass(GRACE), ["terminate 0"]);
    assert_eq!(pool.pass(GRACE), ["kill 0"]);
    assert_eq!(pool.left(0, SIGKILL, 0), ["launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send b to 0"]);
}

#[test]
fn a_queued_task_is_cancelled_and_nobody_hears_of_it() {
    let mut pool = Script::ready(options(1));
    for task in ["a", "b", "c", "d"] {
        pool.submit(task);
    }
    assert_eq!(pool.cancel("c"), ["lose c: cancelled"]);
    assert_eq!(pool.cancel("c"), NOTHING);
    assert_eq!(pool.answer(0), ["settle a", "send d to 0"]);
}

#[test]
fn a_task_that_lies_ahead_is_cancelled_and_those_behind_it_go_back() {
    let mut pool = Script::ready(options(1));
    for _ in 0..100 {
        pool.submit("tiny");
        pool.answer_after(0, Duration::from_micros(10));
    }
    for task in ["a", "b", "c", "d"] {
        assert_eq!(pool.submit(task), [format!("send {task} to 0")]);
    }
    assert_eq!(pool.cancel("b"), ["lose b: cancelled", "take 3 back from 0"]);
    assert_eq!(pool.taken_back(0, 3), ["send c to 0", "send d to 0"]);
    assert_eq!(pool.answer(0), ["settle a"], "which nobody has disturbed");
    assert_eq!(pool.answer(0), ["settle c"]);
    assert_eq!(pool.answer(0), ["settle d"]);
}

#[test]
fn a_task_that_turns_out_to_be_running_is_stopped() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    pool.submit("b");
    assert_eq!(pool.cancel("b"), ["lose b: cancelled", "take 1 back from 0"]);
    assert_eq!(pool.taken_back(0, 0), ["ask 0 to stop"]);
    assert_eq!(pool.answer(0), ["settle a"], "its answer was on the way");
    assert_eq!(pool.submit("c"), NOTHING);
    assert_eq!(pool.answer(0), ["discard", "send c to 0"]);
}

#[test]
fn a_task_that_has_been_answered_needs_no_stopping() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    pool.submit("b");
    assert_eq!(pool.cancel("a"), ["lose a: cancelled", "take 2 back from 0"]);
    assert_eq!(pool.taken_back(0, 0), NOTHING, "b is begun, so a was answered");
    assert_eq!(pool.answer(0), ["discard"]);
    assert_eq!(pool.answer(0), ["settle b"]);
}

#[test]
fn a_task_that_the_worker_has_not_begun_is_cancelled_in_silence() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    assert_eq!(pool.cancel("a"), ["lose a: cancelled", "take 1 back from 0"]);
    assert_eq!(pool.taken_back(0, 1), NOTHING);
    assert_eq!(pool.submit("b"), ["send b to 0"]);
}

#[test]
fn a_worker_may_use_up_its_tasks_by_one_that_was_cancelled() {
    let mut twice = options(1);
    twice.max_tasks_per_child = std::num::NonZeroU32::new(2);
    let mut pool = Script::ready(twice); // one task
    pool.submit("a");
    pool.cancel("a");
    assert_eq!(pool.taken_back(0, 0), ["ask 0 to stop"]);
    assert_eq!(pool.answer(0), ["discard", "retire 0"]);
    assert_eq!(pool.left(0, LEFT, 0), NOTHING);
}
