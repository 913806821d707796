//! Shared memory between one parent process and its worker processes: the lowest layer of what they
//! tell each other. It knows frames of bytes, and no tasks.
//!
//! With `manyhands-join`, `manyhands-lock` and `manyhands-pybuffer` this crate has all the unsafe code of the workspace;
//! what it offers is safe.
//!
//! | for | see |
//! |---|---|
//! | requests to a worker and its answers, small | [`ParentEnd`], [`WorkerEnd`], [`Doorbell`] |
//! | large data, written once and read where it lies | [`Arena`], [`Block`], [`ArenaView`], [`View`], [`PrivateView`] |
//! | bytes as numbers | [`Number`], [`as_numbers`], [`as_bytes`] |
//!
//! ```
//! use manyhands_shm::{Doorbell, ParentEnd, Shape, WorkerEnd};
//!
//! let doorbell = Doorbell::create()?;
//! let mut parent = ParentEnd::create(Shape::default())?;
//! // Elsewhere these two arrive in another process.
//! let memory = parent.memory().try_clone_to_owned()?;
//! let mut worker = WorkerEnd::open(memory, [(); 2].map(|()| doorbell.fd().try_clone_to_owned().unwrap()))?;
//!
//! parent.offer(&[b"6 ", b"* 7"])?;
//! assert_eq!(worker.claim()?, Some(b"6 * 7".as_slice()));
//! worker.send(&[b"42"])?;
//! let mut answer = Vec::new();
//! assert!(parent.receive(&mut answer)?);
//! assert_eq!(answer, b"42");
//! parent.release(1)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is trusted
//!
//! A parent trusts nothing that it finds in a worker's memory: whatever a worker writes there, the
//! parent gets an error at worst ([`Torn`]), and never reads or writes elsewhere. A worker trusts its
//! parent. Bytes in an [`Arena`] are only as steady as those who may write them: see there.
#![cfg(target_os = "linux")]

#[cfg(not(loom))]
mod arena;
mod bell;
#[cfg(not(loom))]
mod blocks;
mod control;
mod doorbell;
mod errors;
#[cfg(not(loom))]
mod fork;
#[cfg(all(test, loom))]
mod loom_models;
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
mod memfd;
mod memory;
mod numbers;
mod offers;
mod parent;
mod sync;
#[cfg(not(loom))]
mod view;
mod words;
mod worker;

#[cfg(not(loom))]
pub use arena::{Arena, Block};
pub use doorbell::Doorbell;
pub use errors::{BadPlace, Full, NoSpace, NotNumbers, SendError, Torn};
#[cfg(not(loom))]
pub use fork::ForkMark;
pub use memory::Shape;
pub use numbers::{Number, as_bytes, as_bytes_mut, as_numbers, as_numbers_mut};
pub use parent::{Lookout, ParentEnd};
#[cfg(not(loom))]
pub use view::{Access, ArenaView, Place, PrivateView, View};
pub use worker::{StopToken, WorkerEnd};

/// Both ends of a worker's memory, for the models of this crate and of those above it.
#[cfg(loom)]
pub fn ends(shape: Shape, doorbells: [Doorbell; 2]) -> (ParentEnd, WorkerEnd) {
    let memory = std::sync::Arc::new(memory::Memory::new(shape));
    (ParentEnd::new(std::sync::Arc::clone(&memory)), WorkerEnd::new(memory, doorbells))
}
