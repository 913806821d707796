//! The wait-for graph against a simulation: whoever would wait for ever is found, nobody else is, and what
//! is described is a cycle.

#![cfg(not(loom))]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::watched;
use manyhands::nested::graph::{How, NOBODY, TaskId, Wait, WaitGraph, WaitId, Waits};
use manyhands::{Deadlock, WaitingTask};
use proptest::prelude::*;

/// The tasks of a world, and nobody before them; those on nobody's stack are running or pending.
const TASKS: TaskId = 12;

/// The futures that are made from tasks, numbered after these.
const FUTURES: TaskId = 4;

/// A thread that waits.
#[derive(Clone, Debug)]
struct Thread {
    /// What it is at, the innermost last.
    stack: Vec<TaskId>,
    on: Vec<TaskId>,
    how: How,
    /// Of those futures among what it waits for that are made from others, what from. Nobody knows when one
    /// ends that is made from nothing, or is not here.
    made_from: BTreeMap<TaskId, Vec<TaskId>>,
    /// Whether it has been woken, and has not come yet to say so.
    over: bool,
}

/// Threads with the tasks among them, no task on two.
fn worlds() -> impl Strategy<Value = Vec<Thread>> {
    let tasks = Just((NOBODY + 1..TASKS).collect::<Vec<_>>()).prop_shuffle();
    let depths = prop::collection::vec(1..=3_usize, 1..6);
    (tasks, depths).prop_flat_map(|(tasks, depths)| {
        let mut left = tasks.into_iter();
        let stacks = depths.into_iter().map(move |depth| left.by_ref().take(depth).collect());
        let stacks: Vec<Vec<_>> = stacks.filter(|stack: &Vec<_>| !stack.is_empty()).collect();
        stacks.into_iter().map(threads).collect::<Vec<_>>()
    })
}

fn threads(stack: Vec<TaskId>) -> impl Strategy<Value = Thread> {
    let on = prop::collection::vec(0..TASKS + FUTURES, 0..4);
    let how = prop_oneof![Just(How::All), Just(How::Any)];
    let sources = prop::collection::vec(0..TASKS, 0..4);
    let made_from = prop::collection::btree_map(TASKS..TASKS + FUTURES, sources, 0..4);
    (on, how, made_from, prop::bool::weighted(0.1)).prop_map(move |(on, how, made_from, over)| {
        Thread { stack: stack.clone(), on, how, made_from, over }
    })
}

/// Those that nothing wakes, even if every task ends that can. A thread that is woken ends its tasks.
fn never_woken(threads: &BTreeMap<usize, Thread>) -> BTreeSet<usize> {
    let mut asleep = threads.clone();
    let mut ended: BTreeSet<TaskId> = (0..TASKS).collect();
    for task in threads.values().flat_map(|thread| &thread.stack) {
        ended.remove(task);
    }
    loop {
        let woken = |thread: &Thread| {
            let may_end = |awaited: &&TaskId| match thread.made_from.get(awaited) {
                Some(sources) => {
                    sources.is_empty() || sources.iter().any(|task| ended.contains(task))
                }
                None => **awaited >= TASKS || ended.contains(awaited),
            };
            let count = thread.on.iter().filter(may_end).count();
            thread.over
                || match thread.how {
                    How::All => count == thread.on.len(),
                    How::Any => count > 0 || thread.on.is_empty(),
                }
        };
        let Some((&number, _)) = asleep.iter().find(|(_, thread)| woken(thread)) else {
            return asleep.into_keys().collect();
        };
        ended.extend(asleep.remove(&number).into_iter().flat_map(|thread| thread.stack));
    }
}

#[derive(Debug)]
struct Waiter(AtomicBool);

impl Waits for Waiter {
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn give_up(&self, _deadlock: &Deadlock) {}
}

/// The graph of some threads, and the threads themselves.
struct World {
    graph: WaitGraph<Waiter>,
    threads: BTreeMap<usize, Thread>,
    ids: BTreeMap<usize, WaitId>,
}

impl World {
    fn new() -> Self {
        Self { graph: WaitGraph::new(), threads: BTreeMap::new(), ids: BTreeMap::new() }
    }

    fn add(&mut self, number: usize, thread: &Thread) {
        let named = |task: &TaskId| (*task, WaitingTask { name: task.to_string(), place: None });
        let id = self.graph.add(Wait {
            tasks: thread.stack.iter().map(named).collect(),
            on: thread.on.clone(),
            how: thread.how,
            made_from: thread.made_from.clone(),
            waiter: Arc::new(Waiter(AtomicBool::new(thread.over))),
        });
        self.threads.insert(number, thread.clone());
        self.ids.insert(number, id);
    }

    fn remove(&mut self, number: usize) {
        self.threads.remove(&number);
        self.graph.remove(self.ids.remove(&number).unwrap());
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let never_woken = never_woken(&self.threads);
        for (number, id) in &self.ids {
            let cycle = self.graph.cycle(*id);
            prop_assert_eq!(cycle.is_some(), never_woken.contains(number), "thread {}", number);
            if let Some(cycle) = cycle {
                self.check_cycle(&cycle, &never_woken)?;
            }
        }
        Ok(())
    }

    fn check_cycle(
        &self,
        cycle: &[WaitId],
        never_woken: &BTreeSet<usize>,
    ) -> Result<(), TestCaseError> {
        let number = |id| *self.ids.iter().find(|(_, other)| **other == id).unwrap().0;
        let numbers: Vec<_> = cycle.iter().map(|id| number(*id)).collect();
        let distinct: BTreeSet<_> = numbers.iter().copied().collect();
        prop_assert_eq!(distinct.len(), numbers.len(), "each once: {:?}", numbers);
        prop_assert!(distinct.is_subset(never_woken), "{:?}", numbers);
        prop_assert_eq!(self.graph.waiters(cycle).count(), numbers.len());

        let described = self.graph.describe(cycle);
        let tasks: Vec<TaskId> = described.iter().map(|task| task.name.parse().unwrap()).collect();
        prop_assert!(!tasks.is_empty());
        for (task, next) in tasks.iter().zip(tasks.iter().cycle().skip(1)) {
            prop_assert!(self.waits_for(*task, *next), "{} for {} in {:?}", task, next, tasks);
        }
        let told_of = |thread: &&Thread| thread.stack.iter().any(|task| tasks.contains(task));
        prop_assert_eq!(self.threads.values().filter(told_of).count(), numbers.len());
        Ok(())
    }

    /// Whether a task goes on only after the other.
    fn waits_for(&self, task: TaskId, other: TaskId) -> bool {
        self.threads.values().any(|thread| {
            let in_place = thread.stack.windows(2).any(|pair| pair == [task, other]);
            let made_from = |awaited| thread.made_from.get(awaited).into_iter().flatten();
            let mut awaited = thread.on.iter().chain(thread.on.iter().flat_map(made_from));
            in_place || (thread.stack.last() == Some(&task) && awaited.any(|task| *task == other))
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn who_would_wait_for_ever_is_found_and_nobody_else(threads in worlds()) {
        let _watched = watched();
        let mut world = World::new();
        for (number, thread) in threads.iter().enumerate() {
            world.add(number, thread);
            world.check()?;
        }
    }

    #[test]
    fn a_wait_that_is_over_leaves_nothing_behind(
        threads in worlds(), comings in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let _watched = watched();
        let mut world = World::new();
        for coming in comings {
            let number = coming.index(threads.len());
            if world.ids.contains_key(&number) {
                world.remove(number);
            } else {
                world.add(number, &threads[number]);
            }
            world.check()?;
        }
    }
}
