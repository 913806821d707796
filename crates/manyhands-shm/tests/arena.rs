//! Arenas: blocks, and views of them.
#![cfg(target_os = "linux")]

use std::ops::Range;
use std::os::fd::AsFd;
use std::thread;

use manyhands_shm::{
    Access, Arena, ArenaView, BadPlace, Block, NoSpace, Place, as_numbers, as_numbers_mut,
};
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::fstat;

const PAGE: usize = 4096;

fn view(arena: &Arena, access: Access) -> ArenaView {
    ArenaView::open(arena.memory().try_clone_to_owned().unwrap(), access).unwrap()
}

/// How many bytes of memory an arena takes.
fn memory(arena: &Arena) -> u64 {
    let file: std::os::fd::BorrowedFd<'_> = arena.memory();
    u64::try_from(fstat(file.as_fd()).unwrap().st_blocks).unwrap() * 512
}

fn range(block: &Block) -> Range<u64> {
    let place = block.place();
    place.offset..place.offset + place.len
}

#[test]
fn an_arena_takes_no_memory_before_it_is_used() {
    let arena = Arena::create().unwrap();
    assert_eq!(memory(&arena), 0);
    let block = arena.allocate(10 * PAGE).unwrap();
    assert_eq!(memory(&arena), 10 * PAGE as u64);
    drop(block);
    assert_eq!(memory(&arena), 10 * PAGE as u64, "it is kept for the next");
}

#[test]
fn a_dropped_block_is_used_again_as_it_was() {
    let arena = Arena::create().unwrap();
    let mut block = arena.allocate(1 << 20).unwrap();
    block.fill(7);
    let place = block.place();
    drop(block);
    let small = arena.allocate(100).unwrap();
    let again = arena.allocate(1 << 20).unwrap();
    assert_eq!(again.place(), place);
    assert!(again.iter().all(|byte| *byte == 7));
    assert_eq!(small.len(), 100);
}

#[test]
fn neighbours_become_one() {
    let arena = Arena::with_limit(4 * PAGE as u64).unwrap();
    let blocks: Vec<_> = (0..4).map(|_| arena.allocate(PAGE).unwrap()).collect();
    let full = arena.allocate(1).unwrap_err();
    assert!(matches!(full, NoSpace::Full { len: 1 }), "{full}");
    drop(blocks);
    assert!(matches!(arena.allocate(4 * PAGE + 1), Err(NoSpace::Full { .. })));
    assert_eq!(arena.allocate(4 * PAGE).unwrap().len(), 4 * PAGE);
    assert!(matches!(arena.allocate(usize::MAX), Err(NoSpace::Full { .. })));
}

/// Warm and cold stretches side by side, neither of which is long enough.
#[test]
fn what_was_used_and_what_was_not_make_one_block() {
    let arena = Arena::with_limit(4 * PAGE as u64).unwrap();
    drop(arena.allocate(2 * PAGE).unwrap());
    assert_eq!(arena.allocate(4 * PAGE).unwrap().len(), 4 * PAGE);
}

#[test]
fn blocks_are_aligned() {
    let arena = Arena::create().unwrap();
    let lens = [0, 1, 63, 64, 65, 1000, 4095, 4096, 4097, 100_000];
    let blocks: Vec<_> = lens.iter().map(|len| arena.allocate(*len).unwrap()).collect();
    for (block, len) in blocks.iter().zip(lens) {
        assert_eq!((block.len(), block.place().len), (len, len as u64));
        let align = if len < PAGE { 64 } else { PAGE };
        assert!(block.as_ptr().addr().is_multiple_of(align), "{len}");
        assert!(block.place().offset.is_multiple_of(align as u64), "{len}");
    }
}

#[test]
fn more_than_is_worth_keeping_is_given_back() {
    const MIB: usize = 1 << 20;
    let arena = Arena::create().unwrap();
    let blocks: Vec<_> = (0..10).map(|_| arena.allocate(30 * MIB).unwrap()).collect();
    assert_eq!(memory(&arena), 300 * MIB as u64);
    drop(blocks);
    assert_eq!(memory(&arena), 256 * MIB as u64);
    assert_eq!(arena.allocate(300 * MIB).unwrap().len(), 300 * MIB);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn blocks_do_not_overlap(
        steps in vec((prop_oneof![0_usize..300, 3000_usize..9000, 0_usize..60_000], any::<bool>()), 1..60)
    ) {
        let arena = Arena::with_limit(1 << 20).unwrap();
        let views = view(&arena, Access::ReadOnly);
        let mut blocks: Vec<(Block, u8)> = Vec::new();
        for (mark, (len, drops)) in (0_u8..).zip(steps) {
            if drops && !blocks.is_empty() {
                blocks.swap_remove(len % blocks.len());
            } else if let Ok(mut block) = arena.allocate(len) {
                block.fill(mark);
                blocks.push((block, mark));
            }
            for (block, mark) in &blocks {
                prop_assert!(block.iter().all(|byte| byte == mark));
                prop_assert_eq!(&*views.slice(block.place()).unwrap(), &**block);
            }
        }
        let mut ranges: Vec<_> = blocks.iter().map(|(block, _)| range(block)).collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }

    #[test]
    fn places_outside_are_refused(offset: u64, len: u64) {
        let arena = Arena::with_limit(16 * PAGE as u64).unwrap();
        let whole = 16 * PAGE as u64;
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let view = view(&arena, access);
            for (offset, len) in [
                (offset, len), (offset % (2 * whole), len % (2 * whole)), (whole, len), (offset, 0),
                (u64::MAX, 1), (1, u64::MAX), (whole, 0), (0, whole), (whole - 1, 1), (whole - 1, 2),
            ] {
                let inside = offset.checked_add(len).is_some_and(|end| end <= whole);
                match view.slice(Place { offset, len }) {
                    Ok(view) => prop_assert!(inside && view.len() as u64 == len),
                    Err(error) => prop_assert!(!inside && error == BadPlace::OutOfBounds),
                }
            }
        }
    }
}

#[test]
fn a_view_shows_what_its_owner_wrote_and_the_other_way_round() {
    let arena = Arena::create().unwrap();
    let mut block = arena.allocate(16).unwrap();
    as_numbers_mut::<f64>(&mut block).unwrap().copy_from_slice(&[1.5, 2.5]);
    let read_only = view(&arena, Access::ReadOnly);
    let mut seen = read_only.slice(block.place()).unwrap();
    assert_eq!(as_numbers::<f64>(&seen).unwrap(), [1.5, 2.5]);
    assert!(seen.bytes_mut().is_none());

    let read_write = view(&arena, Access::ReadWrite);
    let mut written = read_write.slice(block.place()).unwrap();
    as_numbers_mut::<f64>(written.bytes_mut().unwrap()).unwrap()[1] = 3.5;
    drop(written);
    assert_eq!(as_numbers::<f64>(&block).unwrap(), [1.5, 3.5]);
    assert_eq!(as_numbers::<f64>(&seen).unwrap(), [1.5, 3.5]);
}

#[test]
fn writable_views_do_not_overlap() {
    let arena = Arena::create().unwrap();
    let view = view(&arena, Access::ReadWrite);
    let place = |offset, len| Place { offset, len };
    let held = view.slice(place(100, 100)).unwrap();
    for (offset, len) in [(100, 100), (0, 101), (199, 1), (150, 10), (0, 4096), (150, 4096)] {
        assert_eq!(view.slice(place(offset, len)).unwrap_err(), BadPlace::InUse, "{offset} {len}");
    }
    let beside =
        [(0, 100), (200, 10), (150, 0)].map(|(offset, len)| view.slice(place(offset, len)));
    assert!(beside.iter().all(Result::is_ok));
    drop(held);
    assert!(view.slice(place(100, 100)).is_ok());
}

#[test]
fn nobody_else_sees_what_is_written_privately() {
    let arena = Arena::create().unwrap();
    // Part of a page is at its end, and it is not the first in its page.
    for len in [100, 3 * PAGE + 100] {
        let _before = arena.allocate(64).unwrap();
        let mut block = arena.allocate(len).unwrap();
        let view = view(&arena, Access::ReadOnly);
        for round in 0..3 {
            block.fill(round);
            let (mut one, other) =
                (view.private(block.place()).unwrap(), view.private(block.place()).unwrap());
            assert!(one.iter().all(|byte| *byte == round), "what the owner has written is seen");
            one[len / 2..].fill(100);
            assert!(one[..len / 2].iter().all(|byte| *byte == round));
            assert!(one[len / 2..].iter().all(|byte| *byte == 100));
            let shared = view.slice(block.place()).unwrap();
            for seen in [&block[..], &other[..], &shared[..]] {
                assert!(seen.iter().all(|byte| *byte == round), "{len} {round}");
            }
        }
    }
}

#[test]
fn a_private_view_lies_in_the_arena() {
    let arena = Arena::with_limit(2 * PAGE as u64).unwrap();
    let view = view(&arena, Access::ReadOnly);
    for (offset, len) in [(0, 3 * PAGE as u64), (2 * PAGE as u64, 1), (u64::MAX, 1), (1, u64::MAX)]
    {
        assert!(view.private(Place { offset, len }).is_err(), "{offset} {len}");
    }
    assert!(view.private(Place { offset: 2 * PAGE as u64, len: 0 }).is_ok_and(|it| it.is_empty()));
    assert_eq!(view.private(Place { offset: 0, len: 2 * PAGE as u64 }).unwrap().len(), 2 * PAGE);
}

#[test]
fn a_view_outlives_its_arena() {
    let arena = Arena::create().unwrap();
    let mut block = arena.allocate(5).unwrap();
    block.copy_from_slice(b"still");
    let seen = view(&arena, Access::ReadOnly).slice(block.place()).unwrap();
    drop((block, arena));
    assert_eq!(&*seen, b"still");
}

#[test]
fn threads_allocate_at_once() {
    let arena = Arena::with_limit(64 << 20).unwrap();
    let threads: Vec<_> = (0..4_u8)
        .map(|mark| {
            let arena = arena.clone();
            thread::spawn(move || {
                for round in 0..2000_usize {
                    let mut block = arena.allocate(round * 37 % 50_000).unwrap();
                    block.fill(mark);
                    let kept = arena.allocate(64).unwrap();
                    assert!(block.iter().all(|byte| *byte == mark));
                    drop(kept);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
