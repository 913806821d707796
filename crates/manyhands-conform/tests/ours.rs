//! The crate's own executors behave as executors should.

use std::sync::{Arc, Mutex, mpsc};

use manyhands::{InlineExecutor, ThreadPoolExecutor, WhenFull};
use manyhands_conform::{Subject, conformance};

conformance!(inline, Subject::inline(InlineExecutor::new));

conformance!(one_thread, threads(1));

conformance!(four_threads, threads(4));

conformance!(
    bounded,
    Subject::pool(2, || {
        let pool = ThreadPoolExecutor::builder().max_workers(2);
        pool.max_pending(16, WhenFull::Block).build().unwrap()
    })
    .nested_waits()
);

// Behind a pointer it is the same executor.
conformance!(
    shared,
    Subject::pool(2, || Arc::new(ThreadPoolExecutor::new(2).unwrap())).nested_waits()
);

fn threads(workers: usize) -> Subject {
    let pool = Subject::pool(workers, move || ThreadPoolExecutor::new(workers).unwrap());
    pool.nested_waits().breaks(move || {
        let (fail, failing) = mpsc::channel::<()>();
        let failing = Arc::new(Mutex::new(failing));
        let initializer = move || {
            // It fails when the other end is dropped.
            let _ = failing.lock().unwrap().recv();
            Err("planned")
        };
        let pool = ThreadPoolExecutor::builder().max_workers(workers);
        (pool.try_initializer(initializer, ()).build().unwrap(), move || drop(fail))
    })
}

#[cfg(target_os = "linux")]
mod processes {
    use std::sync::Arc;

    use manyhands::ProcessPoolExecutor;
    use manyhands_conform::{Subject, conformance};

    manyhands_conform::test_worker!();

    conformance!(one_process, processes(1));

    conformance!(two_processes, processes(2));

    fn processes(workers: usize) -> Subject {
        let pool = move || {
            init_worker();
            ProcessPoolExecutor::new(workers).unwrap()
        };
        Subject::pool(workers, pool).functions_only().breaks(move || {
            let pool = Arc::new(pool());
            let breaking = Arc::clone(&pool);
            (pool, move || breaking.kill_workers())
        })
    }
}
