//! What the snapshot and the journal consist of: rows, and what happened to them, as bytes.

use protocol::digest::{Digests, Md5, Sha256};

use crate::{
    index::{
        row::{NameRow, Object, SIZE_MAX, md5_hash},
        sip::SipKey,
    },
    space::{
        evict::{Now, Usage},
        ledger::on_disk,
    },
};

/// A row of a table.
pub(crate) trait Row: Sized + Send + 'static {
    /// Its hash; the upper bits choose shard and bucket.
    fn hash(&self, sip: &SipKey) -> u64;
    /// Whether it has the same key.
    fn same(&self, other: &Self) -> bool;
    /// Bytes on disk that belong to it, beside the table.
    fn weight(&self) -> u64;
    /// Appends it to a bucket of a snapshot.
    fn encode(&self, now: Now, out: &mut Vec<u8>);
    /// Takes the next one from a bucket.
    fn decode(input: &mut &[u8], now: Now) -> Option<Self>;
    /// The row that a record of the journal puts; the record itself if it puts none of this kind.
    fn put_by(record: Record) -> Result<Self, Record>;
    /// Whether a record speaks of this row.
    fn is_meant(&self, record: &Record) -> bool;
    /// Takes over what a record says of it; `false` if the row is to go.
    fn heed(&mut self, record: &Record) -> bool;
}

/// One change, as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    ObjectPut(Object),
    ObjectRemoved(Md5),
    NamePut(NameRow),
    NameRemoved(Box<[u8]>),
    Uses(Md5, u8),
    /// The instance ended in order; `complete` if no search of the directory was outstanding.
    Closed {
        complete: bool,
    },
}

impl Row for Object {
    fn hash(&self, _: &SipKey) -> u64 {
        md5_hash(&self.md5)
    }

    fn same(&self, other: &Self) -> bool {
        self.md5 == other.md5
    }

    fn weight(&self) -> u64 {
        on_disk(self.size())
    }

    fn encode(&self, now: Now, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.md5.0);
        out.extend_from_slice(&self.sha256.0);
        out.extend_from_slice(&self.size().to_le_bytes());
        out.push(self.usage.written(now));
    }

    fn decode(input: &mut &[u8], now: Now) -> Option<Self> {
        let md5 = Md5(*input.split_off(..16)?.as_array()?);
        let sha256 = Sha256(*input.split_off(..32)?.as_array()?);
        let size = u64::from_le_bytes(*input.split_off(..8)?.as_array()?);
        let uses = *input.split_off_first()?;
        (size <= SIZE_MAX).then(|| Self::new(Digests { md5, sha256 }, size, Usage::restored(now, uses)))
    }

    fn put_by(record: Record) -> Result<Self, Record> {
        if let Record::ObjectPut(object) = record { Ok(object) } else { Err(record) }
    }

    fn is_meant(&self, record: &Record) -> bool {
        matches!(record, Record::ObjectRemoved(md5) | Record::Uses(md5, _) if *md5 == self.md5)
    }

    fn heed(&mut self, record: &Record) -> bool {
        if let Record::Uses(_, uses) = record {
            self.usage = Usage::restored(Now::default(), *uses);
        }
        !matches!(record, Record::ObjectRemoved(_))
    }
}

impl Row for NameRow {
    fn hash(&self, sip: &SipKey) -> u64 {
        sip.hash(self.key())
    }

    fn same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    fn weight(&self) -> u64 {
        0
    }

    fn encode(&self, _: Now, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.bytes().len() as u32).to_le_bytes());
        out.extend_from_slice(self.bytes());
    }

    fn decode(input: &mut &[u8], _: Now) -> Option<Self> {
        let len = u32::from_le_bytes(*input.split_off(..4)?.as_array()?) as usize;
        Self::parse(input.split_off(..len)?)
    }

    fn put_by(record: Record) -> Result<Self, Record> {
        if let Record::NamePut(name) = record { Ok(name) } else { Err(record) }
    }

    fn is_meant(&self, record: &Record) -> bool {
        matches!(record, Record::NameRemoved(key) if **key == *self.key())
    }

    fn heed(&mut self, record: &Record) -> bool {
        !matches!(record, Record::NameRemoved(_))
    }
}

impl Record {
    /// The hash of the row that it speaks of; `None` if it speaks of none.
    pub(crate) fn hash(&self, sip: &SipKey) -> Option<u64> {
        match self {
            Self::ObjectPut(object) => Some(object.hash(sip)),
            Self::ObjectRemoved(md5) | Self::Uses(md5, _) => Some(md5_hash(md5)),
            Self::NamePut(name) => Some(name.hash(sip)),
            Self::NameRemoved(key) => Some(sip.hash(key)),
            Self::Closed { .. } => None,
        }
    }

    /// Appends kind and content.
    pub(crate) fn encode(&self, now: Now, out: &mut Vec<u8>) {
        match self {
            Self::ObjectPut(object) => {
                out.push(1);
                object.encode(now, out);
            }
            Self::ObjectRemoved(md5) => {
                out.push(2);
                out.extend_from_slice(&md5.0);
            }
            Self::NamePut(name) => {
                out.push(3);
                out.extend_from_slice(name.bytes());
            }
            Self::NameRemoved(key) => {
                out.push(4);
                out.extend_from_slice(key);
            }
            Self::Uses(md5, uses) => {
                out.push(5);
                out.extend_from_slice(&md5.0);
                out.push(*uses);
            }
            Self::Closed { complete } => out.extend_from_slice(&[6, u8::from(*complete)]),
        }
    }

    /// The record that these bytes are, all of them.
    pub(crate) fn decode(bytes: &[u8], now: Now) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        match kind {
            1 => Object::decode(&mut rest, now).filter(|_| rest.is_empty()).map(Self::ObjectPut),
            2 => Some(Self::ObjectRemoved(Md5(*rest.as_array()?))),
            3 => NameRow::parse(rest).map(Self::NamePut),
            4 => Some(Self::NameRemoved(rest.into())),
            5 => Some(Self::Uses(Md5(*rest.get(..16)?.as_array()?), *rest.get(16)?)).filter(|_| rest.len() == 17),
            6 => Some(Self::Closed { complete: *rest.first()? == 1 }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Record> {
        let md5 = any::<[u8; 16]>().prop_map(Md5);
        let object = (md5.clone(), any::<[u8; 32]>(), 0..1u64 << 50, any::<u8>()).prop_map(|(md5, sha, size, uses)| {
            let digests = Digests { md5, sha256: Sha256(sha) };
            Record::ObjectPut(Object::new(digests, size, Usage::restored(Now::default(), uses)))
        });
        let key = prop::collection::vec(any::<u8>(), 0..80);
        let name = (key.clone(), md5.clone(), prop::collection::vec(any::<u8>(), 0..80))
            .prop_map(|(key, md5, meta)| Record::NamePut(NameRow::new(&key, &md5, &meta).expect("short enough")));
        prop_oneof![
            object,
            name,
            md5.clone().prop_map(Record::ObjectRemoved),
            key.prop_map(|key| Record::NameRemoved(key.into())),
            (md5, any::<u8>()).prop_map(|(md5, uses)| Record::Uses(md5, uses)),
            any::<bool>().prop_map(|complete| Record::Closed { complete }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(record in records()) {
            let mut bytes = Vec::new();
            record.encode(Now::default(), &mut bytes);
            prop_assert_eq!(Record::decode(&bytes, Now::default()), Some(record));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::decode(&bytes, Now::default());
        }
    }
}
