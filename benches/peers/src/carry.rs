//! Carries values back from pools that only run closures.

use std::sync::mpsc;

/// A closure for the pool, and where the task's value will be.
pub(crate) fn by_oneshot<T, F>(task: F) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<T>)
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        // Nobody waits any more: the value is not needed.
        let _ = sender.send(task());
    };
    (job, receiver)
}

/// Waits for the value of a task made by [`by_oneshot`].
pub(crate) fn receive<T>(receiver: oneshot::Receiver<T>) -> T {
    receiver.recv().expect("the pool dropped the task")
}

/// Closures for the pool, and where the tasks' values will be in the order of their ends.
pub(crate) fn by_channel<F>(
    tasks: u32,
    task: F,
) -> (impl Iterator<Item = impl FnOnce() + Send + 'static>, mpsc::IntoIter<u64>)
where
    F: Fn(u32) -> u64 + Copy + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let jobs = (0..tasks).map(move |number| {
        let sender = sender.clone();
        move || {
            // Nobody listens any more: the value is not needed.
            let _ = sender.send(task(number));
        }
    });
    (jobs, receiver.into_iter())
}
