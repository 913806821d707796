//! Nothing is left of what was dropped: alone in its process, for it counts what the process has.
#![cfg(target_os = "linux")]

mod common;

use std::fs;

use common::ends;
use manyhands_shm::{Access, Arena, ArenaView, Shape, WorkerEnd};

/// The open file descriptors, and the mappings of our memory.
fn held() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (fs::read_dir("/proc/self/fd").unwrap().count(), ours(&maps).count())
}

fn ours(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter(|line| line.contains("manyhands-"))
}

#[test]
fn what_is_dropped_is_gone() {
    let before = held();
    let (mut parent, mut worker, doorbell) = ends(Shape::default());
    let stop = worker.stop_token();
    parent.offer(&[b"x"]).unwrap();
    worker.claim().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let may: Vec<_> = ours(&maps).filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(may.contains(&"r--s"), "the worker may only read its lane: {may:?}");
    assert!(
        WorkerEnd::open(
            parent.memory().try_clone_to_owned().unwrap(),
            [(); 2].map(|()| doorbell.fd().try_clone_to_owned().unwrap())
        )
        .is_err()
    );
    drop((parent, worker, doorbell));
    assert!(!stop.is_set());
    drop(stop);
    assert_eq!(held(), before);

    let arena = Arena::create().unwrap();
    let block = arena.allocate(100).unwrap();
    let memory = arena.memory().try_clone_to_owned().unwrap();
    let view = ArenaView::open(memory, Access::ReadWrite).unwrap().slice(block.place()).unwrap();
    drop(arena);
    assert_ne!(held(), before);
    drop((block, view));
    assert_eq!(held(), before);
}
