//! The macros: a test of each behaviour, and the worker of a test program.

/// Makes a module with a test of each behaviour, for the [`Subject`](crate::Subject) that the expression
/// gives; each test makes its own.
///
/// ```
/// use manyhands::ThreadPoolExecutor;
/// use manyhands_conform::{Subject, conformance};
///
/// conformance!(two_threads, Subject::pool(2, || ThreadPoolExecutor::new(2).unwrap()));
/// # fn main() {}
/// ```
///
/// A test of what the subject cannot do says so on its output and passes.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $subject:expr) => {
        mod $module {
            #[allow(unused_imports, reason = "the subject may be given by its path")]
            use super::*;

            fn subject() -> $crate::Subject {
                $subject
            }

            $crate::__each_behaviour!($crate::__tests);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            $crate::check(stringify!($name), &subject());
        }
    )*};
}

/// All names, for a macro to make something of: tests need them before the program is there.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_behaviour {
    ($($macro:tt)+) => {
        $($macro)+! {
            a_function_is_called_with_its_arguments,
            a_closure_is_called,
            a_closure_that_cannot_cross_is_given_back,
            every_accepted_task_ends,
            tasks_may_come_from_several_threads,
            a_task_may_submit_to_its_own_executor,
            in_the_caller_a_task_has_ended_when_submit_returns,
            elsewhere_submit_returns_while_the_task_runs,
            as_many_tasks_run_at_once_as_there_are_workers,
            a_result_may_be_asked_for_by_many_and_again,
            an_error_is_the_tasks_exception,
            a_panic_is_the_tasks_exception_and_harms_no_other,
            result_gives_up_after_its_timeout_and_the_task_goes_on,
            all_who_wait_get_the_result,
            a_future_can_be_awaited,
            a_pending_task_is_cancelled_and_never_runs,
            a_running_task_is_not_cancelled,
            an_ended_task_is_not_cancelled,
            a_cancelled_task_is_known_while_all_workers_are_busy,
            a_callback_is_called_once_with_its_future,
            callbacks_are_called_in_the_order_they_were_added,
            a_callback_added_late_is_called_at_once,
            a_callback_of_a_cancelled_task_is_called,
            a_panic_in_a_callback_harms_nobody,
            a_callback_may_submit_to_its_executor,
            map_gives_results_in_the_order_of_the_items,
            map_with_a_buffersize_takes_no_more_items_ahead,
            map_gives_results_as_they_complete_when_unordered,
            map_ends_with_the_first_error,
            map_gives_up_after_its_timeout,
            a_dropped_map_cancels_what_is_pending,
            wait_returns_when_all_have_ended,
            wait_returns_when_the_first_has_ended,
            wait_returns_when_the_first_has_failed,
            wait_gives_up_after_its_timeout,
            as_completed_gives_each_future_once_as_it_ends,
            as_completed_gives_up_after_its_timeout,
            futures_of_two_executors_can_be_waited_for_together,
            after_shutdown_tasks_are_refused_and_given_back,
            shutdown_with_wait_returns_when_all_have_ended,
            shutdown_without_wait_returns_at_once_and_pending_tasks_run,
            shutdown_with_cancel_cancels_what_is_pending_alone,
            shutdown_may_come_again_in_every_order,
            shutdown_may_come_from_several_threads,
            an_unused_executor_shuts_down,
            a_task_may_shut_its_own_executor_down,
            a_callback_of_shutdown_may_use_the_executor,
            a_dropped_executor_leaves_no_future_pending,
            futures_outlive_their_executor,
            what_a_breaking_executor_holds_fails_as_broken,
            a_broken_executor_accepts_nothing_it_cannot_end,
            a_broken_executor_shuts_down,
            a_task_may_wait_for_a_task_of_its_own_executor,
            tasks_may_wait_for_tasks_to_any_depth,
            a_task_may_map_on_its_own_executor,
            tasks_that_wait_for_each_other_end
        }
    };
}

/// As [`manyhands::test_worker!`], with the functions that the suite calls: makes a function `init_worker()`,
/// to be called before an executor is made that runs declared functions only.
///
/// ```
/// manyhands_conform::test_worker!();
/// ```
#[cfg(target_os = "linux")]
#[macro_export]
macro_rules! test_worker {
    () => {
        #[allow(dead_code, reason = "which tests are compiled decides")]
        fn init_worker() {
            $crate::__init_test($crate::tasks(), module_path!());
        }

        #[test]
        fn manyhands_worker() {
            init_worker();
        }
    };
}

#[cfg(test)]
mod tests {
    macro_rules! names {
        ($($name:ident),*) => { [$(stringify!($name)),*] };
    }

    #[test]
    fn each_behaviour_has_a_test_of_its_name() {
        let behaviours: Vec<_> = crate::behaviours().map(crate::Behaviour::name).collect();
        assert_eq!(*behaviours, crate::__each_behaviour!(names));
    }
}
