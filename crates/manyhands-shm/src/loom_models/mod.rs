//! Models: what a parent and a worker do to each other in shared memory, tried by loom in every order
//! that can make a difference.
//!
//! `cargo xtask loom` runs them, and then once for every fault (a *sabotage*, behind
//! `sabotaged("name")`), which some model has to notice. Which one does:
//!
//! | sabotage | models that catch it |
//! |---|---|
//! | `lane_offer_is_not_released` | most of `lane` |
//! | `lane_publish_tells_of_one` | `lane::a_sleeper_that_is_told…` |
//! | `lane_offer_wakes_nobody` | `lane::a_sleeper_that_meets…`, `lane::a_sleeper_that_was_woken…` and others |
//! | `lane_claim_looks_first` | `lane::a_frame_is_claimed…`, `lane::frames_that_wrap…` and others |
//! | `lane_take_back_looks_first` | `lane::a_frame_is_claimed…` |
//! | `lane_leave_wakes_nobody` | `lane::a_sleeper_that_meets_the_parents…` |
//! | `lane_sleeper_looks_first` | `lane::a_sleeper_that_meets…` and others |
//! | `lane_sleeper_takes_the_bell_late` | `lane::a_sleeper_that_meets…` and others |
//! | `lane_release_is_rash` | `lane::a_frame_that_is_being_read…` |
//! | `lane_stop_is_for_the_last_claim` | `lane::a_wish_to_stop…` |
//! | `answers_send_is_not_released` | `answers::an_answer_that_meets…` and others |
//! | `answers_send_is_stored` | `answers::a_parent_that_falls_asleep…` and others |
//! | `answers_send_wakes_nobody` | `answers::a_parent_that_falls_asleep…` and others |
//! | `doorbell_forgets_an_early_ring` | `answers::a_parent_that_falls_asleep…` and others |
//! | `answers_parent_looks_before_it_sleeps` | `answers::a_parent_that_falls_asleep…` and others |
//! | `answers_room_is_stored` | `answers::a_worker_that_waits…`, `answers::answers_that_wrap…` |
//! | `answers_room_wakes_nobody` | the same |
//! | `answers_sender_sleeps_without_a_second_look` | the same |
//! | `death_claim_takes_all` | both of `death` |
//! | `death_answer_is_published_first` | both of `death` |
//!
//! The bytes of both rings are cells that loom watches: two accesses that nothing orders fail a
//! model, as does a claimed frame that changes before it is answered. Whatever only counts for a
//! model is a std type, which makes no schedules of its own.

use std::cell::Cell;
use std::panic::resume_unwind;

use loom::model::Builder;

use crate::doorbell::Doorbell;
use crate::memory::Shape;
use crate::parent::ParentEnd;
use crate::worker::WorkerEnd;

mod answers;
mod death;
mod lane;

/// Tries every schedule there is.
fn exhaustive(model: impl Fn() + Send + Sync + 'static) {
    LEFT.set(None);
    loom::model(model);
}

/// Tries the schedules in which threads are interrupted at most `times` in all; that they sleep or
/// end does not count.
fn preempted_at_most(times: usize, model: impl Fn() + Send + Sync + 'static) {
    LEFT.set(None);
    let mut builder = Builder::new();
    builder.preemption_bound = Some(times);
    builder.check(model);
}

/// Both ends of rings of so many words.
fn ends(lane: usize, answers: usize) -> (ParentEnd, WorkerEnd, Doorbell) {
    let doorbell = Doorbell::to_sleep_on();
    // The second doorbell of the two: the first differs by nothing but its bit.
    let doorbells = [Doorbell::new(), doorbell.clone()];
    let shape = Shape { lane: lane * 8, answers: answers * 8 };
    let (parent, worker) = crate::ends(shape, doorbells);
    (parent, worker, doorbell)
}

/// Claims what is offered now.
fn claim(worker: &mut WorkerEnd) -> Option<Vec<u8>> {
    worker.claim().expect("the lane is sound").map(<[u8]>::to_vec)
}

/// Claims, and sleeps while there is nothing.
fn claim_or_sleep(worker: &mut WorkerEnd) -> Vec<u8> {
    loop {
        if let Some(frame) = claim(worker) {
            return frame;
        }
        worker.sleep(None);
    }
}

/// Receives what is there now.
fn receive(parent: &mut ParentEnd) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    parent.receive(&mut answer).expect("the answers are sound").then_some(answer)
}

/// Receives, and sleeps while there is nothing.
fn receive_or_sleep(parent: &mut ParentEnd, doorbell: &Doorbell) -> Vec<u8> {
    loop {
        if let Some(answer) = receive(parent) {
            return answer;
        }
        if !parent.set_asleep(1) {
            doorbell.wait(None).unwrap();
            parent.set_awake();
        }
    }
}

thread_local! {
    /// After how many more steps the worker dies. All threads of a model share it, for loom runs them
    /// in one; but only a worker takes steps.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What a dying worker unwinds with.
struct Died;

/// The worker has come to a point at which it may die.
pub(crate) fn step() {
    match LEFT.get() {
        None => {}
        Some(0) => resume_unwind(Box::new(Died)),
        Some(left) => LEFT.set(Some(left - 1)),
    }
}
