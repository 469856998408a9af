//! The two kinds of rows that the tables hold: a sealed object and a name. What they look like on disk stands in `record.rs`.

use protocol::digest::{Digests, Md5, Sha256};

use crate::space::{evict::Usage, pinned::Pin};

/// Longest meta data of a name; its key may have as many bytes as fit into 16 bits.
const META_MAX: usize = 64 << 10;

/// In the uppermost bit of an object's size: uses changed since they were last written.
const DIRTY: u64 = 1 << 63;
/// In the two below: how it stands to the pins.
const PINNED: u64 = 1 << 62;
const REFUSED: u64 = 1 << 61;

/// Largest object that a row can stand for, in bytes.
pub(crate) const SIZE_MAX: u64 = REFUSED - 1;

/// A sealed object as the index keeps it: 72 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) md5: Md5,
    pub(crate) sha256: Sha256,
    size_and_dirt: u64,
    pub(crate) usage: Usage,
    /// How often it was asked for since the start, and when last (seconds since 1970; 0: not since then). For people: the policy counts for itself.
    pub(crate) times: u32,
    pub(crate) last: u32,
}

/// A name as the table keeps it, one allocation: length of the key (2), digest (16), key, meta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameRow(Box<[u8]>);

/// Upper bits first, so that the order of hashes is the order of digests.
pub(crate) fn md5_hash(md5: &Md5) -> u64 {
    let [first, ..] = md5.0.as_chunks::<8>().0 else { return 0 };
    u64::from_be_bytes(*first)
}

impl Object {
    pub(crate) fn new(digests: Digests, size: u64, usage: Usage) -> Self {
        Self { md5: digests.md5, sha256: digests.sha256, size_and_dirt: size, usage, times: 0, last: 0 }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size_and_dirt & SIZE_MAX
    }

    /// How it stands to the pins.
    pub(crate) fn pin(&self) -> Pin {
        match self.size_and_dirt & (PINNED | REFUSED) {
            0 => Pin::No,
            PINNED => Pin::Yes,
            _ => Pin::Refused,
        }
    }

    pub(crate) fn set_pin(&mut self, pin: Pin) {
        let bits = match pin {
            Pin::No => 0,
            Pin::Yes => PINNED,
            Pin::Refused => REFUSED,
        };
        self.size_and_dirt = self.size_and_dirt & !(PINNED | REFUSED) | bits;
    }

    /// Marks the uses as changed; `true` if they were not marked before.
    pub(crate) fn soil(&mut self) -> bool {
        let was = self.size_and_dirt & DIRTY != 0;
        self.size_and_dirt |= DIRTY;
        !was
    }

    pub(crate) fn clean(&mut self) {
        self.size_and_dirt &= !DIRTY;
    }
}

impl NameRow {
    /// `None` if key or meta are longer than may be.
    pub(crate) fn new(key: &[u8], md5: &Md5, meta: &[u8]) -> Option<Self> {
        if meta.len() > META_MAX {
            return None;
        }
        let key_len = u16::try_from(key.len()).ok()?;
        let mut row = Vec::with_capacity(18 + key.len() + meta.len());
        row.extend_from_slice(&key_len.to_le_bytes());
        row.extend_from_slice(&md5.0);
        row.extend_from_slice(key);
        row.extend_from_slice(meta);
        Some(Self(row.into()))
    }

    fn key_len(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[0], self.0[1]]))
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0[18..18 + self.key_len()]
    }

    pub(crate) fn md5(&self) -> Md5 {
        Md5(*self.0[2..18].as_array().expect("sixteen bytes were cut"))
    }

    pub(crate) fn meta(&self) -> &[u8] {
        &self.0[18 + self.key_len()..]
    }

    /// All of it, in its order.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The row that was written as these bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let key_len = usize::from(u16::from_le_bytes(*bytes.get(..2)?.as_array()?));
        (bytes.len() >= 18 + key_len).then(|| Self(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_72_bytes() {
        assert_eq!(size_of::<Object>(), 72);
        assert_eq!(size_of::<NameRow>(), 16);
    }

    #[test]
    fn what_stands_beside_the_size_does_not_touch_it() {
        let digests = Digests { md5: Md5([1; 16]), sha256: Sha256([2; 32]) };
        let mut object = Object::new(digests, SIZE_MAX, Usage::default());
        for pin in [Pin::Yes, Pin::Refused, Pin::No, Pin::Refused, Pin::Yes] {
            object.set_pin(pin);
            assert_eq!((object.pin(), object.size()), (pin, SIZE_MAX));
            assert!(object.soil() && !object.soil());
            object.clean();
        }
    }

    #[test]
    fn a_name_knows_its_pieces() {
        let row = NameRow::new(b"key", &Md5([7; 16]), b"meta").expect("short enough");
        assert_eq!((row.key(), row.md5(), row.meta()), (&b"key"[..], Md5([7; 16]), &b"meta"[..]));
        assert!(NameRow::new(&[0; 1 << 16], &Md5([7; 16]), b"").is_none());
        assert!(NameRow::new(b"", &Md5([7; 16]), &[0; META_MAX + 1]).is_none());
    }
}
