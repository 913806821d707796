//! Models of [`Block`]: each task is begun by one or cancelled, nobody sleeps for one that has ended, and
//! nothing is kept for somebody who has gone.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::{exhaustive, preempted_at_most};
use crate::block::{Block, Claimed, Ending};
use crate::ready::Ready;
use crate::sync::atomic::{AtomicUsize, Ordering};

type Tasks = Block<std::vec::IntoIter<usize>, usize, ()>;

/// Each task gives its own number; gives back how many were run, and what nobody wanted.
fn work(tasks: &Tasks) -> (usize, usize) {
    let (mut ran, mut unwanted) = (0, 0);
    let mut next = tasks.claim(());
    while let Some(Claimed { index, job, .. }) = next {
        assert_eq!(index, job, "its place");
        ran += 1;
        next = match tasks.finish_and_claim((), index, Ok(job), || ()) {
            Ok(another) => Some(another),
            Err(outcome) => {
                match tasks.finish((), index, outcome, || ()) {
                    Ok(finished) => tasks.tell(finished),
                    Err(_) => unwanted += 1,
                }
                tasks.claim(())
            }
        };
    }
    (ran, unwanted)
}

fn start(tasks: &Arc<Tasks>) -> JoinHandle<(usize, usize)> {
    let tasks = Arc::clone(tasks);
    thread::spawn(move || work(&tasks))
}

#[test]
fn two_workers_share_the_tasks_and_the_results_come_in_order() {
    preempted_at_most(3, || {
        let tasks = Arc::new(Tasks::new(vec![0, 1]));
        let working = [start(&tasks), start(&tasks)];
        for index in 0..2 {
            assert!(tasks.awaited((), index).wait(None));
            assert!(matches!(tasks.take((), index), Some(Ending::Value(value)) if value == index));
        }
        for worker in working {
            worker.join().unwrap();
        }
    });
}

#[test]
fn one_who_waits_is_told_also_when_it_has_ended_meanwhile() {
    exhaustive(|| {
        let tasks = Arc::new(Tasks::new(vec![0]));
        let working = start(&tasks);
        assert!(tasks.awaited((), 0).wait(None));
        assert!(matches!(tasks.take((), 0), Some(Ending::Value(0))));
        working.join().unwrap();
    });
}

#[test]
fn one_who_waits_for_the_first_does_not_wait_for_the_next() {
    exhaustive(|| {
        let tasks = Arc::new(Tasks::new(vec![0, 1]));
        let seen = Arc::new(Ready::new());
        let working = {
            let (tasks, seen) = (Arc::clone(&tasks), Arc::clone(&seen));
            thread::spawn(move || {
                let first = tasks.claim(()).unwrap();
                let next = tasks.finish_and_claim((), first.index, Ok(0), || ()).unwrap();
                assert_eq!((next.index, seen.pop(None)), (1, Some(0)));
            })
        };
        assert!(tasks.awaited((), 0).wait(None));
        seen.push([0]);
        working.join().unwrap();
    });
}

#[test]
fn one_who_waits_for_the_last_sleeps_until_all_have_ended() {
    preempted_at_most(3, || {
        let tasks = Arc::new(Tasks::new(vec![0, 1]));
        let working = [start(&tasks), start(&tasks)];
        assert!(tasks.awaited((), 1).wait(None));
        let mut values = VecDeque::new();
        assert_eq!((tasks.take_values((), 0, &mut values), values), (2, VecDeque::from([0, 1])));
        for worker in working {
            worker.join().unwrap();
        }
    });
}

#[test]
fn whose_end_is_seen_has_published_also_if_another_told_of_it() {
    exhaustive(|| {
        let tasks = Arc::new(Tasks::new(vec![0, 1]));
        let published = Arc::new(AtomicUsize::new(0));
        let [first, last] = [tasks.claim(()).unwrap(), tasks.claim(()).unwrap()];
        let finish = {
            let (tasks, published) = (Arc::clone(&tasks), Arc::clone(&published));
            move |index| {
                let publish = || {
                    published.fetch_add(1, Ordering::Relaxed);
                };
                tasks.tell(tasks.finish((), index, Ok(0), publish).unwrap());
            }
        };
        let working = thread::spawn({
            let finish = finish.clone();
            move || finish(last.index)
        });
        finish(first.index);
        if tasks.ended() == 2 {
            assert_eq!(published.load(Ordering::Relaxed), 2);
        }
        working.join().unwrap();
        assert_eq!(tasks.ended(), 2);
    });
}

#[test]
fn a_cancel_that_meets_a_worker_leaves_nothing_behind() {
    preempted_at_most(3, || {
        let tasks = Arc::new(Tasks::new(vec![0, 1]));
        let working = start(&tasks);
        let cancelling = {
            let tasks = Arc::clone(&tasks);
            thread::spawn(move || tasks.cancel(()).len())
        };
        assert!(tasks.awaited((), 1).wait(None));
        let values = [0, 1].map(|index| match tasks.take((), index) {
            Some(Ending::Value(_)) => 1,
            Some(Ending::Cancelled) => 0,
            other => unreachable!("{other:?}"),
        });
        let (ran, _) = working.join().unwrap();
        assert_eq!(values.iter().sum::<usize>(), ran);
        assert_eq!(ran + cancelling.join().unwrap(), 2);
    });
}

#[test]
fn one_who_goes_gets_every_outcome_or_its_worker_does() {
    exhaustive(|| {
        let tasks = Arc::new(Tasks::new(vec![0, 1]));
        let working = start(&tasks);
        let given_back = tasks.abandon(()).len();
        let (ran, unwanted) = working.join().unwrap();
        assert_eq!((ran, given_back + unwanted), (2, 2));
        assert_eq!(Arc::strong_count(&tasks), 1);
    });
}
