//! Names of content. MD5 is the name that the field uses, not a proof against an attacker: SHA-256 stands beside it
//! everywhere, and the choice of the algorithm stays inside this file.

use std::{fmt, str::FromStr};

/// MD5 of an object's bytes: its name. Text form: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Md5(pub [u8; 16]);

/// SHA-256 of an object's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

/// Both digests of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// The name.
    pub md5: Md5,
    /// The proof.
    pub sha256: Sha256,
}

/// What an upstream says beforehand that the bytes will be. Empty when it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// From `Repr-Digest`, `Digest`, `Content-MD5` or an Outpost answer.
    pub md5: Option<Md5>,
    /// From `Repr-Digest`, `Digest` or an Outpost answer.
    pub sha256: Option<Sha256>,
}

/// Text that is not a digest in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected {expected} hexadecimal digits")]
pub struct NotADigest {
    /// How many digits there should have been.
    pub expected: usize,
}

impl Claims {
    /// Whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.md5.is_none() && self.sha256.is_none()
    }

    /// Whether what arrived contradicts a claim.
    pub fn refuted_by(&self, found: &Digests) -> bool {
        self.md5.is_some_and(|md5| md5 != found.md5) || self.sha256.is_some_and(|sha256| sha256 != found.sha256)
    }

    /// Claims in the header fields of a complete (200) response: `Repr-Digest` (RFC 9530), then the older `Digest`
    /// (RFC 3230) and `Content-MD5` (RFC 1864). What cannot be read is no claim.
    pub fn from_fields(_repr_digest: Option<&[u8]>, _digest: Option<&[u8]>, _content_md5: Option<&[u8]>) -> Self {
        todo!()
    }
}

impl Digests {
    /// The value of `Repr-Digest` (RFC 9530): `md5=:…:, sha-256=:…:`.
    pub fn repr_digest(&self) -> String {
        todo!()
    }
}

impl Md5 {
    /// The value of `Repr-Digest` with MD5 alone.
    pub fn repr_digest(&self) -> String {
        todo!()
    }

    /// Of bytes in hand.
    pub fn of(_bytes: &[u8]) -> Self {
        todo!()
    }
}

/// MD5 of a stream.
#[derive(Clone, Default)]
pub struct Md5Hasher(md5::Md5);

/// SHA-256 of a stream.
#[derive(Clone, Default)]
pub struct Sha256Hasher(sha2::Sha256);

impl Md5Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        md5::Digest::update(&mut self.0, bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Md5 {
        Md5(md5::Digest::finalize(self.0).into())
    }
}

impl Sha256Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Sha256 {
        Sha256(sha2::Digest::finalize(self.0).into())
    }
}

impl FromStr for Md5 {
    type Err = NotADigest;
    fn from_str(_text: &str) -> Result<Self, NotADigest> {
        todo!()
    }
}

impl FromStr for Sha256 {
    type Err = NotADigest;
    fn from_str(_text: &str) -> Result<Self, NotADigest> {
        todo!()
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "md5:{self}")
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}
