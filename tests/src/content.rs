//! What is sent: pseudo-random bytes that follow from a seed, and their digests.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use md5::Digest;

/// Bytes with their digests; clones share them.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Bytes,
    md5: [u8; 16],
}

impl Content {
    /// `len` bytes that follow from `seed`; no two places in them look alike.
    pub fn random(seed: u64, len: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let mut bytes = vec![0; len as usize];
        for place in bytes.chunks_mut(8) {
            place.copy_from_slice(&numbers.next().to_le_bytes()[..place.len()]);
        }
        Self::from(bytes)
    }

    /// All of them.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The byte at so many percent of the length.
    pub fn at_percent(&self, percent: u64) -> u64 {
        self.len() * percent / 100
    }

    /// 32 hexadecimal digits.
    pub fn md5_hex(&self) -> String {
        hex(&self.md5)
    }

    /// 64 hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        hex(&sha2::Sha256::digest(&self.bytes))
    }

    /// The entity tag that Outpost gives to content known by its digest.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.md5_hex())
    }

    /// A value of `Repr-Digest` with both digests (RFC 9530).
    pub fn repr_digest(&self) -> String {
        let sha256 = BASE64_STANDARD.encode(sha2::Sha256::digest(&self.bytes));
        format!("md5=:{}:, sha-256=:{sha256}:", self.content_md5())
    }

    /// A value of `Content-MD5` (RFC 1864).
    pub fn content_md5(&self) -> String {
        BASE64_STANDARD.encode(self.md5)
    }

    /// The same with one bit turned at `at`.
    pub fn with_flipped_bit(&self, at: u64) -> Self {
        let mut bytes = self.bytes.to_vec();
        bytes[at as usize] ^= 1;
        Self::from(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        let md5 = md5::Md5::digest(&bytes).into();
        Self { bytes: bytes.into(), md5 }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with md5 {}", self.len(), self.md5_hex())
    }
}

/// 32 hexadecimal digits for any bytes.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&md5::Md5::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers that follow from a seed (splitmix64): for contents, and for scenarios that choose.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Begins.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// The next one below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        let content = Content::from("abc");
        assert_eq!(content.md5_hex(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(content.content_md5(), "kAFQmDzST7DWlj99KOF/cg==");
        assert_eq!(content.sha256_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn contents_follow_from_their_seed() {
        assert_eq!(Content::random(1, 1001), Content::random(1, 1001));
        assert_ne!(Content::random(1, 1001), Content::random(2, 1001));
        assert_eq!(Content::random(1, 1001).len(), 1001);
        assert_ne!(Content::random(1, 9).with_flipped_bit(8), Content::random(1, 9));
    }
}
