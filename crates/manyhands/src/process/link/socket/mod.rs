//! The link over a Unix stream socket: one request at a time, no shared memory. It works wherever
//! there are sockets, takes frames of any length, and costs a few system calls a task.
//!
//! ```text
//!  parent                                   worker
//!    │ Request ────────────────────────────▶ │ claim
//!    │ ◀──────────────────────────────Begun  │
//!    │ Stop (the request's number) ────────▶ │ the token's `is_set` looks for it
//!    │ ◀─────────────────────────────Answer  │ answer
//! ```
//!
//! Requests are counted on both sides, so that a stop that comes too late is known for what it is.

mod parent;
mod worker;

pub use parent::SocketLink;
pub use worker::SocketWorkerLink;
