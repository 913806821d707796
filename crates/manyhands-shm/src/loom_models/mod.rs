//! Models.
pub(crate) fn step() {}
