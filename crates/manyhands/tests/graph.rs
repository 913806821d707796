//! Graphs: each task once and after what it needs, failures, changes, what is kept, pictures.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{Counter, PLANNED, occupy, watched};
use manyhands::{
    Executor, Graph, GraphError, InlineExecutor, Job, Node, NodeState, Reason, Refused,
    ThreadPoolExecutor, WhenFull,
};

fn inline() -> Arc<InlineExecutor> {
    Arc::new(InlineExecutor::new())
}

fn pool(workers: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

#[test]
fn values_reach_those_that_depend_on_them_in_the_shape_they_asked_for() {
    let _watched = watched();
    let mut graph = Graph::new();
    let one = graph.task("one", || 1);
    let word = graph.input("word", "four".to_owned());
    let both = graph.task_with("both", (one, word), |(one, word)| one + word.len());
    let many: Vec<Node<usize>> = vec![one, both, one];
    let sum = graph.task_with("sum", many, |all| all.into_iter().sum::<usize>());
    let twice = graph.task_with("twice", (sum, sum), |(a, b)| a + b);
    assert_eq!(*graph.get(&pool(2), twice).unwrap(), 14);
    assert_eq!(*graph.get(&inline(), word).unwrap(), "four");
}

#[test]
fn what_is_asked_for_is_computed_once_and_only_what_it_needs() {
    let _watched = watched();
    let pool = pool(2);
    let runs = Arc::new(AtomicUsize::new(0));
    let count = |by: usize| {
        let runs = Arc::clone(&runs);
        move || runs.fetch_add(by, Ordering::SeqCst)
    };
    let mut graph = Graph::new();
    let base = graph.task("base", count(1));
    let (left, other) = (count(10), count(1_000));
    let left = graph.task_with("left", base, move |_| left());
    let right = graph.task_with("right", base, |_| ());
    graph.task_with("other", base, move |_| other());
    let top = graph.task_with("top", (left, right), |_| "top");
    assert_eq!(*graph.get(&pool, top).unwrap(), "top");
    assert_eq!(*graph.get(&pool, top).unwrap(), "top");
    assert_eq!(runs.load(Ordering::SeqCst), 11);
    // `base` is still there, for `other` has not been run.
    graph.run(&pool).unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1_011);
    graph.run(&pool).unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1_011);
}

#[test]
fn a_value_goes_when_its_last_dependant_is_done() {
    let _watched = watched();
    let alive = Counter::new();
    let (counter, seen) = (alive.clone(), alive.clone());
    let mut graph = Graph::new();
    let value = graph.task("value", move || counter.value());
    let first = graph.task_with("first", value, |_| ());
    let most = Arc::new(AtomicUsize::new(usize::MAX));
    let noted = Arc::clone(&most);
    graph.task_with("after", first, move |()| noted.store(seen.alive(), Ordering::SeqCst));
    graph.run(&inline()).unwrap();
    assert_eq!((most.load(Ordering::SeqCst), alive.alive()), (0, 0));
    assert_eq!(graph.state(value), NodeState::Done);
    // Asked for, it is computed again, and kept from then on.
    assert!(graph.get(&inline(), value).is_ok());
    assert_eq!(alive.alive(), 1);
    drop(graph);
    assert_eq!(alive.alive(), 0);
}

#[test]
fn a_failure_names_its_task_and_spares_what_does_not_depend_on_it() {
    let _watched = watched();
    for executor in [inline() as Arc<dyn Executor>, pool(3)] {
        let mut graph = Graph::new();
        let text = graph.input("text", "x".to_owned());
        let number = graph.try_task_with("number", text, |text| text.parse::<u32>());
        let half = graph.task_with("half", number, |n| n / 2);
        let panics = graph.task_with("panics", half, |_| panic!("{PLANNED}never"));
        let length = graph.task_with("length", text, String::len);
        let GraphError::Failed(failed) = graph.run(&executor).unwrap_err() else { panic!() };
        assert_eq!(
            (failed.name(), failed.not_run()),
            ("number", &["half".into(), "panics".into()][..])
        );
        assert_eq!(
            failed.to_string(),
            "`number` failed: invalid digit found in string; so these were not run: `half`, `panics`"
        );
        assert_eq!(graph.state(number), NodeState::Failed);
        assert_eq!(graph.state(half), NodeState::NotRun);
        assert_eq!(graph.value(length).as_deref(), Some(&1));
        // After a change it goes on from there.
        graph.set(text, "84".to_owned());
        assert_eq!(*graph.get(&executor, half).unwrap(), 42);
        let error = graph.run(&executor).unwrap_err();
        assert!(
            error.to_string().starts_with("`panics` failed: the task panicked: planned: never")
        );
        graph.define(panics, half, |_| ()).unwrap();
        graph.run(&executor).unwrap();
        assert_eq!(graph.value(length).as_deref(), Some(&2));
    }
}

#[test]
fn a_run_after_a_failure_repeats_nothing_that_was_done() {
    let _watched = watched();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let runs = Arc::clone(&runs);
        move || runs.lock().unwrap().push(name)
    };
    let mut graph = Graph::new();
    let (a, b, c) = (note("a"), note("b"), note("c"));
    let a = graph.task("a", a);
    let lucky = Arc::new(AtomicUsize::new(0));
    let luck = Arc::clone(&lucky);
    let b = graph.try_task_with("b", a, move |()| {
        b();
        if luck.load(Ordering::SeqCst) == 0 { Err("no luck") } else { Ok(()) }
    });
    graph.task_with("c", b, move |()| c());
    let executor = inline();
    assert!(graph.run(&executor).is_err());
    lucky.store(1, Ordering::SeqCst);
    graph.run(&executor).unwrap();
    assert_eq!(*runs.lock().unwrap(), ["a", "b", "b", "c"]);
}

#[test]
fn a_cycle_is_refused_by_name_and_changes_nothing() {
    let _watched = watched();
    let mut graph = Graph::new();
    let a = graph.declare::<u32>("a");
    let b = graph.task_with("b", a, |a| a + 1);
    let c = graph.task_with("c", (b, a), |(b, a)| a + b);
    let cycle = graph.define(a, c, |c| *c).unwrap_err();
    assert!(
        cycle.names.starts_with(&["a".into(), "c".into()]) && cycle.names.ends_with(&["a".into()])
    );
    let own = graph.try_define(a, a, |a| Ok::<_, String>(*a)).unwrap_err();
    assert_eq!(own.to_string(), "`a` would depend on itself: `a` needs `a`");
    let error = graph.get(&inline(), c).unwrap_err();
    assert!(matches!(error, GraphError::Undefined { name } if name == "a"));
    graph.define(a, (), |()| 1).unwrap();
    assert_eq!(*graph.get(&inline(), c).unwrap(), 3);
}

#[test]
#[should_panic(expected = "this node belongs to another graph")]
fn a_node_of_another_graph_is_not_taken() {
    let other = Graph::new().task("other", || 1);
    Graph::new().task_with("mine", other, |n| n + 1);
}

#[test]
fn independent_tasks_run_at_the_same_time() {
    let _watched = watched();
    let mut graph = Graph::new();
    let (sender, receiver) = mpsc::channel::<()>();
    let receiver = Mutex::new(receiver);
    let waits = graph.task("waits", move || receiver.lock().unwrap().recv().unwrap());
    let sends = graph.task("sends", move || sender.send(()).unwrap());
    let first = graph.task_with("both", (waits, sends), |_| ());
    graph.get(&pool(2), first).unwrap();
}

#[test]
fn a_short_past_lets_nothing_wait_behind_a_long_task() {
    let _watched = watched();
    let mut graph = Graph::new();
    let start = graph.task("start", || 0);
    let short = (0..1_000).fold(start, |node, _| graph.task_with("short", node, |n| n + 1));
    for _ in 0..3 {
        let barrier = Arc::new(std::sync::Barrier::new(2));
        for _ in 0..2 {
            let barrier = Arc::clone(&barrier);
            graph.task_with("meets", short, move |_| barrier.wait().is_leader());
        }
    }
    graph.run(&pool(6)).unwrap();
}

#[test]
fn as_many_run_at_once_as_there_are_workers() {
    let _watched = watched();
    let barrier = Arc::new(std::sync::Barrier::new(8));
    let mut graph = Graph::new();
    let root = graph.task("root", || ());
    for _ in 0..16 {
        let barrier = Arc::clone(&barrier);
        graph.task_with("meets", root, move |()| barrier.wait().is_leader());
    }
    graph.run(&pool(8)).unwrap();
}

#[derive(Clone)]
struct Drops;
impl Executor for Drops {
    fn execute(&self, _job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        Ok(())
    }
    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
}

#[derive(Clone)]
struct Panics;
impl Executor for Panics {
    fn execute(&self, _job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        panic!("{PLANNED}no luck");
    }
    fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
}

#[test]
fn an_executor_that_accepts_nothing_or_drops_everything_is_an_error() {
    let _watched = watched();
    let mut graph = Graph::new();
    let one = graph.task("one", || 1);
    let executor = inline();
    executor.shutdown(true, false);
    let error = graph.get(&executor, one).unwrap_err();
    assert!(matches!(error, GraphError::Refused(Reason::Shutdown)), "{error}");

    assert!(matches!(graph.get(&Drops, one), Err(GraphError::Cancelled)));
    assert_eq!(graph.state(one), NodeState::NotRun);

    // Then it is done here.
    assert_eq!(*graph.get(&Panics, one).unwrap(), 1);
    let broken = ThreadPoolExecutor::builder().try_initializer(|| Err("no licence"), ()).build();
    let two = graph.task("two", || 2);
    let error = graph.get(&Arc::new(broken.unwrap()), two).unwrap_err();
    assert!(matches!(error, GraphError::Broken(_) | GraphError::Refused(_)), "{error}");
}

#[test]
fn a_bounded_queue_and_a_caller_that_helps_do_for_a_graph() {
    let _watched = watched();
    for when_full in [WhenFull::RunInCaller, WhenFull::Refuse, WhenFull::Block] {
        let builder = ThreadPoolExecutor::builder().max_workers(2).max_pending(1, when_full);
        let pool = Arc::new(builder.build().unwrap());
        let mut graph = Graph::new();
        let parts: Vec<_> = (0..1_000).map(|n| graph.task("part", move || n)).collect();
        let sum = graph.task_with("sum", parts, |parts| parts.into_iter().sum::<usize>());
        assert_eq!(*graph.get(&pool, sum).unwrap(), 499_500);
    }
}

#[test]
fn a_graph_waits_for_its_turn_behind_other_tasks() {
    let _watched = watched();
    let pool = pool(1);
    let busy = occupy(&pool, 1);
    let mut graph = Graph::new();
    let one = graph.task("one", || 1);
    let releaser = std::thread::spawn(move || drop(busy));
    assert_eq!(*graph.get(&pool, one).unwrap(), 1);
    releaser.join().unwrap();
}

#[test]
fn other_tasks_of_the_pool_have_their_turn_while_a_graph_runs() {
    let _watched = watched();
    let pool = pool(1);
    let (open, opened) = mpsc::channel::<()>();
    let (opened, other) = (Mutex::new(Some(opened)), Arc::clone(&pool));
    let mut graph = Graph::new();
    // The first submits what opens the way, and nothing comes to an end before that has run.
    let first = graph.task("first", move || {
        let open = open.clone();
        other.spawn(move || open.send(()).unwrap()).unwrap();
    });
    let slow = graph.task_with("slow", first, |()| std::thread::sleep(Duration::from_millis(5)));
    let last = graph.task_with("last", slow, move |()| {
        opened.lock().unwrap().take().unwrap().recv_timeout(Duration::from_secs(40)).is_ok()
    });
    assert!(*graph.get(&pool, last).unwrap());
}

#[test]
fn a_long_chain_and_a_wide_layer_run_inline_on_a_small_stack() {
    let _watched = watched();
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(|| {
        let mut graph = Graph::new();
        let start = graph.input("start", 0_usize);
        let end = (0..100_000).fold(start, |node, _| graph.task_with("next", node, |n| n + 1));
        let layer =
            (0..100_000).map(|_| graph.task_with("wide", start, |n| n + 1)).collect::<Vec<_>>();
        let sum = graph.task_with("sum", layer, |all| all.into_iter().sum::<usize>());
        let both = graph.task_with("both", (end, sum), |(a, b)| a + b);
        assert_eq!(*graph.get(&inline(), both).unwrap(), 200_000);
        graph.invalidate(start);
        graph.set(start, 1);
        assert_eq!(*graph.get(&pool(3), both).unwrap(), 300_001);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn pictures_show_states_times_and_the_critical_path() {
    let _watched = watched();
    let mut graph = Graph::new();
    let slow = graph.task("slow", || std::thread::sleep(Duration::from_millis(3)));
    let quick = graph.task("say \"quick\"", || ());
    let fails = graph.try_task_with("fails", (slow, quick), |_| Err::<(), _>("no luck"));
    graph.task_with("never", fails, |()| ());
    assert!(graph.run(&inline()).is_err());
    let (path, time) = graph.critical_path();
    assert!(path.starts_with(&["slow", "fails"]) && time >= Duration::from_millis(3), "{path:?}");
    assert!(graph.took(slow) >= Duration::from_millis(3));
    let dot = graph.to_dot();
    for part in [
        "label=\"slow\\ndone, ",
        "say \\\"quick\\\"",
        "fails\\nfailed",
        "never\\nnot run",
        "n0 -> n2 [penwidth=3]",
        "n1 -> n2;",
    ] {
        assert!(dot.contains(part), "{part}: {dot}");
    }
    let mermaid = graph.to_mermaid();
    for part in ["n0[\"slow<br>done, ", "say #quot;quick#quot;", "n0 ==> n2", "n1 --> n2"] {
        assert!(mermaid.contains(part), "{part}: {mermaid}");
    }
}
