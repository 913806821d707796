//! What a worker opens: only the memory that a parent of its version made for it.
#![cfg(target_os = "linux")]

mod common;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use common::page;
use manyhands_shm::{
    Access, Arena, ArenaView, Block, Doorbell, ParentEnd, Shape, StopToken, View, WorkerEnd,
};
use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create,
};
use rustix::io::pwrite;

fn open(memory: OwnedFd) -> io::Result<WorkerEnd> {
    let doorbell = Doorbell::create()?;
    let fd = || doorbell.fd().try_clone_to_owned();
    WorkerEnd::open(memory, [fd()?, fd()?])
}

fn memory_of(parent: &ParentEnd) -> OwnedFd {
    parent.memory().try_clone_to_owned().unwrap()
}

fn sealed(len: usize) -> OwnedFd {
    let memory = memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&memory, len as u64).unwrap();
    fcntl_add_seals(&memory, SealFlags::SHRINK).unwrap();
    memory
}

#[test]
fn shapes_are_powers_of_two_of_some_size() {
    let page = page();
    for shape in [Shape::default(), Shape { lane: page, answers: 2 * page }] {
        let parent = ParentEnd::create(shape).unwrap();
        assert_eq!(parent.max_request(), shape.lane / 2 - 8);
        open(memory_of(&parent)).unwrap();
    }
    for (lane, answers) in [(0, page), (page, 0), (3 * page, page), (page, 8), (2 << 30, page)] {
        let refused = ParentEnd::create(Shape { lane, answers }).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{lane} {answers}");
    }
}

#[test]
fn nobody_can_change_the_length_of_the_memory() {
    let parent = ParentEnd::create(Shape::default()).unwrap();
    let seals = fcntl_get_seals(parent.memory()).unwrap();
    assert!(seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL));
    assert!(ftruncate(parent.memory(), 0).is_err());
}

#[test]
fn other_files_are_refused() {
    let unsealed = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&unsealed, 1 << 20).unwrap();
    let (pipe, _writer) = io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    for file in [unsealed, pipe.into(), null.into()] {
        assert!(open(file.try_clone().unwrap()).is_err());
        assert!(ArenaView::open(file, Access::ReadWrite).is_err());
    }
    for len in [0, 8, page() - 1, page(), 1 << 20] {
        let refused = open(sealed(len)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{len}: {refused}");
    }
}

#[test]
fn a_header_of_nonsense_is_refused() {
    let words = [0, 1, 8, 4096, 1 << 13, 1 << 19, 1 << 30, 1 << 40, u64::MAX - 7, u64::MAX];
    // The magic word, the two sizes.
    for offset in [0, 8, 16] {
        for word in words {
            let parent = ParentEnd::create(Shape::default()).unwrap();
            pwrite(parent.memory(), &word.to_ne_bytes(), offset).unwrap();
            let refused = open(memory_of(&parent)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{word} at {offset}");
        }
    }
}

#[test]
fn memory_is_opened_by_one_worker() {
    let parent = ParentEnd::create(Shape::default()).unwrap();
    let worker = open(memory_of(&parent)).unwrap();
    assert!(open(memory_of(&parent)).is_err());
    drop(worker);
    assert!(open(memory_of(&parent)).is_err());
}

/// It compiles, and that is the test.
#[test]
fn ends_move_between_threads() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    is_send::<ParentEnd>();
    is_send::<WorkerEnd>();
    is_send::<Block>();
    is_send::<View>();
    is_shared::<StopToken>();
    is_shared::<Arena>();
    is_shared::<ArenaView>();
}
