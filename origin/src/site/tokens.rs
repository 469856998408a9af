//! The tokens by which proxies and agents enrol: a line each, in a file that not everybody can read.
//!
//! ```text
//! # who may use it, and until when
//! 3q2+7w...            domain=hq.north name=b7-* until=2026-12-31T00:00:00Z
//! ```
//!
//! Kept and compared is the SHA-256 of each, in a time that does not depend on what was presented. What a line says is never shown.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use protocol::{glob::Globs, timestamp, topology::DomainName};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Letters of a token: fewer could be guessed.
const LETTERS_MIN: usize = 16;
/// Tokens of one file: each is compared with.
const TOKENS_MAX: usize = 10_000;
/// Bytes of it.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Of a file that others can read, or other than its owner can write.
const TOO_OPEN: u32 = 0o027;

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Vec<Token>);

#[derive(Clone, Debug)]
struct Token {
    digest: [u8; 32],
    bound: Bound,
    until: Option<SystemTime>,
}

/// Whom a token is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound {
    /// Only nodes in this domain, or below it.
    domain: Option<DomainName>,
    /// Only names like these; none: any.
    names: Globs,
}

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// Not there, no permission, no text.
    #[error("the file of tokens {0} cannot be read: {1}; give another one with enrolment.tokens_file")]
    Unreadable(PathBuf, #[source] io::Error),
    /// Whoever reads it can enrol.
    #[error(
        "the file of tokens {0} is open to more than its owner and readers of its group (its mode is {1:03o}); chmod 600 it, and make new tokens"
    )]
    TooOpen(PathBuf, u32),
    /// A line that is none.
    #[error("the file of tokens {path}, line {line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, without the token.
        what: String,
    },
}

impl Tokens {
    /// From a file, if its permissions are as they should be.
    pub(crate) fn read(path: &Path) -> Result<Self, TokensError> {
        let unreadable = |error| TokensError::Unreadable(path.to_owned(), error);
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
        if mode & TOO_OPEN != 0 {
            return Err(TokensError::TooOpen(path.to_owned(), mode));
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(&text).map_err(|(line, what)| TokensError::Line { path: path.to_owned(), line, what })
    }

    /// What is wrong comes with its line.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut tokens = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if tokens.len() >= TOKENS_MAX {
                return Err((place + 1, format!("there are more than {TOKENS_MAX} tokens, which is the limit")));
            }
            tokens.push(Token::parse(line).map_err(|what| (place + 1, what))?);
        }
        Ok(Self(tokens))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whom a token is for, if it is one and has not ended. All are looked at, whatever is found.
    pub(crate) fn find(&self, presented: &str, now: SystemTime) -> Option<&Bound> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for token in &self.0 {
            let is_it: bool = token.digest.ct_eq(&digest).into();
            if is_it && token.until.is_none_or(|until| now < until) {
                found = Some(&token.bound);
            }
        }
        found
    }
}

impl Token {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let secret = words.next().unwrap_or_default();
        if secret.len() < LETTERS_MIN || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "a token has at least {LETTERS_MIN} letters and digits; make one by head -c 32 /dev/urandom | base64"
            ));
        }
        let mut token = Self { digest: Sha256::digest(secret.as_bytes()).into(), bound: Bound::default(), until: None };
        for word in words {
            token.take(word)?;
        }
        Ok(token)
    }

    fn take(&mut self, word: &str) -> Result<(), String> {
        match word.split_once('=') {
            Some(("domain", name)) => {
                self.bound.domain = Some(name.parse().map_err(|bad: protocol::topology::BadDomain| bad.to_string())?);
            }
            Some(("name", pattern)) => {
                self.bound.names = Globs::parse(&[pattern]).map_err(|bad| bad.to_string())?;
            }
            Some(("until", moment)) => {
                let until = timestamp::parse_rfc3339(moment);
                self.until = Some(until.ok_or("until is no moment: write until=2026-12-31T00:00:00Z")?);
            }
            // It may be a second token, or the rest of one: it is not shown.
            _ => {
                return Err(
                    "behind a token may stand domain=NAME, name=PATTERN and until=MOMENT, and nothing else".into()
                );
            }
        }
        Ok(())
    }
}

impl Bound {
    /// Whether somebody of that name in that domain may enrol by it.
    pub(crate) fn fits(&self, node: &str, domain: Option<&DomainName>) -> bool {
        let mut above = std::iter::successors(domain.cloned(), DomainName::parent);
        let is_inside = self.domain.as_ref().is_none_or(|bound| above.any(|name| name == *bound));
        is_inside && (self.names.is_empty() || self.names.matches(node.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use super::*;

    const SECRET: &str = "0123456789abcdef+/=";

    #[test]
    fn a_token_is_for_whom_and_for_as_long_as_its_line_says() {
        let text = format!(
            "# those of branches\n\n{SECRET}\n  bound-0123456789abcdef domain=hq.b7 name=b7-*\nended-0123456789abcdef until=2026-01-01T00:00:00Z\n"
        );
        let tokens = Tokens::parse(&text).unwrap();
        assert_eq!(tokens.len(), 3);
        let now = timestamp::parse_rfc3339("2026-06-01T00:00:00Z").unwrap();
        let domain = |name: &str| name.parse::<DomainName>().ok();
        for (secret, node, of, expected) in [
            (SECRET, "anybody", None, true),
            ("0123456789abcdef+/", "anybody", None, false),
            ("", "anybody", None, false),
            ("bound-0123456789abcdef", "b7-1", domain("hq.b7"), true),
            ("bound-0123456789abcdef", "b7-1", domain("hq.b7.lab"), true),
            ("bound-0123456789abcdef", "b8-1", domain("hq.b7"), false),
            ("bound-0123456789abcdef", "b7-1", domain("hq"), false),
            ("bound-0123456789abcdef", "b7-1", None, false),
            ("ended-0123456789abcdef", "anybody", None, false),
        ] {
            let fits = tokens.find(secret, now).is_some_and(|bound| bound.fits(node, of.as_ref()));
            assert_eq!(fits, expected, "{secret} {node} {of:?}");
        }
        let before = timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap() - Duration::from_secs(1);
        assert!(tokens.find("ended-0123456789abcdef", before).is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_the_token() {
        for (line, part) in [
            ("short", "at least 16 letters"),
            ("ümlaut-in-a-token-of-some-length", "at least 16 letters"),
            ("0123456789abcdef another-secret-0123", "and nothing else"),
            ("0123456789abcdef owner=me", "and nothing else"),
            ("0123456789abcdef domain=h/q", "names no domain"),
            ("0123456789abcdef name=[a", "is no pattern"),
            ("0123456789abcdef until=soon", "until is no moment"),
        ] {
            let (place, what) = Tokens::parse(&format!("# first\n{line}\n")).unwrap_err();
            assert!(place == 2 && what.contains(part), "{line}: {place} {what}");
            assert!(!what.contains("0123456789abcdef") && !what.contains("another-secret"), "{what}");
        }
        let many = format!("{SECRET}\n").repeat(TOKENS_MAX + 1);
        assert!(Tokens::parse(&many).unwrap_err().1.contains("more than 10000 tokens"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        assert!(matches!(Tokens::read(&path), Err(TokensError::Unreadable(..))));
        std::fs::write(&path, SECRET).unwrap();
        for (mode, is_good) in [(0o600, true), (0o640, true), (0o644, false), (0o660, false), (0o602, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Tokens::read(&path).is_ok(), is_good, "{mode:03o}");
        }
    }
}
