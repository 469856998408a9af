//! Which paths have changed without anybody knowing yet what is there. Pure.

use std::{collections::BTreeMap, ops::Bound};

use crate::shares::is_within;

/// A moment, as the feed counts them: everything that was noticed until then was noticed before what is looked at from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

/// Paths, and when each was noticed last.
#[derive(Debug, Default)]
pub(super) struct StalePaths {
    paths: BTreeMap<Box<[u8]>, Mark>,
    /// Everything is, since then.
    everything: Option<Mark>,
    last: Mark,
}

/// What is stale at a moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StaleNow {
    Everything,
    Paths(Vec<Box<[u8]>>),
}

impl StalePaths {
    pub(super) fn everything() -> Self {
        Self { everything: Some(Mark(0)), ..Self::default() }
    }

    pub(super) fn mark(&self) -> Mark {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.paths.len() + usize::from(self.everything.is_some())
    }

    /// Notices a path. Answers whether they are too many now, so that everything counts as stale.
    pub(super) fn add(&mut self, path: &[u8], max: usize) -> bool {
        self.last.0 += 1;
        if path.is_empty() || (self.paths.len() >= max && !self.paths.contains_key(path)) {
            self.paths.clear();
            self.everything = Some(self.last);
            return true;
        }
        self.paths.insert(path.into(), self.last);
        false
    }

    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.paths.contains_key(path)
    }

    /// Whether this path is, or anything below or above it.
    pub(super) fn any_below(&self, path: &[u8]) -> bool {
        let behind = self.paths.range::<[u8], _>((Bound::Included(path), Bound::Unbounded));
        let mut below = behind.map(|(found, _)| found).take_while(|found| found.starts_with(path));
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut above = ends.map(|end| &path[..end]);
        self.everything.is_some() || below.any(|found| is_within(found, path)) || above.any(|above| self.has(above))
    }

    /// Settles one path and nothing below it.
    pub(super) fn settle_one(&mut self, path: &[u8], seen: Mark) {
        if self.paths.get(path).is_some_and(|noticed| *noticed <= seen) {
            self.paths.remove(path);
        }
    }

    /// Settles a path and what is below it. Answers what was noticed behind the mark, which stays.
    pub(super) fn settle(&mut self, path: &[u8], seen: Mark) -> Vec<Box<[u8]>> {
        let beginning = self
            .paths
            .range::<[u8], _>((Bound::Included(path), Bound::Unbounded))
            .map(|(found, noticed)| (found, *noticed));
        let found: Vec<_> = beginning
            .take_while(|(found, _)| found.starts_with(path))
            .filter(|(found, _)| is_within(found, path))
            .map(|(found, noticed)| (found.clone(), noticed))
            .collect();
        let (behind, before): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, noticed)| *noticed > seen);
        for (path, _) in &before {
            self.paths.remove(path);
        }
        behind.into_iter().map(|(path, _)| path).collect()
    }

    /// Settles everything that was noticed until the mark.
    pub(super) fn settle_before(&mut self, seen: Mark) {
        self.paths.retain(|_, noticed| *noticed > seen);
        self.everything = self.everything.filter(|noticed| *noticed > seen);
    }

    pub(super) fn now(&self, concerns: impl Fn(&[u8]) -> bool) -> StaleNow {
        if self.everything.is_some() {
            return StaleNow::Everything;
        }
        StaleNow::Paths(self.paths.keys().filter(|path| concerns(path)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(of: &StalePaths) -> Vec<String> {
        match of.now(|_| true) {
            StaleNow::Everything => vec!["everything".into()],
            StaleNow::Paths(paths) => paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect(),
        }
    }

    #[test]
    fn what_is_noticed_after_a_look_is_not_settled_by_it() {
        let mut stale = StalePaths::default();
        for path in ["a", "a/x", "a-b", "a/y", "b"] {
            assert!(!stale.add(path.as_bytes(), 9));
        }
        let seen = stale.mark();
        stale.add(b"a/y", 9);
        assert_eq!(stale.settle(b"a", seen), [b"a/y".as_slice().into()]);
        assert_eq!(paths(&stale), ["a-b", "a/y", "b"]);
        stale.settle_one(b"b", Mark(0));
        assert!(stale.has(b"b"));
        stale.settle_one(b"b", seen);
        assert_eq!(paths(&stale), ["a-b", "a/y"]);
        stale.settle_before(seen);
        assert_eq!(paths(&stale), ["a/y"]);
        assert_eq!(stale.settle(b"a/y", stale.mark()), Vec::<Box<[u8]>>::new());
        assert_eq!(stale.len(), 0);
    }

    #[test]
    fn a_folder_is_stale_with_what_is_in_it_and_what_it_is_in() {
        let mut stale = StalePaths::default();
        for path in ["a-b/x", "c/d/e"] {
            stale.add(path.as_bytes(), 9);
        }
        for (folder, is_stale) in
            [("a", false), ("a-b", true), ("a-b/x", true), ("c", true), ("c/d/e/f", true), ("c/d/f", false), ("", true)]
        {
            assert_eq!(stale.any_below(folder.as_bytes()), is_stale, "{folder}");
        }
        assert!(StalePaths::everything().any_below(b"a"));
    }

    #[test]
    fn too_many_are_everything_until_all_was_looked_at() {
        let mut stale = StalePaths::default();
        assert!(!stale.add(b"a", 2) && !stale.add(b"b", 2) && !stale.add(b"b", 2));
        let before = stale.mark();
        assert!(stale.add(b"c", 2));
        assert_eq!(paths(&stale), ["everything"]);
        stale.settle_before(before);
        assert_eq!(paths(&stale), ["everything"]);
        stale.settle_before(stale.mark());
        assert_eq!(stale.len(), 0);
        assert!(stale.add(b"", 2));
        let mut first = StalePaths::everything();
        first.settle_before(first.mark());
        assert_eq!(first.len(), 0);
    }
}
