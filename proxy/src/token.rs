//! The token that the admin interface asks for where others than this machine could reach it: a line in a file that not everybody can read.
//!
//! Kept and compared is its SHA-256, in a time that does not depend on what was presented.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use axum::http::HeaderValue;
use config::{Fault, Refused};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Letters of a token: fewer could be guessed.
const LETTERS_MIN: usize = 16;

/// Bytes of its file.
const FILE_BYTES_MAX: u64 = 4096;

/// Of a file that others can read, or other than its owner can write.
const TOO_OPEN: u32 = 0o027;

/// Between two lines of the log about tokens that are wrong or missing.
const TOLD_EVERY: Duration = Duration::from_secs(60);

const HOW_TO_MAKE: &str =
    "make one: (umask 077; head -c 32 /dev/urandom | base64 > FILE), and let the user that runs this program own it";

/// A token's digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token([u8; 32]);

/// How a request is refused for its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has none.
    Missing,
    /// It has another.
    Wrong,
}

/// Requests without the token, or with a wrong one.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    count: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Refusals {
    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// One more; whether it is time to tell somebody.
    pub(crate) fn note(&self, now: Instant) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock();
        let is_time = told.is_none_or(|told| now >= told + TOLD_EVERY);
        if is_time {
            *told = Some(now);
        }
        is_time
    }
}

impl Token {
    /// From its file.
    pub(crate) fn read(path: &Path) -> Result<Self, Refused> {
        secret(path).map(|token| Self::digest(token.as_bytes()))
    }

    #[cfg(test)]
    fn new(text: &str) -> Option<Self> {
        token_in(text).map(|token| Self::digest(token.as_bytes()))
    }

    fn digest(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether a request may go on, by its field `Authorization` (RFC 6750 section 2.1).
    pub(crate) fn judge(&self, field: Option<&HeaderValue>) -> Result<(), Refusal> {
        let (scheme, presented) = field.and_then(|field| split(field.as_bytes())).ok_or(Refusal::Missing)?;
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Err(Refusal::Missing);
        }
        let is_it = Self::digest(presented.trim_ascii()).0.ct_eq(&self.0);
        if is_it.into() { Ok(()) } else { Err(Refusal::Wrong) }
    }
}

/// A token that is to be shown to others, from its file, if that one's permissions are as they should be.
pub(crate) fn secret(path: &Path) -> Result<String, Refused> {
    let shown = path.display();
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    let mode = metadata.mode() & 0o777;
    if mode & TOO_OPEN != 0 {
        let message = format!(
            "the token file {shown} is open to more than its owner and readers of its group (its mode is {mode:03o})"
        );
        return Err(Fault::new(message, Some(format!("chmod 600 {shown}, and make a new token"))).into());
    }
    let text = read(&mut file).map_err(|error| unreadable(path, &error))?;
    token_in(&text).map(str::to_owned).ok_or_else(|| {
        let message = format!(
            "the token file {shown} has no token: one line of at least {LETTERS_MIN} letters and digits, without spaces"
        );
        Fault::new(message, Some(HOW_TO_MAKE.into())).into()
    })
}

fn token_in(text: &str) -> Option<&str> {
    let token = text.trim();
    let is_good = token.len() >= LETTERS_MIN && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_good.then_some(token)
}

/// The token of a client, which presents it as it stands there.
pub(crate) fn presented(path: &Path) -> io::Result<String> {
    Ok(read(&mut File::open(path)?)?.trim().to_owned())
}

fn read(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn split(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = field.iter().position(|byte| *byte == b' ')?;
    Some((&field[..at], &field[at + 1..]))
}

fn unreadable(path: &Path, error: &io::Error) -> Refused {
    let message = format!("the token file {} cannot be read: {error}", path.display());
    Fault::new(message, Some(HOW_TO_MAKE.into())).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef+/=";

    #[test]
    fn only_the_whole_token_goes_through() {
        let token = Token::new(TOKEN).unwrap();
        for (field, expected) in [
            (None, Err(Refusal::Missing)),
            (Some(""), Err(Refusal::Missing)),
            (Some("Bearer"), Err(Refusal::Missing)),
            (Some("Basic 0123456789abcdef+/="), Err(Refusal::Missing)),
            (Some("Bearer "), Err(Refusal::Wrong)),
            (Some("Bearer 0123456789abcdef+/"), Err(Refusal::Wrong)),
            (Some("Bearer 0123456789abcdef+/=x"), Err(Refusal::Wrong)),
            (Some("Bearer 0123456789ABCDEF+/="), Err(Refusal::Wrong)),
            (Some("Bearer 0123456789abcdef+/="), Ok(())),
            (Some("bearer   0123456789abcdef+/= "), Ok(())),
        ] {
            let field = field.map(HeaderValue::from_static);
            assert_eq!(token.judge(field.as_ref()), expected, "{field:?}");
        }
    }

    #[test]
    fn what_is_no_token() {
        for text in
            ["", "\n", "short", "has a space in the middle of it", "ümlaut-in-the-token", "two\nlines-of-a-token-file"]
        {
            assert!(Token::new(text).is_none(), "{text}");
        }
        assert!(Token::new("0123456789abcdef\n").is_some());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        assert!(Token::read(&path).unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&path, TOKEN).unwrap();
        for (mode, is_good) in
            [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false), (0o602, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Token::read(&path).is_ok(), is_good, "{mode:03o}");
        }
    }

    #[test]
    fn wrong_tokens_are_counted_and_told_of_once_in_a_while() {
        let (refusals, begin) = (Refusals::default(), Instant::now());
        let told = [0, 1, 59, 60, 61, 200].map(|seconds| refusals.note(begin + Duration::from_secs(seconds)));
        assert_eq!((told, refusals.count()), ([true, false, false, true, false, true], 6));
    }
}
