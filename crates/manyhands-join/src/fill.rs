//! A vector whose places several threads fill, each where its value is to be in the end.
//!
//! The places are parted as slices are, so no two threads ever see the same one. What is unsafe is only to say that
//! they are filled: at the end of all, and for what was filled before a panic.
#![allow(unsafe_code)]

use std::mem::{self, MaybeUninit};

/// Calls two closures, each once, and gives what both return; perhaps at the same time.
pub trait Fork: Sync {
    /// Of `a` and `b`, both have ended when it returns or panics.
    fn fork<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send;
}

/// Calls `function` with each item; what it returns, in the order of the items. They are halved by `fork` down to
/// so many (`leaf`, at least one) at a time, and each value is written where it stays.
///
/// # Panics
/// As `fork` does when one of its closures panics. The values there are by then are dropped.
///
/// ```
/// use manyhands_join::{Fork, map_slice};
///
/// struct InTurn;
///
/// impl Fork for InTurn {
///     fn fork<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
///     where
///         A: FnOnce() -> RA,
///         B: FnOnce() -> RB + Send,
///         RB: Send,
///     {
///         (a(), b())
///     }
/// }
///
/// assert_eq!(map_slice(&["one", "three"], 1, &|word: &&str| word.len(), &InTurn), [3, 5]);
/// ```
pub fn map_slice<T, U, F, J>(items: &[T], leaf: usize, function: &F, fork: &J) -> Vec<U>
where
    T: Sync,
    U: Send,
    F: Fn(&T) -> U + Sync,
    J: Fork,
{
    let mut values = Vec::with_capacity(items.len());
    let places = &mut values.spare_capacity_mut()[..items.len()];
    let filled = fill(items, places, leaf.max(1), function, fork);
    assert_eq!(filled.forget(), items.len(), "every place was filled");
    // SAFETY: so many places have just been filled, as the line before says, and nobody drops what is in them.
    // Covered by `every_value_is_in_its_place…` below.
    unsafe { values.set_len(items.len()) };
    values
}

fn fill<'p, T, U, F, J>(
    items: &[T],
    places: &'p mut [MaybeUninit<U>],
    leaf: usize,
    function: &F,
    fork: &J,
) -> Filled<'p, U>
where
    T: Sync,
    U: Send,
    F: Fn(&T) -> U + Sync,
    J: Fork,
{
    if items.len() <= leaf {
        let mut filled = Filled { places, count: 0 };
        filled.extend(items.iter().map(function));
        return filled;
    }
    let middle = items.len() / 2;
    let (first, second) = items.split_at(middle);
    let (low, high) = places.split_at_mut(middle);
    let (low, high) = fork.fork(
        || fill(first, low, leaf, function, fork),
        || fill(second, high, leaf, function, fork),
    );
    let count = low.forget() + high.forget();
    Filled { places, count }
}

/// Places of which the first are filled. What is in them is dropped with it.
struct Filled<'p, U> {
    places: &'p mut [MaybeUninit<U>],
    count: usize,
}

impl<U> Filled<'_, U> {
    fn extend(&mut self, values: impl Iterator<Item = U>) {
        for (place, value) in self.places.iter_mut().zip(values) {
            place.write(value);
            self.count += 1;
        }
    }

    /// How many places are filled. What is in them is somebody else's from now on.
    fn forget(self) -> usize {
        let count = self.count;
        mem::forget(self);
        count
    }
}

impl<U> Drop for Filled<'_, U> {
    fn drop(&mut self) {
        for place in &mut self.places[..self.count] {
            // SAFETY: `extend` has counted it, or both halves were full and were told to forget what is theirs; and it
            // is dropped once, for this has the only reference. Covered by `a_panic_drops_every_value…` below.
            unsafe { place.assume_init_drop() };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Both at the same time, and both to their ends.
    struct AtOnce;

    impl Fork for AtOnce {
        fn fork<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
        where
            A: FnOnce() -> RA,
            B: FnOnce() -> RB + Send,
            RB: Send,
        {
            thread::scope(|scope| {
                let b = scope.spawn(b);
                let a = catch_unwind(AssertUnwindSafe(a));
                match (a, b.join()) {
                    (Ok(a), Ok(b)) => (a, b),
                    (Err(panic), _) | (_, Err(panic)) => resume_unwind(panic),
                }
            })
        }
    }

    /// A value that counts itself, and lies on the heap besides: what is dropped twice or not at all is noticed.
    struct Counted<'c>(Box<usize>, &'c AtomicUsize);

    impl<'c> Counted<'c> {
        fn new(value: usize, there: &'c AtomicUsize) -> Self {
            there.fetch_add(1, Ordering::Relaxed);
            Self(Box::new(value), there)
        }
    }

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_value_is_in_its_place_whatever_the_lengths() {
        for len in [0, 1, 2, 3, 7, 100] {
            for leaf in [0, 1, 2, 3, 64, 1_000] {
                let (items, there) = ((0..len).collect::<Vec<_>>(), AtomicUsize::new(0));
                let values = map_slice(&items, leaf, &|item| Counted::new(*item, &there), &AtOnce);
                assert!(values.iter().map(|value| *value.0).eq(items.iter().copied()));
                assert_eq!(there.load(Ordering::Relaxed), len);
                drop(values);
                assert_eq!(there.load(Ordering::Relaxed), 0);
            }
        }
    }

    #[test]
    fn a_panic_drops_every_value_there_is_once() {
        let items: Vec<_> = (0..40).collect();
        for leaf in [1, 3, 64] {
            for bad in [vec![0], vec![39], vec![17], vec![5, 6, 30]] {
                let there = AtomicUsize::new(0);
                let function = |item: &usize| {
                    assert!(!bad.contains(item), "a bad one");
                    Counted::new(*item, &there)
                };
                let mapped = catch_unwind(AssertUnwindSafe(|| {
                    map_slice(&items, leaf, &function, &AtOnce);
                }));
                assert!(mapped.is_err());
                assert_eq!(there.load(Ordering::Relaxed), 0, "leaf {leaf}, bad {bad:?}");
            }
        }
    }

    #[test]
    fn values_without_a_size_are_counted_all_the_same() {
        assert_eq!(map_slice(&[1, 2, 3], 1, &|_| (), &AtOnce).len(), 3);
    }
}
