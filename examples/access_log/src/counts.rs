//! Requests and bytes per key (page, referrer, agent, client), and the best few of anything.
//!
//! A block of a log names each key many times. [`Counts`] keeps one copy of every key, all in one
//! buffer, so that a line costs a look-up and no allocation. [`KeyTraffic`] is the same without
//! the index: what a task hands back, cheap to send elsewhere.

use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::ops::AddAssign;

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Serialize};

/// A number of requests and the bytes of their responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests counted.
    pub requests: u64,
    /// Bytes sent in answer.
    pub bytes: u64,
}

impl Traffic {
    /// One request answered with `bytes`.
    pub fn one(bytes: u64) -> Self {
        Self { requests: 1, bytes }
    }
}

impl AddAssign for Traffic {
    /// Saturates, for a log may claim any number of bytes; still the same in every order.
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Traffic per key, in the order in which keys were first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTraffic {
    #[serde(with = "serde_bytes")]
    keys: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    start: usize,
    end: usize,
    traffic: Traffic,
}

impl KeyTraffic {
    /// Each key with its traffic.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Traffic)> {
        self.entries.iter().map(|entry| (self.key(entry), entry.traffic))
    }

    /// Number of different keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key was seen.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The `count` keys with the most requests; of equals, the one that sorts first.
    pub fn top(&self, count: usize) -> Vec<(&[u8], Traffic)> {
        let mut rows: Vec<_> = self.iter().collect();
        let order = |(key, traffic): &(&[u8], Traffic), (other_key, other): &(&[u8], Traffic)| {
            other.requests.cmp(&traffic.requests).then_with(|| key.cmp(other_key))
        };
        // Of millions of keys only a few are wanted in order.
        if count < rows.len() {
            rows.select_nth_unstable_by(count, order);
            rows.truncate(count);
        }
        rows.sort_unstable_by(order);
        rows
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.keys[entry.start..entry.end]
    }
}

/// Traffic per key while it is being counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    list: KeyTraffic,
    /// Positions in `list.entries`. Seeded at random, since a log's keys are chosen by strangers.
    index: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl Counts {
    /// Add traffic to a key.
    pub fn add(&mut self, key: &[u8], traffic: Traffic) {
        let Self { list, index, hasher } = self;
        let hash = hasher.hash_one(key);
        if let Some(&at) = index.find(hash, |&at| list.key(&list.entries[at]) == key) {
            list.entries[at].traffic += traffic;
            return;
        }
        let (at, start) = (list.entries.len(), list.keys.len());
        list.keys.extend_from_slice(key);
        list.entries.push(Entry { start, end: list.keys.len(), traffic });
        index.insert_unique(hash, at, |&at| hasher.hash_one(list.key(&list.entries[at])));
    }

    /// Add all that was counted elsewhere.
    pub fn merge(&mut self, other: &KeyTraffic) {
        for (key, traffic) in other.iter() {
            self.add(key, traffic);
        }
    }

    /// What was counted.
    pub fn finish(self) -> KeyTraffic {
        self.list
    }
}

/// The smallest `keep` items of all that were offered, in any order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Smallest<T: Ord> {
    keep: usize,
    kept: BinaryHeap<T>,
}

impl<T: Ord> Smallest<T> {
    /// Keep so many.
    pub fn new(keep: usize) -> Self {
        Self { keep, kept: BinaryHeap::new() }
    }

    /// Offer an item.
    pub fn offer(&mut self, item: T) {
        self.kept.push(item);
        if self.kept.len() > self.keep {
            self.kept.pop();
        }
    }

    /// The largest item kept once there is no more room: only a smaller one will get in.
    pub fn bar(&self) -> Option<&T> {
        if self.kept.len() < self.keep { None } else { self.kept.peek() }
    }

    /// Offer all that were kept elsewhere.
    pub fn merge(&mut self, other: Self) {
        other.kept.into_iter().for_each(|item| self.offer(item));
    }

    /// The items kept, smallest first.
    pub fn into_sorted_vec(self) -> Vec<T> {
        self.kept.into_sorted_vec()
    }
}
