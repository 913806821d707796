//! The job as a library: it runs on any executor, and gives a whole report or none.

mod common;

use access_log::blocks::Limits;
use access_log::input::Input;
use access_log::job::{self, JobError, Options};
use access_log::report::Report;
use access_log::tally::parse_block;
use common::real_log;
use indicatif::ProgressBar;
use manyhands::{Executor, FutureError, ProcessPoolExecutor, ThreadPoolExecutor};

manyhands::test_worker![parse_block];

fn report(pool: &impl Executor) -> Result<Report, JobError> {
    let options = Options { top: 1, ahead: 4, limits: Limits { block: 4096, ..Limits::default() } };
    job::report(pool, &[Input::File(real_log())], options, &ProgressBar::hidden())
}

#[test]
fn an_executor_of_any_kind_will_do_until_it_is_shut_down() {
    init_worker();
    let pools: [Box<dyn Executor>; 2] = [
        Box::new(ThreadPoolExecutor::new(2).unwrap()),
        Box::new(ProcessPoolExecutor::new(2).unwrap()),
    ];
    for pool in pools {
        assert_eq!(report(&pool).unwrap().lines, 10_000);

        pool.shutdown(true, false);
        let refused = report(&pool).unwrap_err();
        assert!(matches!(refused, JobError::Task(FutureError::Refused(_))), "{refused:?}");
    }
}

#[test]
fn without_its_workers_a_pool_gives_no_report() {
    init_worker();
    let pool = ProcessPoolExecutor::new(2).unwrap();
    assert_eq!(report(&pool).unwrap().lines, 10_000);
    pool.kill_workers();
    let broken = report(&pool).unwrap_err();
    assert!(matches!(broken, JobError::Task(_)), "{broken:?}");
}
