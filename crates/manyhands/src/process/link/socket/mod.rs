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
//!
//! ```
//! use std::os::unix::net::UnixStream;
//!
//! use manyhands::process::link::socket::{SocketLink, SocketWorkerLink};
//! use manyhands::process::link::{Link, WorkerLink};
//!
//! let (ours, theirs) = UnixStream::pair()?;
//! let mut link = SocketLink::new(ours.into(), 1 << 20);
//! let mut worker = SocketWorkerLink::new(theirs.into()); // usually in another process
//!
//! link.offer(&[b"six by ", b"nine"])?;
//! assert_eq!(worker.claim(None)?, Some(&b"six by nine"[..]));
//! link.ask_to_stop();
//! assert!(worker.stop_token().is_set());
//! worker.answer(&[b"42"])?;
//!
//! let mut answer = Vec::new();
//! while !link.receive(&mut answer)? {} // a manager sleeps until `link.interest()` is ready
//! assert_eq!((answer.as_slice(), link.claimed()), (&b"42"[..], 1));
//! link.release(1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod parent;
mod worker;

pub use parent::SocketLink;
pub use worker::SocketWorkerLink;
