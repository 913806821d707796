//! Every schedule of the parts that threads share, tried out by loom.
//!
//! Here: Models.
use loom::model::Builder;

mod completion;
mod pool;
mod promise;

/// Tries every schedule there is.
fn exhaustive(model: impl Fn() + Send + Sync + 'static) {
    loom::model(model);
}

/// Tries the schedules in which threads are interrupted at most so many times in all (where they
/// give way by themselves, as they sleep or end, is not counted).
fn preempted_at_most(times: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(times);
    builder.check(model);
}
