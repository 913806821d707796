//! Values that cannot cross: only their task fails, the worker and the pool go on.

#![cfg(not(loom))]
#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod common;

use std::fmt::Debug;

use common::processes::{Death, add, crash, die, on_both, pid};
use common::{PLANNED, watched};
use manyhands::process::{Output, Transport};
use manyhands::{Exception, Executor, Future, FutureError, ProcessPoolExecutor};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Wrong {
    Nothing,
    WriteFails,
    WritePanics,
    ReadFails,
    ReadPanics,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value(Wrong);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Wrong::WriteFails => Err(S::Error::custom("it does not like to be written")),
            Wrong::WritePanics => panic!("{PLANNED}written"),
            _ => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Wrong::deserialize(deserializer)? {
            Wrong::ReadFails => Err(D::Error::custom("it does not like to be read")),
            Wrong::ReadPanics => panic!("{PLANNED}read"),
            wrong => Ok(Self(wrong)),
        }
    }
}

/// Written without saying which variant it is: only formats that describe themselves can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Text(String),
}

/// Writes less than it reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Short(u64, String);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Can be read by a worker alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ForWorkers(u64);

/// A variable that workers alone have.
const WORKER: &str = "MANYHANDS_TEST_IS_WORKER";

impl<'de> Deserialize<'de> for ForWorkers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert!(std::env::var_os(WORKER).is_some(), "{PLANNED}read by the parent");
        Ok(Self(u64::deserialize(deserializer)?))
    }
}

fn take(value: Value) -> bool {
    value.0 == Wrong::Nothing
}

fn make(wrong: Wrong) -> Value {
    Value(wrong)
}

fn try_make(wrong: Wrong) -> Result<Value, u32> {
    if wrong == Wrong::Nothing { Err(1) } else { Ok(Value(wrong)) }
}

fn untag(n: u32) -> Untagged {
    Untagged::Number(n)
}

fn take_untagged(value: Untagged) -> bool {
    value == Untagged::Number(1)
}

fn make_short(n: u64) -> Short {
    Short(n, String::new())
}

fn die_with(_: ForWorkers) -> u64 {
    die(Death::Exit(1))
}

fn bring(n: u64) -> ForWorkers {
    ForWorkers(n)
}

manyhands::test_worker![
    add,
    bring,
    die,
    die_with,
    make,
    make_short,
    pid,
    take,
    take_untagged,
    try_make,
    untag
];

fn pool(transport: Transport) -> ProcessPoolExecutor {
    init_worker();
    let builder = ProcessPoolExecutor::builder().max_workers(1).transport(transport);
    let builder = builder.env(WORKER, "yes");
    builder.stderr(Output::Null).build().unwrap()
}

const WRONGS: [Wrong; 4] =
    [Wrong::WriteFails, Wrong::WritePanics, Wrong::ReadFails, Wrong::ReadPanics];

#[track_caller]
fn assert_not_crossed<T: Send, E: Send + Sync + Debug>(future: &Future<T, E>, what: &str) {
    match future.exception(None).unwrap() {
        Some(Exception::NotCrossed(not)) => assert_eq!(not.what, what, "{not}"),
        // Code of the program's that ran in the worker.
        Some(Exception::Panic(panic)) => assert!(panic.message().starts_with(PLANNED)),
        other => panic!("it has crossed: {other:?}"),
    }
}

#[test]
fn a_value_that_cannot_cross_is_the_exception_of_its_task() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(transport);
        let worker = pool.submit(pid, ()).unwrap().result(None).unwrap();
        for wrong in WRONGS {
            assert_not_crossed(&pool.submit(take, (Value(wrong),)).unwrap(), "the arguments");
            assert_not_crossed(&pool.submit(make, (wrong,)).unwrap(), "the result");
            assert_not_crossed(&pool.try_submit(try_make, (wrong,)).unwrap(), "the result");
            assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
        }
        let worker_now = pool.submit(pid, ()).unwrap().result(None).unwrap();
        assert_eq!((worker_now, pool.stats().crashed), (worker, 0));
    });
}

#[test]
fn a_type_that_asks_what_it_is_is_an_error() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(transport);
        assert_not_crossed(&pool.submit(untag, (1,)).unwrap(), "the result");
        let argument = Untagged::Text("text".to_owned());
        assert_not_crossed(&pool.submit(take_untagged, (argument,)).unwrap(), "the arguments");
        assert_not_crossed(&pool.submit(make_short, (7,)).unwrap(), "the result");
        assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
    });
}

#[test]
fn in_a_chunk_what_comes_before_it_has_crossed() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(transport);
        for wrong in WRONGS {
            let items = [Wrong::Nothing, Wrong::Nothing, wrong, Wrong::Nothing];
            let mut results = pool.map(make, items).chunksize(4);
            match wrong {
                // The parent meets these, when it reads the whole chunk.
                Wrong::ReadFails | Wrong::ReadPanics => (),
                _ => {
                    assert_eq!(results.next().unwrap().unwrap(), Value(Wrong::Nothing));
                    assert_eq!(results.next().unwrap().unwrap(), Value(Wrong::Nothing));
                }
            }
            let error = results.next().unwrap().unwrap_err();
            assert!(matches!(error, FutureError::Exception(_)), "{error:?}");
            assert!(results.next().is_none());

            let mut results = pool.map(take, items.map(Value)).chunksize(4);
            let error = results.find_map(Result::err).unwrap();
            assert!(matches!(error, FutureError::Exception(_)), "{error:?}");
            assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
        }
        assert_eq!(pool.stats().crashed, 0);
    });
}

/// The parent reads the arguments once more, to show them.
#[test]
fn what_the_parent_cannot_read_does_it_no_harm() {
    let _watch = watched();
    on_both(|transport| {
        let pool = pool(transport);
        for _ in 0..3 {
            let crash = crash(&pool.submit(die_with, (ForWorkers(1),)).unwrap());
            assert_eq!(crash.task.arguments, "(arguments that cannot be read)");
            assert_not_crossed(&pool.submit(bring, (1,)).unwrap(), "the result");
        }
        assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
    });
}
