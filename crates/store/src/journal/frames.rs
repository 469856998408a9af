//! How a journal file looks: [`MAGIC`] and its number; then frames: length (4), CRC-32C (4) of the content, content. Reading stops at
//! the first frame that is not whole, and writing never goes on behind one: every start begins a new file.

use super::crc::crc32c;
use crate::{index::record::Record, space::evict::Now};

/// How a journal file begins; the last byte is the format's version.
pub(super) const MAGIC: [u8; 8] = *b"OUTPJRN\x01";
/// Magic and number.
pub(super) const HEAD: u64 = 16;
/// Length and checksum before each record.
const FRAME: usize = 8;
/// Longest record: a name with the longest key and meta data.
const RECORD_MAX: usize = 256 << 10;

/// Appends one record with its frame.
pub(super) fn frame(record: &Record, now: Now, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    record.encode(now, out);
    let content = &out[start + FRAME..];
    let (len, crc) = (content.len() as u32, crc32c(content));
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + FRAME].copy_from_slice(&crc.to_le_bytes());
}

/// What a journal file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replay {
    pub(super) records: Vec<Record>,
    /// Whether it could be read to its very end.
    pub(super) whole: bool,
}

/// Reads the bytes of journal file `seq`.
pub(super) fn replay(bytes: &[u8], seq: u64, now: Now) -> Replay {
    let mut replay = Replay::default();
    let Some(mut rest) = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.strip_prefix(&seq.to_le_bytes())) else {
        return replay;
    };
    while let Some(content) = next_frame(&mut rest) {
        let Some(record) = Record::decode(content, now) else { return replay };
        replay.records.push(record);
    }
    replay.whole = rest.is_empty();
    replay
}

/// The content of the next frame, if it is whole.
fn next_frame<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (head, after) = rest.split_at_checked(FRAME)?;
    let len = u32::from_le_bytes(*head[..4].as_array()?) as usize;
    let crc = u32::from_le_bytes(*head[4..].as_array()?);
    if len > RECORD_MAX {
        return None;
    }
    let content = after.get(..len)?;
    (crc32c(content) == crc).then(|| {
        *rest = &after[len..];
        content
    })
}

#[cfg(test)]
mod tests {
    use protocol::digest::Md5;

    use super::*;

    fn file(records: &[Record]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &7u64.to_le_bytes()].concat();
        records.iter().for_each(|record| frame(record, Now::default(), &mut bytes));
        bytes
    }

    #[test]
    fn a_torn_tail_is_cut_at_any_byte() {
        let records: Vec<_> = (0..5u8).map(|at| Record::ObjectRemoved(Md5([at; 16]))).collect();
        let bytes = file(&records);
        let each = FRAME + 17;
        for cut in 0..bytes.len() {
            let replay = replay(&bytes[..cut], 7, Now::default());
            let whole = cut.saturating_sub(HEAD as usize) / each;
            assert_eq!(replay.records, records[..whole], "cut at {cut}");
            assert_eq!(replay.whole, cut >= HEAD as usize && (cut - HEAD as usize).is_multiple_of(each));
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_reading() {
        let records: Vec<_> = (0..5u8).map(|at| Record::ObjectRemoved(Md5([at; 16]))).collect();
        let mut bytes = file(&records);
        bytes[HEAD as usize + 2 * (FRAME + 17) + FRAME + 4] ^= 1;
        assert_eq!(replay(&bytes, 7, Now::default()), Replay { records: records[..2].to_vec(), whole: false });
    }

    #[test]
    fn a_file_of_another_number_is_not_read() {
        assert_eq!(replay(&file(&[Record::Closed { complete: true }]), 8, Now::default()), Replay::default());
    }
}
