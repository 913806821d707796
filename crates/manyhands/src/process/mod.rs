//! Worker processes: tasks that run in another address space.

pub mod supervisor;
