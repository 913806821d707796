//! A pool of processes carried into a forked copy of its program says so, and hangs nobody. Here,
//! because forking is unsafe.
#![allow(unsafe_code)]

use std::time::Duration;

use manyhands::{Executor, ProcessPoolExecutor, Reason, ThreadPoolExecutor};
use manyhands_shm::{Arena, ForkMark};

fn add(a: u64, b: u64) -> u64 {
    a + b
}

manyhands::test_worker![add];

/// Runs `child` in a forked copy of this process; whether it said yes before it was too late.
fn in_a_fork(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child calls `child` and leaves; what it allocates with is glibc's, which is made
    // for forks. Covered by the tests here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        exit_at_once(i32::from(!child()));
    }
    assert!(pid > 0, "there was no process to be had");
    for _ in 0..3_000 {
        let mut status = 0;
        // SAFETY: `status` is there to be written. Covered by the tests here.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if ended == pid {
            return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: the child has not been waited for, so the number is still its own.
    // Covered by the tests here.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    false
}

fn exit_at_once(code: i32) -> ! {
    // SAFETY: it ends the process, without handlers that belong to the parent. Covered by the tests.
    unsafe { libc::_exit(code) }
}

#[test]
fn a_fork_is_seen() {
    let mark = ForkMark::of_this_process();
    assert!(!mark.is_in_a_fork());
    assert!(in_a_fork(|| mark.is_in_a_fork()));
    assert!(!mark.is_in_a_fork());
}

#[test]
fn a_fork_has_a_mark_of_its_own() {
    let parents = ForkMark::of_this_process();
    assert!(in_a_fork(|| {
        let own = ForkMark::of_this_process();
        parents.is_in_a_fork() && !own.is_in_a_fork() && in_a_fork(|| own.is_in_a_fork())
    }));
    assert!(!ForkMark::of_this_process().is_in_a_fork());
}

#[test]
fn a_fork_neither_allocates_in_an_arena_nor_frees_its_blocks() {
    let arena = Arena::create().unwrap();
    let mut block = arena.allocate(10_000).unwrap();
    block.fill(7);
    let place = block.place();
    let mut carried = Some(block);
    assert!(in_a_fork(|| {
        drop(carried.take());
        arena.allocate(10).is_err()
    }));
    let again = arena.allocate(10_000).unwrap();
    assert_ne!(again.place(), place, "it is still in use");
    assert!(carried.is_some_and(|block| block.iter().all(|byte| *byte == 7)));
}

#[test]
fn a_pool_can_be_made_in_a_fork() {
    init_worker();
    let carried = ProcessPoolExecutor::new(1).unwrap();
    assert!(in_a_fork(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let sum = pool.submit(add, (1, 2)).unwrap().result(Duration::from_secs(20));
        sum.is_ok_and(|sum| sum == 3)
    }));
    drop(carried);
}

#[test]
fn a_pool_carried_into_a_fork_refuses_and_does_not_hang() {
    init_worker();
    let pool = ProcessPoolExecutor::new(2).unwrap();
    assert_eq!(pool.submit(add, (1, 2)).unwrap().result(None).unwrap(), 3);
    let mut carried = Some(pool);
    let refused = in_a_fork(|| {
        let pool = carried.take().unwrap();
        let refused = pool.submit(add, (1, 2)).unwrap_err().reason == Reason::Forked;
        let waited = pool.shutdown_timeout(Duration::from_secs(5), false);
        pool.shutdown(true, true);
        drop(pool);
        refused && !waited
    });
    assert!(refused);
    let pool = carried.unwrap();
    assert_eq!(pool.submit(add, (2, 2)).unwrap().result(None).unwrap(), 4, "unharmed");
}

#[test]
fn forks_while_a_pool_works_disturb_nothing() {
    init_worker();
    let pool = ProcessPoolExecutor::new(2).unwrap();
    let threads = ThreadPoolExecutor::new(1).unwrap();
    let sums = threads.spawn(move || {
        let sums = pool.starmap(add, (0..20_000).map(|n| (n, n))).into_vec();
        (sums, pool)
    });
    for _ in 0..50 {
        assert!(in_a_fork(|| true));
    }
    let (sums, _pool) = sums.unwrap().into_result(None).unwrap();
    assert_eq!(sums.unwrap().iter().sum::<u64>(), (0..20_000).map(|n| 2 * n).sum());
}
