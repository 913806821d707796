//! The suite can fail: an executor with a fault is caught, by the behaviour that is about it.
//!
//! What Rust's types rule out has no fault here: a job cannot be run twice, nor a callback be called twice,
//! and `map` is not the executor's own.

mod faulty;

use std::time::Duration;

use faulty::{Fault, Small};
use manyhands::{Executor, InlineExecutor, Job, Refused};
use manyhands_conform::{Behaviour, Failure, Subject, Verdict, behaviours, conformance};

// Without a fault it behaves as it should, so the fault is what is caught.
conformance!(without_a_fault, small(2, Fault::None));

fn small(workers: usize, fault: Fault) -> Subject {
    Subject::pool(workers, move || Small::new(workers, fault)).breaks(move || {
        let small = Small::without_workers(fault);
        let breaks = small.breaks();
        (small, breaks)
    })
}

fn behaviour(name: &str) -> &'static Behaviour {
    behaviours().find(|behaviour| behaviour.name() == name).expect("there is such a behaviour")
}

/// What the behaviour says of the subject. Some faults show only when two threads meet.
fn caught(name: &str, subject: &Subject) -> Failure {
    for _ in 0..100 {
        match behaviour(name).test(subject) {
            Err(failure) => return failure,
            Ok(verdict) => assert_eq!(verdict, Verdict::Passed, "it is about this subject"),
        }
    }
    panic!("`{name}` has seen nothing of it");
}

/// That a pool with the fault is caught, and what is said of it.
#[track_caller]
fn assert_caught(fault: Fault, name: &str, says: &str) {
    let subject = small(2, fault).patience(Duration::from_secs(1));
    let failure = caught(name, &subject);
    assert!(failure.what.contains(says), "{failure}");
    assert_eq!(failure.behaviour, name);
    assert!(failure.to_string().contains(behaviour(name).rule()), "{failure}");
}

macro_rules! faults {
    ($($fault:ident: $behaviour:ident, $says:literal;)*) => {
        mod caught {
            $(
                #[test]
                #[allow(non_snake_case, reason = "the fault's own name")]
                fn $fault() {
                    super::assert_caught(super::Fault::$fault, stringify!($behaviour), $says);
                }
            )*
        }
    };
}

faults! {
    LosesTasks: every_accepted_task_ends, "expected a task to return its value, but it is PENDING";
    DropsTasks: every_accepted_task_ends, "Cancelled";
    DropsTasksThatMeet: tasks_may_come_from_several_threads, "Cancelled";
    RunsInTheCaller: elsewhere_submit_returns_while_the_task_runs, "expected submit";
    HasAWorkerTooFew: as_many_tasks_run_at_once_as_there_are_workers, "expected a task to begin";
    HasAWorkerTooMany: as_many_tasks_run_at_once_as_there_are_workers, "it has begun";
    RunsUnderItsLock: a_task_may_submit_to_its_own_executor, "expected";
    AcceptsAfterShutdown: after_shutdown_tasks_are_refused_and_given_back, "expected a refusal";
    RefusesForNoReason: after_shutdown_tasks_are_refused_and_given_back, "the reason";
    GivesBackAnother: after_shutdown_tasks_are_refused_and_given_back, "expected a refusal";
    NeverWaits: shutdown_with_wait_returns_when_all_have_ended, "expected";
    AlwaysWaits: shutdown_without_wait_returns_at_once_and_pending_tasks_run, "to return";
    NeverCancels: shutdown_with_cancel_cancels_what_is_pending_alone, "shutdown to cancel";
    AlwaysCancels: shutdown_without_wait_returns_at_once_and_pending_tasks_run, "Cancelled";
    ForgetsWhatItCancels: shutdown_with_cancel_cancels_what_is_pending_alone, "to cancel";
    ForgetsWhatIsPending: shutdown_without_wait_returns_at_once_and_pending_tasks_run, "PENDING";
    CancelsUnderItsLock: a_callback_of_shutdown_may_use_the_executor, "expected shutdown to return";
    ShutsDownOnce: shutdown_may_come_again_in_every_order, "expected";
    WaitsForItself: a_task_may_shut_its_own_executor_down, "expected a task to return its value";
    WaitsForATask: an_unused_executor_shuts_down, "it hangs";
    ForgetsWhoCancels: shutdown_may_come_from_several_threads, "expected all futures to have ended";
    ForgetsAtDrop: a_dropped_executor_leaves_no_future_pending, "run or cancelled";
    BreaksInSilence: what_a_breaking_executor_holds_fails_as_broken, "TimedOut";
    BreaksByCancelling: what_a_breaking_executor_holds_fails_as_broken, "Cancelled";
    AcceptsWhenBroken: a_broken_executor_accepts_nothing_it_cannot_end, "TimedOut";
}

#[test]
fn a_pool_whose_workers_wait_for_each_other_is_caught() {
    let deadlocks = small(2, Fault::None).nested_waits().patience(Duration::from_secs(1));
    let failure = caught("a_task_may_wait_for_a_task_of_its_own_executor", &deadlocks);
    assert!(failure.what.contains("expected a task to"), "{failure}");
    // What runs its jobs by `Job::run` is told of a cycle all the same.
    let told = behaviour("tasks_that_wait_for_each_other_end").test(&deadlocks);
    assert!(told.is_ok(), "{told:?}");
}

/// Runs elsewhere what it should run in the caller.
struct NotInline(Small);

impl Executor for NotInline {
    fn execute(&self, job: Job<'static>) -> Result<(), Refused<Job<'static>>> {
        self.0.execute(job)
    }

    fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.0.shutdown(wait, cancel_futures);
    }
}

#[test]
fn an_inline_executor_that_is_none_is_caught() {
    let subject = Subject::inline(|| NotInline(Small::new(1, Fault::None)));
    let name = "in_the_caller_a_task_has_ended_when_submit_returns";
    assert!(caught(name, &subject).what.contains("expected"));
}

#[test]
fn an_executor_that_takes_closures_and_says_it_does_not_is_caught() {
    let subject = Subject::inline(InlineExecutor::new).functions_only();
    let failure = caught("a_closure_that_cannot_cross_is_given_back", &subject);
    assert!(failure.what.contains("expected a refusal"), "{failure}");
}

#[test]
fn a_behaviour_of_what_the_subject_has_not_does_not_apply() {
    let inline = Subject::inline(InlineExecutor::new);
    let verdict = behaviour("a_pending_task_is_cancelled_and_never_runs").test(&inline);
    assert!(matches!(verdict, Ok(Verdict::DoesNotApply(_))), "{verdict:?}");
}
