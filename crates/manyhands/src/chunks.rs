//! A queue in chunks, for what waits in thousands: it grows without moving what is in it, so that nobody waits for
//! that with a lock held, and memory that one end has emptied is filled again at the other while it is still in
//! the processor's cache.

use std::collections::VecDeque;
use std::mem;

/// First in, first out.
pub(crate) struct Chunks<T> {
    /// The oldest, which are taken.
    head: VecDeque<T>,
    between: VecDeque<VecDeque<T>>,
    /// The newest, behind which more are put.
    tail: VecDeque<T>,
    /// Empty ones.
    spare: Vec<VecDeque<T>>,
}

impl<T> Chunks<T> {
    /// How many are in a chunk.
    const CHUNK: usize = if cfg!(loom) { 2 } else { 256 };

    /// How many empty ones are kept.
    const MOST_SPARE: usize = 16;

    pub(crate) fn new() -> Self {
        Self {
            head: VecDeque::new(),
            between: VecDeque::new(),
            tail: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.tail.is_empty() && self.between.is_empty()
    }

    #[inline]
    pub(crate) fn push_back(&mut self, item: T) {
        if self.tail.len() == Self::CHUNK {
            self.close_tail();
        }
        self.tail.push_back(item);
    }

    #[cold]
    fn close_tail(&mut self) {
        let empty = self.spare.pop().unwrap_or_else(|| VecDeque::with_capacity(Self::CHUNK));
        self.between.push_back(mem::replace(&mut self.tail, empty));
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.head.pop_front().or_else(|| self.open_next())
    }

    #[cold]
    fn open_next(&mut self) -> Option<T> {
        if let Some(next) = self.between.pop_front() {
            let empty = mem::replace(&mut self.head, next);
            self.keep(empty);
        } else {
            mem::swap(&mut self.head, &mut self.tail);
        }
        self.head.pop_front()
    }

    /// Keeps the memory of an empty chunk, if it is a whole one and there are not enough of them.
    fn keep(&mut self, empty: VecDeque<T>) {
        if empty.capacity() >= Self::CHUNK && self.spare.len() < Self::MOST_SPARE {
            self.spare.push(empty);
        }
    }

    /// Gives back the memory of the empty ones.
    pub(crate) fn forget_spare(&mut self) {
        self.spare = Vec::new();
    }

    /// Moves all of `other` behind what is here.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            return mem::swap(self, other);
        }
        for chunk in [&mut self.tail, &mut other.head] {
            if !chunk.is_empty() {
                self.between.push_back(mem::take(chunk));
            }
        }
        self.between.append(&mut other.between);
        mem::swap(&mut self.tail, &mut other.tail);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Pop(usize),
        /// So many in another, of which so many were taken before.
        Append(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..200_usize).prop_map(Step::Push),
            (0..200_usize).prop_map(Step::Pop),
            (0..200_usize, 0..200_usize).prop_map(|(all, taken)| Step::Append(all, taken)),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_queue(steps in vec(step(), 0..30)) {
            let (mut chunks, mut queue) = (Chunks::new(), VecDeque::new());
            let mut numbers = 0..;
            for step in steps {
                match step {
                    Step::Push(count) => {
                        for number in numbers.by_ref().take(count) {
                            chunks.push_back(number);
                            queue.push_back(number);
                        }
                    }
                    Step::Pop(count) => {
                        for _ in 0..count {
                            prop_assert_eq!(chunks.pop_front(), queue.pop_front());
                        }
                    }
                    Step::Append(count, taken) => {
                        let mut other = Chunks::new();
                        let mut left: VecDeque<_> = numbers.by_ref().take(count).collect();
                        for number in &left {
                            other.push_back(*number);
                        }
                        for _ in 0..taken {
                            prop_assert_eq!(other.pop_front(), left.pop_front());
                        }
                        queue.append(&mut left);
                        chunks.append(&mut other);
                        prop_assert!(other.is_empty());
                    }
                }
                prop_assert_eq!(chunks.is_empty(), queue.is_empty());
            }
            while let Some(number) = queue.pop_front() {
                prop_assert_eq!(chunks.pop_front(), Some(number));
            }
            prop_assert!(chunks.pop_front().is_none());
        }
    }
}
