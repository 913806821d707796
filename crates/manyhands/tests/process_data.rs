//! Large arguments and results: whole, whatever their size and way, and freed when they are done with.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::sync::Mutex;

use common::watched;
use manyhands::process::{Buffer, Transport};
use manyhands::{Exception, Executor, ProcessPoolExecutor};

fn sum(numbers: Buffer<u64>) -> u64 {
    numbers.iter().sum()
}

fn count(to: usize) -> Buffer<u64> {
    (0..to as u64).collect()
}

fn count_in_place(to: usize) -> Buffer<u64> {
    let mut numbers = Buffer::filled(0, to);
    for (at, number) in (0..).zip(numbers.iter_mut()) {
        *number = at;
    }
    numbers
}

fn increment(mut numbers: Buffer<u64>) -> Buffer<u64> {
    numbers.iter_mut().for_each(|number| *number += 1);
    numbers
}

fn reverse(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

static KEPT: Mutex<Vec<Buffer<u64>>> = Mutex::new(Vec::new());

/// Keeps the last few for later tasks, and says what is kept.
fn keep(numbers: Buffer<u64>, most: usize) -> Vec<u64> {
    let mut kept = KEPT.lock().unwrap();
    kept.push(numbers);
    let surplus = kept.len().saturating_sub(most);
    kept.drain(..surplus);
    kept.iter().map(|numbers| numbers.iter().sum()).collect()
}

fn die_with(numbers: Buffer<u64>) -> u64 {
    std::process::exit(i32::try_from(numbers.len()).unwrap_or(1).min(1))
}

manyhands::test_worker![sum, count, count_in_place, increment, reverse, keep, die_with];

const SIZES: [usize; 8] = [0, 1, 511, 512, 513, 20_000, 300_000, 3_000_000];

fn pool(transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    ProcessPoolExecutor::builder().max_workers(1).transport(transport).build().unwrap()
}

fn both() -> [ProcessPoolExecutor; 2] {
    [Transport::Automatic, Transport::Socket].map(pool)
}

fn numbers(to: usize) -> Vec<u64> {
    (0..to as u64).collect()
}

#[test]
fn buffers_of_all_sizes_arrive() {
    let _watch = watched();
    for pool in both() {
        for size in SIZES {
            let there = pool.submit(sum, (Buffer::from(numbers(size)),)).unwrap();
            assert_eq!(there.result(None).unwrap(), numbers(size).iter().sum::<u64>());
            let made = pool.submit(count, (size,)).unwrap().into_result(None).unwrap();
            assert_eq!(*made, numbers(size));
            let made = pool.submit(count_in_place, (size,)).unwrap().into_result(None).unwrap();
            assert_eq!(*made, numbers(size));
        }
    }
}

#[test]
fn what_one_process_writes_the_other_does_not_see() {
    let _watch = watched();
    for pool in both() {
        let mut buffer = Buffer::from(numbers(100_000));
        for round in 1..5 {
            let sent = pool.submit(increment, (buffer.clone(),)).unwrap();
            let mut changed = sent.into_result(None).unwrap();
            assert_eq!(buffer[7], 7 + round - 1, "the sender's own");
            assert_eq!(changed[7], 7 + round);
            changed[8] = 5; // It is the receiver's to change.
            assert_eq!(changed[8], 5);
            changed[8] = 8 + round;
            buffer = changed;
        }
    }
}

#[test]
fn large_vectors_arrive_too() {
    let _watch = watched();
    for pool in both() {
        for size in [10, 100_000, 5_000_000] {
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut reversed =
                pool.submit(reverse, (bytes.clone(),)).unwrap().into_result(None).unwrap();
            reversed.reverse();
            assert_eq!(reversed, bytes);
        }
    }
}

#[test]
fn what_a_task_keeps_stays_as_it_was() {
    let _watch = watched();
    let pool = pool(Transport::Automatic);
    for round in 0..50_u64 {
        let numbers = Buffer::from(vec![round; 10_000]);
        let kept = pool.submit(keep, (numbers, 3)).unwrap().into_result(None).unwrap();
        let expected: Vec<u64> = (round.saturating_sub(2)..=round).map(|n| n * 10_000).collect();
        assert_eq!(kept, expected);
    }
}

#[test]
fn many_results_are_held_at_once_and_memory_comes_back() {
    let _watch = watched();
    let pool = pool(Transport::Automatic);
    for _ in 0..20 {
        let held: Vec<_> =
            pool.map(count_in_place, std::iter::repeat_n(25_000, 40)).into_vec().unwrap();
        assert!(held.iter().all(|made| **made == numbers(25_000)));
    }
}

#[test]
fn arguments_in_shared_memory_are_told_in_an_error() {
    let _watch = watched();
    let future =
        pool(Transport::Automatic).submit(die_with, (Buffer::from(vec![1; 100_000]),)).unwrap();
    let Some(Exception::Crashed(crash)) = future.exception(None).unwrap() else { panic!() };
    assert_eq!(crash.task.arguments, "([u64; 100000],)");
}
