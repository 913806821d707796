//! Stories of workers that die.

use std::num::NonZeroU32;
use std::time::Duration;

use manyhands::Exit;
use manyhands::process::supervisor::{Event, OnCrash, Rules};

use crate::script::{NOTHING, SIGKILL, Script, options};

#[test]
fn only_the_task_that_ran_is_lost_with_its_worker() {
    let mut pool = Script::ready(options(1));
    for task in ["a", "b", "c"] {
        pool.submit(task); // a runs, b is ahead, c is queued
    }
    pool.pass(Duration::from_secs(2));
    assert_eq!(
        pool.left(0, SIGKILL, 1),
        [
            "lose a: 0 was killed by SIGKILL (out of memory, if nobody sent it) in run 1 after 2s",
            "launch 0"
        ]
    );
    assert_eq!(pool.on(0, Event::Ready), ["send b to 0"]);
    assert_eq!(pool.answer(0), ["settle b", "send c to 0"]);
    assert_eq!(pool.supervisor.stats().crashed, 1);
}

#[test]
fn a_worker_that_dies_before_it_begins_loses_nothing() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    assert_eq!(pool.left(0, SIGKILL, 0), ["launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send a to 0"]);
}

#[test]
fn a_worker_that_dies_idle_is_replaced_on_demand() {
    let mut pool = Script::ready(options(2));
    assert_eq!(pool.left(1, SIGKILL, 0), NOTHING);
    assert_eq!(pool.submit("a"), ["send a to 0"]);
    assert_eq!(pool.submit("b"), ["send b to 0", "launch 1"]);
}

#[test]
fn poison_is_run_again_so_often_and_then_lost() {
    let mut pool = Script::ready(options(1));
    pool.submit_with("poison", Rules { retries: Some(2), ..Rules::default() });
    assert_eq!(pool.submit("b"), ["send b to 0"]);
    for _ in 0..2 {
        assert_eq!(pool.left(0, Exit::Code(3), 1), ["launch 0"]);
        assert_eq!(pool.on(0, Event::Ready), ["send poison to 0"], "b comes after it");
    }
    assert_eq!(
        pool.left(0, Exit::Code(3), 1),
        ["lose poison: 0 exited with code 3 in run 3 after 0ns", "launch 0"]
    );
    assert_eq!(pool.on(0, Event::Ready), ["send b to 0"]);
    assert_eq!(pool.answer(0), ["settle b"]);
    assert_eq!(pool.broken(), None);
}

#[test]
fn the_pools_retries_hold_where_the_task_has_none_of_its_own() {
    let mut once = options(1);
    once.retries = 1;
    let mut pool = Script::ready(once);
    pool.submit("a");
    assert_eq!(pool.left(0, SIGKILL, 1), ["launch 0"]);
    pool.on(0, Event::Ready);
    let lost = pool.left(0, SIGKILL, 1);
    assert_eq!(
        lost,
        ["lose a: 0 was killed by SIGKILL (out of memory, if nobody sent it) in run 2 after 0ns"]
    );
}

#[test]
fn where_a_crash_breaks_the_pool_everything_ends_and_says_why() {
    let mut strict = options(2);
    strict.on_crash = OnCrash::Break;
    let mut pool = Script::ready(strict);
    for task in ["a", "b", "c", "d", "e"] {
        pool.submit(task); // a and d in lane 1, b and c in lane 0
    }
    let why =
        "a worker process is lost: it was killed by SIGKILL (out of memory, if nobody sent it)";
    let lost = ["b", "c", "a", "d", "e"].map(|task| format!("lose {task}: {why}"));
    let orders = pool.left(1, SIGKILL, 1);
    assert_eq!(orders[..5], lost);
    assert_eq!(orders[5..], ["kill 0"]);
    assert_eq!(pool.broken(), Some(why));
    assert_eq!(pool.answer(0), ["discard"], "it came too late");
    assert_eq!(pool.left(0, SIGKILL, 1), ["done"]);
}

#[test]
fn deaths_before_ready_break_a_pool_when_they_come_in_a_row() {
    let mut pool = Script::new(options(1));
    pool.submit("a");
    for _ in 0..2 {
        assert_eq!(pool.left(0, Exit::Code(1), 0), ["launch 0"]);
    }
    pool.on(0, Event::Ready);
    assert_eq!(pool.left(0, Exit::Code(1), 0), ["launch 0"], "that was not before it was ready");
    assert_eq!(pool.left(0, Exit::Code(1), 0), ["launch 0"]);
    assert_eq!(pool.on(0, |seat| Event::LaunchFailed(seat, "no memory".to_owned())), ["launch 0"]);
    let why = "3 worker processes in a row were never ready; \
               the last one exited with code 1";
    assert_eq!(pool.left(0, Exit::Code(1), 0), [format!("lose a: {why}"), "done".to_owned()]);
    assert_eq!(pool.broken(), Some(why));
}

#[test]
fn a_pool_that_has_workers_goes_on_with_them_when_no_more_can_be_launched() {
    let mut two = options(2);
    two.births = NonZeroU32::MIN;
    let mut pool = Script::ready(two);
    pool.left(1, SIGKILL, 0);
    pool.submit("a");
    let failed = |seat| Event::LaunchFailed(seat, "no memory".to_owned());
    assert_eq!(pool.submit("b"), ["send b to 0", "launch 1"]);
    assert_eq!(pool.on(1, failed), NOTHING);
    assert_eq!(pool.submit("c"), NOTHING, "not at once");
    assert_eq!(pool.pass(pool.until_tick().unwrap()), ["launch 1"], "but after a while");
    assert_eq!(pool.on(1, failed), NOTHING);
    assert_eq!(pool.left(0, SIGKILL, 0), ["launch 0", "launch 1"], "there is nobody else now");
    assert_eq!(pool.broken(), None);
}

#[test]
fn where_a_crash_breaks_the_pool_so_does_a_death_before_ready() {
    let mut strict = options(2);
    strict.on_crash = OnCrash::Break;
    let killed = |seat| Event::NotBorn(seat, "it was killed".to_owned());
    for was_said_so in [true, false] {
        let mut pool = Script::new(strict);
        pool.submit("a");
        pool.submit("b");
        pool.on(0, Event::Ready);
        let orders = if was_said_so { pool.on(1, killed) } else { pool.left(1, SIGKILL, 0) };
        assert!(orders[0].starts_with("lose a: a worker process that was not ready"), "{orders:?}");
        assert_eq!(orders.last().unwrap(), "kill 0");
    }
    let mut pool = Script::new(strict);
    pool.submit("a");
    pool.submit("b");
    pool.on(0, Event::Ready);
    let failed = |seat| Event::LaunchFailed(seat, "no memory".to_owned());
    assert_eq!(pool.on(1, failed), ["launch 1"], "there was nobody to be lost");
}

#[test]
fn a_worker_that_falls_over_whatever_it_is_sent_is_not_replaced_for_ever() {
    let mut pool = Script::new(options(1));
    pool.submit("a");
    for _ in 0..15 {
        assert_eq!(pool.on(0, Event::Ready), ["send a to 0"]);
        assert_eq!(pool.left(0, Exit::Unknown, 0), ["launch 0"]);
    }
    pool.on(0, Event::Ready);
    let how = Exit::Unknown;
    let why = format!("16 worker processes in a row began no task; the last one {how}");
    let orders = pool.left(0, Exit::Unknown, 0);
    assert_eq!(orders, [format!("lose a: {why}"), "done".to_owned()]);
}

#[test]
fn an_initializer_that_fails_breaks_the_pool_at_once() {
    let mut pool = Script::new(options(2));
    pool.submit("a");
    pool.submit("b");
    let why = "the initializer of a worker process failed: no licence";
    assert_eq!(
        pool.on(1, |seat| Event::InitializerFailed(seat, "no licence".to_owned())),
        [&format!("lose a: {why}"), &format!("lose b: {why}"), "kill 0", "kill 1"]
    );
    assert_eq!(pool.left(1, Exit::Code(1), 0), NOTHING);
    assert_eq!(pool.left(0, SIGKILL, 0), ["done"]);
}

#[test]
fn a_worker_whose_link_is_torn_is_killed_and_takes_its_task_along() {
    let mut pool = Script::ready(options(1));
    pool.submit_with("a", Rules { retries: Some(9), ..Rules::default() });
    pool.submit("b");
    assert_eq!(pool.on(0, |seat| Event::LinkBroken(seat, "nonsense".to_owned())), ["kill 0"]);
    assert_eq!(pool.left(0, SIGKILL, 1), ["lose a: nonsense", "launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send b to 0"]);
}

#[test]
fn an_answer_to_nothing_tears_the_link() {
    let mut pool = Script::ready(options(1));
    assert_eq!(pool.answer(0), ["kill 0"]);
    assert_eq!(pool.answer(0), NOTHING);
}
