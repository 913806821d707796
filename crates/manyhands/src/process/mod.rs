//! Worker processes: the program starts itself again and hands the copies work.
//!
//! What is here knows processes, pipes and frames of bytes, and nothing of tasks.
//!
//! | for | see |
//! |---|---|
//! | how frames reach a worker and answers come back | [`link`] |
//! | starting a worker | [`launch`] |
//! | what it is to the parent: alive, or how it ended | [`child`] |
//! | what both sides say before the first task | [`birth`] |
//! | what a newborn prints while it is being born | [`last_lines`] |
//! | what the parent's manager thread sleeps on | [`watch`] |
//!
//! Linux's own are the pidfd (`child.rs`), the link to the running file (`launch.rs`), dying with the
//! parent (`birth/worker.rs`), and some flags of `send` and `recvmsg`; the rest is what Unix has.

pub mod birth;
pub mod child;
pub mod last_lines;
pub mod launch;
pub mod link;
mod stream;
pub mod watch;
