//! A record's form on disk: compact (some forty bytes for a file of a directory), so that a million names stay small in the store's table.
//!
//! Version, kind, flags, then varints (LEB128) and length-prefixed bytes in the order of [`Record::encode`]. What cannot be decoded is not
//! known: the name is asked for again. Kind 1 was a web server's answer without status and with few of its fields; nobody writes it any more.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use os::share::Identity;
use protocol::etag::ETag;

use super::{
    lines::Lines,
    record::{HttpMeta, Provenance, Record},
    variant::Variants,
};

/// Of the form. Another one is not known.
const VERSION: u8 = 1;

const DIRECTORY: u8 = 0;
const OUTPOST: u8 = 2;
const HTTP: u8 = 3;
const VARIANTS: u8 = 4;
const IMPORTED: u8 = 5;

impl Variants {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![VERSION, VARIANTS]);
        out.number(self.names.len() as u128);
        self.names.iter().for_each(|name| out.bytes(name.as_bytes()));
        out.number(self.ids.len() as u128);
        self.ids.iter().for_each(|id| out.0.extend_from_slice(id));
        out.0
    }

    /// `None` for what is no index of variants.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes.strip_prefix(&[VERSION, VARIANTS])?);
        let mut variants = Self::default();
        for _ in 0..input.small()? {
            variants.names.push(std::str::from_utf8(input.bytes()?).ok()?.into());
        }
        for _ in 0..input.small()? {
            variants.ids.push(input.take(16)?.try_into().ok()?);
        }
        input.0.is_empty().then_some(variants)
    }
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(64));
        out.0.push(VERSION);
        out.0.push(match self.provenance {
            Provenance::Directory(_) => DIRECTORY,
            Provenance::Http(_) => HTTP,
            Provenance::Outpost { .. } => OUTPOST,
            Provenance::Imported => IMPORTED,
        });
        let flag = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        out.0.push(
            flag(self.len.is_some(), 1)
                | flag(self.modified.is_some(), 2)
                | flag(self.etag.is_some(), 4)
                | flag(self.provisional.is_some(), 8),
        );
        out.number(self.checked.into());
        if let Some(len) = self.len {
            out.number(len.into());
        }
        if let Some(modified) = self.modified {
            out.signed(nanoseconds(modified));
        }
        if let Some(etag) = &self.etag {
            out.bytes(etag.as_str().as_bytes());
        }
        if let Some(provisional) = self.provisional {
            out.0.extend_from_slice(&provisional.to_be_bytes());
        }
        match &self.provenance {
            Provenance::Directory(identity) => out.identity(identity),
            Provenance::Http(meta) => out.http(meta),
            Provenance::Outpost { content_type } => out.bytes(content_type.as_deref().unwrap_or_default()),
            Provenance::Imported => {}
        }
        out.0
    }

    /// `None` for what another version wrote, or for garbage.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        if input.byte()? != VERSION {
            return None;
        }
        let kind = input.byte()?;
        let flags = input.byte()?;
        let checked = input.small()?;
        let len = if flags & 1 != 0 { Some(input.small()?) } else { None };
        let modified = if flags & 2 != 0 { Some(from_nanoseconds(input.signed()?)?) } else { None };
        let etag = if flags & 4 != 0 { Some(ETag::parse(input.bytes()?)?) } else { None };
        let provisional = if flags & 8 != 0 { Some(u64::from_be_bytes(input.take(8)?.try_into().ok()?)) } else { None };
        let provenance = match kind {
            DIRECTORY => Provenance::Directory(input.identity()?),
            HTTP => Provenance::Http(input.http()?),
            OUTPOST => {
                let text = input.bytes()?;
                Provenance::Outpost { content_type: (!text.is_empty()).then(|| text.into()) }
            }
            IMPORTED => Provenance::Imported,
            _ => return None,
        };
        input.0.is_empty().then_some(Self { checked, len, modified, etag, provisional, provenance })
    }
}

fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

fn from_nanoseconds(nanoseconds: i128) -> Option<SystemTime> {
    let size = nanoseconds.unsigned_abs();
    let distance = Duration::new(u64::try_from(size / 1_000_000_000).ok()?, (size % 1_000_000_000) as u32);
    if nanoseconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn signed(&mut self, number: i128) {
        self.number(((number << 1) ^ (number >> 127)) as u128);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u128);
        self.0.extend_from_slice(bytes);
    }

    fn identity(&mut self, identity: &Identity) {
        self.number(identity.device.into());
        self.number(identity.inode.into());
        self.number(identity.size.into());
        self.signed(identity.modified);
        self.signed(identity.changed);
    }

    fn http(&mut self, meta: &HttpMeta) {
        self.0.push(u8::from(meta.stale_forbidden) | u8::from(meta.stale_if_error.is_some()) << 1);
        let numbers = [meta.arrived, meta.age, meta.date, meta.lifetime, meta.stale_while_revalidate];
        self.number(meta.status.into());
        numbers.into_iter().chain(meta.stale_if_error).for_each(|number| self.number(number.into()));
        self.bytes(meta.lines.as_bytes());
        self.number(meta.selecting.len() as u128);
        for (name, value) in &meta.selecting {
            self.bytes(name.as_bytes());
            self.bytes(value);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn number(&mut self) -> Option<u128> {
        let mut number = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            if part.leading_zeros() < shift {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u64> {
        self.number()?.try_into().ok()
    }

    fn signed(&mut self) -> Option<i128> {
        let number = self.number()?;
        Some((number >> 1) as i128 ^ -((number & 1) as i128))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.small()?.try_into().ok()?;
        self.take(len)
    }

    fn identity(&mut self) -> Option<Identity> {
        Some(Identity {
            device: self.small()?,
            inode: self.small()?,
            size: self.small()?,
            modified: self.signed()?,
            changed: self.signed()?,
        })
    }

    fn http(&mut self) -> Option<HttpMeta> {
        let flags = self.byte()?;
        let mut meta = HttpMeta {
            status: self.small()?.try_into().ok()?,
            stale_forbidden: flags & 1 != 0,
            arrived: self.small()?,
            age: self.small()?,
            date: self.small()?,
            lifetime: self.small()?,
            stale_while_revalidate: self.small()?,
            stale_if_error: if flags & 2 != 0 { Some(self.small()?) } else { None },
            lines: Lines::from_bytes(self.bytes()?)?,
            selecting: Vec::new(),
        };
        for _ in 0..self.small()? {
            meta.selecting.push((std::str::from_utf8(self.bytes()?).ok()?.into(), self.bytes()?.into()));
        }
        // A status that could not be sent was never kept.
        http::StatusCode::from_u16(meta.status).is_ok().then_some(meta)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::names::record::tests::of_directory;

    #[test]
    fn a_directory_file_takes_few_bytes() {
        let encoded = of_directory(1 << 30).encode();
        assert!(encoded.len() <= 64, "{} bytes", encoded.len());
        assert_eq!(Record::decode(&encoded), Some(of_directory(1 << 30)));
    }

    fn bytes(max: usize) -> impl Strategy<Value = Box<[u8]>> {
        vec(any::<u8>(), 0..max).prop_map(Into::into)
    }

    prop_compose! {
        fn identity()(device: u64, inode: u64, size: u64, modified: i128, changed: i128) -> Identity {
            Identity { device, inode, size, modified, changed }
        }
    }

    fn lines() -> impl Strategy<Value = Lines> {
        vec(("[a-z-]{1,20}", "[!-~]{0,50}"), 0..5).prop_map(|lines| {
            let block: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            Lines::from_bytes(block.as_bytes()).unwrap()
        })
    }

    prop_compose! {
        fn meta()(
            numbers: [u64; 5], status in 100..1000u16, stale_forbidden: bool, stale_if_error: Option<u64>, lines in lines(),
            selecting in vec(("[a-z-]{1,20}".prop_map(Into::into), bytes(50)), 0..3),
        ) -> HttpMeta {
            let [arrived, age, date, lifetime, stale_while_revalidate] = numbers;
            HttpMeta {
                status, arrived, age, date, lifetime, stale_forbidden, stale_while_revalidate, stale_if_error, lines, selecting,
            }
        }
    }

    fn provenance() -> impl Strategy<Value = Provenance> {
        prop_oneof![
            identity().prop_map(Provenance::Directory),
            meta().prop_map(Provenance::Http),
            Just(Provenance::Imported),
            option::of(bytes(30).prop_filter("empty is none", |text| !text.is_empty()))
                .prop_map(|content_type| Provenance::Outpost { content_type }),
        ]
    }

    prop_compose! {
        fn record()(
            checked: u64, len: Option<u64>, provisional: Option<u64>, provenance in provenance(),
            modified in option::of(-1_000_000_000_000_000_000i128..4_000_000_000_000_000_000),
            etag in option::of("(W/)?\"[a-z0-9]{0,20}\""),
        ) -> Record {
            let etag = etag.and_then(|text| ETag::parse(text.as_bytes()));
            Record { checked, len, modified: modified.and_then(from_nanoseconds), etag, provisional, provenance }
        }
    }

    #[test]
    fn a_record_of_the_first_form_of_web_answers_is_not_known() {
        let encoded = of_directory(1).encode();
        let first = [&[VERSION, 1], &encoded[2..]].concat();
        assert_eq!(Record::decode(&first), None);
    }

    proptest! {
        #[test]
        fn an_index_of_variants_comes_back_and_is_no_record(
            names in vec("[a-z-]{1,20}".prop_map(Into::into), 0..4), ids in vec(any::<[u8; 16]>(), 0..17), cut in any::<proptest::sample::Index>(),
        ) {
            let variants = Variants { names, ids };
            let encoded = variants.encode();
            prop_assert_eq!(Record::decode(&encoded), None);
            prop_assert_eq!(Variants::decode(&encoded[..cut.index(encoded.len())]), None);
            prop_assert_eq!(Variants::decode(&encoded), Some(variants));
        }

        #[test]
        fn records_come_back_as_they_were(record in record()) {
            let encoded = record.encode();
            prop_assert_eq!(Variants::decode(&encoded), None);
            prop_assert_eq!(Record::decode(&encoded), Some(record));
        }

        #[test]
        fn garbage_is_not_known_and_never_panics(bytes in vec(any::<u8>(), 0..200), kind in 0..7u8) {
            let _ = Record::decode(&bytes);
            let mut framed = vec![VERSION, kind];
            framed.extend(bytes);
            let _ = Record::decode(&framed);
            let _ = Variants::decode(&framed);
        }

        #[test]
        fn a_cut_record_is_not_known(record in record(), cut in any::<proptest::sample::Index>()) {
            let encoded = record.encode();
            prop_assert_eq!(Record::decode(&encoded[..cut.index(encoded.len())]), None);
        }
    }
}
