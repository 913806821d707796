//! The job as a library: it runs on any executor, and gives a whole report or none.

mod common;

use access_log::blocks::Limits;
use access_log::input::Input;
use access_log::job::{self, JobError, Options};
use common::real_log;
use indicatif::ProgressBar;
use manyhands::{Executor, FutureError, ThreadPoolExecutor};

#[test]
fn an_executor_of_any_kind_will_do_until_it_is_shut_down() {
    let pool: Box<dyn Executor> = Box::new(ThreadPoolExecutor::new(2).unwrap());
    let options = Options { top: 1, ahead: 4, limits: Limits { block: 4096, ..Limits::default() } };
    let report = || job::report(&pool, &[Input::File(real_log())], options, &ProgressBar::hidden());
    assert_eq!(report().unwrap().lines, 10_000);

    pool.shutdown(true, false);
    let refused = report().unwrap_err();
    assert!(matches!(refused, JobError::Task(FutureError::Refused(_))), "{refused:?}");
}
