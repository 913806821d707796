//! Models of a graph's tickets and of what is ready: each node runs once, after what it needs, and whoever
//! waits for the end has the run alone then.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loom::thread::{self, JoinHandle};

use super::preempted_at_most;
use crate::graph::engine::{
    Attendant, Dependants, Edges, Elsewhere, Event, Host, Performed, Place, Plan, Standing,
    Submitted, Ticket,
};

/// Has so many tickets worked off by threads, and one node run elsewhere.
struct Modelled {
    edges: Arc<Edges>,
    workers: AtomicUsize,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    elsewhere: Option<u32>,
    place: Mutex<Option<Place>>,
    /// How often each has run, and whether it has been kept.
    runs: Vec<AtomicU32>,
    kept: Vec<AtomicU32>,
}

impl Host for Modelled {
    type Outcome = ();

    fn perform(&self, index: u32, elsewhere: Elsewhere<'_, Self>) -> Performed<()> {
        self.runs[index as usize].fetch_add(1, Ordering::SeqCst);
        for &dep in self.edges.of(index) {
            assert_eq!(self.kept[dep as usize].load(Ordering::SeqCst), 1, "{index} before {dep}");
        }
        if self.elsewhere != Some(index) {
            return Performed::Here(());
        }
        *self.place.lock().unwrap() = Some(elsewhere.place());
        let events = Arc::clone(elsewhere.events());
        let ends = thread::spawn(move || events.push([index as usize]));
        self.threads.lock().unwrap().push(ends);
        Performed::Elsewhere
    }

    fn keep(&self, index: u32, (): (), _: Duration) -> bool {
        self.kept[index as usize].fetch_add(1, Ordering::SeqCst) == 0
    }

    fn forget(&self, _: u32) {}

    fn submit(&self, ticket: Ticket<Self>) -> Submitted {
        let one_less = |workers: usize| workers.checked_sub(1);
        if self.workers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
            return Submitted::Here;
        }
        let worker = thread::spawn(move || drop(ticket.work()));
        self.threads.lock().unwrap().push(worker);
        Submitted::Queued
    }
}

/// Runs a graph, in which each needs these, on so many threads; stops it, if that is asked, from another.
fn run(needs: &[&[u32]], workers: usize, elsewhere: Option<u32>, stopped: bool) {
    let mut edges = Edges::new();
    for deps in needs {
        let index = edges.add();
        edges.set(index, deps);
    }
    let edges = Arc::new(edges);
    let dependants = Arc::new(Dependants::of(&edges));
    let stands = vec![Standing { is_done: false, has_value: false, has_work: true }; needs.len()];
    let all = (0..).zip(needs).map(|(index, _)| index).collect();
    let plan = Plan::new(&edges, &dependants, &stands, all).unwrap();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let host = Modelled {
        edges: Arc::clone(&edges),
        workers: AtomicUsize::new(workers),
        threads: Arc::clone(&threads),
        elsewhere,
        place: Mutex::new(None),
        runs: needs.iter().map(|_| AtomicU32::new(0)).collect(),
        kept: needs.iter().map(|_| AtomicU32::new(0)).collect(),
    };
    let mut attendant = Attendant::new(host, edges, dependants, plan);
    let stopper = attendant.run().stopper();
    if stopped {
        threads.lock().unwrap().push(thread::spawn(move || stopper.stop()));
    }
    attendant.start();
    loop {
        match attendant.wait(None).unwrap() {
            Event::Ended(number) => {
                let place = attendant.run().host().place.lock().unwrap().take().unwrap();
                let index = u32::try_from(number).unwrap();
                attendant.ended(index, place, (), Duration::ZERO);
            }
            Event::Work => attendant.work(),
            Event::Stopped => (),
            Event::AllEnded => break,
        }
    }
    let is_done = attendant.run().is_done();
    let (host, _) = attendant.finish();
    let runs: Vec<u32> = host.runs.iter().map(|runs| runs.load(Ordering::SeqCst)).collect();
    assert!(runs.iter().all(|runs| *runs <= 1), "{runs:?}");
    assert!(stopped || is_done, "{runs:?}");
    assert_eq!(is_done, runs.iter().all(|runs| *runs == 1), "{runs:?}");
    for thread in std::mem::take(&mut *threads.lock().unwrap()) {
        thread.join().unwrap();
    }
}

#[test]
fn each_node_runs_once_after_what_it_needs() {
    preempted_at_most(2, || run(&[&[], &[0], &[0], &[1, 2]], 2, None, false));
}

#[test]
fn two_workers_share_what_is_ready() {
    preempted_at_most(2, || run(&[&[], &[], &[0, 1]], 2, None, false));
}

#[test]
fn a_worker_and_the_thread_that_waits_share_what_is_ready() {
    preempted_at_most(2, || run(&[&[], &[0], &[0], &[1, 2]], 1, None, false));
}

#[test]
fn a_run_does_not_end_before_what_runs_elsewhere() {
    preempted_at_most(2, || run(&[&[], &[], &[0, 1]], 1, Some(0), false));
}

#[test]
fn a_stop_that_meets_workers_ends_the_run() {
    preempted_at_most(2, || run(&[&[], &[0], &[0]], 2, None, true));
}
