//! What a graph has to run, and what follows from what has been run. No task is run here.

use std::time::Duration;

use super::node::{Entry, NodeState, Tasks};
use crate::errors::GraphFailed;

/// Who depends on whom: for each task, those that need its value.
pub(super) struct Dependants {
    /// Where those of each begin, and at the end, where those of the last end.
    starts: Vec<u32>,
    indices: Vec<u32>,
}

impl Dependants {
    pub(super) fn of(tasks: &Tasks) -> Self {
        let count = tasks.entries.len();
        let mut starts = vec![0; count + 1];
        for dep in indices(tasks).flat_map(|index| tasks.deps(index)) {
            starts[*dep as usize + 1] += 1;
        }
        for index in 0..count {
            starts[index + 1] += starts[index];
        }
        let mut free = starts.clone();
        let mut indices = vec![0; starts[count] as usize];
        for index in self::indices(tasks) {
            for dep in tasks.deps(index) {
                let place = &mut free[*dep as usize];
                indices[*place as usize] = index;
                *place += 1;
            }
        }
        Self { starts, indices }
    }

    /// Those that depend on it directly; one that does so twice is there twice.
    pub(super) fn on(&self, index: u32) -> &[u32] {
        let index = index as usize;
        &self.indices[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    /// It and all that depend on it, however far away.
    pub(super) fn all_of(&self, index: u32) -> Vec<u32> {
        let mut seen = vec![false; self.starts.len() - 1];
        let mut all = vec![index];
        seen[index as usize] = true;
        let mut next = 0;
        while let Some(&index) = all.get(next) {
            next += 1;
            for &dependant in self.on(index) {
                if !std::mem::replace(&mut seen[dependant as usize], true) {
                    all.push(dependant);
                }
            }
        }
        all
    }
}

/// What is to be run.
pub(super) struct Plan {
    pub(super) planned: Vec<bool>,
    /// For each that is planned: how many planned ones it waits for.
    pub(super) waits_for: Vec<u32>,
    /// For each: how many will still need its value.
    pub(super) needed_by: Vec<u32>,
    /// Those that wait for none, the first last.
    pub(super) ready: Vec<u32>,
}

impl Plan {
    /// What has to be run so that the `wanted` ones have values.
    ///
    /// # Errors
    /// One that would be needed and has not been defined.
    pub(super) fn new(
        tasks: &Tasks,
        dependants: &Dependants,
        stands: &[Standing],
        mut wanted: Vec<u32>,
    ) -> Result<Self, u32> {
        let count = tasks.entries.len();
        let mut planned = vec![false; count];
        let mut waits_for = vec![0; count];
        let mut needed_by = vec![0; count];
        wanted.retain(|&index| {
            !stands[index as usize].has_value
                && !std::mem::replace(&mut planned[index as usize], true)
        });
        let mut open = wanted;
        while let Some(index) = open.pop() {
            if !stands[index as usize].has_work {
                return Err(index);
            }
            for &dep in tasks.deps(index) {
                if !planned[dep as usize] && !stands[dep as usize].has_value {
                    planned[dep as usize] = true;
                    open.push(dep);
                }
                waits_for[index as usize] += u32::from(planned[dep as usize]);
            }
        }
        let mut ready = Vec::new();
        for index in indices(tasks) {
            if !planned[index as usize] {
                continue;
            }
            if waits_for[index as usize] == 0 {
                ready.push(index);
            }
            // Whose values this run may be the last to need.
            for &dep in tasks.deps(index).iter().chain([&index]) {
                if needed_by[dep as usize] == 0 {
                    let needs = |other: &&u32| {
                        planned[**other as usize]
                            || stands[**other as usize].state != NodeState::Done
                    };
                    let count = dependants.on(dep).iter().filter(needs).count();
                    needed_by[dep as usize] = u32::try_from(count).expect("edges are u32");
                }
            }
        }
        ready.reverse();
        Ok(Self { planned, waits_for, needed_by, ready })
    }
}

/// How a task stands when a run is planned.
pub(super) struct Standing {
    state: NodeState,
    has_value: bool,
    has_work: bool,
}

pub(super) fn standings(tasks: &Tasks) -> Vec<Standing> {
    let standing = |entry: &Entry| {
        let outcome = entry.outcome.lock();
        Standing {
            state: outcome.state,
            has_value: outcome.value.is_some(),
            has_work: entry.work.is_some(),
        }
    };
    tasks.entries.iter().map(standing).collect()
}

/// All that is not done.
pub(super) fn not_done(stands: &[Standing]) -> Vec<u32> {
    let open = |(_, standing): &(u32, &Standing)| standing.state != NodeState::Done;
    (0..).zip(stands).filter(open).map(|(index, _)| index).collect()
}

/// The way from `node` back to it, if it depended on `deps`.
pub(super) fn cycle(tasks: &Tasks, node: u32, deps: &[u32]) -> Option<Vec<u32>> {
    let mut from: Vec<Option<u32>> = vec![None; tasks.entries.len()];
    let mut open: Vec<u32> = Vec::new();
    for &dep in deps {
        from[dep as usize] = Some(node);
        open.push(dep);
    }
    while let Some(index) = open.pop() {
        if index == node {
            let mut way = vec![node];
            let mut back = from[node as usize];
            while let Some(index) = back {
                way.push(index);
                back = if index == node { None } else { from[index as usize] };
            }
            way.reverse();
            return Some(way);
        }
        for &dep in tasks.deps(index) {
            if from[dep as usize].is_none() {
                from[dep as usize] = Some(index);
                open.push(dep);
            }
        }
    }
    None
}

/// Marks what was planned and has not been run, and says what failed first, in the graph's order.
pub(super) fn failure(tasks: &Tasks, planned: &[bool]) -> Option<GraphFailed> {
    let mut failed = None;
    let mut not_run = Vec::new();
    for (entry, _) in tasks.entries.iter().zip(planned).filter(|(_, planned)| **planned) {
        let mut outcome = entry.outcome.lock();
        match outcome.state {
            NodeState::Failed if failed.is_none() => {
                failed = outcome.cause.clone().map(|cause| (entry.name.to_string(), cause));
            }
            NodeState::Done | NodeState::Failed => (),
            NodeState::Waiting | NodeState::NotRun => {
                outcome.state = NodeState::NotRun;
                not_run.push(entry.name.to_string());
            }
        }
    }
    failed.map(|(name, cause)| GraphFailed::new(name, cause, not_run))
}

/// The longest way through the graph by the times that tasks took, and that time.
pub(super) fn critical_path(tasks: &Tasks) -> (Vec<u32>, Duration) {
    let mut ends: Vec<(Duration, Option<u32>)> = vec![(Duration::ZERO, None); tasks.entries.len()];
    let mut last: Option<u32> = None;
    for index in in_order(tasks) {
        let entry = &tasks.entries[index as usize];
        let before = tasks.deps(index).iter().map(|&dep| (ends[dep as usize].0, dep)).max();
        let time = before.map_or(Duration::ZERO, |(time, _)| time) + entry.outcome.lock().took;
        ends[index as usize] = (time, before.map(|(_, dep)| dep));
        if last.is_none_or(|last| ends[last as usize].0 <= time) {
            last = Some(index);
        }
    }
    let time = last.map_or(Duration::ZERO, |last| ends[last as usize].0);
    let mut path: Vec<u32> = std::iter::successors(last, |&at| ends[at as usize].1).collect();
    path.reverse();
    (path, time)
}

/// All of them, each after what it depends on.
fn in_order(tasks: &Tasks) -> Vec<u32> {
    let dependants = Dependants::of(tasks);
    let mut waits_for: Vec<usize> = indices(tasks).map(|index| tasks.deps(index).len()).collect();
    let mut order: Vec<u32> =
        (0..).zip(&waits_for).filter(|(_, count)| **count == 0).map(|(index, _)| index).collect();
    let mut next = 0;
    while let Some(&index) = order.get(next) {
        next += 1;
        for &dependant in dependants.on(index) {
            waits_for[dependant as usize] -= 1;
            if waits_for[dependant as usize] == 0 {
                order.push(dependant);
            }
        }
    }
    order
}

fn indices(tasks: &Tasks) -> impl Iterator<Item = u32> {
    (0..).zip(&tasks.entries).map(|(index, _)| index)
}
