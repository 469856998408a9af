//! Whether an answer is of the content that is wanted, and at which of its bytes it begins.
//!
//! | known | answer | verdict |
//! | --- | --- | --- |
//! | its digest | 206 from our byte, nothing in it contradicts | continues there |
//! | its digest | 200, nothing in it contradicts | begins at 0; what is here already is passed over |
//! | its digest | another digest, or another length | another content |
//! | a strong entity tag only | the same tag | as with a digest |
//! | a strong entity tag only | 200 with another tag or none, or another length | another content: the file has changed |
//! | neither | 200 | begins at 0 |
//! | | 206 from another byte, without a range, or where none was asked for | makes no sense |
//!
//! What an answer claims is learned from it, but for what is known better. At the end the digest decides.

use http::StatusCode;
use protocol::{
    digest::{Claims, Md5, Sha256},
    etag::ETag,
    range::parse_content_range,
};

/// What is known of a content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Bytes.
    pub size: Option<u64>,
    /// Its name.
    pub md5: Option<Md5>,
    /// The proof.
    pub sha256: Option<Sha256>,
    /// A strong one, of the server that sent the first byte.
    pub etag: Option<ETag>,
}

/// What matters of the head of a 200 or 206.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// 200 or 206.
    pub status: StatusCode,
    /// `Content-Range`
    pub content_range: Option<&'a [u8]>,
    /// `Content-Length`
    pub len: Option<u64>,
    /// From `Repr-Digest` and its older kin.
    pub claims: Claims,
    /// `ETag`
    pub etag: Option<ETag>,
}

/// What the bytes of an answer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Of the content that is wanted, from this byte on.
    Takes(u64),
    /// Of another one.
    Other,
    /// Nobody can tell.
    Senseless,
}

impl Identity {
    /// Of a content that is known by its digest.
    pub fn of(md5: Md5) -> Self {
        Self { md5: Some(md5), ..Self::default() }
    }

    /// Whether what has come so far can be continued: by its digest at any server, by its tag where it came from.
    pub fn is_known(&self) -> bool {
        self.md5.is_some() || self.etag.is_some()
    }

    /// The condition under which a range continues what is here: none where the digest tells it in the end, whoever sends it.
    pub fn condition(&self) -> Option<&ETag> {
        if self.md5.is_some() { None } else { self.etag.as_ref() }
    }

    /// Judges an answer to a question for what follows the first `position` bytes.
    pub fn judge(&self, position: u64, head: &Head<'_>) -> Verdict {
        if self.is_contradicted(head) {
            return Verdict::Other;
        }
        if head.status != StatusCode::PARTIAL_CONTENT {
            let is_other = self.size.is_some() && head.len.is_some() && head.len != self.size;
            return if is_other { Verdict::Other } else { Verdict::Takes(0) };
        }
        let Some((span, total)) = head.content_range.and_then(parse_content_range) else { return Verdict::Senseless };
        let is_ours = position > 0 && span.start == position && head.len.is_none_or(|len| len == span.len());
        let is_to_the_end = total.is_none_or(|total| total == span.end);
        match (is_ours && is_to_the_end, self.size, total) {
            (false, ..) => Verdict::Senseless,
            (true, Some(size), Some(total)) if size != total => Verdict::Other,
            _ => Verdict::Takes(position),
        }
    }

    /// Whether an answer says that it is of something else.
    pub fn is_contradicted(&self, head: &Head<'_>) -> bool {
        let differs = |ours: Option<&[u8]>, theirs: Option<&[u8]>| ours.is_some() && theirs.is_some() && ours != theirs;
        let md5 = differs(self.md5.as_ref().map(|md5| &md5.0[..]), head.claims.md5.as_ref().map(|md5| &md5.0[..]));
        let sha256 =
            differs(self.sha256.as_ref().map(|sha| &sha.0[..]), head.claims.sha256.as_ref().map(|sha| &sha.0[..]));
        // Where the digest is known, a tag may be any server's own.
        let tag = self.md5.is_none() && self.etag.is_some() && self.etag != head.etag;
        md5 || sha256 || tag
    }

    /// Adds what is known of the same content.
    pub fn add(&mut self, known: &Self) {
        self.size = self.size.or(known.size);
        self.md5 = self.md5.or(known.md5);
        self.sha256 = self.sha256.or(known.sha256);
        self.etag = self.etag.take().or_else(|| known.etag.clone());
    }

    /// Learns from an answer that [takes](Verdict::Takes).
    pub fn learn(&mut self, head: &Head<'_>) {
        let of_range = || head.content_range.and_then(parse_content_range).and_then(|(_, total)| total);
        let told = if head.status == StatusCode::PARTIAL_CONTENT { of_range() } else { head.len };
        self.size = self.size.or(told);
        self.md5 = self.md5.or(head.claims.md5);
        self.sha256 = self.sha256.or(head.claims.sha256);
        if self.etag.is_none() {
            self.etag = head.etag.clone().filter(|tag| !tag.is_weak());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: Md5 = Md5([1; 16]);
    const OTHER: Md5 = Md5([2; 16]);

    fn tag(text: &str) -> Option<ETag> {
        ETag::parse(text.as_bytes())
    }

    fn head<'a>(status: u16, range: Option<&'a str>, len: Option<u64>) -> Head<'a> {
        Head {
            status: StatusCode::from_u16(status).unwrap(),
            content_range: range.map(str::as_bytes),
            len,
            claims: Claims::default(),
            etag: None,
        }
    }

    fn by_digest() -> Identity {
        Identity { size: Some(100), ..Identity::of(MD5) }
    }

    #[test]
    fn what_is_known_by_its_digest_continues_at_any_server() {
        let claims = |md5| Claims { md5: Some(md5), sha256: None };
        let known = by_digest();
        for (answer, position, expected) in [
            (head(206, Some("bytes 40-99/100"), Some(60)), 40, Verdict::Takes(40)),
            (head(206, Some("bytes 40-99/*"), None), 40, Verdict::Takes(40)),
            (Head { etag: tag("\"any\""), ..head(206, Some("bytes 40-99/100"), Some(60)) }, 40, Verdict::Takes(40)),
            (Head { claims: claims(MD5), ..head(206, Some("bytes 40-99/100"), Some(60)) }, 40, Verdict::Takes(40)),
            (Head { claims: claims(OTHER), ..head(206, Some("bytes 40-99/100"), Some(60)) }, 40, Verdict::Other),
            (head(206, Some("bytes 40-120/121"), Some(81)), 40, Verdict::Other),
            (head(206, Some("bytes 41-99/100"), Some(59)), 40, Verdict::Senseless),
            (head(206, Some("bytes 40-99/100"), Some(61)), 40, Verdict::Senseless),
            // Less than was asked for would be taken for the end.
            (head(206, Some("bytes 40-59/100"), Some(20)), 40, Verdict::Senseless),
            (head(206, None, Some(60)), 40, Verdict::Senseless),
            (head(206, Some("bytes 0-99/100"), Some(100)), 0, Verdict::Senseless),
            (head(200, None, Some(100)), 40, Verdict::Takes(0)),
            (head(200, None, None), 0, Verdict::Takes(0)),
            (head(200, None, Some(101)), 40, Verdict::Other),
            (Head { claims: claims(OTHER), ..head(200, None, Some(100)) }, 0, Verdict::Other),
        ] {
            assert_eq!(known.judge(position, &answer), expected, "{answer:?} at {position}");
        }
        assert_eq!((known.condition(), known.is_known()), (None, true));
    }

    #[test]
    fn what_is_known_by_its_tag_continues_under_the_same_tag_only() {
        let known = Identity { size: Some(100), etag: tag("\"a\""), ..Identity::default() };
        let range = || head(206, Some("bytes 40-99/100"), Some(60));
        for (answer, position, expected) in [
            (Head { etag: tag("\"a\""), ..range() }, 40, Verdict::Takes(40)),
            (Head { etag: tag("\"b\""), ..range() }, 40, Verdict::Other),
            (range(), 40, Verdict::Other),
            (Head { etag: tag("\"a\""), ..head(200, None, Some(100)) }, 40, Verdict::Takes(0)),
            (Head { etag: tag("\"b\""), ..head(200, None, Some(100)) }, 40, Verdict::Other),
        ] {
            assert_eq!(known.judge(position, &answer), expected, "{answer:?}");
        }
        assert_eq!(known.condition(), tag("\"a\"").as_ref());
    }

    #[test]
    fn an_answer_teaches_what_was_not_known() {
        let mut identity = Identity::default();
        assert!(!identity.is_known());
        let claims = Claims { md5: Some(MD5), sha256: Some(Sha256([3; 32])) };
        identity.learn(&Head { claims, etag: tag("W/\"a\""), ..head(200, None, Some(100)) });
        assert_eq!(identity, Identity { sha256: Some(Sha256([3; 32])), ..by_digest() }, "a weak tag proves nothing");
        identity.learn(&Head { etag: tag("\"a\""), ..head(206, Some("bytes 40-99/100"), Some(60)) });
        assert_eq!((identity.size, identity.etag), (Some(100), tag("\"a\"")));
    }
}
