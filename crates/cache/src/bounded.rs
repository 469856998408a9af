//! A map in memory that never holds more than twice its limit of the recent past: two generations. When the young one is full it becomes the
//! old one, and what was in the old one is forgotten; whatever is found in the old one moves to the young. Cheaper than a linked
//! list of recency, and what is asked for often stays.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use parking_lot::{Mutex, MutexGuard};

const SHARDS: usize = 16;

/// Keys are names; values are small or shared.
pub(crate) struct Bounded<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hasher: RandomState,
}

/// One part of the map, under its own lock.
pub(crate) struct Shard<V> {
    young: HashMap<Box<[u8]>, V>,
    old: HashMap<Box<[u8]>, V>,
    generation_max: usize,
}

impl<V: Clone> Bounded<V> {
    /// At most `entries_max` recent entries (and as many older ones).
    pub(crate) fn new(entries_max: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                young: HashMap::new(),
                old: HashMap::new(),
                generation_max: (entries_max / SHARDS).max(1),
            })
        };
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// The shard of a key, locked.
    pub(crate) fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard<V>> {
        self.shards[self.hasher.hash_one(key) as usize % SHARDS].lock()
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<V> {
        self.shard(key).find(key)
    }

    pub(crate) fn put(&self, key: &[u8], value: V) {
        self.shard(key).put(key, value);
    }

    pub(crate) fn remove(&self, key: &[u8]) -> Option<V> {
        self.shard(key).remove(key)
    }

    /// Keeps those of which `stays` says so; each part of the map is locked meanwhile.
    pub(crate) fn retain(&self, stays: impl Fn(&[u8], &V) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.young.retain(|key, value| stays(key, value));
            shard.old.retain(|key, value| stays(key, value));
        }
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.young.clear();
            shard.old.clear();
        }
    }
}

impl<V: Clone> Shard<V> {
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub(crate) fn put(&mut self, key: &[u8], value: V) {
        if let Some(known) = self.young.get_mut(key) {
            *known = value;
            return;
        }
        self.old.remove(key);
        self.insert(key.into(), value);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    fn insert(&mut self, key: Box<[u8]>, value: V) {
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_at_most_two_generations_and_keeps_what_is_asked_for() {
        let map = Bounded::new(SHARDS * 4);
        map.put(b"hot", 1);
        for number in 0..10_000u32 {
            map.put(&number.to_le_bytes(), number);
            assert_eq!(map.find(b"hot"), Some(1), "forgotten after {number}");
        }
        let len = |shard: &Mutex<Shard<u32>>| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        };
        let held: usize = map.shards.iter().map(len).sum();
        assert!(held <= SHARDS * 8, "{held} entries");
    }

    #[test]
    fn what_was_replaced_or_removed_does_not_come_back() {
        let map = Bounded::new(SHARDS);
        map.put(b"a", 1);
        map.put(b"a", 2);
        assert_eq!(map.find(b"a"), Some(2));
        assert_eq!(map.remove(b"a"), Some(2));
        assert_eq!(map.find(b"a"), None);
    }
}
