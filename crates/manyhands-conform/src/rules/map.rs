//! Map: one function over many items.

use std::cell::Cell;
use std::time::Duration;

use manyhands::{Exception, Executor, FutureError};

use super::PEP;
use crate::behaviour::{Behaviour, Need};
use crate::tasks::{add, note, odd_only, square};
use crate::trial::Trial;

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "map_gives_results_in_the_order_of_the_items",
        &[],
        "map gives the results in the order of the items, however many there are",
        PEP,
        map_gives_results_in_the_order_of_the_items,
    ),
    Behaviour::new(
        "map_with_a_buffersize_takes_no_more_items_ahead",
        &[],
        "map with a buffersize takes only so many items ahead of the results that were taken",
        "the documentation of `concurrent.futures`, since 3.14",
        map_with_a_buffersize_takes_no_more_items_ahead,
    ),
    Behaviour::new(
        "map_gives_results_as_they_complete_when_unordered",
        &[],
        "an unordered map gives each result once",
        "the documentation of `manyhands::Map`",
        map_gives_results_as_they_complete_when_unordered,
    ),
    Behaviour::new(
        "map_ends_with_the_first_error",
        &[],
        "map gives the first error in the order of the items, after the results before it, and ends",
        PEP,
        map_ends_with_the_first_error,
    ),
    Behaviour::new(
        "map_gives_up_after_its_timeout",
        &[Need::Queue],
        "map with a timeout fails when it is over, and cancels what has not begun",
        PEP,
        map_gives_up_after_its_timeout,
    ),
    Behaviour::new(
        "a_dropped_map_cancels_what_is_pending",
        &[Need::Queue],
        "a map that is dropped cancels what has not begun",
        "the documentation of `manyhands::Map`",
        a_dropped_map_cancels_what_is_pending,
    ),
];

fn map_gives_results_in_the_order_of_the_items(trial: &Trial) {
    let executor = trial.executor();
    let squares: Result<Vec<u64>, _> =
        executor.map(square, 0..200).timeout(trial.patience()).buffersize(16).collect();
    let expected: Vec<u64> = (0..200).map(|n| n * n).collect();
    assert_eq!(squares.ok(), Some(expected), "expected the squares of 0 to 199 in their order");
    let pairs = (0..16).map(|n| (n, n));
    let sums: Result<Vec<u64>, _> = executor.starmap(add, pairs).collect();
    let expected: Vec<u64> = (0..16).map(|n| n + n).collect();
    assert_eq!(sums.ok(), Some(expected), "expected 0, 2, ... 30 from starmap");
}

fn map_with_a_buffersize_takes_no_more_items_ahead(trial: &Trial) {
    let executor = trial.executor();
    let taken = Cell::new(0);
    let items = (0..50).inspect(|_| taken.set(taken.get() + 1));
    let map = executor.map(square, items).buffersize(4).timeout(trial.patience());
    for (number, result) in (0..).zip(map) {
        assert_eq!(result.ok(), Some(number * number), "expected the square of {number}");
        assert!(
            taken.get() <= number + 1 + 4,
            "expected at most 4 items ahead of {} results, but {} were taken",
            number + 1,
            taken.get()
        );
    }
    assert_eq!(taken.get(), 50, "expected all items to be taken in the end");
}

fn map_gives_results_as_they_complete_when_unordered(trial: &Trial) {
    let executor = trial.executor();
    let map = executor.map(square, 0..100).buffersize(16).unordered().timeout(trial.patience());
    let mut squares: Vec<u64> =
        map.map(|result| result.expect("expected each task to give its value")).collect();
    squares.sort_unstable();
    let expected: Vec<u64> = (0..100).map(|n| n * n).collect();
    assert_eq!(squares, expected, "expected each square once");
}

fn map_ends_with_the_first_error(trial: &Trial) {
    let executor = trial.executor();
    let results: Vec<_> =
        executor.try_map(odd_only, [1, 3, 4, 5, 6]).timeout(trial.patience()).collect();
    let [Ok(1), Ok(3), Err(FutureError::Exception(Exception::Error(error)))] = &results[..] else {
        panic!("expected 1, 3 and the error of 4, but map gives {results:?}");
    };
    assert_eq!(**error, "4 is even", "expected the error of 4");
}

fn map_gives_up_after_its_timeout(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.busy(&executor);
    let calls = (0..4).map(|n| (trial.place.name(), n));
    let results: Vec<_> =
        executor.starmap(note, calls).timeout(Duration::from_millis(10)).collect();
    assert!(
        matches!(results[..], [Err(FutureError::TimedOut)]),
        "expected TimedOut while all workers are busy, but map gives {results:?}"
    );
    held.end();
    executor.shutdown(true, false);
    assert_eq!(trial.place.noted(), [0; 0], "expected what had not begun to be cancelled");
}

fn a_dropped_map_cancels_what_is_pending(trial: &Trial) {
    let executor = trial.executor();
    let held = trial.busy(&executor);
    let calls = (0..4).map(|n| (trial.place.name(), n));
    drop(executor.starmap(note, calls).start());
    held.end();
    executor.shutdown(true, false);
    assert_eq!(trial.place.noted(), [0; 0], "expected what had not begun to be cancelled");
}
