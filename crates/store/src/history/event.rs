//! What is written down of an object's life, and how it looks as bytes: pure. Numbers are little-endian; a text or other bytes have their length
//! (2) before them. The page on the store's format has the table.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use protocol::digest::Md5;

/// Longest text or other bytes in an entry; what is longer is cut.
pub(crate) const TEXT_MAX: usize = 4096;

/// One thing that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in whole milliseconds.
    pub at: SystemTime,
    /// Its name.
    pub md5: Md5,
    /// What.
    pub event: Event,
}

/// What can happen to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is here from now on.
    Came {
        /// By what.
        by: Arrival,
        /// Bytes.
        size: u64,
        /// What the one who brought it tells of it, as it understands that itself.
        about: Bytes,
    },
    /// How often it was asked for since an instance began to run; written when that has doubled.
    Asked(Asked),
    /// It went, for room was needed.
    Evicted(Eviction),
    /// Somebody wanted it gone.
    Removed {
        /// Who, for people.
        by: Box<str>,
        /// How often it had been asked for.
        asked: Asked,
    },
    /// Its bytes were not right any more; they are in quarantine.
    Damaged,
    /// Its file was gone, or of another length.
    Missing,
    /// A name that stood for it stands for another content.
    Replaced {
        /// The key of the name, as the caller understands it.
        key: Bytes,
        /// What it stands for now.
        by: Md5,
    },
}

/// How an object came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was filled.
    Filled,
    /// Its file was found in the cache directory after a crash, and was right.
    Found,
    /// It was taken in from a file that was here already.
    Imported,
}

/// How often an object was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Since when it is counted: the start of the instance that counts.
    pub since: SystemTime,
    /// How often since then.
    pub times: u32,
    /// When last; `None` if not since then.
    pub last: Option<SystemTime>,
}

/// Why an object had to go, and not another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// Its bytes.
    pub size: u64,
    /// What room was needed for.
    pub need: Need,
    /// What the policy knew of it.
    pub merit: Merit,
    /// Those that it was compared with.
    pub others: Others,
    /// How often it had been asked for.
    pub asked: Asked,
}

/// The objects that stayed when one went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// How many were looked at.
    pub count: u32,
    /// What the one is worth that is worth least, as [`Merit::worth`].
    pub least: u32,
    /// What the one is worth that is worth most.
    pub most: u32,
}

/// What the policy knows of an object, and what it concludes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merit {
    /// How often it was asked for, up to 255 times.
    pub uses: u32,
    /// Requests for whatever object since it was asked for last.
    pub age: u64,
    /// Such requests between two times that it was asked for, on the average; 0 if it was once.
    pub interval: u64,
    /// Hits that are expected of it for a million requests that it is kept for.
    pub worth: u32,
}

/// What room is needed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Of what kind.
    pub purpose: Purpose,
    /// Bytes that were missing.
    pub bytes: u64,
    /// For people: what is filled.
    pub label: Box<str>,
}

/// For what kind of purpose room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Something is filled or taken in.
    Fill,
    /// The tables are written anew.
    Tables,
    /// The disk has less free than `min_free`: others wrote to it, or the limit was changed.
    MinFree,
    /// More is here than `max_size`, which was lowered.
    MaxSize,
}

impl Need {
    /// Of something that is filled.
    pub(crate) fn fill(bytes: u64, label: &str) -> Self {
        Self { purpose: Purpose::Fill, bytes, label: label.into() }
    }

    /// Of the store itself.
    pub(crate) fn own(purpose: Purpose, bytes: u64) -> Self {
        Self { purpose, bytes, label: "".into() }
    }
}

const CAME: u8 = 1;
const ASKED: u8 = 2;
const EVICTED: u8 = 3;
const REMOVED: u8 = 4;
const DAMAGED: u8 = 5;
const MISSING: u8 = 6;
const REPLACED: u8 = 7;

impl Entry {
    pub(crate) fn new(md5: Md5, event: Event) -> Self {
        Self { at: SystemTime::now(), md5, event }
    }

    /// Appends kind and content.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.event.kind());
        put_time(out, self.at);
        out.extend_from_slice(&self.md5.0);
        match &self.event {
            Event::Came { by, size, about } => {
                out.push(*by as u8);
                out.extend_from_slice(&size.to_le_bytes());
                put_text(out, about);
            }
            Event::Asked(asked) => asked.encode(out),
            Event::Evicted(eviction) => eviction.encode(out),
            Event::Removed { by, asked } => {
                put_string(out, by);
                asked.encode(out);
            }
            Event::Damaged | Event::Missing => {}
            Event::Replaced { key, by } => {
                put_text(out, key);
                out.extend_from_slice(&by.0);
            }
        }
    }

    /// The entry that these bytes are, all of them.
    pub(crate) fn decode(mut input: &[u8]) -> Option<Self> {
        let rest = &mut input;
        let kind = *rest.split_off_first()?;
        let (at, md5) = (take_time(rest)?, take_md5(rest)?);
        let event = match kind {
            CAME => {
                let by = Arrival::of(*rest.split_off_first()?)?;
                Event::Came { by, size: take_u64(rest)?, about: Bytes::copy_from_slice(take_text(rest)?) }
            }
            ASKED => Event::Asked(Asked::decode(rest)?),
            EVICTED => Event::Evicted(Eviction::decode(rest)?),
            REMOVED => Event::Removed { by: take_string(rest)?, asked: Asked::decode(rest)? },
            DAMAGED => Event::Damaged,
            MISSING => Event::Missing,
            REPLACED => Event::Replaced { key: Bytes::copy_from_slice(take_text(rest)?), by: take_md5(rest)? },
            _ => return None,
        };
        rest.is_empty().then_some(Self { at, md5, event })
    }

    /// The content that an encoded entry speaks of, without reading the rest.
    pub(crate) fn md5_of(bytes: &[u8]) -> Option<Md5> {
        Some(Md5(*bytes.get(9..25)?.as_array()?))
    }
}

impl Event {
    fn kind(&self) -> u8 {
        match self {
            Self::Came { .. } => CAME,
            Self::Asked(_) => ASKED,
            Self::Evicted(_) => EVICTED,
            Self::Removed { .. } => REMOVED,
            Self::Damaged => DAMAGED,
            Self::Missing => MISSING,
            Self::Replaced { .. } => REPLACED,
        }
    }
}

impl Arrival {
    fn of(number: u8) -> Option<Self> {
        [Self::Filled, Self::Found, Self::Imported].into_iter().find(|by| *by as u8 == number)
    }
}

impl Purpose {
    fn of(number: u8) -> Option<Self> {
        [Self::Fill, Self::Tables, Self::MinFree, Self::MaxSize].into_iter().find(|purpose| *purpose as u8 == number)
    }
}

impl Asked {
    fn encode(&self, out: &mut Vec<u8>) {
        put_time(out, self.since);
        out.extend_from_slice(&self.times.to_le_bytes());
        put_time(out, self.last.unwrap_or(UNIX_EPOCH));
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let (since, times, last) = (take_time(rest)?, take_u32(rest)?, take_time(rest)?);
        Some(Self { since, times, last: Some(last).filter(|last| *last > UNIX_EPOCH) })
    }
}

impl Eviction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.size.to_le_bytes());
        out.push(self.need.purpose as u8);
        out.extend_from_slice(&self.need.bytes.to_le_bytes());
        put_string(out, &self.need.label);
        let Merit { uses, age, interval, worth } = self.merit;
        for number in [uses, worth, self.others.count, self.others.least, self.others.most] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [age, interval] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.asked.encode(out);
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let size = take_u64(rest)?;
        let purpose = Purpose::of(*rest.split_off_first()?)?;
        let need = Need { purpose, bytes: take_u64(rest)?, label: take_string(rest)? };
        let (uses, worth) = (take_u32(rest)?, take_u32(rest)?);
        let others = Others { count: take_u32(rest)?, least: take_u32(rest)?, most: take_u32(rest)? };
        let merit = Merit { uses, worth, age: take_u64(rest)?, interval: take_u64(rest)? };
        Some(Self { size, need, merit, others, asked: Asked::decode(rest)? })
    }
}

fn put_time(out: &mut Vec<u8>, time: SystemTime) {
    let millis = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    out.extend_from_slice(&millis.to_le_bytes());
}

fn take_time(rest: &mut &[u8]) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(take_u64(rest)?))
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.len().min(TEXT_MAX)];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text);
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_text(out, &text.as_bytes()[..text.floor_char_boundary(TEXT_MAX)]);
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(u16::from_le_bytes(*rest.split_off(..2)?.as_array()?));
    rest.split_off(..len).filter(|text| text.len() <= TEXT_MAX)
}

fn take_string(rest: &mut &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(take_text(rest)?).ok().map(Box::from)
}

fn take_md5(rest: &mut &[u8]) -> Option<Md5> {
    Some(Md5(*rest.split_off(..16)?.as_array()?))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*rest.split_off(..8)?.as_array()?))
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*rest.split_off(..4)?.as_array()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
    }

    /// One of each kind.
    pub(crate) fn entries() -> Vec<Entry> {
        let asked = Asked { since: at(0), times: 7, last: Some(at(9)) };
        let need = Need { purpose: Purpose::Fill, bytes: 1 << 33, label: "/win/setup.exe".into() };
        let (others, merit) =
            (Others { count: 23, least: 2, most: 40 }, Merit { uses: 3, age: 1 << 39, interval: 9, worth: 1 });
        let eviction = Eviction { size: 5000, need, merit, others, asked: Asked { last: None, ..asked } };
        let events = [
            Event::Came { by: Arrival::Filled, size: 1 << 40, about: Bytes::from_static(b"\x00about\xff") },
            Event::Asked(asked),
            Event::Evicted(eviction),
            Event::Removed { by: "somebody at 10.0.0.7".into(), asked },
            Event::Damaged,
            Event::Missing,
            Event::Replaced { key: Bytes::from_static(b"up\0key"), by: Md5([9; 16]) },
        ];
        let entry = |(number, event)| Entry { at: at(number as u64), md5: Md5([number as u8; 16]), event };
        events.into_iter().enumerate().map(entry).collect()
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for entry in entries() {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            assert_eq!(Entry::decode(&bytes).as_ref(), Some(&entry));
            assert_eq!(Entry::md5_of(&bytes), Some(entry.md5));
            for cut in 0..bytes.len() {
                assert_eq!(Entry::decode(&bytes[..cut]), None, "{entry:?} cut at {cut}");
            }
            assert_eq!(Entry::decode(&[&bytes[..], b"x"].concat()), None, "{entry:?} with something behind it");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_can_be_read() {
        let by: String = "\u{e4}".repeat(TEXT_MAX);
        let asked = Asked { since: at(0), times: 0, last: None };
        let entry = Entry { at: at(1), md5: Md5([1; 16]), event: Event::Removed { by: by.into(), asked } };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert!(bytes.len() < TEXT_MAX + 64);
        let Some(Event::Removed { by, .. }) = Entry::decode(&bytes).map(|entry| entry.event) else {
            panic!("not read")
        };
        assert!(by.len() > TEXT_MAX - 4 && by.chars().all(|letter| letter == '\u{e4}'), "no letter is cut in two");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_is_read_is_written_alike(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..9u8) {
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            if let Some(entry) = Entry::decode(&bytes) {
                let mut again = Vec::new();
                entry.encode(&mut again);
                prop_assert_eq!(Entry::decode(&again), Some(entry));
            }
        }
    }
}
