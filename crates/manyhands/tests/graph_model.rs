//! Graphs at random: each task runs once, after what it needs; a failure spares all but those that
//! depend on it; what is invalid is run again and nothing else.

#![cfg(not(loom))]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use common::watched;
use manyhands::{Executor, Graph, GraphError, InlineExecutor, Node, NodeState, ThreadPoolExecutor};
use proptest::prelude::*;

/// What each task depends on, all of it before itself.
type Shape = Vec<Vec<usize>>;

fn shapes() -> impl Strategy<Value = Shape> {
    (1..40_usize).prop_flat_map(|nodes| {
        let deps = (0..nodes).map(|node| prop::collection::vec(0..node.max(1), 0..=node.min(4)));
        deps.collect::<Vec<_>>()
    })
}

struct World {
    graph: Graph,
    nodes: Vec<Node<u64>>,
    /// The tasks in the order in which they ended, and those that are to fail.
    ran: Arc<Mutex<Vec<usize>>>,
    failing: Arc<Mutex<BTreeSet<usize>>>,
}

impl World {
    fn new(shape: &Shape) -> Self {
        let mut graph = Graph::new();
        let (ran, failing) = (Arc::default(), Arc::default());
        let mut nodes: Vec<Node<u64>> = Vec::new();
        for (index, deps) in shape.iter().enumerate() {
            let deps: Vec<Node<u64>> = deps.iter().map(|dep| nodes[*dep]).collect();
            let ran: Arc<Mutex<Vec<usize>>> = Arc::clone(&ran);
            let failing: Arc<Mutex<BTreeSet<usize>>> = Arc::clone(&failing);
            nodes.push(graph.try_task_with(format!("{index}"), deps, move |values| {
                ran.lock().unwrap().push(index);
                if failing.lock().unwrap().contains(&index) {
                    return Err("no luck");
                }
                Ok(values.into_iter().fold(index as u64, |sum, value| sum.wrapping_add(*value)))
            }));
        }
        Self { graph, nodes, ran, failing }
    }

    fn ran(&self) -> Vec<usize> {
        std::mem::take(&mut self.ran.lock().unwrap())
    }

    fn state(&self, index: usize) -> NodeState {
        self.graph.state(self.nodes[index])
    }
}

fn values(shape: &Shape) -> Vec<u64> {
    let mut values: Vec<u64> = Vec::new();
    for (index, deps) in shape.iter().enumerate() {
        values.push(deps.iter().fold(index as u64, |sum, dep| sum.wrapping_add(values[*dep])));
    }
    values
}

/// Those, and all that depend on them.
fn below(shape: &Shape, roots: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut all = roots.clone();
    for (index, deps) in shape.iter().enumerate() {
        if deps.iter().any(|dep| all.contains(dep)) {
            all.insert(index);
        }
    }
    all
}

/// Those, and all that they depend on.
fn above(shape: &Shape, from: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::from([from]);
    for index in (0..shape.len()).rev() {
        if all.contains(&index) {
            all.extend(&shape[index]);
        }
    }
    all
}

fn assert_once_and_in_order(shape: &Shape, ran: &[usize], expected: &BTreeSet<usize>) {
    assert_eq!(ran.len(), expected.len(), "each once: {ran:?}");
    assert_eq!(&ran.iter().copied().collect::<BTreeSet<_>>(), expected);
    for (place, index) in ran.iter().enumerate() {
        for dep in &shape[*index] {
            let before = !expected.contains(dep) || ran[..place].contains(dep);
            assert!(before, "{index} ran before {dep}, which it needs: {ran:?}");
        }
    }
}

fn executors() -> impl Strategy<Value = usize> {
    0..4_usize
}

/// Inline, or on so many threads.
fn executor(workers: usize) -> Arc<dyn Executor> {
    match workers {
        0 => Arc::new(InlineExecutor::new()),
        workers => Arc::new(ThreadPoolExecutor::new(workers).unwrap()),
    }
}

proptest! {
    #[test]
    fn each_runs_once_after_what_it_needs(shape in shapes(), workers in executors()) {
        let _watched = watched();
        let (mut world, executor) = (World::new(&shape), executor(workers));
        world.graph.run(&executor).unwrap();
        assert_once_and_in_order(&shape, &world.ran(), &(0..shape.len()).collect());
        for (index, value) in values(&shape).into_iter().enumerate() {
            let is_last = !shape.iter().any(|deps| deps.contains(&index));
            let kept = world.graph.value(world.nodes[index]).map(|value| *value);
            prop_assert_eq!(kept, is_last.then_some(value));
        }
    }

    #[test]
    fn what_is_asked_for_needs_no_more_than_what_is_above_it(
        shape in shapes(), workers in executors(), asked in any::<prop::sample::Index>(),
    ) {
        let _watched = watched();
        let (mut world, executor) = (World::new(&shape), executor(workers));
        let asked = asked.index(shape.len());
        let value = world.graph.get(&executor, world.nodes[asked]).unwrap();
        prop_assert_eq!(*value, values(&shape)[asked]);
        assert_once_and_in_order(&shape, &world.ran(), &above(&shape, asked));
        world.graph.get(&executor, world.nodes[asked]).unwrap();
        prop_assert!(world.ran().is_empty());
    }

    #[test]
    fn a_failure_spares_all_but_what_depends_on_it(
        shape in shapes(), workers in executors(),
        failing in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let _watched = watched();
        let (mut world, executor) = (World::new(&shape), executor(workers));
        let failing: BTreeSet<usize> =
            failing.into_iter().map(|index| index.index(shape.len())).collect();
        *world.failing.lock().unwrap() = failing.clone();
        let lost = below(&shape, &failing);
        let not_run: BTreeSet<usize> =
            lost.iter().copied().filter(|index| shape[*index].iter().any(|dep| lost.contains(dep))).collect();
        let error = world.graph.run(&executor).unwrap_err();
        let GraphError::Failed(error) = error else { panic!("{error}") };
        let named: BTreeSet<usize> =
            error.not_run().iter().map(|name| name.parse().unwrap()).collect();
        prop_assert_eq!(&named, &not_run);
        let first = failing.difference(&not_run).min().unwrap().to_string();
        prop_assert_eq!(error.name(), first);
        let ran: BTreeSet<usize> = (0..shape.len()).filter(|index| !not_run.contains(index)).collect();
        assert_once_and_in_order(&shape, &world.ran(), &ran);
        for index in 0..shape.len() {
            let expected = match (not_run.contains(&index), lost.contains(&index)) {
                (true, _) => NodeState::NotRun,
                (false, true) => NodeState::Failed,
                (false, false) => NodeState::Done,
            };
            prop_assert_eq!(world.state(index), expected);
        }
        // The next run makes good what was lost, and repeats nothing else.
        world.failing.lock().unwrap().clear();
        world.graph.run(&executor).unwrap();
        assert_once_and_in_order(&shape, &world.ran(), &lost);
    }

    #[test]
    fn after_a_change_the_values_are_right_again(
        shape in shapes(), workers in executors(),
        changed in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let _watched = watched();
        let (mut world, executor) = (World::new(&shape), executor(workers));
        let expected = values(&shape);
        world.graph.run(&executor).unwrap();
        world.ran();
        for (changed, asked) in changed {
            let (changed, asked) = (changed.index(shape.len()), asked.index(shape.len()));
            let stale = below(&shape, &BTreeSet::from([changed]));
            world.graph.invalidate(world.nodes[changed]);
            let value = world.graph.get(&executor, world.nodes[asked]).unwrap();
            prop_assert_eq!(*value, expected[asked]);
            let ran = world.ran();
            let needed = above(&shape, asked);
            prop_assert!(ran.iter().all(|index| needed.contains(index)));
            world.graph.run(&executor).unwrap();
            let ran: BTreeSet<usize> = ran.into_iter().chain(world.ran()).collect();
            prop_assert!(stale.is_subset(&ran), "{:?} {:?}", stale, ran);
        }
    }
}
