//! What a node of a large graph costs: `manyhands::Graph`, and the same graph written by hand with a
//! counter for each node and a task for each on tokio and on rayon.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use manyhands::{Graph, Node, ThreadPoolExecutor};

/// For each node, what it depends on: all of it before itself.
type Shape = Vec<Vec<u32>>;

const NODES: u32 = 1_000_000;
const WORKERS: usize = 4;
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    let nodes = std::env::args().nth(1).map_or(Ok(NODES), |count| count.parse())?;
    println!("ns a node, the best of {ROUNDS}, {nodes} nodes, {WORKERS} workers");
    println!("{:28} {:>8} {:>8} {:>8} {:>8}", "graph", "ours", "tokio", "rayon", "building");
    for (name, shape) in [
        ("independent", independent(nodes)),
        ("layers of 1000, two each", layers(nodes, 1_000)),
        ("layers of 10, two each", layers(nodes, 10)),
        ("chain", chain(nodes)),
        ("tree, to one", tree(nodes)),
    ] {
        let (building, ours) = ours(&shape)?;
        let dependants = Arc::new(Counted::new(shape));
        let tokio = best(|| tokio_run(&dependants));
        let rayon = best(|| rayon_run(&dependants));
        let each = |time: Duration| time.as_nanos() / u128::from(nodes);
        println!(
            "{name:28} {:>8} {:>8} {:>8} {:>8}",
            each(ours),
            each(tokio),
            each(rayon),
            each(building)
        );
    }
    Ok(())
}

fn independent(nodes: u32) -> Shape {
    (0..nodes).map(|_| Vec::new()).collect()
}

fn chain(nodes: u32) -> Shape {
    (0..nodes).map(|node| node.checked_sub(1).into_iter().collect()).collect()
}

fn layers(nodes: u32, width: u32) -> Shape {
    let deps = |node: u32| match node / width {
        0 => Vec::new(),
        layer => {
            let (before, place) = ((layer - 1) * width, node % width);
            vec![before + place, before + (place * 7 + layer) % width]
        }
    };
    (0..nodes).map(deps).collect()
}

fn tree(nodes: u32) -> Shape {
    let leaves = nodes.div_ceil(2);
    let deps = |node: u32| match node.checked_sub(leaves) {
        None => Vec::new(),
        Some(inner) => vec![2 * inner, (2 * inner + 1).min(node - 1)],
    };
    (0..nodes).map(deps).collect()
}

fn value(node: u32, of: impl Iterator<Item = u64>) -> u64 {
    of.fold(u64::from(node), u64::wrapping_add)
}

fn best(mut run: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| run()).min().unwrap_or_default()
}

fn ours(shape: &Shape) -> anyhow::Result<(Duration, Duration)> {
    let pool = Arc::new(ThreadPoolExecutor::new(WORKERS)?);
    let (mut building, mut running) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut graph = Graph::new();
        let mut nodes: Vec<Node<u64>> = Vec::with_capacity(shape.len());
        for (index, deps) in (0..).zip(shape) {
            nodes.push(match deps[..] {
                [] => graph.task("node", move || value(index, [].into_iter())),
                [a] => graph
                    .task_with("node", nodes[a as usize], move |a| value(index, [*a].into_iter())),
                [a, b] => {
                    let deps = (nodes[a as usize], nodes[b as usize]);
                    graph.task_with("node", deps, move |(a, b)| value(index, [*a, *b].into_iter()))
                }
                _ => unreachable!("no node has more"),
            });
        }
        building = building.min(start.elapsed());
        let start = Instant::now();
        graph.run(&pool)?;
        running = running.min(start.elapsed());
        black_box(&graph);
    }
    Ok((building, running))
}

/// The same graph for a task that starts when the last it depends on ends.
struct Counted {
    shape: Shape,
    dependants: Vec<Vec<u32>>,
}

struct Run {
    graph: Arc<Counted>,
    waits_for: Vec<AtomicU32>,
    values: Vec<OnceLock<u64>>,
    left: AtomicU32,
}

impl Counted {
    fn new(shape: Shape) -> Self {
        let mut dependants = vec![Vec::new(); shape.len()];
        for (index, deps) in (0..).zip(&shape) {
            for dep in deps {
                dependants[*dep as usize].push(index);
            }
        }
        Self { shape, dependants }
    }
}

impl Run {
    fn new(graph: &Arc<Counted>) -> Arc<Self> {
        let count = |deps: &Vec<u32>| AtomicU32::new(u32::try_from(deps.len()).expect("few"));
        Arc::new(Self {
            waits_for: graph.shape.iter().map(count).collect(),
            values: graph.shape.iter().map(|_| OnceLock::new()).collect(),
            left: AtomicU32::new(u32::try_from(graph.shape.len()).expect("not so many")),
            graph: Arc::clone(graph),
        })
    }

    /// Runs a node; calls `start` for each that is ready then. Whether it was the last.
    fn node(&self, index: u32, mut start: impl FnMut(u32)) -> bool {
        let deps = &self.graph.shape[index as usize];
        let of = deps.iter().map(|dep| *self.values[*dep as usize].get().expect("it has run"));
        self.values[index as usize].set(value(index, of)).expect("once");
        for &dependant in &self.graph.dependants[index as usize] {
            if self.waits_for[dependant as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
                start(dependant);
            }
        }
        self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    fn roots(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.graph.shape).filter(|(_, deps)| deps.is_empty()).map(|(index, _)| index)
    }
}

fn tokio_run(graph: &Arc<Counted>) -> Duration {
    fn spawn(run: Arc<Run>, ended: Arc<tokio::sync::Notify>, index: u32) {
        tokio::spawn(async move {
            let start = |next| spawn(Arc::clone(&run), Arc::clone(&ended), next);
            if run.node(index, start) {
                ended.notify_one();
            }
        });
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build().expect("tokio");
    let run = Run::new(graph);
    let ended = Arc::new(tokio::sync::Notify::new());
    let start = Instant::now();
    runtime.block_on(async {
        for root in run.roots() {
            spawn(Arc::clone(&run), Arc::clone(&ended), root);
        }
        ended.notified().await;
    });
    start.elapsed()
}

fn rayon_run(graph: &Arc<Counted>) -> Duration {
    fn spawn<'scope>(scope: &rayon::Scope<'scope>, run: &'scope Run, index: u32) {
        scope.spawn(move |scope| {
            run.node(index, |next| spawn(scope, run, next));
        });
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build().expect("rayon");
    let run = Run::new(graph);
    let start = Instant::now();
    pool.scope(|scope| {
        for root in run.roots() {
            spawn(scope, &run, root);
        }
    });
    start.elapsed()
}
