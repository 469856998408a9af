//! What a request says of caching (RFC 9111 section 5.2.1), read with its other fields: no allocation, for hits are answered from it.

use super::directives::{delta, has_no_cache, members};

/// Directives of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    no_cache: bool,
    /// `Pragma: no-cache`, which counts where there is no `Cache-Control` (RFC 9111 section 5.4).
    pragma: bool,
    is_controlled: bool,
    /// The answer is not to be kept.
    pub(crate) no_store: bool,
    /// A stored answer or 504.
    pub(crate) only_if_cached: bool,
    /// No older than so many seconds.
    pub(crate) max_age: Option<u64>,
    /// Stale by no more than so many seconds.
    pub(crate) max_stale: Option<u64>,
    /// Fresh for at least so many seconds more.
    pub(crate) min_fresh: Option<u64>,
}

impl Control {
    /// Nothing but an answer that was asked for.
    pub(crate) fn no_cache(&self) -> bool {
        self.no_cache || (self.pragma && !self.is_controlled)
    }

    /// Takes a line of `Cache-Control`.
    pub(crate) fn take(&mut self, line: &[u8]) {
        self.is_controlled = true;
        for (name, argument) in members(line) {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                7 if is("max-age") => self.max_age = Some(delta(argument).unwrap_or(0)),
                8 if is("no-cache") => self.no_cache = true,
                8 if is("no-store") => self.no_store = true,
                9 if is("max-stale") => self.max_stale = argument.map_or(Some(u64::MAX), |text| delta(Some(text))),
                9 if is("min-fresh") => self.min_fresh = delta(argument),
                14 if is("only-if-cached") => self.only_if_cached = true,
                _ => {}
            }
        }
    }

    /// Takes a line of `Pragma`.
    pub(crate) fn pragma(&mut self, line: &[u8]) {
        self.pragma |= has_no_cache(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_from_all_lines() {
        let mut wanted = Control::default();
        wanted.take(b"max-age=5, Max-Stale, foo");
        wanted.take(b"min-fresh=\"7\", only-if-cached");
        let expected = (Some(5), Some(u64::MAX), Some(7), true, false);
        assert_eq!(
            (wanted.max_age, wanted.max_stale, wanted.min_fresh, wanted.only_if_cached, wanted.no_cache()),
            expected
        );
        wanted.take(b"max-stale=9, max-age=x");
        assert_eq!((wanted.max_stale, wanted.max_age), (Some(9), Some(0)));
    }

    #[test]
    fn pragma_counts_alone_only() {
        let mut wanted = Control::default();
        wanted.pragma(b"foo");
        assert!(!wanted.no_cache());
        wanted.pragma(b"no-cache");
        assert!(wanted.no_cache());
        wanted.take(b"max-age=5");
        assert!(!wanted.no_cache());
        wanted.take(b"no-cache");
        assert!(wanted.no_cache());
    }
}
