//! Two modules of one test program, each with functions of its own for its workers.

mod common;

mod additions {
    use manyhands::{Executor, ProcessPoolExecutor};

    use crate::common::watched;

    fn add(a: u64, b: u64) -> u64 {
        a + b
    }

    manyhands::test_worker![add];

    #[test]
    fn are_made() {
        let _watch = watched();
        for n in 0..20 {
            init_worker();
            let pool = ProcessPoolExecutor::new(1).unwrap();
            assert_eq!(pool.submit(add, (2, n)).unwrap().result(None).unwrap(), 2 + n);
        }
    }
}

mod products {
    use manyhands::{Executor, ProcessPoolExecutor};

    use crate::common::watched;

    fn multiply(a: u64, b: u64) -> u64 {
        a * b
    }

    manyhands::test_worker![multiply];

    #[test]
    fn are_made() {
        let _watch = watched();
        for n in 0..20 {
            init_worker();
            let pool = ProcessPoolExecutor::new(1).unwrap();
            assert_eq!(pool.submit(multiply, (2, n)).unwrap().result(None).unwrap(), 2 * n);
        }
    }
}
