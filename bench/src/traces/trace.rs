//! A trace in memory: which object each request is for, as a dense number, and how large each object is.

use std::{collections::HashMap, hash::Hash};

/// Requests for objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The object of each request: an index into [`Trace::sizes`].
    pub(crate) requests: Vec<u32>,
    /// Bytes of each object; at least one, for what takes no room would never be evicted.
    pub(crate) sizes: Vec<u64>,
}

/// What a request is that names a known object with another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Changed {
    /// The same object, with the size that it was first seen with: logs of blocks and of parts of files.
    #[default]
    Same,
    /// Another content, and so another object: what a store of contents makes of a changed file.
    Other,
}

/// Builds a trace, request by request.
pub(crate) struct Builder<K> {
    trace: Trace,
    numbers: HashMap<(K, u64), u32>,
    changed: Changed,
}

impl<K: Hash + Eq> Builder<K> {
    pub(crate) fn new(changed: Changed) -> Self {
        Self { trace: Trace::default(), numbers: HashMap::new(), changed }
    }

    /// One request.
    pub(crate) fn ask(&mut self, key: K, size: u64) {
        let kept = if self.changed == Changed::Other { size } else { 0 };
        let sizes = &mut self.trace.sizes;
        let number = *self.numbers.entry((key, kept)).or_insert_with(|| {
            sizes.push(size.max(1));
            u32::try_from(sizes.len() - 1).expect("memory ends before 2^32 objects")
        });
        self.trace.requests.push(number);
    }

    pub(crate) fn done(self) -> Trace {
        self.trace
    }
}

impl Trace {
    /// Bytes of all objects together.
    pub(crate) fn unique_bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// Bytes asked for.
    pub(crate) fn asked_bytes(&self) -> u64 {
        self.requests.iter().map(|id| self.sizes[*id as usize]).sum()
    }

    /// One of `of` pieces of equal length, counted from 1, with the objects that are in it.
    pub(crate) fn part(&self, part: usize, of: usize) -> Self {
        let bound = |at: usize| self.requests.len() * at / of;
        let mut builder = Builder::new(Changed::Same);
        for id in &self.requests[bound(part - 1)..bound(part)] {
            builder.ask(*id, self.sizes[*id as usize]);
        }
        builder.done()
    }

    /// For each request when the same object is asked for next, in requests; `usize::MAX` if never.
    pub(crate) fn next_asks(&self) -> Vec<usize> {
        let mut next = vec![usize::MAX; self.requests.len()];
        let mut seen = vec![usize::MAX; self.sizes.len()];
        for (at, id) in self.requests.iter().enumerate().rev() {
            next[at] = std::mem::replace(&mut seen[*id as usize], at);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(changed: Changed) -> Trace {
        let mut builder = Builder::new(changed);
        for (key, size) in [("a", 10), ("b", 0), ("a", 30), ("a", 10)] {
            builder.ask(key, size);
        }
        builder.done()
    }

    #[test]
    fn keys_become_dense_and_a_changed_size_is_what_was_asked_for() {
        let same = built(Changed::Same);
        assert_eq!((same.requests, same.sizes), (vec![0, 1, 0, 0], vec![10, 1]));
        let other = built(Changed::Other);
        assert_eq!((other.requests, other.sizes), (vec![0, 1, 2, 0], vec![10, 1, 30]));
    }

    #[test]
    fn a_part_has_its_own_numbers() {
        let part = built(Changed::Other).part(2, 2);
        assert_eq!((part.requests.as_slice(), part.sizes.as_slice()), (&[0, 1][..], &[30, 10][..]));
        assert_eq!((part.unique_bytes(), part.asked_bytes()), (40, 40));
    }

    #[test]
    fn the_next_ask_is_known() {
        assert_eq!(built(Changed::Same).next_asks(), [2, usize::MAX, 3, usize::MAX]);
    }
}
