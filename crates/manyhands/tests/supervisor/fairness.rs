//! Stories of tasks that lie behind one that runs long, while others come later.

use std::num::NonZeroU32;
use std::time::Duration;

use manyhands::process::supervisor::{Event, Options, Rules};

use crate::script::{GRACE, NOTHING, SIGKILL, Script, options};

const TINY: Duration = Duration::from_micros(20);
const LONG: Duration = Duration::from_millis(3);
const MILLI: Duration = Duration::from_millis(1);

/// Tasks are tiny, and two go ahead, for there is no room for more.
fn three_in_a_lane(max_workers: u32) -> Options {
    Options { capacity: NonZeroU32::new(3).unwrap(), ..options(max_workers) }
}

/// In lane 1 are the long one, x and y; in lane 0 are a, b and c; d, e, f, g are queued.
fn held_up(rules: Rules) -> Script {
    let mut pool = Script::ready_after(three_in_a_lane(2), TINY);
    assert_eq!(pool.submit_with("long", rules), ["send long to 1"]);
    for (task, lane) in [("a", 0), ("b", 0), ("x", 1), ("c", 0), ("y", 1)] {
        assert_eq!(pool.submit(task), [format!("send {task} to {lane}")]);
    }
    for task in ["d", "e", "f", "g"] {
        assert_eq!(pool.submit(task), NOTHING);
    }
    pool
}

/// The same, and a is done, x is in its place, and y is in front of the queue.
fn freed(rules: Rules) -> Script {
    let mut pool = held_up(rules);
    assert_eq!(pool.pass(2 * MILLI), NOTHING);
    assert_eq!(pool.answer_after(0, TINY), ["settle a", "take 2 back from 1"]);
    assert_eq!(pool.taken_back(1, 2), ["send x to 0"]);
    pool
}

#[test]
fn nothing_lies_ahead_of_a_newborn() {
    let mut pool = Script::new(three_in_a_lane(1));
    for task in ["a", "b", "c", "d"] {
        pool.submit(task);
    }
    assert_eq!(pool.on(0, Event::Ready), ["send a to 0"]);
    assert_eq!(
        pool.answer_after(0, TINY),
        ["settle a", "send b to 0", "send c to 0", "send d to 0"]
    );
    assert_eq!(pool.left(0, SIGKILL, 0), ["launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send b to 0"], "it is not the one before it");
}

#[test]
fn nothing_lies_ahead_while_tasks_are_long() {
    let two_millis = 2 * MILLI;
    let mut pool = Script::ready_after(options(1), two_millis);
    assert_eq!(pool.submit("a"), ["send a to 0"]);
    assert_eq!(pool.submit("b"), ["send b to 0"], "2 ms are not long");
    assert_eq!(pool.answer_after(0, LONG), ["settle a"]);
    for task in ["c", "d", "e", "f", "g", "h"] {
        assert_eq!(pool.submit(task), NOTHING, "b was there before");
    }
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send c to 0"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle c", "send d to 0"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle d", "send e to 0"]);
    let orders = pool.answer_after(0, TINY);
    assert_eq!(orders, ["settle e", "send f to 0", "send g to 0"], "they are short on average");
}

#[test]
fn what_lies_behind_a_long_task_comes_before_what_is_queued() {
    let mut pool = freed(Rules::default());
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send y to 0"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle c", "send d to 0"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle x", "send e to 0"]);
    let stats = pool.supervisor.stats();
    assert_eq!((stats.running, stats.pending), (2, 4), "d, e, f and g");
}

#[test]
fn a_task_holds_nothing_up_that_runs_for_a_milli() {
    let mut pool = held_up(Rules::default());
    pool.pass(MILLI);
    assert_eq!(pool.answer_after(0, TINY), ["settle a", "send d to 0"]);
    pool.pass(MILLI);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "take 2 back from 1"]);
}

#[test]
fn a_task_holds_nothing_up_that_runs_for_little_longer_than_those_before_it() {
    let mut pool = Script::ready(options(2));
    for task in ["long", "a", "b", "x", "c", "d", "e"] {
        pool.submit(task); // long and x to 1, a and b to 0
    }
    pool.pass(8 * MILLI);
    assert_eq!(pool.answer(0), ["settle a", "send c to 0"]);
    pool.pass(MILLI);
    assert_eq!(pool.answer(0), ["settle b", "take 1 back from 1"]);
    assert_eq!(pool.taken_back(1, 1), ["send x to 0"]);
}

#[test]
fn lanes_are_looked_at_once_a_milli() {
    let mut pool = Script::ready_after(three_in_a_lane(3), TINY);
    // Each gets three: two and one run long; what comes after them is queued.
    for task in ["long", "long too", "a", "b", "x", "z", "c", "y", "u", "d", "e", "f", "g"] {
        pool.submit(task); // long, z, u to 2; long too, x, y to 1; a, b, c to 0
    }
    pool.pass(MILLI / 2);
    pool.on(1, |seat| Event::Answered(seat, TINY));
    pool.pass(MILLI);
    let orders = pool.answer_after(0, TINY);
    assert_eq!(orders, ["settle a", "take 2 back from 2"]);
    assert_eq!(pool.taken_back(2, 2), ["send z to 0"]);
    pool.pass(49 * TINY);
    let orders = pool.answer_after(0, TINY);
    assert_eq!(orders, ["settle b", "send u to 0"], "what holds up lane 1 is not seen yet");
    pool.pass(TINY);
    let orders = pool.answer_after(0, TINY);
    assert_eq!(orders, ["settle c", "take 2 back from 1"]);
}

#[test]
fn all_that_is_held_up_is_there_before_anything_is_sent() {
    let mut pool = Script::ready_after(three_in_a_lane(3), TINY);
    for task in ["long", "long too", "a", "b", "x", "z", "c", "y", "u", "d", "e"] {
        pool.submit(task); // long, z, u to 2; long too, x, y to 1; a, b, c to 0
    }
    pool.pass(2 * MILLI);
    let orders = pool.answer_after(0, TINY);
    assert_eq!(orders, ["settle a", "take 2 back from 1", "take 2 back from 2"]);
    assert_eq!(pool.taken_back(1, 0), NOTHING, "its answers are on their way");
    assert_eq!(pool.submit("f"), NOTHING);
    assert_eq!(pool.taken_back(2, 2), ["send z to 0"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send u to 0"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle c", "send d to 0"]);
}

#[test]
fn what_is_held_up_by_one_long_task_does_not_come_to_lie_behind_another() {
    let mut pool = Script::ready_after(three_in_a_lane(3), TINY);
    for task in ["long", "long too", "a", "x", "y", "b", "c"] {
        pool.submit(task); // long, b to 2; long too, y to 1; a, x, c to 0
    }
    let cancelled = pool.cancel("b");
    assert_eq!(cancelled, ["lose b: cancelled", "take 1 back from 2"]);
    pool.taken_back(2, 1);
    pool.pass(2 * MILLI);
    assert_eq!(pool.answer_after(0, TINY), ["settle a", "take 1 back from 1"]);
    assert_eq!(pool.taken_back(1, 1), ["send y to 0"], "not to 2, though that has less to do");
}

#[test]
fn a_worker_that_was_held_up_gets_nothing_ahead_before_it_answers() {
    let mut pool = freed(Rules::default());
    for (done, next) in [("b", "y"), ("c", "d"), ("x", "e"), ("y", "f"), ("d", "g")] {
        let orders = pool.answer_after(0, TINY);
        assert_eq!(orders, [format!("settle {done}"), format!("send {next} to 0")]);
    }
    for task in ["h", "i", "j", "k"] {
        assert_eq!(pool.submit(task), NOTHING);
    }
    assert_eq!(pool.answer_after(1, LONG), ["settle long", "send h to 1"]);
    for (done, next) in [("h", "i"), ("i", "j"), ("j", "k")] {
        let orders = pool.answer_after(1, TINY);
        assert_eq!(orders, [format!("settle {done}"), format!("send {next} to 1")]);
    }
    assert_eq!(pool.answer_after(1, TINY), ["settle k", "take 1 back from 0"]);
    assert_eq!(pool.taken_back(0, 1), ["send g to 1"]);
    assert_eq!(pool.submit("l"), ["send l to 1"], "they are short on average, and one goes ahead");
}

#[test]
fn a_worker_that_was_only_delayed_goes_on_as_before() {
    let mut pool = freed(Rules::default());
    let orders = pool.answer_after(1, TINY);
    assert_eq!(orders, ["settle long", "send y to 1", "send d to 1", "send e to 1"]);
}

#[test]
fn what_has_been_begun_behind_a_task_is_not_held_up() {
    let mut pool = held_up(Rules::default());
    pool.pass(2 * MILLI);
    assert_eq!(pool.answer_after(0, TINY), ["settle a", "take 2 back from 1"]);
    let orders = pool.taken_back(1, 1);
    assert_eq!(orders, ["send y to 0"], "it has begun x, so the answer is on its way");
    pool.pass(2 * MILLI);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send d to 0"], "not asked again");
    assert_eq!(pool.answer_after(1, TINY), ["settle long", "send e to 1", "send f to 1"]);
}

#[test]
fn a_lane_from_the_time_when_tasks_were_tiny_is_not_worked_off_when_they_have_become_long() {
    let mut pool = held_up(Rules::default());
    assert_eq!(pool.answer_after(1, Duration::from_secs(1)), ["settle long"]);
    pool.pass(Duration::from_millis(17));
    let orders = pool.answer_after(0, TINY);
    assert_eq!(orders, ["settle a", "take 1 back from 1"], "x runs, y waits");
    assert_eq!(pool.taken_back(1, 1), ["send y to 0"]);
}

#[test]
fn what_lies_behind_a_long_task_does_not_wait_when_later_ones_need_no_queue() {
    let mut pool = Script::ready_after(three_in_a_lane(2), TINY);
    for task in ["long", "a", "b", "x", "c", "y"] {
        pool.submit(task); // long, x and y to 1, a, b and c to 0
    }
    pool.pass(2 * MILLI);
    // Somebody submits one for each that is done.
    assert_eq!(pool.answer_after(0, TINY), ["settle a", "take 2 back from 1"]);
    assert_eq!(pool.taken_back(1, 2), ["send x to 0"]);
    assert_eq!(pool.submit("d"), NOTHING);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send y to 0"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle c", "send d to 0"]);
}

#[test]
fn a_worker_that_comes_to_help_begins_with_what_was_submitted_first() {
    let mut pool = Script::new(three_in_a_lane(2));
    pool.submit("first");
    pool.on(0, Event::Ready);
    pool.answer_after(0, TINY);
    for task in ["long", "x", "y", "a", "b"] {
        pool.submit(task); // long, x and y to 0, a and b are queued
    }
    pool.pass(2 * MILLI);
    assert_eq!(pool.on(1, Event::Ready), ["take 2 back from 0"]);
    assert_eq!(pool.taken_back(0, 2), ["send x to 1"]);
    let orders = pool.answer_after(1, TINY);
    assert_eq!(orders, ["settle x", "send y to 1", "send a to 1", "send b to 1"]);
}

#[test]
fn a_worker_without_work_takes_all_that_is_held_up_from_its_oldest_on() {
    let mut pool = Script::ready_after(three_in_a_lane(2), TINY);
    for task in ["long", "a", "b", "x", "c", "y"] {
        pool.submit(task); // long, x and y to 1, a, b and c to 0
    }
    pool.answer_after(0, TINY);
    pool.answer_after(0, TINY);
    pool.pass(2 * MILLI);
    assert_eq!(pool.answer_after(0, TINY), ["settle c", "take 2 back from 1"]);
    assert_eq!(pool.taken_back(1, 2), ["send x to 0", "send y to 0"]);
}

#[test]
fn a_held_up_worker_whose_task_times_out_is_asked_to_stop() {
    let timeout = Some(Duration::from_millis(5));
    let mut pool = freed(Rules { timeout, ..Rules::default() });
    assert_eq!(pool.until_tick(), Some(LONG));
    assert_eq!(pool.pass(LONG), ["lose long: timed out after 5ms", "take 1 back from 1"]);
    assert_eq!(pool.taken_back(1, 0), ["ask 1 to stop"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send y to 0"]);
    assert_eq!(pool.answer_after(1, 5 * MILLI), ["discard", "send d to 1"]);
}

#[test]
fn a_task_that_times_out_when_it_holds_others_up_ends_once() {
    let timeout = Some(2 * MILLI);
    let mut pool = held_up(Rules { timeout, ..Rules::default() });
    assert_eq!(pool.pass(2 * MILLI), ["lose long: timed out after 2ms", "take 3 back from 1"]);
    assert_eq!(pool.taken_back(1, 2), ["ask 1 to stop"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle a", "send x to 0"], "nothing is held up now");
    assert_eq!(pool.answer_after(1, LONG), ["discard", "send y to 1"]);
}

#[test]
fn what_was_held_up_is_cancelled_like_anything_that_is_queued() {
    let mut pool = freed(Rules::default());
    assert_eq!(pool.cancel("y"), ["lose y: cancelled"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send d to 0"]);
    assert_eq!(pool.cancel("long"), ["lose long: cancelled", "take 1 back from 1"]);
    assert_eq!(pool.taken_back(1, 0), ["ask 1 to stop"]);
    assert_eq!(pool.pass(GRACE), ["terminate 1"]);
}

#[test]
fn a_held_up_worker_that_dies_takes_only_the_long_task_along() {
    let mut pool = freed(Rules::default());
    let orders = pool.left(1, SIGKILL, 1);
    assert!(orders[0].starts_with("lose long: 1 was killed by SIGKILL"), "{orders:?}");
    assert_eq!(orders[1..], ["launch 1"]);
    assert_eq!(pool.on(1, Event::Ready), ["send y to 1"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send d to 0"]);
}

#[test]
fn a_long_task_that_is_run_again_comes_before_what_lay_behind_it() {
    let mut pool = freed(Rules { retries: Some(1), ..Rules::default() });
    assert_eq!(pool.left(1, SIGKILL, 1), ["launch 1"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "send long to 0"]);
    assert_eq!(pool.on(1, Event::Ready), ["send y to 1"]);
}

#[test]
fn closing_cancels_what_was_held_up_if_asked_to() {
    let mut pool = freed(Rules::default());
    let cancelled = |tasks: &[&str]| -> Vec<_> {
        tasks.iter().map(|task| format!("lose {task}: cancelled")).collect()
    };
    let orders = pool.feed(Event::Close { cancel: true });
    assert_eq!(orders[..5], cancelled(&["y", "d", "e", "f", "g"]));
    assert_eq!(orders[5..], ["take 3 back from 0", "take 1 back from 1"]);
    assert_eq!(pool.taken_back(0, 2), cancelled(&["c", "x"]));
    assert_eq!(pool.taken_back(1, 0), NOTHING);
    assert_eq!(pool.answer_after(1, LONG), ["settle long"]);
    assert_eq!(pool.answer_after(0, TINY), ["settle b", "retire 0", "retire 1"]);
}
