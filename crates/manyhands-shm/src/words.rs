//! Frames in a ring of words: what their first word says, and copying bytes in and out.
//!
//! A frame is one word that tells its length, then its bytes, filled up to whole words.

use crate::sync::Word;

/// The bytes of one word.
pub(crate) const WORD: usize = 8;

/// Instead of a length: the rest of the ring is empty, go on at its start.
pub(crate) const SKIP: u32 = u32::MAX;

/// The first word of a frame: its length, and a count.
pub(crate) fn heading(len: u32, count: u32) -> u64 {
    u64::from(count) << 32 | u64::from(len)
}

/// The length and the count that a first word tells.
pub(crate) fn headed(word: u64) -> (u32, u32) {
    let half = |half: u64| u32::try_from(half & u64::from(u32::MAX)).unwrap_or_default();
    (half(word), half(word >> 32))
}

/// What a frame of `len` bytes takes of a ring, first word included.
pub(crate) fn taken(len: usize) -> usize {
    WORD + len.next_multiple_of(WORD)
}

/// The index of the word at `position`, in a ring whose length is a power of two.
pub(crate) fn index(ring: &[Word], position: u64) -> usize {
    let mask = ring.len() as u64 - 1;
    usize::try_from((position / WORD as u64) & mask).unwrap_or_default()
}

/// The bytes of a ring. Not its size: loom's words are larger.
pub(crate) fn bytes_of(ring: &[Word]) -> usize {
    ring.len() * WORD
}

/// How many bytes the parts have together; what no address space holds is the greatest number.
pub(crate) fn total(parts: &[&[u8]]) -> usize {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.len()))
}

/// Copies the parts, one after the other, into the ring from its `at`th word on.
pub(crate) fn store(ring: &[Word], at: usize, parts: &[&[u8]]) {
    let mut words = Filling { ring, at, begun: 0, filled: 0 };
    for part in parts {
        words.put(part);
    }
    if words.filled > 0 {
        words.store(words.begun);
    }
}

/// Bytes on their way into a ring, a word at a time.
struct Filling<'a> {
    ring: &'a [Word],
    /// The next word, as if the ring had no end. Its length is a power of two.
    at: usize,
    /// Its bytes so far, the first one lowest, and how many there are.
    begun: u64,
    filled: usize,
}

impl Filling<'_> {
    #[inline]
    fn put(&mut self, part: &[u8]) {
        let mut rest = part;
        if self.filled > 0 {
            let (now, later) = rest.split_at(rest.len().min(WORD - self.filled));
            self.begun |= word_of(now) << (8 * self.filled);
            self.filled += now.len();
            if self.filled < WORD {
                return;
            }
            self.store(self.begun);
            rest = later;
        }
        let (whole, odd) = rest.as_chunks();
        for bytes in whole {
            self.store(u64::from_le_bytes(*bytes));
        }
        self.begun = word_of(odd);
        self.filled = odd.len();
    }

    #[inline]
    fn store(&mut self, value: u64) {
        self.ring[self.at & (self.ring.len() - 1)].store(value.to_le());
        self.at += 1;
    }
}

/// At most eight bytes, the first one lowest.
fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Copies `len` bytes out of the ring, from its `at`th word on; `into` holds nothing else then.
pub(crate) fn load(ring: &[Word], at: usize, len: usize, into: &mut Vec<u8>) {
    into.clear();
    into.resize(len.next_multiple_of(WORD), 0);
    let (words, _) = into.as_chunks_mut::<WORD>();
    for (nth, bytes) in words.iter_mut().enumerate() {
        *bytes = ring[(at + nth) & (ring.len() - 1)].load().to_ne_bytes();
    }
    into.truncate(len);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{WORD, load, store, taken, total};
    use crate::sync::words_on_heap;

    proptest! {
        #[test]
        fn what_is_stored_in_parts_is_loaded_whole(
            parts in vec(vec(any::<u8>(), 0..20), 0..6), at in 0_usize..=16
        ) {
            let ring = words_on_heap(16);
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let len = total(&parts);
            prop_assert!(taken(len) <= 16 * WORD);
            store(&ring, at, &parts);
            let mut loaded = vec![7; 3];
            load(&ring, at, len, &mut loaded);
            prop_assert_eq!(loaded, parts.concat());
            let touched = len.div_ceil(WORD);
            for beside in touched..16 {
                prop_assert_eq!(ring[(at + beside) % 16].load(), 0, "word {}", beside);
            }
        }
    }
}
