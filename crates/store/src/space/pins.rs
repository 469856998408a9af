//! Which contents are pinned, that is, never evicted: those for which a name stands that the operator's patterns match. What a name is and
//! whether it matches is the caller's to say ([`Pinning`]); here the names of each content are counted.
//!
//! | state | what is pinned | leaves by |
//! | --- | --- | --- |
//! | settled | what the patterns in force match | [`Pins::begin`]: others are to be in force |
//! | sweeping: the table of names is gone through, shard by shard | what the old ones match, and of the names seen so far what the new ones do | [`Pins::finish`]; a further [`Pins::begin`] begins anew |
//!
//! Whoever changes a name says so while holding its shard ([`Pins::renamed`]), so that a name is counted once, before the sweep or by it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use protocol::digest::Md5;

use crate::space::pinned::PinnedSums;

/// What of the names is pinned, as whoever understands names says it. Clones share it.
#[derive(Clone, Default)]
pub struct Pinning {
    patterns: Arc<[Box<str>]>,
    matching: Option<Matching>,
}

/// The number of the first pattern that matches the name with a key. Called under a lock: it does not wait and calls nothing of the store.
pub type Matching = Arc<dyn Fn(&[u8]) -> Option<usize> + Send + Sync>;

impl Pinning {
    /// `patterns` are for people, in the order in which `matching` numbers them. None: nothing is pinned.
    pub fn new(patterns: Vec<Box<str>>, matching: Matching) -> Self {
        let is_any = !patterns.is_empty();
        Self { patterns: patterns.into(), matching: is_any.then_some(matching) }
    }

    fn pattern_of(&self, key: &[u8]) -> Option<usize> {
        self.matching.as_ref()?(key)
    }
}

impl fmt::Debug for Pinning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.patterns).finish()
    }
}

/// One pattern, and what it has pinned of what is here, as of some seconds ago. A content that several match counts for one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// As it was written.
    pub pattern: Box<str>,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Who is pinned. Its lock is among the innermost.
#[derive(Default)]
pub(crate) struct Pins {
    state: Mutex<State>,
    /// Whether there is anything to be asked: most stores have no pins, and no name waits for the lock then.
    is_any: AtomicBool,
    is_settled: AtomicBool,
    /// Of the objects that are here.
    pub(crate) sums: PinnedSums,
}

#[derive(Default)]
struct State {
    in_force: Ruling,
    /// With the number of shards that were gone through.
    coming: Option<(Ruling, usize)>,
    /// Which sweep this is.
    sweep: u64,
    /// Contents that a sweep had pinned which was given up.
    doubtful: Vec<Md5>,
    tally: Vec<Pinned>,
    /// Objects and bytes that were pinned when it was last looked.
    seen: (u64, u64),
}

/// Patterns and what they match.
#[derive(Default)]
struct Ruling {
    pinning: Pinning,
    names: HashMap<Md5, Named>,
}

/// Of a content that is pinned.
#[derive(Clone, Copy)]
struct Named {
    /// Names that are matched and stand for it.
    names: u32,
    /// What the first of them was matched by.
    pattern: u16,
}

impl Ruling {
    /// `true` if it is the first name of its content.
    fn count(&mut self, md5: &Md5, pattern: usize) -> bool {
        let pattern = u16::try_from(pattern).unwrap_or(u16::MAX);
        let named = self.names.entry(*md5).or_insert(Named { names: 0, pattern });
        named.names += 1;
        named.names == 1
    }

    fn discount(&mut self, md5: &Md5) {
        if let Some(named) = self.names.get_mut(md5) {
            named.names -= 1;
            if named.names == 0 {
                self.names.remove(md5);
            }
        }
    }

    fn rename(&mut self, key: &[u8], before: Option<&Md5>, after: Option<&Md5>) {
        if let Some(pattern) = self.pinning.pattern_of(key) {
            // The new one first: a content that keeps its name is at no moment without one.
            if let Some(md5) = after {
                self.count(md5, pattern);
            }
            if let Some(md5) = before {
                self.discount(md5);
            }
        }
    }
}

impl Pins {
    /// Whether nothing is being gone through: then it is known what is pinned.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    /// Other patterns are to be in force. Answers the number of the sweep that is to come.
    pub(crate) fn begin(&self, pinning: Pinning) -> u64 {
        let mut state = self.state.lock();
        self.is_settled.store(false, Ordering::Release);
        self.is_any.store(true, Ordering::Release);
        state.sweep += 1;
        let coming = Ruling { pinning, names: HashMap::new() };
        if let Some((given_up, _)) = state.coming.replace((coming, 0)) {
            state.doubtful.extend(given_up.names.into_keys());
        }
        state.tally = Vec::new();
        state.sweep
    }

    /// Whether this sweep has to look at the names: where no pattern is coming there is nothing to be found.
    pub(crate) fn wants_names(&self, sweep: u64) -> bool {
        let state = self.state.lock();
        state.sweep == sweep && state.coming.as_ref().is_some_and(|(coming, _)| coming.pinning.matching.is_some())
    }

    /// Looks at all names of a shard, which the caller holds. Answers the contents that are pinned from now on; `None` if the sweep
    /// was given up for a later one.
    pub(crate) fn sweep<'a>(
        &self,
        sweep: u64,
        shard: usize,
        names: impl Iterator<Item = (&'a [u8], Md5)>,
    ) -> Option<Vec<Md5>> {
        let mut guard = self.state.lock();
        let (coming, done) = guard.coming_of(sweep)?;
        let mut found = Vec::new();
        for (key, md5) in names {
            if let Some(pattern) = coming.pinning.pattern_of(key)
                && coming.count(&md5, pattern)
            {
                found.push(md5);
            }
        }
        *done = shard + 1;
        Some(found)
    }

    /// The new patterns are in force. Answers the contents that may not be pinned any more; `None` if the sweep was given up for a later one.
    pub(crate) fn finish(&self, sweep: u64) -> Option<Vec<Md5>> {
        let mut guard = self.state.lock();
        guard.coming_of(sweep)?;
        let state = &mut *guard;
        let (coming, _) = state.coming.take()?;
        let before = std::mem::replace(&mut state.in_force, coming);
        self.is_any.store(state.in_force.pinning.matching.is_some(), Ordering::Release);
        self.is_settled.store(true, Ordering::Release);
        let doubtful = std::mem::take(&mut state.doubtful).into_iter().chain(before.names.into_keys());
        Some(doubtful.filter(|md5| !state.in_force.names.contains_key(md5)).collect())
    }

    /// A name of a shard, which the caller holds, stands for another content, or for none. `true` if one of the two may have become pinned, or be
    /// pinned no more.
    pub(crate) fn renamed(&self, shard: usize, key: &[u8], before: Option<&Md5>, after: Option<&Md5>) -> bool {
        if before == after || !self.is_any.load(Ordering::Acquire) {
            return false;
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.in_force.rename(key, before, after);
        if let Some((coming, done)) = &mut state.coming
            && shard < *done
        {
            coming.rename(key, before, after);
        }
        true
    }

    /// Whether a content is pinned.
    pub(crate) fn contains(&self, md5: &Md5) -> bool {
        if !self.is_any.load(Ordering::Acquire) {
            return false;
        }
        let state = self.state.lock();
        state.in_force.names.contains_key(md5)
            || state.coming.as_ref().is_some_and(|(coming, _)| coming.names.contains_key(md5))
    }

    /// The pattern that pins a name.
    pub(crate) fn pattern_of(&self, key: &[u8]) -> Option<Box<str>> {
        let pinning = {
            let state = self.state.lock();
            state.coming.as_ref().map_or(&state.in_force, |(coming, _)| coming).pinning.clone()
        };
        pinning.patterns.get(pinning.pattern_of(key)?).cloned()
    }

    /// The contents that the patterns in force pin, each with the number of its pattern, here or not; how many there are, if they are more than
    /// `most`.
    pub(crate) fn contents(&self, most: usize) -> Result<Vec<(Md5, usize)>, usize> {
        let state = self.state.lock();
        let names = &state.in_force.names;
        if names.len() > most {
            return Err(names.len());
        }
        Ok(names.iter().map(|(md5, named)| (*md5, usize::from(named.pattern))).collect())
    }

    /// What each pattern in force has pinned of what is here, by its number.
    pub(crate) fn set_tally(&self, sums: &HashMap<usize, (u64, u64)>) {
        let mut state = self.state.lock();
        let patterns = state.in_force.pinning.patterns.iter().cloned().enumerate();
        state.tally = patterns
            .map(|(at, pattern)| {
                let (objects, bytes) = sums.get(&at).copied().unwrap_or_default();
                Pinned { pattern, objects, bytes }
            })
            .collect();
    }

    /// Whether these are other sums than when it was asked last.
    pub(crate) fn has_moved(&self, pinned: (u64, u64)) -> bool {
        let mut state = self.state.lock();
        std::mem::replace(&mut state.seen, pinned) != pinned
    }

    /// That, as it was last counted.
    pub(crate) fn tally(&self) -> Vec<Pinned> {
        self.state.lock().tally.clone()
    }
}

impl State {
    fn coming_of(&mut self, sweep: u64) -> Option<(&mut Ruling, &mut usize)> {
        let is_this = self.sweep == sweep;
        self.coming.as_mut().filter(|_| is_this).map(|(coming, done)| (coming, done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Md5 = Md5([1; 16]);
    const B: Md5 = Md5([2; 16]);

    /// Names that begin with one of these letters.
    fn pinning(letters: &'static str) -> Pinning {
        let patterns = letters.chars().map(|letter| letter.to_string().into()).collect();
        Pinning::new(patterns, Arc::new(|key| letters.bytes().position(|letter| key.first() == Some(&letter))))
    }

    fn settled(letters: &'static str, names: &[(&'static str, Md5)]) -> Pins {
        let pins = Pins::default();
        let sweep = pins.begin(pinning(letters));
        pins.sweep(sweep, 0, names.iter().map(|(key, md5)| (key.as_bytes(), *md5))).expect("no other sweep");
        pins.finish(sweep).expect("no other sweep");
        pins
    }

    #[test]
    fn a_content_is_pinned_while_any_name_that_is_matched_stands_for_it() {
        let pins = settled("xy", &[("x1", A), ("y1", A), ("z1", B)]);
        assert!(pins.contains(&A) && !pins.contains(&B));
        assert!(pins.renamed(0, b"x1", Some(&A), Some(&B)));
        assert!(pins.contains(&A) && pins.contains(&B), "another name stands for it still");
        pins.renamed(0, b"y1", Some(&A), None);
        assert!(!pins.contains(&A) && pins.contains(&B));
        assert!(!pins.renamed(0, b"x1", Some(&B), Some(&B)), "nothing has changed");
        pins.renamed(0, b"z1", Some(&B), None);
        assert!(pins.contains(&B), "the name that went was not matched");
        assert_eq!(pins.pattern_of(b"y9").as_deref(), Some("y"));
    }

    #[test]
    fn while_names_are_gone_through_both_patterns_pin_and_each_name_counts_once() {
        let pins = settled("x", &[("x1", A)]);
        let sweep = pins.begin(pinning("y"));
        assert!(pins.contains(&A), "pinned until the sweep is done");
        // In a shard that was seen, and in one that was not.
        assert_eq!(pins.sweep(sweep, 0, std::iter::empty()), Some(Vec::new()));
        pins.renamed(0, b"y1", None, Some(&B));
        pins.renamed(1, b"y2", None, Some(&B));
        let names = [(&b"y2"[..], B)];
        assert_eq!(pins.sweep(sweep, 1, names.into_iter()), Some(Vec::new()), "known already");
        assert_eq!(pins.finish(sweep), Some(vec![A]));
        assert!(!pins.contains(&A) && pins.contains(&B));
        pins.renamed(0, b"y1", Some(&B), None);
        assert!(pins.contains(&B));
        pins.renamed(1, b"y2", Some(&B), None);
        assert!(!pins.contains(&B), "counted more than once");
    }

    #[test]
    fn a_sweep_gives_way_to_a_later_one() {
        let pins = settled("", &[]);
        let first = pins.begin(pinning("x"));
        pins.sweep(first, 0, [(&b"x1"[..], A)].into_iter()).expect("the only one");
        let second = pins.begin(pinning("y"));
        assert_eq!(pins.sweep(first, 1, std::iter::empty()), None);
        assert_eq!(pins.finish(first), None);
        pins.sweep(second, 0, std::iter::empty()).expect("the latest");
        assert!(!pins.is_settled());
        assert_eq!(pins.finish(second), Some(vec![A]), "what the first had pinned is doubtful");
        assert!(pins.is_settled() && !pins.contains(&A));
    }

    #[test]
    fn no_pattern_pins_nothing() {
        let pins = settled("", &[("x1", A)]);
        assert!(!pins.contains(&A) && !pins.renamed(0, b"x", None, Some(&A)));
    }
}
