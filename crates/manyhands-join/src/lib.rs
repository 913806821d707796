//! A closure that lies on the stack of one thread, lent to other threads for as long as it lies there: what
//! `manyhands::join` is made of. It knows no pools and no tasks, and starts no thread.
//!
//! A [`Deque`] is one thread's: [`Deque::join`] puts a closure into it while it calls another one. Whoever has
//! nothing else to do takes the oldest out, as a [`Part`], and runs it. What nobody has taken by then, its
//! owner takes back and calls itself.
//!
//! ```
//! use manyhands_join::Deque;
//! use std::sync::Arc;
//! use std::thread;
//!
//! let deques = [(); 2].map(|()| Arc::new(Deque::new()));
//! let [own, other] = deques.clone();
//! let (words, here) = (String::from("one two"), thread::current().id());
//! let helper = || {
//!     let helper = thread::spawn(move || own.take().expect("it was offered").run(&other));
//!     helper.join().unwrap();
//! };
//! let (_, (count, place)) = deques[0].join(
//!     helper,
//!     || (words.split(' ').count(), thread::current().id()),
//!     || (),
//!     |_| thread::yield_now(),
//! );
//! assert_eq!(count, 2);
//! assert_ne!(place, here, "the other thread has called it, with all that it borrows");
//! ```
//!
//! [`map_slice`] is made of such closures: a function over a slice, whose values are written where they stay.
//!
//! With `manyhands-shm`, `manyhands-lock` and `manyhands-pybuffer` this crate has all the unsafe code of the
//! workspace; what it offers is safe.

mod deque;
mod fill;
#[cfg(all(test, loom))]
mod loom_models;
mod stack_job;
mod sync;

pub use deque::{Deque, Stolen};
pub use fill::{Fork, map_slice};
pub use stack_job::Part;
