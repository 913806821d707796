//! A program that has not declared its functions gets no pool, and is told what to do.

#![cfg(not(loom))]

use manyhands::{ConfigError, ProcessPoolExecutor};

#[test]
fn without_init_there_is_no_pool() {
    let error = ProcessPoolExecutor::new(1).unwrap_err();
    assert_eq!(error, ConfigError::NotInitialised);
    assert!(error.to_string().contains("process::init"), "{error}");
}
