//! The 2009 proposal: `run_to_futures`, `run_to_results`, and the list's questions.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{PLANNED, occupy, watched};
use manyhands::{
    Exception, Executor, FutureError, FutureList, InlineExecutor, Reason, ReturnWhen,
    ThreadPoolExecutor, WhenFull,
};

const SHORT: Duration = Duration::from_millis(5);

type Call = Box<dyn FnOnce() -> Result<u32, String> + Send>;

fn good(n: u32) -> Call {
    Box::new(move || Ok(n))
}

fn bad() -> Call {
    Box::new(|| Err("bad".to_owned()))
}

/// Ends when the sender is dropped.
fn held(n: u32) -> (mpsc::Sender<()>, Call) {
    let (hold, released) = mpsc::channel::<()>();
    (hold, Box::new(move || released.recv().map_or(Ok(n), |()| Err("sent to".to_owned()))))
}

#[test]
fn the_list_answers_all_questions() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (end, running) = held(3);
    let calls = [good(0), bad(), good(2), running, good(4), good(5)];
    let list = pool.run_to_futures(calls, None, ReturnWhen::Immediately).unwrap();
    list[2].result(None).unwrap();
    while !list[3].running() {
        std::thread::yield_now();
    }
    assert!(list[5].cancel());

    assert_eq!((list.len(), list.is_empty()), (6, false));
    assert!(list.has_running_futures() && list.has_cancelled_futures() && list.has_done_futures());
    assert!(list.has_successful_futures() && list.has_exception_futures());
    assert!(list.running_futures().eq([&list[3]]));
    assert!(list.cancelled_futures().eq([&list[5]]));
    assert!(list.done_futures().eq([&list[0], &list[1], &list[2], &list[5]]));
    assert!(list.successful_futures().eq([&list[0], &list[2]]));
    assert!(list.exception_futures().eq([&list[1]]));
    assert!(list.contains(&list[4].clone()));
    assert!(!list.contains(&InlineExecutor::new().try_spawn(good(1)).unwrap()));
    assert_eq!(
        format!("{list:?}"),
        "<FutureList #futures=6 #pending=1 #cancelled=1 #running=1 #finished=3>"
    );
    drop(end);
    assert!(list.wait(None, ReturnWhen::AllCompleted));
    assert_eq!(list[4].result(None).unwrap(), 4);
    assert!((&list).into_iter().eq(list.iter()));
    assert!(list.clone().into_iter().eq(list.iter().cloned()));
}

#[test]
fn an_empty_list_has_nothing() {
    let _watched = watched();
    let inline = InlineExecutor::new();
    for return_when in [ReturnWhen::AllCompleted, ReturnWhen::FirstCompleted] {
        let list = inline.run_to_futures(Vec::<Call>::new(), None, return_when).unwrap();
        assert!(list.is_empty() && !list.has_done_futures() && !list.has_running_futures());
        assert!(list.wait(None, ReturnWhen::FirstException));
        assert!(list.cancel(Duration::ZERO).is_ok());
    }
    assert!(inline.run_to_results(Vec::<Call>::new(), None).unwrap().next().is_none());
}

fn run(pool: &ThreadPoolExecutor, calls: Vec<Call>, when: ReturnWhen) -> FutureList<u32, String> {
    pool.run_to_futures(calls, None, when).unwrap()
}

#[test]
fn run_to_futures_returns_when_it_is_told_to() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let list = run(&pool, vec![good(0), bad(), good(2)], ReturnWhen::AllCompleted);
    assert_eq!(list.done_futures().count(), 3);

    let (end, first) = held(0);
    let list = run(&pool, vec![first, good(1)], ReturnWhen::FirstCompleted);
    assert!(list[1].done() && !list[0].done());
    drop(end);

    let (end, first) = held(0);
    let list = run(&pool, vec![first, good(1), bad(), good(3)], ReturnWhen::FirstException);
    assert!(list[2].done() && !list[0].done());
    drop(end);

    let (end, first) = held(0);
    let list = run(&pool, vec![first], ReturnWhen::Immediately);
    assert!(!list[0].done());
    drop(end);
}

#[test]
fn run_to_futures_gives_up_waiting_when_the_time_is_up() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    for timeout in [Duration::ZERO, SHORT] {
        let (end, first) = held(0);
        let list = pool.run_to_futures([first, good(1)], timeout, ReturnWhen::AllCompleted);
        let list = list.unwrap();
        assert!(!list[0].done());
        assert!(!list.wait(timeout, ReturnWhen::AllCompleted));
        drop(end);
        assert!(list.wait(None, ReturnWhen::AllCompleted));
    }
}

#[test]
fn cancel_cancels_what_is_pending_and_waits_for_what_runs() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (end, first) = held(0);
    let list = run(&pool, vec![first, good(1), good(2)], ReturnWhen::Immediately);
    while !list[0].running() {
        std::thread::yield_now();
    }
    for timeout in [Duration::ZERO, SHORT] {
        assert!(matches!(list.cancel(timeout), Err(FutureError::TimedOut)));
        assert_eq!(list.cancelled_futures().count(), 2);
    }
    drop(end);
    assert!(list.cancel(None).is_ok());
    assert_eq!(list[0].result(None).unwrap(), 0);
}

#[test]
fn a_refusal_gives_the_call_back_and_cancels_those_before() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .max_pending(2, WhenFull::Refuse)
        .build()
        .unwrap();
    let busy = occupy(&pool, 1);
    let ran = Arc::new(AtomicUsize::new(0));
    let calls = |ran: &Arc<AtomicUsize>| {
        let ran = Arc::clone(ran);
        (0..5).map(move |n| {
            let ran = Arc::clone(&ran);
            move || {
                ran.fetch_add(1, Ordering::SeqCst);
                Ok::<u32, String>(n)
            }
        })
    };
    let refused = pool.run_to_futures(calls(&ran), None, ReturnWhen::AllCompleted).unwrap_err();
    assert_eq!(refused.reason, Reason::Full { max_pending: 2 });
    assert_eq!((refused.task)(), Ok(2));
    let refused = pool.run_to_results(calls(&ran), None).unwrap_err();
    assert_eq!((refused.task)(), Ok(0));
    drop(busy);
    pool.shutdown(true, false);
    assert_eq!(ran.load(Ordering::SeqCst), 2);
}

#[test]
fn run_to_results_gives_the_results_in_the_order_of_the_calls() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let (end, first) = held(0);
    let end = Mutex::new(Some(end));
    // The first call ends only after the last one has.
    let last: Call = Box::new(move || {
        drop(end.lock().unwrap().take());
        Ok(3)
    });
    let mut results = pool.run_to_results([first, good(1), good(2), last], None).unwrap();
    assert_eq!(results.size_hint(), (0, Some(4)));
    assert!(results.by_ref().map(Result::unwrap).eq(0..4));
    assert!(results.next().is_none());
}

#[test]
fn run_to_results_ends_with_the_first_failure_and_cancels_the_rest() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let panics: Call = Box::new(|| panic!("{PLANNED}call"));
    for fails in [bad(), panics] {
        let (end, ended) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        let blocks: Call = Box::new(move || {
            start.send(()).unwrap();
            ended.recv().map_or(Ok(2), |()| Err("sent to".to_owned()))
        });
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        let last: Call = Box::new(move || Ok(u32::from(count.fetch_add(1, Ordering::SeqCst) > 0)));
        let mut results = pool.run_to_results([good(0), fails, blocks, last], None).unwrap();
        assert_eq!(results.next().unwrap().unwrap(), 0);
        // Before this one runs, the last might slip in while the others are being cancelled.
        started.recv().unwrap();
        let error = results.next().unwrap().unwrap_err();
        assert!(matches!(error, FutureError::Exception(Exception::Error(_) | Exception::Panic(_))));
        assert!(results.next().is_none());
        drop(end);
        pool.spawn(|| ()).unwrap().result(None).unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn run_to_results_ends_when_the_time_is_up() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    for timeout in [Duration::ZERO, SHORT] {
        let (end, blocks) = held(0);
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        let last: Call = Box::new(move || Ok(u32::from(count.fetch_add(1, Ordering::SeqCst) > 0)));
        let mut results = pool.run_to_results([blocks, last], timeout).unwrap();
        assert!(matches!(results.next(), Some(Err(FutureError::TimedOut))));
        assert!(results.next().is_none());
        drop(end);
        pool.spawn(|| ()).unwrap().result(None).unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }
    // What is there is given even then.
    let inline = InlineExecutor::new();
    let results = inline.run_to_results([good(1), good(2)], Duration::ZERO).unwrap();
    assert!(results.map(Result::unwrap).eq([1, 2]));
}

#[test]
fn run_to_results_cancels_what_is_left_when_it_is_dropped() {
    let _watched = watched();
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let busy = occupy(&pool, 1);
    let ran = Arc::new(AtomicUsize::new(0));
    let calls: Vec<Call> = (0..10_u32)
        .map(|n| {
            let ran = Arc::clone(&ran);
            Box::new(move || {
                ran.fetch_add(1, Ordering::SeqCst);
                Ok(n)
            }) as Call
        })
        .collect();
    drop(pool.run_to_results(calls, None).unwrap());
    drop(busy);
    pool.shutdown(true, false);
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}
