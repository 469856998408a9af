//! What a request asks for. A name is kept in one canonical spelling, so that two spellings of one name are one name.

use std::{borrow::Cow, fmt};

/// A path and query in canonical spelling (RFC 3986 section 6.2.2): begins with `/`; escapes are upper case; unreserved bytes are never
/// escaped; bytes that must be (space, `%`, `#`, `?`, controls, non-ASCII) are; segments `.` are left out. An escaped delimiter such as `%2B` stays what it is, for
/// to RFC 3986 section 2.2 it is another name than the bare one (and there are servers that give other bytes for it). `%2F` and `%00`
/// stay likewise; [`Target::decode`] refuses them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(Box<str>);

/// Why a request target is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Neither origin-form nor absolute-form.
    #[error("the path does not begin with '/'")]
    Form,
    /// `%` without two hexadecimal digits.
    #[error("the path has a '%' without two hexadecimal digits behind it; the sign itself is written %25")]
    Escape,
    /// Control bytes, spaces, `#`. Non-ASCII bytes are read as if they were escaped: command-line tools send names as they are typed.
    #[error("the path has a character that must be percent-encoded; a space is written %20")]
    Byte,
    /// `..` as a segment, escaped or not, also beside an encoded `/` or a `\`, where `.` is none either.
    #[error("the path has '.' or '..' as a segment; write it without them")]
    DotSegment,
    /// `%2F` where a file name is meant.
    #[error("the path has an encoded '/' (%2F) in a file name, which no file can have")]
    EncodedSlash,
    /// `%00` where a file name is meant.
    #[error("the path has an encoded NUL (%00) in a file name, which no file can have")]
    Nul,
}

impl Target {
    /// From a request line: origin-form, or absolute-form of which scheme and authority are dropped.
    pub fn parse(text: &[u8]) -> Result<Self, BadTarget> {
        canonical(text).map(|text| Self(text.into()))
    }

    /// From a file's path below a share (bytes as the file system has them, `/` between segments, with or without a leading one).
    /// Empty, `.` and `..` segments, which no file's name can be, are dropped; a trailing `/` stays.
    pub fn from_file_path(path: &[u8]) -> Self {
        let mut text = String::with_capacity(path.len() + 8);
        let segments = path.split(|&byte| byte == b'/').filter(|segment| !matches!(*segment, b"" | b"." | b".."));
        for segment in segments {
            text.push('/');
            push_segment(&mut text, segment);
        }
        if text.is_empty() || path.ends_with(b"/") {
            text.push('/');
        }
        Self(text.into())
    }

    /// Path and query, as it goes into a request line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Path without the query, still encoded.
    pub fn path(&self) -> &str {
        path_of(&self.0)
    }

    /// What follows `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.0.split_once('?').map(|(_, query)| query)
    }

    /// The decoded value of the first `name=value` of the query, `+` read as itself.
    pub fn query_value(&self, name: &str) -> Option<Vec<u8>> {
        self.query_values(name).next()
    }

    /// The decoded values of every `name=value` of the query, likewise.
    pub fn query_values(&self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        let pairs = self.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(move |(key, _)| *key == name).map(|(_, value)| unescape(value.as_bytes()))
    }

    /// Whether it names a directory, that is, ends with `/`.
    pub fn is_directory(&self) -> bool {
        self.path().ends_with('/')
    }

    /// The directory of that name, without the query.
    pub fn to_directory(&self) -> Self {
        Self(format!("{}/", self.path().trim_end_matches('/')).into())
    }

    /// The name without the slash at its end and without the query; `None` for `/`, which is a directory only.
    pub fn to_file(&self) -> Option<Self> {
        let path = self.path().trim_end_matches('/');
        (!path.is_empty()).then(|| Self(path.into()))
    }

    /// The directory that it is in; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.path().trim_end_matches('/').rsplit_once('/')?;
        Some(Self(format!("{}/", parent.trim_end_matches('/')).into()))
    }

    /// Where to send a client that asked for a directory without its `/`: the value of `Location`. It never begins with `//`, which a client
    /// would read as another host.
    pub fn directory_location(&self) -> String {
        let query = self.query().map(|query| format!("?{query}")).unwrap_or_default();
        match self.path().trim_matches('/') {
            "" => format!("/{query}"),
            path => format!("/{path}/{query}"),
        }
    }

    /// The file's path below a share: percent-decoded, no leading `/`, empty segments dropped, never with a `..`, a NUL or a slash
    /// that was encoded. The query takes no part.
    pub fn decode(&self) -> Result<Vec<u8>, BadTarget> {
        let mut path = Vec::with_capacity(self.0.len());
        for segment in self.path().split('/').filter(|segment| !segment.is_empty()) {
            if !path.is_empty() {
                path.push(b'/');
            }
            let name = unescape(segment.as_bytes());
            if name.contains(&b'/') {
                return Err(BadTarget::EncodedSlash);
            }
            if name.contains(&0) {
                return Err(BadTarget::Nul);
            }
            if matches!(name.as_slice(), b"." | b"..") {
                return Err(BadTarget::DotSegment);
            }
            path.extend_from_slice(&name);
        }
        Ok(path)
    }

    /// Below a mount prefix such as `/` or `/prod` (in canonical spelling): the rest as a target of its own, or `None` if this is not below it.
    /// `/production` is not below `/prod`; `/prod` itself is, and its rest is `/`.
    pub fn below(&self, mount: &str) -> Option<Cow<'_, Target>> {
        let rest = self.0.strip_prefix(mount.trim_end_matches('/'))?;
        match rest.as_bytes().first() {
            Some(b'/') if rest.len() == self.0.len() => Some(Cow::Borrowed(self)),
            Some(b'/') => Some(Cow::Owned(Self(rest.into()))),
            None | Some(b'?') => Some(Cow::Owned(Self(format!("/{rest}").into()))),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The canonical spelling of a request target: what [`Target::parse`] keeps. Borrowed where it stands so already, which is nearly always.
pub(crate) fn canonical(text: &[u8]) -> Result<Cow<'_, str>, BadTarget> {
    let text = origin_form(text)?;
    let (path, query) = match text.iter().position(|&byte| byte == b'?') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let is_plain = |byte: &u8| is_kept(*byte) || *byte == b'/';
    let plain = path.iter().all(is_plain) && query.is_none_or(|query| query.iter().all(|b| is_plain(b) || *b == b'?'));
    let spelling: Cow<'_, str> = match std::str::from_utf8(text) {
        Ok(text) if plain && text.starts_with('/') => text.into(),
        _ => respell(path, query)?.into(),
    };
    if !has_dot_segment(path_of(&spelling)) {
        return Ok(spelling);
    }
    let spelling = without_dots(&spelling);
    if has_dot_segment(path_of(&spelling)) { Err(BadTarget::DotSegment) } else { Ok(spelling.into()) }
}

/// Without the segments `.`, which stand for nothing (RFC 3986 section 5.2.4): apt writes them where all files of a mirror lie in one directory.
fn without_dots(spelling: &str) -> String {
    let (path, query) = spelling.split_at(path_of(spelling).len());
    let mut kept: Vec<&str> = path.split('/').filter(|segment| *segment != ".").collect();
    // The last one stood for the directory, and so does what is before it.
    if path.ends_with("/.") {
        kept.push("");
    }
    [&kept.join("/"), query].concat()
}

fn path_of(spelling: &str) -> &str {
    match spelling.bytes().position(|byte| byte == b'?') {
        Some(at) => &spelling[..at],
        None => spelling,
    }
}

/// RFC 9112 section 3.2: drops the scheme and authority of an absolute-form. The rest may be empty or begin with `?`; else it begins with `/`.
fn origin_form(text: &[u8]) -> Result<&[u8], BadTarget> {
    if text.starts_with(b"/") {
        return Ok(text);
    }
    let after_scheme = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let rest = after_scheme.ok_or(BadTarget::Form)?;
    let authority = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    // An authority must be there, and user information in it is to be taken for an attack (RFC 9110 section 4.2.4).
    if authority == 0 || rest[..authority].contains(&b'@') {
        return Err(BadTarget::Form);
    }
    Ok(&rest[authority..])
}

fn respell(path: &[u8], query: Option<&[u8]>) -> Result<String, BadTarget> {
    let mut text = String::with_capacity(path.len() + query.map_or(0, <[u8]>::len) + 16);
    if path.is_empty() {
        text.push('/');
    }
    push_respelled(&mut text, path, |byte| byte == b'/')?;
    if let Some(query) = query {
        text.push('?');
        push_respelled(&mut text, query, |byte| matches!(byte, b'/' | b'?'))?;
    }
    Ok(text)
}

fn push_respelled(text: &mut String, part: &[u8], is_delimiter: impl Fn(u8) -> bool) -> Result<(), BadTarget> {
    let mut bytes = part.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let pair = bytes.next().zip(bytes.next()).and_then(|(high, low)| hex_digit(high).zip(hex_digit(low)));
                let (high, low) = pair.ok_or(BadTarget::Escape)?;
                let byte = high << 4 | low;
                if is_unreserved(byte) { text.push(char::from(byte)) } else { push_escape(text, byte) }
            }
            b'#' | 0..=b' ' | 0x7f => return Err(BadTarget::Byte),
            byte if is_kept(byte) || is_delimiter(byte) => text.push(char::from(byte)),
            byte => push_escape(text, byte),
        }
    }
    Ok(())
}

/// A name of a file as one segment of a path.
pub(crate) fn push_segment(text: &mut String, name: &[u8]) {
    for &byte in name {
        if is_kept(byte) { text.push(char::from(byte)) } else { push_escape(text, byte) }
    }
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Whether a segment is `.` or `..`, also when a server behind us might take an encoded `/` or a `\` for the end of one.
fn has_dot_segment(path: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    let has = |wanted: &[u8; 2]| path.as_bytes().windows(2).any(|pair| pair == wanted);
    has(b"/.") && path.split('/').any(is_dots)
        || path.bytes().any(|byte| byte == b'%') && path.replace("%2F", "/").replace("%5C", "/").split('/').any(is_dots)
}

/// Decodes what is canonical already: every `%` has its digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = tail.first_chunk::<2>().and_then(|[high, low]| hex_digit(*high).zip(hex_digit(*low)));
        let (decoded, taken) = match pair {
            Some((high, low)) if byte == b'%' => (high << 4 | low, 2),
            _ => (byte, 0),
        };
        bytes.push(decoded);
        rest = &tail[taken..];
    }
    bytes
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 section 3.3, without escapes: stays as it came.
const fn is_kept(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadTarget::*, *};

    fn spelling(text: &str) -> String {
        Target::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    #[test]
    fn names_and_their_directories() {
        let text = |target: Option<Target>| target.map(|target| target.as_str().to_owned());
        for (of, directory, file, parent) in [
            ("/", "/", None, None),
            ("/a", "/a/", Some("/a"), Some("/")),
            ("/a/b/?q=1", "/a/b/", Some("/a/b"), Some("/a/")),
            ("//a//b", "//a//b/", Some("//a//b"), Some("//a/")),
        ] {
            let target = Target::parse(of.as_bytes()).unwrap();
            assert_eq!(target.to_directory().as_str(), directory);
            assert_eq!(text(target.to_file()).as_deref(), file);
            assert_eq!(text(target.parent()).as_deref(), parent);
        }
    }

    #[test]
    fn one_spelling() {
        for (text, expected) in [
            ("/", "/"),
            ("/a/b.deb", "/a/b.deb"),
            ("/a%2db%7E%41", "/a-b~A"),
            ("/a%20b%c3%a4", "/a%20b%C3%A4"),
            ("/50%25", "/50%25"),
            ("/a%23b%3fc", "/a%23b%3Fc"),
            ("/a%2fb%00", "/a%2Fb%00"),
            ("/a+b%2bc", "/a+b%2Bc"),
            ("/\u{fc}ber", "/%C3%BCber"),
            ("/a|b[c]\"<>\\^`{}", "/a%7Cb%5Bc%5D%22%3C%3E%5C%5E%60%7B%7D"),
            ("//a//b/", "//a//b/"),
            ("/a?b=%7e&c=/?d", "/a?b=~&c=/?d"),
            ("/a?", "/a?"),
            ("/a?../..", "/a?../.."),
            ("/.hidden/..b/c..", "/.hidden/..b/c.."),
            ("/...", "/..."),
            ("http://host/a%2db", "/a-b"),
            ("HTTPS://host:8080", "/"),
            ("http://host?x", "/?x"),
            ("http://[::1]:80/a", "/a"),
        ] {
            assert_eq!(spelling(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, expected) in [
            ("", Form),
            ("*", Form),
            ("a", Form),
            ("host:80", Form),
            ("ftp://host/a", Form),
            ("http:///a", Form),
            ("http://", Form),
            ("http://user@host/a", Form),
            ("/%", Escape),
            ("/%4", Escape),
            ("/%4g", Escape),
            ("/%%41", Escape),
            ("/a?%", Escape),
            ("/a b", Byte),
            ("/a\0", Byte),
            ("/a\tb", Byte),
            ("/a\x7f", Byte),
            ("/a#b", Byte),
            ("/a?b#c", Byte),
            ("/..", DotSegment),
            ("/a/../b", DotSegment),
            ("/./..", DotSegment),
            ("/a/.%2fb", DotSegment),
            ("/.\\b", DotSegment),
            ("/a/..", DotSegment),
            ("/%2e%2E/b", DotSegment),
            ("/.%2e?x", DotSegment),
            ("/a/..%2fb", DotSegment),
            ("/a%2f../b", DotSegment),
            ("/..%5cb", DotSegment),
            ("/..\\b", DotSegment),
        ] {
            assert_eq!(Target::parse(text.as_bytes()), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_segment_that_stands_for_nothing_is_left_out() {
        for (text, expected) in [
            ("/./Packages", "/Packages"),
            ("/debian/././Packages?x=./y", "/debian/Packages?x=./y"),
            ("/a/.", "/a/"),
            ("/a/%2e/b", "/a/b"),
            ("/.", "/"),
            ("/./", "/"),
            ("/.//b", "//b"),
            ("/.a/b./...", "/.a/b./..."),
        ] {
            assert_eq!(Target::parse(text.as_bytes()).map(|target| target.to_string()), Ok(expected.into()), "{text}");
        }
    }

    #[test]
    fn parts_of_a_target() {
        let target = Target::parse(b"/a/b?x=1?2&path=/c%20d").expect("valid");
        assert_eq!((target.path(), target.query()), ("/a/b", Some("x=1?2&path=/c%20d")));
        assert_eq!(target.query_value("path"), Some(b"/c d".to_vec()));
        assert_eq!(target.query_value("y"), None);
        assert!(!target.is_directory());
        assert!(Target::parse(b"/a/?x").expect("valid").is_directory());
    }

    #[test]
    fn files() {
        for (path, expected) in [
            (&b""[..], "/"),
            (b"/", "/"),
            (b"a b/c", "/a%20b/c"),
            (b"/a//b/", "/a/b/"),
            (b"50%", "/50%25"),
            (b"#x?y", "/%23x%3Fy"),
            (b"\xff\xfe", "/%FF%FE"),
            (b"a/../../b/./c", "/a/b/c"),
            (b"x:y;z=1+2", "/x:y;z=1+2"),
        ] {
            assert_eq!(Target::from_file_path(path).as_str(), expected);
        }
    }

    #[test]
    fn decoding_gives_a_file_below_the_share_or_nothing() {
        for (text, expected) in [
            ("/", Ok(&b""[..])),
            ("/a%20b/c?d", Ok(b"a b/c")),
            ("//a///b/", Ok(b"a/b")),
            ("/%FF", Ok(b"\xff")),
            ("/a%5Cb", Ok(b"a\\b")),
            ("/50%2525", Ok(b"50%25")),
            ("/a%2Fb", Err(EncodedSlash)),
            ("/%2Fetc/passwd", Err(EncodedSlash)),
            ("/a%00", Err(Nul)),
        ] {
            let decoded = Target::parse(text.as_bytes()).expect("valid").decode();
            assert_eq!(decoded.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }

    #[test]
    fn below_a_mount() {
        for (text, mount, expected) in [
            ("/a", "/", Some("/a")),
            ("/prod/a?b", "/prod", Some("/a?b")),
            ("/prod/a", "/prod/", Some("/a")),
            ("/prod", "/prod", Some("/")),
            ("/prod?x", "/prod/", Some("/?x")),
            ("/prod/", "/prod", Some("/")),
            ("/production", "/prod", None),
            ("/other", "/prod", None),
            ("/", "/prod", None),
        ] {
            let target = Target::parse(text.as_bytes()).expect("valid");
            assert_eq!(target.below(mount).as_ref().map(|rest| rest.as_str()), expected, "{text} below {mount}");
        }
    }

    #[test]
    fn a_redirect_never_leads_to_another_host() {
        for (text, expected) in
            [("/a", "/a/"), ("/a/b?c", "/a/b/?c"), ("//evil.example", "/evil.example/"), ("/", "/"), ("//", "/")]
        {
            assert_eq!(Target::parse(text.as_bytes()).expect("valid").directory_location(), expected);
        }
    }

    #[test]
    fn a_canonical_target_is_not_copied() {
        assert!(matches!(canonical(b"/pool/a_1.0-1+b1.deb?x=y"), Ok(Cow::Borrowed("/pool/a_1.0-1+b1.deb?x=y"))));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(target) = Target::parse(&bytes) {
                let _ = (target.decode(), target.below("/a"), target.directory_location());
            }
        }

        #[test]
        fn the_canonical_spelling_is_its_own(text in "/([a-c./?&=%~;\\\\+]|%[0-9a-fA-F]{2}|\u{e4}){0,30}") {
            if let Ok(target) = Target::parse(text.as_bytes()) {
                prop_assert_eq!(Target::parse(target.as_str().as_bytes()), Ok(target.clone()));
                prop_assert!(target.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
            }
        }

        #[test]
        fn decoded_paths_stay_below_the_share(text in "/([a./%2FEefc05]|%2[eEfF]|%00|%5[cC]){0,30}") {
            if let Ok(path) = Target::parse(text.as_bytes()).and_then(|target| target.decode()) {
                prop_assert!(!path.starts_with(b"/") && !path.contains(&0));
                prop_assert!(path.split(|&byte| byte == b'/').all(|name| !matches!(name, b"." | b"..")));
                prop_assert!(path.is_empty() || path.split(|&byte| byte == b'/').all(|name| !name.is_empty()));
            }
        }

        #[test]
        fn a_file_path_round_trips(names in proptest::collection::vec(proptest::collection::vec(1..=255_u8, 1..12), 0..5)) {
            let names: Vec<Vec<u8>> = names
                .into_iter()
                .map(|name| name.into_iter().filter(|&byte| byte != b'/').collect::<Vec<u8>>())
                .filter(|name| !matches!(name.as_slice(), b"" | b"." | b".."))
                .collect();
            let path = names.join(&b'/');
            let target = Target::from_file_path(&path);
            match Target::parse(target.as_str().as_bytes()) {
                // A name such as `..\x` may exist on a disk. It is refused, for there are servers that would take it for a path.
                Err(error) => prop_assert!(error == DotSegment && path.contains(&b'\\')),
                Ok(parsed) => prop_assert_eq!(&parsed, &target),
            }
            prop_assert_eq!(target.decode(), Ok(path));
        }
    }
}
