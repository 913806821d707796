//! Executors that break: nobody waits in vain, and everybody is told why.

use manyhands::{Exception, Executor, Future, FutureError, Reason};

use super::{DOCS, TRAIT};
use crate::behaviour::{Behaviour, Need};
use crate::tasks::square;
use crate::trial::Trial;

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "what_a_breaking_executor_holds_fails_as_broken",
        &[Need::Breaks],
        "when an executor breaks, each of its tasks that has not ended fails with Exception::Broken",
        DOCS,
        what_a_breaking_executor_holds_fails_as_broken,
    ),
    Behaviour::new(
        "a_broken_executor_accepts_nothing_it_cannot_end",
        &[Need::Breaks],
        "a broken executor refuses a task, or fails it, as broken or as shut down",
        DOCS,
        a_broken_executor_accepts_nothing_it_cannot_end,
    ),
    Behaviour::new(
        "a_broken_executor_shuts_down",
        &[Need::Breaks],
        "a broken executor shuts down in any way",
        TRAIT,
        a_broken_executor_shuts_down,
    ),
];

fn is_broken(outcome: &Result<Option<Exception<std::convert::Infallible>>, FutureError>) -> bool {
    matches!(outcome, Ok(Some(Exception::Broken(_))))
}

fn what_a_breaking_executor_holds_fails_as_broken(trial: &Trial) {
    let (executor, breaks) = trial.breaking_executor();
    // Behind tasks that do not end, so that none has been run before it breaks.
    let held = trial.submit_held(&executor, trial.subject.workers());
    let futures: Vec<_> = (0..5).map(|n| executor.submit(square, (n,)).unwrap()).collect();
    breaks();
    for future in held.futures.iter().chain(&futures) {
        let outcome = future.exception(trial.patience());
        assert!(
            is_broken(&outcome),
            "expected Exception::Broken, but exception() gives {outcome:?}"
        );
    }
}

fn a_broken_executor_accepts_nothing_it_cannot_end(trial: &Trial) {
    let (executor, breaks) = trial.breaking_executor();
    let held = trial.submit_held(&executor, 1);
    breaks();
    trial.ended(&held.futures[0]);
    for _ in 0..5 {
        match executor.submit(square, (3,)) {
            Ok(future) => {
                let outcome = future.exception(trial.patience());
                assert!(is_broken(&outcome), "expected Exception::Broken, but it is {outcome:?}");
            }
            Err(refused) => assert!(
                matches!(refused.reason, Reason::Broken(_) | Reason::Shutdown),
                "expected the reason to be that it is broken or shut down, but it is: {}",
                refused.reason
            ),
        }
    }
}

fn a_broken_executor_shuts_down(trial: &Trial) {
    let ways = [(true, false), (true, true), (false, false), (false, true)];
    for (round, (wait, cancel)) in ways.into_iter().enumerate() {
        let trial = &trial.round(round);
        let (executor, breaks) = trial.breaking_executor();
        let held = trial.submit_held(&executor, 1);
        breaks();
        executor.shutdown(wait, cancel);
        executor.shutdown(true, false);
        assert!(
            held.futures.iter().all(Future::done),
            "expected shutdown to leave nothing pending"
        );
    }
}
