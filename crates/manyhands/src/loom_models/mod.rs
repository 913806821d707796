//! Models: what threads do to each other in the promise, the block, the completion queue, the pool, its intake,
//! parts of its jobs, a graph, the wait-for graph, `block_on` and the listening for worker processes, tried by loom
//! in every order that can make a difference.
//!
//! `cargo xtask loom` runs them, and then once for every fault (a *sabotage*, behind
//! `sabotaged("name")`), which some model has to notice. Which one does:
//!
//! | sabotage | models that catch it |
//! |---|---|
//! | `condvar_lets_go_before_it_waits` | `promise::a_waiter_that_meets_the_end…` and all in which somebody sleeps |
//! | `condvar_notifies_one_for_all` | `pool::a_close_that_meets_workers…` |
//! | `promise_claim_lets_go` | `promise::a_job_is_claimed…` |
//! | `promise_begin_lets_go` | `promise::a_job_that_was_sent_away…` |
//! | `promise_finish_lets_go` | `promise::finish_against_cancel…`, `promise::a_watcher_that…` (both) |
//! | `promise_end_wakes_nobody` | `promise::a_waiter_that_meets_the_end…`, `promise::two_waiters…` |
//! | `completion_push_forgets_the_sleeper` | `completion::one_who_waits_for_two…` |
//! | `completion_interrupt_wakes_nobody` | `completion::an_interrupt_that_meets…`, `nested::two_tasks…` |
//! | `nested_tells_one_of_a_cycle` | `nested::two_tasks…` |
//! | `nested_leaves_an_interrupt_behind` | `nested::one_that_ends…` |
//! | `blockon_forgets_who_wakes_it` | `blockon::every_wake_up…` |
//! | `blockon_lets_go_before_it_wakes` | `blockon::one_whose_future…`, `blockon::one_whom_somebody…` (both) |
//! | `blockon_looks_once` | `blockon::one_whom_somebody…`, `blockon::one_whose_future…` (both) |
//! | `blockon_takes_itself_for_alone` | `blockon::one_whom_somebody…` |
//! | `block_cancel_wakes_nobody` | `block::a_cancel_that_meets_a_worker…` |
//! | `block_end_wakes_nobody` | all in `block` in which somebody sleeps |
//! | `block_forgets_who_waits` | `block::one_who_waits_for_the_first…` |
//! | `block_tells_less_than_is_known` | `block::two_workers…` |
//! | `block_forgets_that_nobody_wants_it` | `block::one_who_goes…` |
//! | `graph_take_lets_go` | `graph::each_node_runs_once…` |
//! | `graph_counts_in_two_steps` | `graph::each_node_runs_once…` |
//! | `graph_place_is_not_counted` | `graph::a_run_does_not_end_before…` |
//! | `graph_place_goes_before_the_run` | `graph::each_node_runs_once…` |
//! | `pool_submit_joint_wakes_nobody` | `pool::a_joint_job_gets_two_workers` |
//! | `pool_joint_is_not_recounted` | `pool::who_has_seen_the_end_of_a_joint_job…` |
//! | `pool_joint_keeps_its_workers` | `pool::a_worker_in_a_joint_job…` |
//! | `pool_joint_leaves_with_the_first` | `pool::a_joint_job_gets_two_workers` |
//! | `pool_submit_wakes_nobody` | `pool::a_job_that_meets_a_worker…`, `pool::two_jobs…` (both) and others |
//! | `pool_close_wakes_nobody` | `pool::a_close_that_meets_workers…`, `pool::a_submit_that_meets_a_close…` and most in which workers end |
//! | `pool_counts_on_those_that_start` | `pool::a_worker_that_has_not_started…` |
//! | `pool_free_is_not_told` | `pool::who_has_seen_an_outcome…` |
//! | `pool_local_queues_are_not_shared` | `pool::a_job_in_the_local_queue…` |
//! | `pool_busy_worker_calls_nobody` | `pool::a_job_that_counts_on_a_worker…` |
//! | `pool_drain_overlooks_local_queues` | `pool::a_drain_that_meets_a_take…` |
//! | `pool_waiting_worker_calls_nobody` | `compensate::a_job_that_meets_the_only…` |
//! | `pool_spare_keeps_its_job` | `compensate::a_job_that_counts…` |
//! | `pool_spare_leaves_late` | `compensate::a_job_that_is_waited_for…` |
//! | `pool_spare_leaves_though_called` | `compensate::a_job_that_is_waited_for…` |
//! | `parts_sleeper_looks_before_it_says_so` | `parts::a_part_that_meets_one…` |
//! | `parts_call_wakes_nobody` | `parts::a_part_that_meets_a_worker…` |
//! | `parts_are_not_handed_on` | `parts::of_two_parts…` |
//! | `parts_lender_leaves_silently` | `parts::a_closed_pool_is_left_by…` |
//! | `parts_closed_pool_waits_for_lenders` | `parts::a_closed_pool_is_left_while…` |
//! | `pool_intake_forgets_the_order` | `intake::jobs_in_two_shards…` |
//! | `pool_intake_is_emptied_one_by_one` | `intake::jobs_in_two_shards…` |
//! | `pool_intake_is_overtaken` | `intake::jobs_in_two_shards…` |
//! | `pool_intake_shut_leaves_it_open` | `intake::a_job_that_meets_a_worker…` |
//! | `pool_intake_stays_open` | `intake::a_job_that_meets_a_worker…` |
//! | `pool_leaver_keeps_its_local_queue` | `pool::a_worker_that_leaves…` |
//! | `intake_first_calls_nobody` | `listening::intake::a_manager_that_spins…` |
//! | `intake_place_is_given_back_unseen` | `listening::intake::a_close_comes_behind_a_task_that_is_left` |
//! | `intake_last_place_closes_nothing` | `listening::intake::a_close_comes…` (both) |
//! | `intake_refusal_is_stored` | `listening::intake::a_close_comes…` (both) |
//! | `intake_shut_forgets_the_last` | `listening::intake::a_task_that_is_left…` |
//! | `intake_shut_leaves_it_open` | `listening::intake::a_task_that_is_left…` |
//! | `listening_answers_ring_for_nothing` | `listening::a_manager_hears_nothing…` |
//! | `listening_attendant_sleeps_on` | `listening::an_answer_that_meets_an_attendant_falling…` and others |
//! | `listening_call_wakes_nobody` | `listening::a_call_that_meets…` |
//! | `listening_end_wakes_no_attendant` | `listening::an_attendant_that_falls_asleep…` and others |
//! | `listening_leaver_does_not_look` | `listening::an_answer_that_meets_an_attendant_leaving…` and others |
//! | `listening_leaver_forgets_the_end` | `listening::a_close_that_meets…`, `listening::of_two…` |
//! | `listening_leaver_rings_nobody` | `listening::an_answer_that_meets_an_attendant_leaving…` and others |
//! | `listening_leaver_says_so_late` | `listening::a_manager_does_not_spin…` |
//! | `listening_manager_looks_before_it_sleeps` | `listening::a_call_that_meets…` and most in which it sleeps |
//! | `listening_manager_minds_what_is_seen_to` | `listening::a_manager_does_not_spin…` |
//! | `listening_manager_sleeps_on` | `listening::an_answer_that_meets_a_manager…` and others |
//! | `listening_sender_rings_nobody` | `listening::an_answer_that_meets_its_submitter…` (both) |
//! | `listening_sender_tells_no_link` | `listening::an_answer_that_meets_its_submitter…` (both) |
//! | `listening_sooner_deadline_wakes_nobody` | `listening::a_deadline_that_meets…` |
//!
//! Whatever only counts for a model is a std atomic or a std `Arc`: loom does not see it, so it
//! makes no schedules of its own. A model's name says what must hold.

use loom::model::Builder;
use loom::thread::JoinHandle;

mod block;
mod blockon;
mod compensate;
mod completion;
mod graph;
mod intake;
#[cfg(target_os = "linux")]
mod listening;
mod nested;
mod parts;
mod pool;
mod promise;

/// Tries every schedule there is.
fn exhaustive(model: impl Fn() + Send + Sync + 'static) {
    loom::model(model);
}

/// Tries the schedules in which threads are interrupted at most `times` in all; that they sleep or
/// end does not count. For models of three threads at the pool, which take minutes to hours without a
/// bound; a lost wake-up needs one interruption, between a look and a sleep, or two.
fn preempted_at_most(times: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(times);
    // By default 1,000, of which three threads and a lock for each of their steps need some more.
    builder.max_branches = 2_000;
    builder.check(model);
}

fn join_all<const N: usize>(threads: [JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}
