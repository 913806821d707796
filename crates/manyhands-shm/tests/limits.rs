//! Limits of the system, each met with an error: alone in its process, which they are set for.
#![cfg(target_os = "linux")]

use manyhands_shm::{Arena, ParentEnd, Shape};
use rustix::process::{Resource, getrlimit, setrlimit};

/// What `run` gives while the process has such a limit.
fn with_limit<T>(resource: Resource, bytes: u64, run: impl FnOnce() -> T) -> T {
    let before = getrlimit(resource);
    let mut limit = before;
    limit.current = Some(bytes);
    setrlimit(resource, limit).unwrap();
    let outcome = run();
    setrlimit(resource, before).unwrap();
    outcome
}

#[test]
fn limits_are_kept() {
    for resource in [Resource::Fsize, Resource::As] {
        let arena = with_limit(resource, 1 << 30, Arena::create).unwrap();
        assert_eq!(arena.allocate(1 << 20).unwrap().len(), 1 << 20);
        assert!(arena.allocate(2 << 30).is_err());
    }
    assert!(with_limit(Resource::Fsize, 1 << 20, Arena::create).is_err());
    assert!(with_limit(Resource::Fsize, 1 << 10, || ParentEnd::create(Shape::default())).is_err());
    assert!(with_limit(Resource::Nofile, 3, || ParentEnd::create(Shape::default())).is_err());
    assert!(ParentEnd::create(Shape::default()).is_ok());
}
