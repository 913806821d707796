//! A pool for the length of a scope, whose tasks borrow from the stack.

#![cfg(not(loom))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use common::{Counter, PLANNED, block_on, watched};
use manyhands::{
    ConfigError, Exception, FutureError, Reason, ReturnWhen, Scope, ThreadPoolExecutor, WhenFull,
    as_completed, wait,
};

#[test]
fn tasks_borrow_and_change_what_lives_outside() {
    let _watched = watched();
    let words = ["one".to_owned(), "three".to_owned()];
    let mut lengths = vec![0; 2];
    ThreadPoolExecutor::builder()
        .max_workers(2)
        .scope(|scope| {
            for (word, length) in words.iter().zip(&mut lengths) {
                scope.spawn(move || *length = word.len()).unwrap();
            }
        })
        .unwrap();
    assert_eq!(lengths, [3, 5]);
    assert_eq!(words.len(), 2);
}

#[test]
fn results_may_borrow_too() {
    let _watched = watched();
    let text = String::from("all the words");
    let last = ThreadPoolExecutor::builder().scope(|scope| {
        let words = scope.spawn(|| text.split(' ').collect::<Vec<&str>>()).unwrap();
        let failed = scope.try_spawn(|| text.strip_prefix("none").ok_or(&text)).unwrap();
        match failed.result(None) {
            Err(FutureError::Exception(Exception::Error(error))) => assert_eq!(**error, text),
            other => panic!("{other:?}"),
        }
        words.result(None).unwrap().pop()
    });
    assert_eq!(last.unwrap(), Some("words"));
}

#[test]
fn the_end_waits_for_all_tasks() {
    let _watched = watched();
    for _ in 0..50 {
        let ran = AtomicUsize::new(0);
        ThreadPoolExecutor::builder()
            .max_workers(3)
            .scope(|scope| {
                for _ in 0..100 {
                    scope.spawn(|| ran.fetch_add(1, Ordering::SeqCst)).unwrap();
                }
            })
            .unwrap();
        assert_eq!(ran.into_inner(), 100);
    }
}

#[test]
fn tasks_submit_tasks_through_a_clone() {
    fn grow<'scope>(scope: &Scope<'scope, '_>, depth: u32, leaves: &'scope AtomicUsize) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::SeqCst);
            return;
        }
        for _ in 0..2 {
            let inner = scope.clone();
            scope.spawn(move || grow(&inner, depth - 1, leaves)).unwrap();
        }
    }
    let _watched = watched();
    let leaves = AtomicUsize::new(0);
    ThreadPoolExecutor::builder()
        .max_workers(2)
        .scope(|scope| {
            grow(scope, 8, &leaves);
            while leaves.load(Ordering::SeqCst) < 256 {
                std::thread::yield_now();
            }
        })
        .unwrap();
    assert_eq!(leaves.into_inner(), 256);
}

/// The pool is closed when the closure returns: a task that submits later gets its task back.
#[test]
fn a_task_that_submits_after_the_closure_gets_it_back() {
    let _watched = watched();
    let (sender, go) = mpsc::channel::<()>();
    let given_back = AtomicUsize::new(0);
    let count = &given_back;
    ThreadPoolExecutor::builder()
        .max_workers(1)
        .scope(|scope| {
            let inner = scope.clone();
            let task = move || {
                let _ = go.recv();
                // The closing comes right after the closure's end, or has come.
                loop {
                    match inner.spawn(|| 5) {
                        Ok(_) => std::thread::yield_now(),
                        Err(refused) => {
                            assert_eq!(refused.reason, Reason::Shutdown);
                            count.fetch_add((refused.task)(), Ordering::SeqCst);
                            break;
                        }
                    }
                }
            };
            scope.spawn(task).unwrap();
            drop(sender);
        })
        .unwrap();
    assert_eq!(given_back.into_inner(), 5);
}

#[test]
fn a_panic_in_the_closure_goes_on_when_all_tasks_have_ended() {
    let _watched = watched();
    let ran = AtomicUsize::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _ = ThreadPoolExecutor::builder().max_workers(2).scope(|scope| {
            for _ in 0..1_000 {
                scope.spawn(|| ran.fetch_add(1, Ordering::SeqCst)).unwrap();
            }
            panic!("{PLANNED}in the closure");
        });
    }));
    let message = *panic.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(message, format!("{PLANNED}in the closure"));
    assert_eq!(ran.into_inner(), 1_000);
}

#[test]
fn a_panic_in_a_task_is_its_futures() {
    let _watched = watched();
    let result = ThreadPoolExecutor::builder().max_workers(1).scope(|scope| {
        let future = scope.spawn(|| -> u8 { panic!("{PLANNED}in a task") }).unwrap();
        let exception = future.exception(None).unwrap().unwrap();
        assert!(matches!(&exception, Exception::Panic(p) if p.message().ends_with("in a task")));
        scope.spawn(|| 3).unwrap().result(None).unwrap()
    });
    assert_eq!(result.unwrap(), 3);
}

#[test]
fn impossible_options_are_an_error_and_the_closure_is_not_called() {
    let _watched = watched();
    let called = ThreadPoolExecutor::builder().max_workers(0).scope(|_| panic!("called"));
    assert_eq!(called, Err::<(), _>(ConfigError::NoWorkers));
    let called =
        ThreadPoolExecutor::builder().max_pending(0, WhenFull::Block).scope(|_| panic!("called"));
    assert_eq!(called, Err::<(), _>(ConfigError::NoRoom));
}

#[test]
fn its_futures_are_like_all_others() {
    let _watched = watched();
    let counter = Counter::new();
    ThreadPoolExecutor::builder()
        .max_workers(1)
        .scope(|scope| {
            let (start, started) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let busy = scope
                .spawn(move || {
                    start.send(()).unwrap();
                    u32::from(ended.recv().is_err())
                })
                .unwrap();
            started.recv().unwrap();
            let value = counter.value();
            let cancelled = scope
                .spawn(move || {
                    drop(value);
                    1
                })
                .unwrap();
            assert!(cancelled.cancel());
            let first = [busy.clone(), cancelled.clone()];
            let sorted = wait(first.clone(), None, ReturnWhen::FirstCompleted);
            assert_eq!(sorted.done, [cancelled]);
            let mut completed = as_completed(first, None);
            assert!(completed.next().unwrap().unwrap().cancelled());
            let (sender, told) = mpsc::channel();
            busy.add_done_callback(move |future| sender.send(future.done()).unwrap());
            drop(end);
            assert_eq!(completed.next().unwrap().unwrap(), busy);
            assert!(told.recv().unwrap());
            assert_eq!(block_on(busy).unwrap(), 1);
        })
        .unwrap();
    assert_eq!(counter.alive(), 0);
}

#[test]
fn the_options_count_here_too() {
    let _watched = watched();
    let builder = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("scoped");
    builder
        .max_pending(1, WhenFull::Refuse)
        .initializer(|| (), ())
        .scope(|scope| {
            let (start, started) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let task = move || {
                start.send(std::thread::current().name().map(str::to_owned)).unwrap();
                ended.recv().is_err()
            };
            let running = scope.spawn(task).unwrap();
            assert_eq!(started.recv().unwrap().as_deref(), Some("scoped_0"));
            let pending = scope.spawn(|| 1).unwrap();
            assert_eq!(scope.stats().pending, 1);
            let refused = scope.spawn(|| 2).unwrap_err();
            assert_eq!(refused.reason, Reason::Full { max_pending: 1 });
            assert_eq!((refused.task)(), 2);
            drop(end);
            assert!(running.result(None).unwrap());
            assert_eq!(pending.result(None).unwrap(), 1);
        })
        .unwrap();

    let broken = ThreadPoolExecutor::builder()
        .try_initializer(|| Err("no luck"), ())
        .scope(|scope| scope.spawn(|| 1).unwrap().exception(None).unwrap().unwrap().to_string());
    assert!(broken.unwrap().contains("no luck"));
}
