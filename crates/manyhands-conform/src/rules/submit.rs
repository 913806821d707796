//! Submitting: what is called, where, and how many at once.

use std::panic::resume_unwind;
use std::thread;

use manyhands::{Executor, Future, Reason};

use super::{DOCS, PEP, TRAIT};
use crate::behaviour::{Behaviour, Need};
use crate::tasks::{add, hold, note, square};
use crate::trial::{SHORT, Trial};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "a_function_is_called_with_its_arguments",
        &[],
        "submit schedules function(arguments...) and returns a future, which gives what it returns",
        PEP,
        a_function_is_called_with_its_arguments,
    ),
    Behaviour::new(
        "a_closure_is_called",
        &[Need::Closures],
        "a closure is a task like any other, and may move what it captured",
        TRAIT,
        a_closure_is_called,
    ),
    Behaviour::new(
        "a_closure_that_cannot_cross_is_given_back",
        &[Need::FunctionsOnly],
        "what cannot be run in another process is refused by its name, and given back",
        TRAIT,
        a_closure_that_cannot_cross_is_given_back,
    ),
    Behaviour::new(
        "every_accepted_task_ends",
        &[],
        "each task that was accepted is run, once, and its future ends",
        TRAIT,
        every_accepted_task_ends,
    ),
    Behaviour::new(
        "tasks_may_come_from_several_threads",
        &[],
        "several threads may submit to one executor at the same time",
        TRAIT,
        tasks_may_come_from_several_threads,
    ),
    Behaviour::new(
        "a_task_may_submit_to_its_own_executor",
        &[Need::Closures],
        "a task may submit to the executor that runs it: no lock is held while a task runs",
        TRAIT,
        a_task_may_submit_to_its_own_executor,
    ),
    Behaviour::new(
        "in_the_caller_a_task_has_ended_when_submit_returns",
        &[Need::InCaller, Need::Closures],
        "an executor that runs tasks in the caller returns futures that have ended",
        "the documentation of `manyhands::InlineExecutor`; cpython#80576",
        in_the_caller_a_task_has_ended_when_submit_returns,
    ),
    Behaviour::new(
        "elsewhere_submit_returns_while_the_task_runs",
        &[Need::Elsewhere],
        "submit does not wait for the task, whose future is running meanwhile",
        PEP,
        elsewhere_submit_returns_while_the_task_runs,
    ),
    Behaviour::new(
        "as_many_tasks_run_at_once_as_there_are_workers",
        &[Need::Queue],
        "as many tasks run at once as there are workers, and no more",
        DOCS,
        as_many_tasks_run_at_once_as_there_are_workers,
    ),
];

fn a_function_is_called_with_its_arguments(trial: &Trial) {
    let executor = trial.executor();
    let sum = trial.value(&executor.submit(add, (40, 2)).unwrap());
    assert_eq!(sum, 42, "expected what add(40, 2) returns");
}

fn a_closure_is_called(trial: &Trial) {
    let executor = trial.executor();
    let words = vec!["a closure".to_owned()];
    let future = executor.spawn(move || words).unwrap();
    assert_eq!(trial.value(&future), ["a closure"], "expected what the closure captured");
}

fn a_closure_that_cannot_cross_is_given_back(trial: &Trial) {
    let executor = trial.executor();
    let word = "here again".to_owned();
    match executor.spawn(move || word) {
        Ok(future) => panic!("expected a refusal, but the closure was accepted: {future:?}"),
        Err(refused) => {
            assert!(
                matches!(refused.reason, Reason::NotDeclared { function } if function.contains("closure")),
                "expected Reason::NotDeclared with the closure's name, but it is {:?}",
                refused.reason
            );
            assert_eq!((refused.task)(), "here again", "expected the closure itself");
        }
    }
}

fn every_accepted_task_ends(trial: &Trial) {
    const WAVES: u64 = 8;
    const WAVE: u64 = 16;
    let executor = trial.executor();
    for wave in 0..WAVES {
        let numbers = wave * WAVE..(wave + 1) * WAVE;
        let futures: Vec<Future<u64>> = numbers
            .clone()
            .map(|n| executor.submit(note, (trial.place.name(), n)).unwrap())
            .collect();
        for (number, future) in numbers.zip(&futures) {
            assert_eq!(trial.value(future), number, "expected the result of task {number}");
        }
    }
    let all: Vec<u64> = (0..WAVES * WAVE).collect();
    assert_eq!(trial.place.noted(), all, "expected each task to have run once");
}

fn tasks_may_come_from_several_threads(trial: &Trial) {
    let executor = trial.executor();
    thread::scope(|scope| {
        let submitters: Vec<_> = (0..4)
            .map(|number| {
                let executor = &executor;
                scope.spawn(move || {
                    for turn in 0..20 {
                        let future = executor.submit(add, (number, turn)).unwrap();
                        assert_eq!(
                            trial.value(&future),
                            number + turn,
                            "expected this task's result"
                        );
                    }
                })
            })
            .collect();
        for submitter in submitters {
            // A scope's own panic would not say what was expected.
            submitter.join().unwrap_or_else(|payload| resume_unwind(payload));
        }
    });
}

fn a_task_may_submit_to_its_own_executor(trial: &Trial) {
    let executor = trial.executor();
    let inside = executor.clone();
    let outer = executor.spawn(move || inside.submit(square, (12,)).unwrap()).unwrap();
    let inner = trial.value(&outer);
    assert_eq!(trial.value(&inner), 144, "expected the result of the task submitted by a task");
}

fn in_the_caller_a_task_has_ended_when_submit_returns(trial: &Trial) {
    let executor = trial.executor();
    let future = executor.spawn(|| thread::current().id()).unwrap();
    assert!(future.done(), "expected the future to have ended, but it is {}", future.state());
    assert_eq!(trial.value(&future), thread::current().id(), "expected it to run in this thread");
}

fn elsewhere_submit_returns_while_the_task_runs(trial: &Trial) {
    let executor = trial.executor();
    let returned = {
        let (executor, place) = (executor.clone(), trial.place.name());
        trial.returns("submit, while its task runs,", move || {
            executor.submit(hold, (place, 0)).unwrap()
        })
    };
    trial.until("the task to begin", || trial.place.has_begun(0));
    let (running, done) = (returned.running(), returned.done());
    trial.place.open();
    assert!(running && !done, "expected a running future, but running={running}, done={done}");
    assert_eq!(trial.value(&returned), 0, "expected the task's result");
    assert!(returned.done() && !returned.running(), "expected the future to have ended");
}

fn as_many_tasks_run_at_once_as_there_are_workers(trial: &Trial) {
    let executor = trial.executor();
    let workers = trial.subject.workers();
    let held = trial.busy(&executor);
    let further = executor.submit(hold, (trial.place.name(), workers)).unwrap();
    thread::sleep(SHORT);
    assert!(
        !trial.place.has_begun(workers) && !further.running(),
        "expected a task to wait while {workers} others run, but it has begun"
    );
    held.end();
    assert_eq!(trial.value(&further), workers, "expected its result, once there is a free worker");
}
