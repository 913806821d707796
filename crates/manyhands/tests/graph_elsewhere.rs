//! Graphs with nodes on executors of their own.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{PLANNED, watched};
use manyhands::{
    Executor, Future, Graph, GraphError, InlineExecutor, Node, Refused, ThreadPoolExecutor,
};

fn inline() -> Arc<InlineExecutor> {
    Arc::new(InlineExecutor::new())
}

fn pool(workers: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

#[test]
fn a_task_may_run_on_an_executor_of_its_own() {
    let _watched = watched();
    let thread = || std::thread::current().id();
    for on in [inline() as Arc<dyn Executor>, pool(1), pool(3)] {
        let other = pool(1);
        let elsewhere = other.spawn(thread).unwrap().result(None).unwrap();
        let mut graph = Graph::new();
        let first = graph.task("first", move || (thread(), 1));
        let second = graph.task_on("second", &other, first, move |(_, n)| (thread(), n + 1));
        let submits = Arc::clone(&other);
        let third = graph.future_with("third", second, move |(_, n)| {
            submits.submit(move |n: i32| (thread(), n + 1), (*n,))
        });
        let last = graph.task_with("last", (second, third), move |(second, third)| {
            (second.0, third.0, third.1)
        });
        let (second, third, n) = *graph.get(&on, last).unwrap();
        assert_eq!((second, third, n), (elsewhere, elsewhere, 3));
        assert_ne!(graph.get(&on, first).unwrap().0, elsewhere);
    }
}

type Fails = fn(&mut Graph, &Arc<ThreadPoolExecutor>);

#[test]
fn what_goes_wrong_elsewhere_is_the_tasks_failure() {
    let _watched = watched();
    let cases: [(&str, Fails); 5] = [
        ("the task panicked: planned: there", |graph, other| {
            graph.task_on("fails", other, (), |()| panic!("{PLANNED}there"));
        }),
        ("invalid digit found in string", |graph, other| {
            let other = Arc::clone(other);
            graph.future_with("fails", (), move |()| other.try_submit(str::parse::<u8>, ("x",)));
        }),
        ("cannot schedule new futures after shutdown", |graph, _| {
            let closed = pool(1);
            closed.shutdown(true, false);
            graph.task_on("fails", &closed, (), |()| ());
        }),
        ("the task was cancelled", |graph, _| {
            graph.future_with("fails", (), |()| {
                let future: Future<i32> = Future::new();
                future.cancel();
                Ok::<_, Refused<()>>(future)
            });
        }),
        ("the task panicked: planned: before", |graph, _| {
            graph.future_with("fails", (), |()| -> Result<Future<()>, Refused<()>> {
                panic!("{PLANNED}before")
            });
        }),
    ];
    let other = pool(1);
    for (said, fails) in cases {
        for on in [inline() as Arc<dyn Executor>, pool(2)] {
            let mut graph = Graph::new();
            fails(&mut graph, &other);
            let fine = graph.task("fine", || 5);
            let GraphError::Failed(failed) = graph.run(&on).unwrap_err() else { panic!() };
            assert_eq!((failed.name(), failed.not_run().len()), ("fails", 0));
            assert!(failed.to_string().contains(said), "{failed}");
            assert_eq!(graph.value(fine).as_deref(), Some(&5));
        }
    }
}

#[test]
fn many_tasks_here_and_elsewhere_are_each_run_once() {
    let _watched = watched();
    let (on, other) = (pool(2), pool(2));
    let runs = Arc::new(AtomicUsize::new(0));
    let mut graph = Graph::new();
    let mut layer: Vec<Node<usize>> = (0..20).map(|n| graph.input("input", n)).collect();
    for depth in 0..50 {
        layer = (0..20)
            .map(|n| {
                let deps = vec![layer[n], layer[(n * 3 + depth) % 20]];
                let runs = Arc::clone(&runs);
                let f = move |of: Vec<&usize>| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    of.into_iter().copied().max().unwrap()
                };
                if (depth + n) % 3 == 0 {
                    graph.task_on("elsewhere", &other, deps, f)
                } else {
                    graph.task_with("here", deps, f)
                }
            })
            .collect();
    }
    let all = graph.task_with("all", layer, |of| of.into_iter().copied().max());
    assert_eq!(*graph.get(&on, all).unwrap(), Some(19));
    assert_eq!(runs.load(Ordering::Relaxed), 1_000);
}
