//! Who depends on whom, in numbers.

use std::time::Duration;

/// What each node depends on. Nodes are numbered from 0, in the order in which they were added.
///
/// ```
/// use manyhands::graph::engine::Edges;
///
/// let mut edges = Edges::new();
/// let (hen, egg) = (edges.add(), edges.add());
/// edges.set(egg, &[hen]);
/// assert_eq!(edges.of(egg), [hen]);
/// assert_eq!(edges.cycle(hen, &[egg]), Some(vec![hen, egg, hen]));
/// ```
#[derive(Debug, Default)]
pub struct Edges {
    /// For each: where those it depends on are in `all`, and how many they are.
    places: Vec<(u32, u32)>,
    all: Vec<u32>,
}

impl Edges {
    /// No nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more node, which depends on nothing yet.
    ///
    /// # Panics
    /// When there are four thousand million others.
    pub fn add(&mut self) -> u32 {
        let index = u32::try_from(self.places.len()).expect("fewer nodes than can be numbered");
        self.places.push((0, 0));
        index
    }

    /// How many nodes there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// What it depends on.
    pub fn of(&self, index: u32) -> &[u32] {
        let (start, count) = self.places[index as usize];
        &self.all[start as usize..][..count as usize]
    }

    /// Says what it depends on, from now on.
    ///
    /// # Panics
    /// When there are four thousand million edges.
    pub fn set(&mut self, index: u32, deps: &[u32]) {
        let fits = |count: usize| u32::try_from(count).expect("fewer edges than can be numbered");
        self.places[index as usize] = (fits(self.all.len()), fits(deps.len()));
        self.all.extend(deps);
    }

    /// The way from `node` back to it, if it depended on `deps`: each needs the next.
    pub fn cycle(&self, node: u32, deps: &[u32]) -> Option<Vec<u32>> {
        let mut from: Vec<Option<u32>> = vec![None; self.len()];
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
            for &dep in self.of(index) {
                if from[dep as usize].is_none() {
                    from[dep as usize] = Some(index);
                    open.push(dep);
                }
            }
        }
        None
    }

    /// The longest way through the graph by the times that its nodes took, and that time.
    pub fn critical_path(&self, took: impl Fn(u32) -> Duration) -> (Vec<u32>, Duration) {
        let mut ends: Vec<(Duration, Option<u32>)> = vec![(Duration::ZERO, None); self.len()];
        let mut last: Option<u32> = None;
        for index in self.in_order() {
            let before = self.of(index).iter().map(|&dep| (ends[dep as usize].0, dep)).max();
            let time = before.map_or(Duration::ZERO, |(time, _)| time) + took(index);
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

    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + use<> {
        // As many as `add` has numbered.
        (0..).zip(0..self.len()).map(|(index, _)| index)
    }

    /// All of them, each after what it depends on.
    fn in_order(&self) -> Vec<u32> {
        let dependants = Dependants::of(self);
        let mut waits_for: Vec<usize> = self.indices().map(|index| self.of(index).len()).collect();
        let mut order: Vec<u32> =
            self.indices().filter(|&index| waits_for[index as usize] == 0).collect();
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
}

/// Who depends on whom: for each node, those that need its value.
///
/// ```
/// use manyhands::graph::engine::{Dependants, Edges};
///
/// let mut edges = Edges::new();
/// let (hen, egg, cake) = (edges.add(), edges.add(), edges.add());
/// edges.set(egg, &[hen]);
/// edges.set(cake, &[egg]);
/// let dependants = Dependants::of(&edges);
/// assert_eq!(dependants.on(hen), [egg]);
/// assert_eq!(dependants.all_of(hen), [hen, egg, cake]);
/// ```
#[derive(Debug)]
pub struct Dependants {
    /// Where those of each begin, and at the end, where those of the last end.
    starts: Vec<u32>,
    indices: Vec<u32>,
}

impl Dependants {
    /// Those of all nodes.
    pub fn of(edges: &Edges) -> Self {
        let count = edges.len();
        let mut starts = vec![0; count + 1];
        for dep in edges.indices().flat_map(|index| edges.of(index)) {
            starts[*dep as usize + 1] += 1;
        }
        for index in 0..count {
            starts[index + 1] += starts[index];
        }
        let mut free = starts.clone();
        let mut indices = vec![0; starts[count] as usize];
        for index in edges.indices() {
            for dep in edges.of(index) {
                let place = &mut free[*dep as usize];
                indices[*place as usize] = index;
                *place += 1;
            }
        }
        Self { starts, indices }
    }

    /// Those that depend on it directly; one that does so twice is there twice.
    pub fn on(&self, index: u32) -> &[u32] {
        let index = index as usize;
        &self.indices[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    /// It and all that depend on it, however far away.
    pub fn all_of(&self, index: u32) -> Vec<u32> {
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
