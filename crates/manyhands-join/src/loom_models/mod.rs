//! Models: what the owner of a stack and those who take from it do to each other, tried by loom in every order
//! that can make a difference.
//!
//! `cargo xtask loom` runs them, and then once for every fault (a *sabotage*, behind
//! `sabotaged("name")`), which some model has to notice. Which one does:
//!
//! | sabotage | models that catch it |
//! |---|---|
//! | `job_offer_is_not_released` | `job::taken_back_or_stolen…` and others |
//! | `job_thief_looks_first` | `job::taken_back_or_stolen…`, `job::two_thieves…` |
//! | `job_owner_looks_first` | `job::taken_back_or_stolen…` |
//! | `job_is_done_before_it_is_called` | `job::taken_back_or_stolen…` and others |
//! | `job_takes_the_waker_late` | `job::an_owner_that_sleeps…` |
//! | `job_end_wakes_nobody` | `job::an_owner_that_sleeps…` |
//! | `job_sleeper_looks_first` | `job::an_owner_that_sleeps…` |
//!
//! The closure, its result and the waker are cells that loom watches: two accesses that nothing orders fail a
//! model. So does an access to the job's state after its owner has gone on. Whatever only counts for a model is
//! a std type, which makes no schedules of its own.

mod job;
