//! Stories of pools that end.

use std::time::Duration;

use manyhands::Exit;
use manyhands::process::supervisor::{Event, Rules};

use crate::script::{GRACE, LEFT, NOTHING, SIGKILL, Script, options};

#[test]
fn a_pool_that_is_closed_finishes_what_there_is() {
    let mut pool = Script::ready(options(2));
    for task in ["a", "b", "c"] {
        pool.submit(task); // a to 1, b and c to 0
    }
    assert_eq!(pool.close(), NOTHING);
    let mut orders = Vec::new();
    let refused =
        pool.supervisor.submit("d", Rules::default(), std::time::Instant::now(), &mut orders);
    assert_eq!(refused, Err("d"));
    assert_eq!(pool.answer(0), ["settle b"]);
    assert_eq!(pool.answer(0), ["settle c"]);
    assert_eq!(pool.answer(1), ["settle a", "retire 0", "retire 1"]);
    assert_eq!(pool.pass(100 * GRACE), NOTHING, "a worker may take its time to leave");
    assert_eq!(pool.left(1, LEFT, 0), NOTHING);
    assert_eq!(pool.left(0, LEFT, 0), ["done"]);
    assert_eq!(pool.close(), NOTHING);
}

#[test]
fn a_pool_without_workers_is_done_when_it_is_closed() {
    let mut pool = Script::new(options(2));
    assert_eq!(pool.close(), ["done"]);
    assert_eq!(pool.close(), NOTHING);
}

#[test]
fn closing_cancels_what_nobody_has_begun_if_asked_to() {
    let mut pool = Script::ready(options(1));
    for task in ["a", "b", "c", "d"] {
        pool.submit(task);
    }
    let orders = pool.feed(Event::Close { cancel: true });
    assert_eq!(orders, ["lose c: cancelled", "lose d: cancelled", "take 2 back from 0"]);
    assert_eq!(pool.taken_back(0, 1), ["lose b: cancelled"]);
    assert_eq!(pool.answer(0), ["settle a", "retire 0"]);
    assert_eq!(pool.left(0, LEFT, 0), ["done"]);
}

#[test]
fn closing_leaves_each_worker_its_first_task_where_that_is_spared() {
    let mut spares = options(2);
    spares.spares_first = true;
    let mut pool = Script::new(spares);
    for task in ["a", "b", "c"] {
        pool.submit(task);
    }
    let orders = pool.feed(Event::Close { cancel: true });
    assert_eq!(orders, ["lose c: cancelled"], "both are still starting");
    assert_eq!(pool.on(0, Event::Ready), ["send a to 0"]);
    assert_eq!(pool.on(1, Event::Ready), ["send b to 1"]);
    assert_eq!(pool.answer(0), ["settle a"]);
    assert_eq!(pool.answer(1), ["settle b", "retire 0", "retire 1"]);

    spares.max_workers = std::num::NonZeroU32::MIN;
    let mut pool = Script::ready(spares);
    for task in ["a", "b", "c"] {
        pool.submit(task);
    }
    let orders = pool.feed(Event::Close { cancel: true });
    assert_eq!(orders, ["lose c: cancelled", "take 1 back from 0"]);
    assert_eq!(pool.taken_back(0, 1), ["lose b: cancelled"]);
    assert_eq!(pool.answer(0), ["settle a", "retire 0"]);
}

#[test]
fn workers_are_launched_with_nothing_to_do_if_asked_for() {
    let mut pool = Script::new(options(3));
    assert_eq!(pool.feed(Event::Fill(1)), ["launch 0"]);
    assert_eq!(pool.feed(Event::Fill(u32::MAX)), ["launch 1", "launch 2"]);
    assert_eq!(pool.feed(Event::Fill(1)), NOTHING);
    pool.close();
    assert_eq!(pool.feed(Event::Fill(1)), NOTHING);
}

#[test]
fn closing_cancels_what_lies_behind_a_torn_link_once_that_is_known() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    pool.submit("b");
    pool.on(0, |seat| Event::LinkBroken(seat, "nonsense".to_owned()));
    assert_eq!(pool.feed(Event::Close { cancel: true }), NOTHING);
    let orders = pool.left(0, SIGKILL, 1);
    assert_eq!(orders, ["lose b: cancelled", "lose a: nonsense", "done"]);
}

#[test]
fn a_worker_that_dies_in_a_closed_pool_is_replaced_for_what_is_left() {
    let mut pool = Script::ready(options(1));
    pool.submit("a");
    pool.submit("b");
    pool.close();
    let lost =
        "lose a: 0 was killed by SIGKILL (out of memory, if nobody sent it) in run 1 after 0ns";
    assert_eq!(pool.left(0, SIGKILL, 1), [lost, "launch 0"]);
    assert_eq!(pool.on(0, Event::Ready), ["send b to 0"]);
    assert_eq!(pool.answer(0), ["settle b", "retire 0"]);
}

#[test]
fn a_worker_that_starts_is_let_go_when_there_is_nothing_for_it() {
    let mut pool = Script::new(options(1));
    pool.submit("a");
    assert_eq!(pool.feed(Event::Close { cancel: true }), ["lose a: cancelled", "retire 0"]);
    assert_eq!(pool.on(0, Event::Ready), NOTHING);
    assert_eq!(pool.left(0, LEFT, 0), ["done"]);
}

#[test]
fn a_worker_that_was_let_go_while_it_started_is_no_failed_start() {
    let mut one = options(1);
    one.births = std::num::NonZeroU32::MIN;
    let mut pool = Script::new(one);
    pool.submit("a");
    pool.feed(Event::Close { cancel: true });
    assert_eq!(pool.left(0, Exit::Code(1), 0), ["done"]);
    assert_eq!(pool.broken(), None);
}

#[test]
fn a_task_that_is_stopped_does_not_keep_the_others_from_leaving() {
    let mut pool = Script::ready(options(2));
    pool.submit("a"); // to 1
    pool.cancel("a");
    assert_eq!(pool.taken_back(1, 0), ["ask 1 to stop"]);
    assert_eq!(pool.close(), ["retire 0"]);
    assert_eq!(pool.left(0, LEFT, 0), NOTHING);
    assert_eq!(pool.pass(GRACE), ["terminate 1"]);
    assert_eq!(pool.left(1, Exit::Signal(15), 1), ["done"]);
}

#[test]
fn terminating_and_killing_end_every_task_at_once() {
    for (event, signal, did) in
        [(Event::Terminate, "terminate", "terminated"), (Event::Kill, "kill", "killed")]
    {
        let mut pool = Script::ready(options(2));
        for task in ["a", "b", "c", "d", "e"] {
            pool.submit(task); // a and d in lane 1, b and c in lane 0
        }
        let why = format!("the program has {did} the worker processes");
        let orders = pool.feed(event);
        assert_eq!(
            orders[..5],
            ["b", "c", "a", "d", "e"].map(|task| format!("lose {task}: {why}"))
        );
        assert_eq!(orders[5..], [format!("{signal} 0"), format!("{signal} 1")]);
        assert_eq!(pool.broken(), None);
        assert_eq!(pool.answer(0), ["discard"], "it came too late");
        // Those that do not obey the first signal are sent the one that nobody can refuse.
        let kills = ["kill 0", "kill 1"].map(str::to_owned).to_vec();
        assert_eq!(pool.pass(100 * GRACE), if signal == "kill" { vec![] } else { kills });
        assert_eq!(pool.left(0, SIGKILL, 1), NOTHING);
        assert_eq!(pool.left(1, SIGKILL, 1), ["done"]);
    }
}

#[test]
fn killing_comes_after_terminating() {
    let mut pool = Script::ready(options(1));
    assert_eq!(pool.feed(Event::Terminate), ["terminate 0"]);
    assert_eq!(pool.feed(Event::Kill), ["kill 0"]);
    assert_eq!(pool.feed(Event::Kill), NOTHING);
    assert_eq!(pool.left(0, SIGKILL, 0), ["done"]);
}

#[test]
fn a_worker_that_was_to_be_killed_still_is_after_terminating() {
    let mut pool = Script::ready(options(1));
    pool.submit("endless");
    pool.cancel("endless");
    pool.taken_back(0, 0);
    assert_eq!(pool.pass(GRACE / 2), NOTHING);
    assert_eq!(pool.feed(Event::Terminate), ["terminate 0"]);
    assert_eq!(pool.pass(GRACE), ["kill 0"]);
}

#[test]
fn events_of_those_who_have_left_are_nothing() {
    let mut pool = Script::ready(options(1));
    pool.left(0, SIGKILL, 0);
    let late: [fn(_) -> Event; 4] = [
        Event::Ready,
        |seat| Event::Answered(seat, Duration::ZERO),
        |seat| Event::TakenBack(seat, 1),
        |seat| Event::LinkBroken(seat, "late".to_owned()),
    ];
    for event in late {
        assert_eq!(pool.on(0, event), NOTHING);
    }
}
