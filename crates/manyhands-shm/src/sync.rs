//! The only door to atomics and to words of shared memory: the real ones, or loom's while the models
//! run.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic;

#[cfg(loom)]
pub(crate) use loom::sync::atomic;

#[cfg(all(test, not(loom)))]
pub(crate) use real::words_on_heap;
#[cfg(not(loom))]
pub(crate) use real::{Word, step};

#[cfg(loom)]
pub(crate) use modelled::{Word, step};

pub(crate) use manyhands_sabotage::sabotaged;

#[cfg(not(loom))]
mod real {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Eight bytes of a ring. Their order with other words comes from the words of `Control`.
    ///
    /// It is an atomic because a spoilt worker may write it while the parent reads it: then the
    /// parent gets some value, and no undefined behaviour.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct Word(AtomicU64);

    impl Word {
        pub(crate) fn load(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }

        pub(crate) fn store(&self, value: u64) {
            self.0.store(value, Ordering::Relaxed);
        }
    }

    /// Where a worker may die in a model.
    pub(crate) fn step() {}

    #[cfg(test)]
    pub(crate) fn words_on_heap(count: usize) -> Vec<Word> {
        (0..count).map(|_| Word(AtomicU64::new(0))).collect()
    }
}

#[cfg(loom)]
mod modelled {
    use loom::cell::UnsafeCell;

    /// Eight bytes of a ring. No atomic here: as long as both ends are sound, no two of their
    /// accesses may meet, and loom reports those that do.
    #[derive(Debug, Default)]
    pub(crate) struct Word(UnsafeCell<u64>);

    // SAFETY: loom checks at each access that no other thread is at this word, and fails the model
    // otherwise. Covered by all of `loom_models`.
    #[allow(unsafe_code)]
    unsafe impl Sync for Word {}

    impl Word {
        pub(crate) fn load(&self) -> u64 {
            // SAFETY: the pointer is the cell's own, and loom has found no writer beside us.
            // Covered by all of `loom_models`.
            #[allow(unsafe_code)]
            self.0.with(|word| unsafe { *word })
        }

        pub(crate) fn store(&self, value: u64) {
            // SAFETY: the pointer is the cell's own, and loom has found nobody beside us.
            // Covered by all of `loom_models`.
            #[allow(unsafe_code)]
            self.0.with_mut(|word| unsafe { *word = value });
        }
    }

    /// Where a worker may die: see `loom_models::death`.
    pub(crate) fn step() {
        #[cfg(test)]
        crate::loom_models::step();
    }
}
