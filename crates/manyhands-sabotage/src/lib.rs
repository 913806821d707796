//! Faults by name, so that models can be seen to fail.
//!
//! A source of manyhands asks `if sabotaged("name")` where it could be wrong, and is wrong there in one run of the
//! loom models, which must notice it. `cargo xtask loom` finds the names in the sources and makes those runs.

/// The environment variable by which models are told which fault is to be in.
pub const NAMED_BY: &str = "MANYHANDS_SABOTAGE";

/// Whether the fault of this name is in: only in models, and only the one that [`NAMED_BY`] names.
#[cfg(loom)]
pub fn sabotaged(fault: &str) -> bool {
    static THIS_ONE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    THIS_ONE.get_or_init(|| std::env::var(NAMED_BY).ok()).as_deref() == Some(fault)
}

/// Whether the fault of this name is in: never, but in models.
#[cfg(not(loom))]
#[inline]
pub const fn sabotaged(_fault: &str) -> bool {
    false
}
