//! Whose bytes were wrong: pure. Of a content that came from one source only, that one's; of one that several brought parts of, nobody knows, and each
//! is suspected. Who is suspected twice is not asked again either.

use std::collections::BTreeMap;

/// Who brought bytes of what is here now, and who was suspected before.
#[derive(Debug, Default)]
pub(crate) struct Blame {
    brought: Vec<String>,
    /// Some of what is here is from before this start.
    has_earlier: bool,
    suspected: BTreeMap<String, u32>,
}

impl Blame {
    /// Bytes are here from before this start.
    pub(crate) fn has_earlier(&mut self) {
        self.has_earlier = true;
    }

    /// A source brought bytes.
    pub(crate) fn brought(&mut self, url: &str) {
        if !self.brought.iter().any(|known| known == url) {
            self.brought.push(url.to_owned());
        }
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
        self.has_earlier = false;
        alone || self.suspected.get(last).is_some_and(|times| *times > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_alone_is_to_blame_and_who_was_not_when_it_happens_again() {
        let mut blame = Blame::default();
        blame.brought("a");
        blame.brought("a");
        assert!(blame.is_wrong("a"));
        let mut blame = Blame::default();
        blame.brought("a");
        blame.brought("b");
        assert!(!blame.is_wrong("b"), "it may have been the other");
        blame.brought("b");
        blame.brought("c");
        assert!(!blame.is_wrong("c"));
        blame.brought("c");
        blame.brought("b");
        assert!(blame.is_wrong("b"));
        let mut blame = Blame::default();
        blame.has_earlier();
        blame.brought("a");
        assert!(!blame.is_wrong("a"), "what was on the disk may have been wrong");
        blame.brought("a");
        assert!(blame.is_wrong("a"));
        let mut blame = Blame::default();
        blame.brought("a");
        blame.anew();
        blame.brought("b");
        assert!(blame.is_wrong("b"));
    }
}
