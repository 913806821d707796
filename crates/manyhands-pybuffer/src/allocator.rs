//! The allocator of the extension: mimalloc, without huge pages.
//!
//! It would ask the system for huge pages wherever there are any to be had: the first small thing that a thread
//! allocates would then cost two megabytes, and the time to clear them. Its own way to leave that turns them off
//! for the whole process, NumPy's arrays too. But it does not ask for memory that is not committed at once.
//!
//! All that is unsafe here is covered by `test_imports.py`.
#![allow(unsafe_code)]

pub use mimalloc::MiMalloc;

/// Run when the extension is loaded, before it allocates anything.
#[cfg(target_os = "linux")]
// SAFETY: what is in this section are functions without arguments, which the loader calls.
#[unsafe(link_section = ".init_array")]
#[used]
static COMMIT_WHAT_IS_USED: extern "C" fn() = commit_what_is_used;

#[cfg(target_os = "linux")]
extern "C" fn commit_what_is_used() {
    /// `mi_option_arena_eager_commit` in `mimalloc.h`; `libmimalloc_sys` has no name for it.
    const ARENA_EAGER_COMMIT: libmimalloc_sys::mi_option_t = 4;
    // SAFETY: an option that there is, to be set before the first allocation. Covered by `test_imports.py`.
    unsafe { libmimalloc_sys::mi_option_set(ARENA_EAGER_COMMIT, 0) };
}
