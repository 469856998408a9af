//! Understanding the head of an answer: enough to find the end of its body, and strict about it.

use protocol::digest::{Claims, Md5};
use thiserror::Error;

/// Header fields read at most.
const FIELDS_MAX: usize = 64;

/// Bytes of a head at most.
pub(crate) const HEAD_MAX: usize = 16 << 10;

/// What matters of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head itself, its empty line included.
    pub(crate) size: usize,
    /// Status code.
    pub(crate) status: u16,
    /// Bytes of the body.
    pub(crate) length: u64,
    /// Whether another request may follow on the connection.
    pub(crate) reusable: bool,
    /// The MD5 it claims (`Repr-Digest`, `Content-MD5`).
    pub(crate) md5: Option<Md5>,
}

/// Why an answer cannot be measured.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadHead {
    /// Not HTTP/1.
    #[error("the answer is not HTTP/1.1: {0}")]
    NotHttp(httparse::Error),
    /// Larger than [`HEAD_MAX`].
    #[error("the answer's head is larger than {HEAD_MAX} bytes")]
    TooLarge,
    /// Its end is not told beforehand.
    #[error("the answer has no Content-Length (chunked, or ended by closing), which this client does not measure")]
    NoLength,
    /// Two different lengths, or something that is no number.
    #[error("the answer's Content-Length is not one number")]
    BadLength,
}

/// The head at the start of `bytes`, or `None` if it is not complete yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Head>, BadHead> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let size = match response.parse(bytes).map_err(BadHead::NotHttp)? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial if bytes.len() >= HEAD_MAX => return Err(BadHead::TooLarge),
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    let is = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
    let (mut length, mut reusable) = (None, response.version == Some(1));
    let (mut repr_digest, mut content_md5) = (None, None);
    for field in response.headers.iter() {
        if is(field.name, "content-length") {
            let value = number(field.value).ok_or(BadHead::BadLength)?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(BadHead::BadLength);
            }
            length = Some(value);
        } else if is(field.name, "transfer-encoding") {
            return Err(BadHead::NoLength);
        } else if is(field.name, "connection") {
            reusable &= !field.value.eq_ignore_ascii_case(b"close");
        } else if is(field.name, "repr-digest") {
            repr_digest = Some(field.value);
        } else if is(field.name, "content-md5") {
            content_md5 = Some(field.value);
        }
    }
    // RFC 9110, 6.4.1: these have no body whatever their fields say.
    let length = if matches!(status, 204 | 304) { 0 } else { length.ok_or(BadHead::NoLength)? };
    // Looked at only where there is one, for this runs for every request of a load.
    let claimed = repr_digest.is_some() || content_md5.is_some();
    let md5 = if claimed { Claims::from_fields(repr_digest, None, content_md5).md5 } else { None };
    Ok(Some(Head { size, status, length, reusable, md5 }))
}

/// Digits only: what `str::parse` takes for a number is more.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, BadHead> {
        parse(text.as_bytes())
    }

    #[test]
    fn a_head_says_where_the_body_ends() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nETag: \"x\"\r\n\r\n";
        let found = head(&format!("{text}body")).unwrap().unwrap();
        assert_eq!(found, Head { size: text.len(), status: 200, length: 12, reusable: true, md5: None });
        for end in 0..text.len() {
            assert_eq!(head(&text[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn who_closes_is_believed() {
        let reusable = |text: &str| head(text).unwrap().unwrap().reusable;
        assert!(reusable("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"));
        assert!(!reusable("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: Close\r\n\r\n"));
        assert!(!reusable("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"));
    }

    #[test]
    fn answers_without_body_need_no_length() {
        assert_eq!(head("HTTP/1.1 304 Not Modified\r\n\r\n").unwrap().unwrap().length, 0);
        assert_eq!(head("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n").unwrap().unwrap().length, 0);
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        assert_eq!(head("HTTP/1.1 200 OK\r\n\r\n"), Err(BadHead::NoLength));
        assert_eq!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(BadHead::NoLength));
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), Err(BadHead::BadLength));
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n"), Err(BadHead::BadLength));
        assert_eq!(head(&format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(HEAD_MAX))), Err(BadHead::TooLarge));
        assert!(matches!(head("SSH-2.0-x\r\n"), Err(BadHead::NotHttp(_))));
    }

    #[test]
    fn the_claimed_digest_is_found() {
        let found = head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nRepr-Digest: md5=:AAAAAAAAAAAAAAAAAAAAAA==:\r\n\r\n");
        assert_eq!(found.unwrap().unwrap().md5, Some(Md5([0; 16])));
    }
}
