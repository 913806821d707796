//! Tasks that await each other: when they begin, and what they say in the end.

use std::future::{Future as StdFuture, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Barrier, mpsc};
use std::task::Poll;

use manyhands::{Executor, Future, FutureError, ThreadPoolExecutor};

pub(crate) type Pool = Arc<ThreadPoolExecutor>;

/// How a task waits, and what it says of that.
pub(crate) type Way = fn(Future<String>) -> String;

pub(crate) type Outcome = Result<String, FutureError>;

pub(crate) fn pool(workers: usize) -> Pool {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

/// What a task found out: the value, or the deadlock that it was told of.
pub(crate) fn said(outcome: Outcome) -> String {
    match outcome {
        Ok(value) => value,
        Err(FutureError::Deadlock(deadlock)) => deadlock.to_string(),
        Err(other) => panic!("{other:?}"),
    }
}

/// A task that has begun: what to tell it, and what it says in the end, wherever its value goes.
pub(crate) struct Begun {
    pub(crate) task: Future<String>,
    pub(crate) tell: mpsc::Sender<Future<String>>,
    pub(crate) said: mpsc::Receiver<String>,
}

/// Tasks that get a future once all have begun, so that none runs another in place.
pub(crate) fn begun<const N: usize>(tasks: [(&Pool, Way); N]) -> [Begun; N] {
    let all_begun = Arc::new(Barrier::new(N + 1));
    let begun = tasks.map(|(pool, awaits)| {
        let all_begun = Arc::clone(&all_begun);
        let (tell, told) = mpsc::channel();
        let (say, said) = mpsc::channel();
        let task = move || {
            all_begun.wait();
            let saying = awaits(told.recv().unwrap());
            say.send(saying.clone()).unwrap();
            saying
        };
        Begun { task: pool.spawn(task).unwrap(), tell, said }
    });
    all_begun.wait();
    begun
}

/// Has each of two tasks wait for what is made of the other; what both say.
pub(crate) fn each_other(
    pools: [&Pool; 2],
    awaits: [Way; 2],
    derive: fn(Future<String>) -> Future<String>,
) -> [String; 2] {
    let tasks = [(pools[0], awaits[0]), (pools[1], awaits[1])];
    let [first, second] = begun(tasks);
    first.tell.send(derive(second.task)).unwrap();
    second.tell.send(first.task).unwrap();
    [first.said, second.said].map(|said| said.recv().unwrap())
}

/// The first of two that ends; the first of all, if both do.
pub(crate) async fn select<O>(
    one: impl StdFuture<Output = O>,
    two: impl StdFuture<Output = O>,
) -> O {
    let (mut one, mut two) = (pin!(one), pin!(two));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(output),
        Poll::Pending => two.as_mut().poll(context),
    })
    .await
}
