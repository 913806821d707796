//! What a graph has to run. No task is run here.

use super::{Dependants, Edges};

/// How a node stands when a run is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it has been computed, though its value may be gone.
    pub is_done: bool,
    /// Whether its value is there.
    pub has_value: bool,
    /// Whether there is something to compute it with.
    pub has_work: bool,
}

/// What is to be run.
///
/// ```
/// use manyhands::graph::engine::{Dependants, Edges, Plan, Standing};
///
/// let mut edges = Edges::new();
/// let (hen, egg) = (edges.add(), edges.add());
/// edges.set(egg, &[hen]);
/// let stands = [Standing { is_done: false, has_value: false, has_work: true }; 2];
/// let plan = Plan::new(&edges, &Dependants::of(&edges), &stands, vec![egg]).unwrap();
/// assert_eq!(plan.planned, [true, true]);
/// assert_eq!(plan.ready, [hen]);
/// ```
#[derive(Debug)]
pub struct Plan {
    /// For each: whether it is to be run.
    pub planned: Vec<bool>,
    /// For each that is planned: how many planned ones it waits for.
    pub waits_for: Vec<u32>,
    /// For each: how many will still need its value.
    pub needed_by: Vec<u32>,
    /// Those that wait for none, the first last.
    pub ready: Vec<u32>,
}

impl Plan {
    /// What has to be run so that the `wanted` ones have values.
    ///
    /// # Errors
    /// One that would be needed and has nothing to be computed with.
    ///
    /// # Panics
    /// Never: `Edges` has no more edges than can be numbered.
    pub fn new(
        edges: &Edges,
        dependants: &Dependants,
        stands: &[Standing],
        mut wanted: Vec<u32>,
    ) -> Result<Self, u32> {
        let count = edges.len();
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
            for &dep in edges.of(index) {
                if !planned[dep as usize] && !stands[dep as usize].has_value {
                    planned[dep as usize] = true;
                    open.push(dep);
                }
                waits_for[index as usize] += u32::from(planned[dep as usize]);
            }
        }
        let mut ready = Vec::new();
        for index in edges.indices() {
            if !planned[index as usize] {
                continue;
            }
            if waits_for[index as usize] == 0 {
                ready.push(index);
            }
            // Whose values this run may be the last to need.
            for &dep in edges.of(index).iter().chain([&index]) {
                if needed_by[dep as usize] == 0 {
                    let needs = |other: &&u32| {
                        planned[**other as usize] || !stands[**other as usize].is_done
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

/// All that is not done.
pub fn not_done(stands: &[Standing]) -> Vec<u32> {
    (0..).zip(stands).filter(|(_, standing)| !standing.is_done).map(|(index, _)| index).collect()
}
