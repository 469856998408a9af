//! A name whose content came by another way than from its upstream: off a share, or in a bundle. It is known by its length and by when it was last
//! changed, and stays so until the upstream was asked. What the upstream has is the same, if that is: one look, or one HEAD, and no byte of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::digest::{Claims, Md5};

use super::record::Record;

/// How exactly file systems and protocols tell when a file was changed, the coarsest first: FAT; HTTP, tar and old file systems; SMB; others.
const UNITS: [u128; 4] = [2_000_000_000, 1_000_000_000, 100, 1];

/// Whether what an upstream says of a name is what came in. A digest says most, then the upstream's own strong tag, then length and time together.
/// Who says too little has said nothing.
pub(crate) fn is_confirmed(md5: &Md5, imported: &Record, told: &Record, claims: &Claims) -> bool {
    if told.len.is_some_and(|len| imported.len != Some(len)) {
        return false;
    }
    match (claims.md5, imported.strong_etag(), told.strong_etag()) {
        (Some(claimed), ..) => claimed == *md5,
        (None, Some(known), Some(told)) => known == told,
        _ => {
            let times = imported.modified.zip(told.modified);
            told.len.is_some() && times.is_some_and(|(known, told)| is_same_time(known, told))
        }
    }
}

/// Whether two times are the same as exactly as the coarser of the two is told.
pub(crate) fn is_same_time(one: SystemTime, other: SystemTime) -> bool {
    let (one, other) = (Instant::of(one), Instant::of(other));
    let unit = one.unit().max(other.unit());
    // Those that know less leave off what they do not know.
    one.is_after_1970 == other.is_after_1970 && one.nanoseconds / unit == other.nanoseconds / unit
}

struct Instant {
    is_after_1970: bool,
    nanoseconds: u128,
}

impl Instant {
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH);
        let nanoseconds = since.as_ref().map_or_else(|before| before.duration(), |since| *since);
        Self { is_after_1970: since.is_ok(), nanoseconds: Duration::as_nanos(&nanoseconds) }
    }

    fn unit(&self) -> u128 {
        let divides = |unit: &u128| self.nanoseconds.is_multiple_of(*unit);
        UNITS.into_iter().find(divides).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use protocol::etag::ETag;

    use super::*;
    use crate::names::record::{Provenance, tests::of_directory};

    const NOW: u128 = 1_790_000_001_123_456_789;

    fn at(nanoseconds: u128) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos_u128(nanoseconds)
    }

    #[test]
    fn times_are_compared_as_exactly_as_both_know_them() {
        for (one, other, is_same) in [
            (NOW, NOW, true),
            (NOW, NOW + 1, false),
            (NOW, 1_790_000_001_123_456_700, true),
            (NOW, 1_790_000_001_123_456_800, false),
            (NOW, 1_790_000_001_000_000_000, true),
            (NOW, 1_790_000_003_000_000_000, false),
            // FAT knows even seconds only.
            (NOW, 1_790_000_000_000_000_000, true),
            (NOW, 1_790_000_002_000_000_000, false),
            (1_790_000_001_000_000_000, 1_790_000_000_000_000_000, true),
            (1_790_000_001_000_000_000, 1_790_000_003_000_000_000, false),
        ] {
            assert_eq!(is_same_time(at(one), at(other)), is_same, "{one} {other}");
            assert_eq!(is_same_time(at(other), at(one)), is_same, "{other} {one}");
        }
        let before = UNIX_EPOCH - Duration::from_nanos(500);
        assert!(is_same_time(before, before) && !is_same_time(before, UNIX_EPOCH + Duration::from_nanos(500)));
    }

    #[test]
    fn an_upstream_confirms_by_what_says_most() {
        let (one, other) = (Md5([1; 16]), Md5([2; 16]));
        let tag = |text: &str| ETag::parse(text.as_bytes());
        let imported = Record { provenance: Provenance::Imported, etag: tag("\"a\""), ..of_directory(10) };
        let told = |len, is_same_time: bool, etag: Option<ETag>| Record {
            len,
            modified: if is_same_time { imported.modified } else { Some(UNIX_EPOCH) },
            etag,
            ..of_directory(10)
        };
        for (told, md5, expected) in [
            (told(Some(10), true, None), None, true),
            (told(Some(10), true, tag("W/\"b\"")), None, true),
            (told(Some(11), true, None), None, false),
            (told(Some(10), false, None), None, false),
            (told(None, true, None), None, false),
            (told(Some(10), false, tag("\"a\"")), None, true),
            (told(None, false, tag("\"a\"")), None, true),
            (told(Some(10), true, tag("\"b\"")), None, false),
            (told(Some(10), false, None), Some(one), true),
            (told(Some(10), true, tag("\"a\"")), Some(other), false),
            (told(Some(11), true, None), Some(one), false),
        ] {
            let claims = Claims { md5, sha256: None };
            assert_eq!(is_confirmed(&one, &imported, &told, &claims), expected, "{told:?} {md5:?}");
        }
        let timeless = Record { modified: None, etag: None, ..imported.clone() };
        assert!(!is_confirmed(&one, &timeless, &told(Some(10), true, None), &Claims::default()));
    }
}
