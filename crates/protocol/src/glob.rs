//! Globs over paths, as an operator writes them to name files and packages: which are kept, which are preloaded, which are left out.
//! The text of a pattern is read here, and paths are compared; what follows from a match is decided elsewhere.
//!
//! | written | means |
//! | --- | --- |
//! | `/drivers/printer.exe` | that file |
//! | `/drivers/*.exe` | files of that folder; `*` and `?` stand for anything but `/` |
//! | `/drivers/**` | everything below, however deep |
//! | `/packages/office-1.2/` | a package: a folder with everything below |
//! | `*.iso` | without a `/` in front, at any depth, as if it began with `/**/` |
//! | `/{a,b}/[0-9]*` | one of several; one character of a set |
//!
//! Paths are compared decoded (`/a b`, not `/a%20b`), without their query, and case counts.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::target::Target;

/// Patterns of one list, at most.
pub const PATTERNS_MAX: usize = 1024;
/// Longest pattern, in bytes.
pub const PATTERN_LEN_MAX: usize = 1024;

/// A list of globs, ready to be compared with paths. Equal if written equally.
#[derive(Clone)]
pub struct Globs {
    set: GlobSet,
    texts: Vec<Box<str>>,
}

/// Why a list of globs is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// More patterns than one list may have.
    #[error("{found} patterns are more than the {PATTERNS_MAX} that one list may have; write fewer and wider ones")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Longer than a pattern may be.
    #[error("the pattern '{start}...' is longer than {PATTERN_LEN_MAX} bytes")]
    TooLong {
        /// How it begins.
        start: String,
    },
    /// Nothing that a path could be compared with.
    #[error(
        "'{pattern}' is no pattern: {reason}; write /drivers/**, /packages/office-1.2/ (a folder with everything below) or *.iso"
    )]
    Malformed {
        /// As written.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
}

impl Globs {
    /// From the texts of a list. An empty list matches nothing.
    pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self, GlobError> {
        if texts.len() > PATTERNS_MAX {
            return Err(GlobError::TooMany { found: texts.len() });
        }
        let mut set = GlobSetBuilder::new();
        for text in texts {
            set.add(compile(text.as_ref())?);
        }
        let texts: Vec<Box<str>> = texts.iter().map(|text| text.as_ref().into()).collect();
        let set = set.build().map_err(|error| malformed(&texts.join(" "), error.kind().to_string()))?;
        Ok(Self { set, texts })
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The patterns as they were written.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }

    /// Whether one of them matches a path: decoded, with `/` between segments, with or without one in front.
    pub fn matches(&self, path: &[u8]) -> bool {
        !self.is_empty() && self.set.is_match(bare(path))
    }

    /// The same for what a request asks for. A name that no file can have matches nothing.
    pub fn matches_target(&self, target: &Target) -> bool {
        !self.is_empty() && target.decode().is_ok_and(|path| self.matches(&path))
    }

    /// The first pattern that matches, as it was written.
    pub fn first_match(&self, path: &[u8]) -> Option<&str> {
        self.first_match_at(path).map(|at| &*self.texts[at])
    }

    /// The same by its number in the list.
    pub fn first_match_at(&self, path: &[u8]) -> Option<usize> {
        self.set.matches(bare(path)).into_iter().min()
    }
}

impl Default for Globs {
    /// None.
    fn default() -> Self {
        Self { set: GlobSet::empty(), texts: Vec::new() }
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Eq for Globs {}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.texts).finish()
    }
}

/// A path as it is compared: without the `/` in front.
fn bare(path: &[u8]) -> &std::path::Path {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let path = path.strip_prefix(b"/").unwrap_or(path);
    std::path::Path::new(OsStr::from_bytes(path))
}

fn compile(text: &str) -> Result<globset::Glob, GlobError> {
    if text.len() > PATTERN_LEN_MAX {
        return Err(GlobError::TooLong { start: text.chars().take(40).collect() });
    }
    if let Some(reason) = flaw(text) {
        return Err(malformed(text, reason.into()));
    }
    let anchored = match text.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None => format!("**/{text}"),
    };
    let whole = if anchored.is_empty() || anchored.ends_with('/') { anchored + "**" } else { anchored };
    GlobBuilder::new(&whole)
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
        .map_err(|error| malformed(text, error.kind().to_string()))
}

/// What is wrong with a text, where the library would take it for something.
fn flaw(text: &str) -> Option<&'static str> {
    let mut segments = text.split('/').skip(usize::from(text.starts_with('/'))).peekable();
    while let Some(segment) = segments.next() {
        if matches!(segment, "." | "..") {
            return Some("'.' and '..' are no segments of a path");
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Some("it has an empty segment");
        }
    }
    if text.is_empty() { Some("it is empty") } else { None }
}

fn malformed(pattern: &str, reason: String) -> GlobError {
    GlobError::Malformed { pattern: pattern.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_form_matches() {
        for (pattern, path, expected) in [
            ("/drivers/printer.exe", "/drivers/printer.exe", true),
            ("/drivers/printer.exe", "drivers/printer.exe", true),
            ("/drivers/printer.exe", "/drivers/printer.exe/x", false),
            ("/drivers/*.exe", "/drivers/a.exe", true),
            ("/drivers/*.exe", "/drivers/.exe", true),
            ("/drivers/*.exe", "/drivers/old/a.exe", false),
            ("/drivers/?.exe", "/drivers/a.exe", true),
            ("/drivers/?.exe", "/drivers//exe", false),
            ("/drivers/**", "/drivers/a/b/c", true),
            ("/drivers/**", "/drivers/a", true),
            ("/drivers/**", "/drivers", false),
            ("/drivers/**", "/drivers2/a", false),
            ("/drivers/**/x", "/drivers/x", true),
            ("/drivers/**/x", "/drivers/a/b/x", true),
            ("/packages/office-1.2/", "/packages/office-1.2/setup/a.cab", true),
            ("/packages/office-1.2/", "/packages/office-1x2/a", false),
            ("/packages/office-*/", "/packages/office-1.2/a/b", true),
            ("/", "/anything/at/all", true),
            ("/**", "/anything", true),
            ("*.iso", "/a.iso", true),
            ("*.iso", "/deep/down/a.iso", true),
            ("*.iso", "/a.iso/b", false),
            ("tools/", "/a/tools/b/c", true),
            ("/{a,b}/[0-9]*", "/b/7zip", true),
            ("/{a,b}/[0-9]*", "/c/7zip", false),
            ("/{a,b}/[!0-9]*", "/a/zip", true),
            ("/a b/\u{fc}", "/a b/\u{fc}", true),
            ("/A", "/a", false),
            ("/a\\*", "/a*", true),
            ("/a\\*", "/ab", false),
        ] {
            let globs = Globs::parse(&[pattern]).expect(pattern);
            assert_eq!(globs.matches(path.as_bytes()), expected, "{pattern} over {path}");
            assert_eq!(globs.first_match(path.as_bytes()).is_some(), expected, "{pattern} over {path}");
        }
    }

    #[test]
    fn targets_are_compared_decoded_and_without_their_query() {
        let globs = Globs::parse(&["/a b/*.exe"]).expect("a good pattern");
        let target = |text: &str| Target::parse(text.as_bytes()).expect("a good target");
        assert!(globs.matches_target(&target("/a%20b/x.exe?version=3")));
        assert!(globs.matches_target(&target("//a%20b//x.exe")));
        assert!(!globs.matches_target(&target("/a%20b/c%2Fx.exe")), "no file has an encoded slash");
        assert!(!globs.matches_target(&target("/x.exe?/a%20b/x.exe")));
    }

    #[test]
    fn names_that_are_no_utf_8_are_compared_too() {
        assert!(Globs::parse(&["/a/*"]).expect("a good pattern").matches(b"/a/\xff\xfe"));
    }

    #[test]
    fn the_first_that_matches_is_told_as_written() {
        let globs = Globs::parse(&["/x/**", "*.iso", "/y/"]).expect("good patterns");
        assert_eq!(globs.first_match(b"/y/a.iso"), Some("*.iso"));
        assert_eq!(globs.first_match(b"/y/a"), Some("/y/"));
        assert_eq!(globs.first_match(b"/z"), None);
        assert_eq!(globs.texts().collect::<Vec<_>>(), ["/x/**", "*.iso", "/y/"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (pattern, reason) in [
            ("", "it is empty"),
            ("/a/../b", "no segments"),
            ("./a", "no segments"),
            ("//a", "empty segment"),
            ("/a//b", "empty segment"),
            ("/a[", "unclosed"),
            ("/{a", "unclosed"),
            ("/a\\", "dangling"),
        ] {
            let error = Globs::parse(&[pattern]).expect_err(pattern).to_string();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
        let long = "/".to_owned() + &"a".repeat(PATTERN_LEN_MAX);
        assert!(matches!(Globs::parse(&[long]), Err(GlobError::TooLong { .. })));
        assert!(
            matches!(Globs::parse(&vec!["/a"; PATTERNS_MAX + 1]), Err(GlobError::TooMany { found }) if found == PATTERNS_MAX + 1)
        );
    }

    #[test]
    fn none_match_nothing_and_lists_are_equal_as_written() {
        assert!(Globs::default().is_empty() && !Globs::default().matches(b"/a"));
        assert_eq!(Globs::default(), Globs::parse(&[] as &[&str]).expect("an empty list"));
        assert_ne!(Globs::default(), Globs::parse(&["/a"]).expect("a good pattern"));
    }
}
