//! Random tasks that await each other by `block_on` and otherwise: all end, and none of those in which there is
//! no cycle is told of one.

#![cfg(not(loom))]

mod common;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;

use common::watched;
use manyhands::{Executor, Future, FutureError, ThreadPoolExecutor, block_on};
use proptest::prelude::*;

/// How a task waits for several others.
#[derive(Clone, Copy, Debug)]
enum All {
    Result,
    Await,
    Join,
    Select,
}

/// A task of a world, which awaits others by their numbers.
#[derive(Clone, Debug)]
struct Awaits {
    others: Vec<usize>,
    how: All,
}

fn worlds() -> impl Strategy<Value = Vec<Awaits>> {
    let ways = vec![All::Result, All::Await, All::Join, All::Select];
    let others = prop::collection::vec(0..8_usize, 0..3);
    let awaits =
        (others, prop::sample::select(ways)).prop_map(|(others, how)| Awaits { others, how });
    prop::collection::vec(awaits, 1..8)
}

/// Whether one of them was found to be in a deadlock.
fn await_all(others: Vec<Future<bool>>, how: All) -> bool {
    let is_told =
        |outcome: &Result<bool, FutureError>| matches!(outcome, Err(FutureError::Deadlock(_)));
    match how {
        All::Result => others.iter().filter(|other| is_told(&other.result(None))).count() > 0,
        All::Await => block_on(async {
            let mut told = false;
            for other in others {
                told |= is_told(&other.await);
            }
            told
        }),
        All::Join | All::Select => {
            let mut others: Vec<_> = others.into_iter().map(Some).collect();
            let mut told = false;
            block_on(poll_fn(|context| {
                let before = others.iter().flatten().count();
                for slot in &mut others {
                    let Some(other) = slot else { continue };
                    if let Poll::Ready(outcome) = Pin::new(other).poll(context) {
                        told |= is_told(&outcome);
                        *slot = None;
                    }
                }
                let left = others.iter().flatten().count();
                let selected = matches!(how, All::Select) && left < before;
                if left == 0 || selected { Poll::Ready(told) } else { Poll::Pending }
            }))
        }
    }
}

/// Runs a world, in which each waits for those that `others` says; whether each was told of a deadlock.
fn run(
    world: &[Awaits],
    workers: usize,
    others: impl Fn(usize, usize) -> Option<usize>,
) -> Vec<bool> {
    let pool = ThreadPoolExecutor::new(workers).unwrap();
    let tasks: Vec<_> = world
        .iter()
        .map(|Awaits { how, .. }| {
            let (tell, told) = mpsc::channel();
            let (say, said) = mpsc::channel();
            let how = *how;
            let task = move || {
                say.send(await_all(told.recv().unwrap(), how)).unwrap();
                true
            };
            (pool.spawn(task).unwrap(), tell, said)
        })
        .collect();
    for (number, (_, tell, _)) in tasks.iter().enumerate() {
        let awaited = world[number].others.iter().filter_map(|other| others(number, *other));
        tell.send(awaited.map(|other| tasks[other].0.clone()).collect()).unwrap();
    }
    tasks.into_iter().map(|(_, _, said)| said.recv().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn tasks_that_await_each_other_in_any_way_all_end(world in worlds(), workers in 1..4_usize) {
        let _watched = watched();
        run(&world, workers, |_, other| Some(other % world.len()));
    }

    #[test]
    fn tasks_that_await_earlier_ones_are_told_of_no_deadlock(
        world in worlds(), workers in 1..4_usize,
    ) {
        let _watched = watched();
        let told = run(&world, workers, |number, other| other.checked_rem(number));
        prop_assert!(!told.contains(&true), "{told:?}");
    }
}
