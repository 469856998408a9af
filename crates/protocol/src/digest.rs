//! Names of content. MD5 is the name that the field uses, not a proof against an attacker: SHA-256 stands beside it
//! everywhere, and the choice of the algorithm stays inside this file and `hasher`.

mod hasher;

use std::{fmt, marker::PhantomData, str::FromStr};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(crate) use hasher::PieceDigestsHasher;
pub use hasher::{DigestsHasher, Md5Hasher};

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
#[error("not a digest of {expected} hexadecimal digits")]
pub struct NotADigest {
    /// How many digits there should have been.
    expected: usize,
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
    pub fn from_fields(repr_digest: Option<&[u8]>, digest: Option<&[u8]>, content_md5: Option<&[u8]>) -> Self {
        let dictionary = repr_digest.map(Self::from_dictionary).unwrap_or_default();
        let older = digest.map(Self::from_digest).unwrap_or_default();
        let content_md5 = content_md5.and_then(decode_base64).map(Md5);
        Self { md5: dictionary.md5.or(older.md5).or(content_md5), sha256: dictionary.sha256.or(older.sha256) }
    }

    /// RFC 9530 section 3: a dictionary (RFC 8941 section 3.2) of byte sequences, `KEY=:BASE64:;parameters, ...`; the last of a key counts.
    fn from_dictionary(field: &[u8]) -> Self {
        let mut claims = Self::default();
        let mut in_quotes = false;
        let members = field.split(|&byte| {
            in_quotes ^= byte == b'"';
            byte == b',' && !in_quotes
        });
        for (key, value) in members.filter_map(|member| split_at_first(member.trim_ascii(), b'=')) {
            let bytes = value.strip_prefix(b":").and_then(|rest| split_at_first(rest, b':'));
            let Some((base64, parameters)) = bytes else { continue };
            if parameters.is_empty() || parameters.starts_with(b";") {
                claims.take(key, base64);
            }
        }
        claims
    }

    /// RFC 3230 section 4.3.2: `ALGORITHM=BASE64,ALGORITHM=BASE64`; names compare without case.
    fn from_digest(field: &[u8]) -> Self {
        let mut claims = Self::default();
        for member in field.split(|&byte| byte == b',') {
            if let Some((name, base64)) = split_at_first(member.trim_ascii(), b'=') {
                claims.take(&name.to_ascii_lowercase(), base64);
            }
        }
        claims
    }

    fn take(&mut self, algorithm: &[u8], base64: &[u8]) {
        match algorithm {
            b"md5" => self.md5 = decode_base64(base64).map(Md5).or(self.md5),
            b"sha-256" => self.sha256 = decode_base64(base64).map(Sha256).or(self.sha256),
            _ => {}
        }
    }
}

impl Digests {
    /// The value of `Repr-Digest` (RFC 9530): `md5=:…:, sha-256=:…:`.
    pub fn repr_digest(&self) -> String {
        format!("{}, {}", self.md5.repr_digest(), self.sha256.repr_digest())
    }
}

impl Sha256 {
    /// The value of `Repr-Digest` with SHA-256 alone.
    pub fn repr_digest(&self) -> String {
        format!("sha-256=:{}:", BASE64.encode(self.0))
    }
}

impl Md5 {
    /// The value of `Repr-Digest` with MD5 alone.
    pub fn repr_digest(&self) -> String {
        format!("md5=:{}:", BASE64.encode(self.0))
    }
}

/// Standard alphabet. It reads with and without padding, as RFC 8941 section 4.2.7 wants of a recipient.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn decode_base64<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    BASE64.decode(text.trim_ascii()).ok()?.try_into().ok()
}

fn split_at_first(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Reads exactly `2 * N` hexadecimal digits. Upper case is read too, for there are tools that print it.
fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], NotADigest> {
    let not_a_digest = NotADigest { expected: 2 * N };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if text.len() != 2 * N {
        return Err(not_a_digest);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or(not_a_digest)?;
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

impl FromStr for Md5 {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        decode_hex(text).map(Self)
    }
}

impl FromStr for Sha256 {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        decode_hex(text).map(Self)
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

impl Serialize for Md5 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Md5 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

/// Reads a digest where its text lies: reports have thousands of them.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = NotADigest>> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a digest")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const MD5: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";
    const SHA256: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn empty() -> Digests {
        Digests::of(b"")
    }

    #[test]
    fn known_digests() {
        assert_eq!(empty().md5.to_string(), EMPTY_MD5);
        assert_eq!(empty().sha256.to_string(), EMPTY_SHA256);
        assert_eq!(Md5::of(b"abc").to_string(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(empty().repr_digest(), format!("md5=:{MD5}:, sha-256=:{SHA256}:"));
        assert_eq!(empty().md5.repr_digest(), format!("md5=:{MD5}:"));
    }

    #[test]
    fn hexadecimal_text() {
        assert_eq!(EMPTY_MD5.parse(), Ok(empty().md5));
        assert_eq!(EMPTY_MD5.to_uppercase().parse(), Ok(empty().md5));
        assert_eq!(EMPTY_SHA256.parse(), Ok(empty().sha256));
        for text in ["", &EMPTY_MD5[1..], &format!("{EMPTY_MD5}0"), &EMPTY_MD5.replace('d', "g"), EMPTY_SHA256] {
            assert_eq!(text.parse::<Md5>(), Err(NotADigest { expected: 32 }), "{text}");
        }
        assert_eq!("+1d8cd98f00b204e9800998ecf8427e0".parse::<Md5>(), Err(NotADigest { expected: 32 }));
        assert_eq!("\u{e4}".repeat(16).parse::<Md5>(), Err(NotADigest { expected: 32 }));
    }

    #[test]
    fn claims_of_fields() {
        let both = Claims { md5: Some(empty().md5), sha256: Some(empty().sha256) };
        let md5 = Claims { sha256: None, ..both };
        let sha256 = Claims { md5: None, ..both };
        let none = Claims::default();
        let repr_digest = [
            (format!("md5=:{MD5}:, sha-256=:{SHA256}:"), both),
            (format!("sha-256=:{SHA256}:,md5=:{MD5}:"), both),
            (format!("sha-512=:AAAA:, unixsum=12, x=\"a,md5=:AAAA:\", md5=:{MD5}:"), md5),
            (format!("md5=:{MD5}:;q=1;x=\"y\", sha-256=:{SHA256}:;z"), both),
            (format!("sha-256=:{}:", SHA256.trim_end_matches('=')), sha256),
            (format!("md5=:AAAA:, sha-256=:{SHA256}:"), sha256),
            // Keys are lower case (RFC 8941 section 3.1.2); the older form is not the newer one.
            (format!("MD5=:{MD5}:"), none),
            (format!("md5={MD5}"), none),
            (format!("md5=:{MD5}"), none),
            (format!("md5=:{MD5}:x"), none),
            ("md5".into(), none),
            (String::new(), none),
        ];
        for (field, expected) in &repr_digest {
            assert_eq!(Claims::from_fields(Some(field.as_bytes()), None, None), *expected, "{field}");
        }
        let digest = [
            (format!("md5={MD5},sha-256={SHA256}"), both),
            (format!("SHA-256={SHA256}, MD5={MD5}, adler32=03da0195"), both),
            (format!("SHA={MD5}"), none),
            ("md5=".into(), none),
        ];
        for (field, expected) in &digest {
            assert_eq!(Claims::from_fields(None, Some(field.as_bytes()), None), *expected, "{field}");
        }
        assert_eq!(Claims::from_fields(None, None, Some(MD5.as_bytes())), md5);
        assert_eq!(Claims::from_fields(None, None, Some(EMPTY_MD5.as_bytes())), none);
    }

    #[test]
    fn the_newer_field_outweighs_the_older() {
        let other = Md5::of(b"other");
        let field = other.repr_digest();
        let old = format!("md5={MD5},sha-256={SHA256}");
        let claims = Claims::from_fields(Some(field.as_bytes()), Some(old.as_bytes()), Some(MD5.as_bytes()));
        assert_eq!(claims, Claims { md5: Some(other), sha256: Some(empty().sha256) });
    }

    #[test]
    fn one_false_claim_refutes() {
        let found = empty();
        let other = Digests::of(b"other");
        assert!(Claims::default().is_empty() && !Claims::default().refuted_by(&found));
        assert!(!Claims { md5: Some(found.md5), sha256: Some(found.sha256) }.refuted_by(&found));
        assert!(Claims { md5: Some(found.md5), sha256: Some(other.sha256) }.refuted_by(&found));
        assert!(Claims { md5: Some(other.md5), sha256: None }.refuted_by(&found));
    }

    proptest! {
        #[test]
        fn digests_round_trip(bytes in any::<[u8; 32]>(), half in any::<[u8; 16]>()) {
            let digests = Digests { md5: Md5(half), sha256: Sha256(bytes) };
            prop_assert_eq!(digests.md5.to_string().parse(), Ok(digests.md5));
            prop_assert_eq!(digests.sha256.to_string().parse(), Ok(digests.sha256));
            let claims = Claims::from_fields(Some(digests.repr_digest().as_bytes()), None, None);
            prop_assert_eq!(claims, Claims { md5: Some(digests.md5), sha256: Some(digests.sha256) });
        }

        #[test]
        fn random_fields_never_panic(field in proptest::collection::vec(any::<u8>(), 0..200)) {
            Claims::from_fields(Some(&field), Some(&field), Some(&field));
        }
    }
}
