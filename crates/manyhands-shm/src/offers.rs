//! The word on which parent and worker agree about offers: how many were offered, how many claimed,
//! and whether the worker sleeps. Pure.
//!
//! ```text
//!  bits 63 … 33     32         31       30 … 0
//!  offered          unused     ASLEEP   claimed
//! ```
//!
//! Both counts grow and wrap at 2^31; a taken-back offer makes `offered` smaller. All transitions are
//! one atomic change of the whole word, so a frame is claimed or taken back, never both. `offered` is
//! at the top, where its wrap touches nothing else: so an offer is a mere addition, and fetches the
//! word's cache line once.
//!
//! | who | what | condition |
//! |---|---|---|
//! | parent | offered + 1 | |
//! | parent | ASLEEP off, and the bell is rung | it was on at the offer |
//! | parent | offered - k | k ≤ offered - claimed |
//! | worker | claimed + 1 | claimed ≠ offered |
//! | worker | ASLEEP on | claimed = offered |
//! | worker | ASLEEP off | |

/// Where both counts begin: shortly before they wrap, so that every run of any length does.
pub(crate) const START: u32 = MASK - 2;

const MASK: u32 = u32::MAX >> 1;
/// The worker sleeps, or is about to.
pub(crate) const ASLEEP: u64 = 1 << 31;
/// One more is offered.
pub(crate) const OFFER: u64 = 1 << 33;

/// The word, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offers {
    pub(crate) offered: u32,
    pub(crate) claimed: u32,
    pub(crate) asleep: bool,
}

impl Offers {
    pub(crate) const NONE: Self = Self { offered: START, claimed: START, asleep: false };

    pub(crate) fn unpack(word: u64) -> Self {
        // Each is cut to its 31 bits: whatever a worker writes is some pair of counts.
        let count = |shifted: u64| u32::try_from(shifted & u64::from(MASK)).unwrap_or_default();
        Self { offered: count(word >> 33), claimed: count(word), asleep: word & ASLEEP != 0 }
    }

    pub(crate) fn pack(self) -> u64 {
        let asleep = if self.asleep { ASLEEP } else { 0 };
        u64::from(self.offered) << 33 | asleep | u64::from(self.claimed)
    }

    /// Offered and not claimed.
    pub(crate) fn unclaimed(self) -> u32 {
        distance(self.claimed, self.offered)
    }
}

/// The count that is `by` after `count`.
pub(crate) fn after(count: u32, by: u32) -> u32 {
    count.wrapping_add(by) & MASK
}

/// The count that is `by` before `count`.
pub(crate) fn before(count: u32, by: u32) -> u32 {
    count.wrapping_sub(by) & MASK
}

/// How far it is from one count to a later one.
pub(crate) fn distance(from: u32, to: u32) -> u32 {
    to.wrapping_sub(from) & MASK
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::{MASK, OFFER, Offers, START, after, before, distance};

    proptest! {
        #[test]
        fn a_word_holds_what_was_packed(
            offered in 0..=MASK, claimed in 0..=MASK, asleep: bool
        ) {
            let offers = Offers { offered, claimed, asleep };
            prop_assert_eq!(Offers::unpack(offers.pack()), offers);
            let more = Offers { offered: after(offered, 1), ..offers };
            prop_assert_eq!(Offers::unpack(offers.pack().wrapping_add(OFFER)), more);
        }

        #[test]
        fn any_word_is_some_pair_of_counts(word: u64) {
            let offers = Offers::unpack(word);
            prop_assert!(offers.offered <= MASK && offers.claimed <= MASK);
            prop_assert!(offers.unclaimed() <= MASK);
        }

        #[test]
        fn distances_hold_across_the_wrap(from in 0..=MASK, by in 0..=MASK) {
            prop_assert_eq!(distance(from, after(from, by)), by);
            prop_assert_eq!(before(after(from, by), by), from);
        }
    }

    #[test]
    fn counts_wrap_soon_after_the_start() {
        assert!(after(START, 3) < START);
        assert_eq!(Offers::NONE.unclaimed(), 0);
    }
}
