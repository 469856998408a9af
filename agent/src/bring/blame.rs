//! Whose bytes were wrong: pure. Of a content that came from one source only, that one's. Of one that several brought parts of, nobody knows: from then on
//! each source may bring it alone, from its first byte, before parts of several are put together again. Who was part of three wrong ones, and ended the
//! third, is not asked again either.

use std::collections::{BTreeMap, BTreeSet};

/// Of so many wrong ones a source may have brought a part.
const SUSPECTED_MAX: u32 = 2;

/// Who brought bytes of what is here now, and who was suspected before.
#[derive(Debug, Default)]
pub(crate) struct Blame {
    brought: Vec<String>,
    /// Some of what is here is from before this start.
    has_earlier: bool,
    suspected: BTreeMap<String, u32>,
    /// Who could bring it alone since somebody was suspected.
    had_it_alone: BTreeSet<String>,
}

impl Blame {
    /// Bytes are here from before this start.
    pub(crate) fn has_earlier(&mut self) {
        self.has_earlier = true;
    }

    /// A source brought bytes.
    pub(crate) fn brought(&mut self, url: &str) {
        if self.brought.is_empty() && !self.suspected.is_empty() {
            self.had_it_alone.insert(url.to_owned());
        }
        if !self.brought.iter().any(|known| known == url) {
            self.brought.push(url.to_owned());
        }
    }

    /// Whether a source may go on with what others brought, or has to begin anew.
    pub(crate) fn may_continue(&self, url: &str) -> bool {
        let others = self.brought.iter().any(|known| known != url);
        let is_suspect = |url: &String| self.suspected.contains_key(url);
        let suspects = self.suspected.contains_key(url) || self.brought.iter().any(is_suspect);
        !others || !suspects || self.had_it_alone.contains(url)
    }

    /// It is begun anew.
    pub(crate) fn anew(&mut self) {
        self.brought.clear();
        self.has_earlier = false;
    }

    /// What is here is wrong: whether the one that brought the last of it is to be asked no more.
    pub(crate) fn is_wrong(&mut self, last: &str) -> bool {
        let alone = self.brought.len() <= 1 && !self.has_earlier;
        for url in self.brought.drain(..) {
            *self.suspected.entry(url).or_default() += 1;
        }
        self.had_it_alone.clear();
        self.has_earlier = false;
        alone || self.suspected.get(last).is_some_and(|times| *times > SUSPECTED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sources: &[&str]) -> Blame {
        let mut blame = Blame::default();
        sources.iter().for_each(|url| blame.brought(url));
        blame
    }

    #[test]
    fn who_was_alone_is_to_blame() {
        assert!(of(&["a", "a"]).is_wrong("a"));
        let mut blame = of(&["a"]);
        blame.anew();
        blame.brought("b");
        assert!(blame.is_wrong("b"));
        let mut blame = Blame::default();
        blame.has_earlier();
        blame.brought("a");
        assert!(!blame.is_wrong("a"), "what was on the disk may have been wrong");
        blame.brought("a");
        assert!(blame.is_wrong("a"));
    }

    #[test]
    fn behind_a_wrong_mixture_everybody_may_bring_it_alone_once() {
        let mut blame = of(&["a"]);
        assert!(blame.may_continue("b"), "nobody is suspected");
        blame.brought("b");
        assert!(!blame.is_wrong("b"), "it may have been the other");
        assert!(["a", "b", "c"].iter().all(|url| blame.may_continue(url)), "nothing is here");
        blame.brought("a");
        assert!(blame.may_continue("a"));
        assert!(!blame.may_continue("b") && !blame.may_continue("c"), "what is here is a suspect's");
        blame.anew();
        blame.brought("b");
        assert!(blame.may_continue("a"), "it has had it alone");
        assert!(!blame.may_continue("c"));
        blame.anew();
        for url in ["c", "b", "a"] {
            assert!(blame.may_continue(url));
            blame.brought(url);
        }
        assert!(!blame.is_wrong("a"), "the second time");
        blame.brought("b");
        assert!(!blame.may_continue("a"), "all may try alone again");
    }

    #[test]
    fn who_ends_a_third_wrong_one_is_not_asked_again() {
        let mut blame = of(&["a", "b"]);
        assert!(!blame.is_wrong("b"));
        for (last, other, is_banned) in [("b", "c", false), ("b", "a", true)] {
            blame.brought(other);
            blame.brought(last);
            assert_eq!(blame.is_wrong(last), is_banned);
        }
    }
}
