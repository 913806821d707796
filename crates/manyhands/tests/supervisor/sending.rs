//! Stories of tasks on their way to workers: who is launched, what goes ahead and what is taken back.

use std::num::NonZeroU32;
use std::time::Duration;

use manyhands::process::supervisor::{Event, Rules};

use crate::script::{LEFT, NOTHING, Script, options};

#[test]
fn workers_are_launched_on_demand_and_get_nothing_before_they_are_ready() {
    let mut pool = Script::new(options(2));
    assert_eq!(pool.submit("a"), ["launch 0"]);
    assert_eq!(pool.submit("b"), ["launch 1"]);
    assert_eq!(pool.submit("c"), NOTHING, "there are as many as there may be");
    assert_eq!(pool.on(0, Event::Ready), ["send a to 0"]);
    assert_eq!(pool.on(1, Event::Ready), ["send b to 1"]);
    assert_eq!(pool.answer(0), ["settle a", "send c to 0"]);
    assert_eq!(pool.answer(0), ["settle c"]);
    assert_eq!(pool.submit("d"), ["send d to 0"], "one that is idle gets it");
    let stats = pool.supervisor.stats();
    assert_eq!((stats.workers, stats.idle, stats.running, stats.pending), (2, 0, 2, 0));
    assert_eq!(stats.completed, 2);
}

#[test]
fn an_idle_worker_is_enough() {
    let mut pool = Script::new(options(4));
    assert_eq!(pool.submit("a"), ["launch 0"]);
    pool.on(0, Event::Ready);
    assert_eq!(pool.answer(0), ["settle a"]);
    assert_eq!(pool.submit("b"), ["send b to 0"]);
    assert_eq!(pool.submit("c"), ["send c to 0", "launch 1"], "c waits behind b");
}

#[test]
fn a_launch_is_not_waited_for_when_a_lane_has_room() {
    let mut pool = Script::new(options(2));
    pool.submit("first");
    pool.on(0, Event::Ready);
    pool.answer(0);
    pool.submit("a");
    assert_eq!(pool.submit("b"), ["send b to 0", "launch 1"]);
    assert_eq!(pool.on(1, Event::Ready), ["take 1 back from 0"], "b is behind a");
    assert_eq!(pool.taken_back(0, 1), ["send b to 1"]);
    assert_eq!(pool.answer(1), ["settle b"], "and nothing is ahead of anybody now");
}

#[test]
fn what_lies_ahead_of_a_laggard_goes_to_the_worker_that_is_idle() {
    let mut pool = Script::ready(options(2));
    for (task, order) in [("a", "send a to 1"), ("b", "send b to 0"), ("c", "send c to 0")] {
        assert_eq!(pool.submit(task), [order]);
    }
    assert_eq!(pool.submit("d"), ["send d to 1"], "the least loaded lane");
    assert_eq!(pool.submit("e"), NOTHING, "two for each, as long as tasks are long");
    assert_eq!(pool.answer(0), ["settle b", "send e to 0"]);
    assert_eq!(pool.answer(0), ["settle c"]);
    assert_eq!(pool.answer(0), ["settle e", "take 1 back from 1"]);
    assert_eq!(pool.taken_back(1, 1), ["send d to 0"]);
}

#[test]
fn what_has_been_begun_is_not_asked_for_twice() {
    let mut pool = Script::ready(options(2));
    for task in ["a", "b", "c"] {
        pool.submit(task); // a to 1, b and c to 0
    }
    assert_eq!(pool.answer(1), ["settle a", "take 1 back from 0"]);
    assert_eq!(pool.taken_back(0, 0), NOTHING, "the answer of b is on its way");
    assert_eq!(pool.submit("d"), ["send d to 1"]);
    assert_eq!(pool.answer(1), ["settle d"], "c is known to be begun");
}

#[test]
fn tiny_tasks_go_ahead_in_numbers_and_long_ones_do_not() {
    let mut pool = Script::new(options(1));
    let sent = |orders: Vec<String>| orders.iter().filter(|o| o.starts_with("send")).count();
    for _ in 0..100 {
        pool.submit("a task");
    }
    assert_eq!(sent(pool.on(0, Event::Ready)), 1, "none ahead, as nothing is known yet");
    let tiny = Duration::from_micros(20);
    assert_eq!(sent(pool.answer_after(0, tiny)), 11, "200 us of them ahead now");
    assert_eq!(sent(pool.answer_after(0, tiny)), 1);
    for in_lane in (1..11).rev() {
        assert_eq!(sent(pool.answer_after(0, Duration::from_secs(1))), 0, "{in_lane} in the lane");
    }
    for _ in 0..3 {
        assert_eq!(sent(pool.answer_after(0, tiny)), 1, "until they have been short for long");
    }
}

#[test]
fn a_lane_of_one_frame_gets_one() {
    let mut one = options(1);
    one.capacity = NonZeroU32::MIN;
    let mut pool = Script::ready(one);
    assert_eq!(pool.submit("a"), ["send a to 0"]);
    assert_eq!(pool.submit("b"), NOTHING);
    assert_eq!(pool.answer_after(0, Duration::from_nanos(1)), ["settle a", "send b to 0"]);
}

#[test]
fn a_lane_without_room_gets_no_more_before_its_next_answer() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    assert_eq!(pool.submit("wide"), ["send wide to 0"]);
    assert_eq!(pool.no_room(0, "wide"), NOTHING);
    assert_eq!(pool.submit("c"), NOTHING, "it comes after the wide one");
    assert_eq!(pool.answer(0), ["settle a", "send wide to 0", "send c to 0"]);
}

#[test]
fn a_task_that_turns_out_to_be_cancelled_makes_room_for_the_next() {
    let mut pool = Script::ready(options(1));
    let timeout = Some(Duration::from_secs(3));
    assert_eq!(pool.submit("gone"), ["send gone to 0"]);
    assert_eq!(pool.submit_with("b", Rules { timeout, ..Rules::default() }), ["send b to 0"]);
    assert_eq!(pool.submit("c"), NOTHING);
    assert_eq!(pool.withdrawn(0, "gone"), ["lose gone: cancelled", "send c to 0"]);
    assert_eq!(pool.until_tick(), timeout, "b is the oldest now");
}

#[test]
fn a_task_that_fits_into_no_lane_is_lost() {
    let mut pool = Script::ready(options(1));
    assert_eq!(pool.submit("huge"), ["send huge to 0"]);
    let reason = "the task does not fit into the link to a worker, even an empty one";
    assert_eq!(pool.no_room(0, "huge"), [format!("lose huge: {reason}")]);
    assert_eq!(pool.submit("a"), ["send a to 0"]);
}

#[test]
fn a_worker_is_replaced_after_its_last_task() {
    let mut once = options(1);
    once.max_tasks_per_child = Some(NonZeroU32::MIN);
    let mut pool = Script::new(once);
    assert_eq!(pool.submit("a"), ["launch 0"]);
    assert_eq!(pool.submit("b"), NOTHING);
    assert_eq!(pool.on(0, Event::Ready), ["send a to 0"]);
    assert_eq!(pool.answer(0), ["settle a", "retire 0"]);
    assert_eq!(pool.left(0, LEFT, 0), ["launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send b to 0"]);
    assert_eq!(pool.answer(0), ["settle b", "retire 0"]);
    assert_eq!(pool.left(0, LEFT, 0), NOTHING, "replaced on demand");
    let stats = pool.supervisor.stats();
    assert_eq!((stats.restarted, stats.crashed), (1, 0));
}

#[test]
fn what_was_taken_back_does_not_count_for_a_workers_last_task() {
    let mut thrice = options(2);
    thrice.max_tasks_per_child = NonZeroU32::new(3);
    let mut pool = Script::ready(thrice); // one task each
    for task in ["a", "b", "c"] {
        pool.submit(task); // a to 1, b and c to 0
    }
    assert_eq!(pool.answer(1), ["settle a", "take 1 back from 0"]);
    assert_eq!(pool.taken_back(0, 1), ["send c to 1"]);
    assert_eq!(pool.answer(0), ["settle b"], "there is one more for it");
    assert_eq!(pool.answer(1), ["settle c", "retire 1"]);
}

#[test]
fn more_tasks_are_wanted_until_all_workers_have_enough_before_them() {
    let mut pool = Script::ready(options(2));
    let mut known = 0;
    while pool.supervisor.wants_more() {
        pool.submit("one of many");
        known += 1;
        assert!(known <= 1_000, "there is no end to it");
    }
    assert!(known > 2, "some are to lie ahead");
    pool.answer(0);
    assert!(pool.supervisor.wants_more(), "one has made room");
    pool.submit("one more");
    assert!(!pool.supervisor.wants_more());
    pool.close();
    assert!(pool.supervisor.wants_more(), "to be told that they came too late");
}
