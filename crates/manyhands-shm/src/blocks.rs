//! Blocks: which stretches of an arena are free. Pure: it knows offsets and lengths, and no memory.
//!
//! ```text
//!            allocate, not warm                 allocated
//!   cold ──────────▶ being fetched ──────────▶ in use, rest warm
//!    ▲                                            │ free
//!    │ cooled                                     ▼
//!    └────────────── being cooled ◀──────────── warm
//!                          too much is warm
//! ```
//!
//! Warm stretches have memory behind them, cold ones do not. A stretch that is being fetched or
//! cooled is in neither list, so that no lock has to be held for the system call.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Blocks of a page or more begin at a page; memory is fetched and cooled in whole pages.
pub(crate) const PAGE: u64 = 4096;
/// Smaller blocks begin at a multiple of this.
pub(crate) const SMALLEST: u64 = 64;
/// What is fetched at once for small blocks. They do not break up longer stretches, as long as there
/// are others: a large block is likely to be wanted again as it was.
const CHUNK: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Blocks {
    warm: Stretches,
    cold: Stretches,
    /// How much may stay warm.
    keep: u64,
}

/// What `allocate` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A block, ready.
    Warm(Range<u64>),
    /// A cold stretch whose memory is to be fetched, then `fetched` gives the block.
    Cold(Range<u64>),
}

impl Blocks {
    /// `len` bytes, a whole number of pages, all cold.
    pub(crate) fn new(len: u64, keep: u64) -> Self {
        let mut cold = Stretches::default();
        cold.add(0..len);
        Self { warm: Stretches::default(), cold, keep }
    }

    /// What a block for `len` bytes takes; `None` if no arena is so large.
    pub(crate) fn size(len: u64) -> Option<u64> {
        let unit = if len < PAGE { SMALLEST } else { PAGE };
        len.max(1).checked_next_multiple_of(unit)
    }

    /// Finds a stretch for a block of this `size`.
    pub(crate) fn allocate(&mut self, size: u64) -> Option<Found> {
        let small = size < PAGE;
        let align = if small { SMALLEST } else { PAGE };
        let most = if small { CHUNK } else { u64::MAX };
        if let Some(found) = self.warm.take(size, align, most) {
            return Some(Found::Warm(found));
        }
        let pages = size.next_multiple_of(PAGE);
        let chunk = if small { CHUNK } else { pages };
        let cold = self.cold.take(chunk, PAGE, u64::MAX);
        if let Some(cold) = cold.or_else(|| self.cold.take(pages, PAGE, u64::MAX)) {
            return Some(Found::Cold(cold));
        }
        self.warm.take(size, align, u64::MAX).map(Found::Warm)
    }

    /// The memory of a cold stretch was fetched: the block of this `size` in it.
    pub(crate) fn fetched(&mut self, stretch: Range<u64>, size: u64) -> Range<u64> {
        let block = stretch.start..stretch.start + size;
        self.warm.add(block.end..stretch.end);
        block
    }

    /// A block is free again. What is returned is to be cooled.
    pub(crate) fn free(&mut self, block: Range<u64>) -> Vec<Range<u64>> {
        self.warm.add(block);
        let mut cooling = Vec::new();
        while self.warm.total > self.keep {
            let excess = (self.warm.total - self.keep).next_multiple_of(PAGE);
            let Some(pages) = self.warm.longest().map(whole_pages) else { break };
            let cut = pages.start.max(pages.end.saturating_sub(excess))..pages.end;
            if cut.is_empty() {
                // The longest has no whole page, and the others have one at most.
                break;
            }
            self.warm.remove(&cut);
            cooling.push(cut);
        }
        cooling
    }

    /// All warm pages that no block is in, to be cooled: together with cold ones they may make a
    /// stretch that is long enough.
    pub(crate) fn cool_all(&mut self) -> Vec<Range<u64>> {
        let pages: Vec<_> =
            self.warm.all().map(whole_pages).filter(|pages| !pages.is_empty()).collect();
        for stretch in &pages {
            self.warm.remove(stretch);
        }
        pages
    }

    /// A stretch has no memory behind it: cooled, or not fetched.
    pub(crate) fn cooled(&mut self, stretch: Range<u64>) {
        self.cold.add(stretch);
    }
}

/// The whole pages within a stretch; an empty range if there are none.
fn whole_pages(stretch: Range<u64>) -> Range<u64> {
    let start = stretch.start.next_multiple_of(PAGE);
    start..(stretch.end / PAGE * PAGE).max(start)
}

/// Disjoint stretches, none of which touches another.
#[derive(Debug, Default)]
struct Stretches {
    ends: BTreeMap<u64, u64>,
    /// By length, then by start.
    lens: BTreeSet<(u64, u64)>,
    total: u64,
}

impl Stretches {
    /// Adds a stretch, joined with its neighbours.
    fn add(&mut self, mut stretch: Range<u64>) {
        if stretch.is_empty() {
            return;
        }
        if let Some((&start, &end)) = self.ends.range(..stretch.start).next_back()
            && end == stretch.start
        {
            self.forget(start..end);
            stretch.start = start;
        }
        if let Some(&end) = self.ends.get(&stretch.end) {
            self.forget(stretch.end..end);
            stretch.end = end;
        }
        self.note(stretch);
    }

    /// Takes `size` bytes, aligned, out of the shortest stretch that has room for them and is at most
    /// `most` long.
    fn take(&mut self, size: u64, align: u64, most: u64) -> Option<Range<u64>> {
        let taken = self.lens.range((size, 0)..=(most, u64::MAX)).find_map(|&(len, start)| {
            let begin = start.checked_next_multiple_of(align)?;
            (begin + size <= start + len).then_some(begin..begin + size)
        })?;
        self.remove(&taken);
        Some(taken)
    }

    /// Removes what lies within one of them.
    fn remove(&mut self, part: &Range<u64>) {
        if let Some((&start, &end)) = self.ends.range(..=part.start).next_back() {
            self.forget(start..end);
            self.note(start..part.start);
            self.note(part.end..end);
        }
    }

    fn longest(&self) -> Option<Range<u64>> {
        self.lens.last().map(|&(len, start)| start..start + len)
    }

    fn all(&self) -> impl Iterator<Item = Range<u64>> {
        self.ends.iter().map(|(&start, &end)| start..end)
    }

    fn note(&mut self, stretch: Range<u64>) {
        let len = stretch.end - stretch.start;
        if len > 0 {
            self.ends.insert(stretch.start, stretch.end);
            self.lens.insert((len, stretch.start));
            self.total += len;
        }
    }

    fn forget(&mut self, stretch: Range<u64>) {
        let len = stretch.end - stretch.start;
        self.ends.remove(&stretch.start);
        self.lens.remove(&(len, stretch.start));
        self.total -= len;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{Blocks, Found, PAGE, SMALLEST};

    /// What one byte in 64 of the arena is, told naively.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Cell {
        Cold,
        Warm,
        Used,
    }

    struct Model(Vec<Cell>);

    impl Model {
        fn cells(&mut self, range: &Range<u64>) -> &mut [Cell] {
            let index = |offset: u64| usize::try_from(offset / SMALLEST).unwrap();
            &mut self.0[index(range.start)..index(range.end)]
        }

        #[track_caller]
        fn becomes(&mut self, range: &Range<u64>, from: Cell, to: Cell) {
            let cells = self.cells(range);
            assert!(cells.iter().all(|cell| *cell == from), "{range:?} is not all {from:?}");
            cells.fill(to);
        }

        fn warm(&self) -> u64 {
            self.0.iter().filter(|cell| **cell == Cell::Warm).count() as u64 * SMALLEST
        }

        /// Whether an aligned run of cells of this kind could hold the block.
        fn has_room(&self, size: u64, kind: impl Fn(Cell) -> bool) -> bool {
            let align = if size < PAGE { SMALLEST } else { PAGE };
            let (cells, step) = (size.div_ceil(SMALLEST), align / SMALLEST);
            (0..self.0.len() as u64).step_by(usize::try_from(step).unwrap()).any(|start| {
                let range =
                    usize::try_from(start).unwrap()..usize::try_from(start + cells).unwrap();
                self.0.get(range).is_some_and(|cells| cells.iter().all(|cell| kind(*cell)))
            })
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Allocate { len: u64, memory_is_there: bool },
        Free(prop::sample::Index),
        CoolAll,
    }

    fn step() -> impl Strategy<Value = Step> {
        let len = prop_oneof![0_u64..200, 4000_u64..4200, 0_u64..(40 * PAGE)];
        prop_oneof![
            5 => (len, prop::bool::weighted(0.9))
                .prop_map(|(len, memory_is_there)| Step::Allocate { len, memory_is_there }),
            4 => any::<prop::sample::Index>().prop_map(Step::Free),
            1 => Just(Step::CoolAll),
        ]
    }

    proptest! {
        #[test]
        fn blocks_agree_with_a_naive_model(
            steps in vec(step(), 1..80), pages in 1_u64..100, keep in 0_u64..20
        ) {
            let (len, keep) = (pages * PAGE, keep * PAGE);
            let mut blocks = Blocks::new(len, keep);
            let mut model = Model(vec![Cell::Cold; usize::try_from(len / SMALLEST).unwrap()]);
            let mut in_use: Vec<Range<u64>> = Vec::new();
            for step in steps {
                match step {
                    Step::Allocate { len, memory_is_there } => {
                        let size = Blocks::size(len).unwrap();
                        prop_assert!(size >= len && size > 0);
                        let block = match blocks.allocate(size) {
                            Some(Found::Warm(block)) => {
                                model.becomes(&block, Cell::Warm, Cell::Used);
                                block
                            }
                            Some(Found::Cold(stretch)) if memory_is_there => {
                                prop_assert!(stretch.start % PAGE == 0 && stretch.end % PAGE == 0);
                                model.becomes(&stretch, Cell::Cold, Cell::Warm);
                                let block = blocks.fetched(stretch, size);
                                model.becomes(&block, Cell::Warm, Cell::Used);
                                block
                            }
                            Some(Found::Cold(stretch)) => {
                                blocks.cooled(stretch);
                                continue;
                            }
                            None => {
                                prop_assert!(!model.has_room(size, |cell| cell == Cell::Warm));
                                prop_assert!(!model.has_room(size, |cell| cell == Cell::Cold));
                                continue;
                            }
                        };
                        prop_assert_eq!(block.end - block.start, size);
                        let align = if len < PAGE { SMALLEST } else { PAGE };
                        prop_assert_eq!(block.start % align, 0);
                        in_use.push(block);
                    }
                    Step::Free(_) if in_use.is_empty() => {}
                    Step::Free(index) => {
                        let block = in_use.swap_remove(index.index(in_use.len()));
                        model.becomes(&block, Cell::Used, Cell::Warm);
                        for stretch in blocks.free(block) {
                            model.becomes(&stretch, Cell::Warm, Cell::Cold);
                            blocks.cooled(stretch);
                        }
                        // What is left above the limit lies in stretches too short to matter.
                        let warm = |cell| cell == Cell::Warm;
                        prop_assert!(model.warm() <= keep || !model.has_room(2 * PAGE, warm));
                    }
                    Step::CoolAll => {
                        for stretch in blocks.cool_all() {
                            model.becomes(&stretch, Cell::Warm, Cell::Cold);
                            blocks.cooled(stretch);
                        }
                        prop_assert!(!model.has_room(PAGE, |cell| cell == Cell::Warm));
                    }
                }
                prop_assert_eq!(blocks.warm.total, model.warm());
            }
            // All is free again, and in one piece.
            for block in in_use {
                for stretch in blocks.free(block) {
                    blocks.cooled(stretch);
                }
            }
            for stretch in blocks.cool_all() {
                blocks.cooled(stretch);
            }
            prop_assert_eq!(blocks.allocate(len), Some(Found::Cold(0..len)));
        }
    }

    #[test]
    fn a_small_block_does_not_break_up_a_large_one() {
        let mut blocks = Blocks::new(100 << 20, 256 << 20);
        let large = 10 << 20;
        let Some(Found::Cold(stretch)) = blocks.allocate(large) else { panic!("all is cold") };
        let block = blocks.fetched(stretch, large);
        assert!(blocks.free(block.clone()).is_empty());
        assert!(matches!(blocks.allocate(64), Some(Found::Cold(_))));
        assert_eq!(blocks.allocate(large), Some(Found::Warm(block)));
    }
}
