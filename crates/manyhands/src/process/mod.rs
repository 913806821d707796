//! Worker processes.

pub use crate::crossing::Tasks;
