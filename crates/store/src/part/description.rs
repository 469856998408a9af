//! The file beside a part: of what it is a part, and which of its bytes can be trusted.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `OUTPPRT`, version 2; version 1 has no runs |
//! | 4 | CRC-32C of everything behind |
//! | 8 | position: bytes that were synced before this was written |
//! | 16 | MD5 of these bytes |
//! | 8 | complete length, all ones if not known |
//! | 8 | when this was written, seconds since 1970 |
//! | 1 | claims that follow: bit 0 MD5, bit 1 SHA-256 |
//! | 16 + 32 | the claims, zeros where there is none |
//! | 2 | runs that follow: bytes beyond the position that were synced before this was written |
//! | 16 each | a run: its first byte, and the one behind its last |
//! | rest | the source, as the caller gave it |

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use protocol::{
    digest::{Claims, Md5, Sha256},
    span::Span,
};

use crate::{
    disk::{Disk, layout::Layout},
    journal::crc::crc32c,
    part::extents::Extents,
};

const MAGIC: [u8; 7] = *b"OUTPPRT";
const VERSION: u8 = 2;
/// Before runs were written down.
const WITHOUT_RUNS: u8 = 1;
/// Longest description that is read; a source is a name and a few validators.
const STATE_MAX: u64 = 1 << 20;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartState {
    pub(crate) source: Bytes,
    pub(crate) len: Option<u64>,
    pub(crate) claims: Claims,
    pub(crate) position: u64,
    pub(crate) prefix: Md5,
    /// What is there beyond the position.
    pub(crate) ahead: Extents,
    pub(crate) updated: SystemTime,
}

impl PartState {
    /// Bytes that can be trusted in all.
    pub(crate) fn trusted(&self) -> u64 {
        self.position + self.ahead.bytes()
    }

    /// Where the last of them ends.
    pub(crate) fn end(&self) -> u64 {
        self.ahead.end().max(self.position)
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(128 + self.source.len());
        body.extend_from_slice(&self.position.to_le_bytes());
        body.extend_from_slice(&self.prefix.0);
        body.extend_from_slice(&self.len.unwrap_or(u64::MAX).to_le_bytes());
        let updated = self.updated.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        body.extend_from_slice(&updated.as_secs().to_le_bytes());
        body.push(u8::from(self.claims.md5.is_some()) | u8::from(self.claims.sha256.is_some()) << 1);
        body.extend_from_slice(&self.claims.md5.map_or([0; 16], |md5| md5.0));
        body.extend_from_slice(&self.claims.sha256.map_or([0; 32], |sha256| sha256.0));
        body.extend_from_slice(&(self.ahead.count() as u16).to_le_bytes());
        for run in self.ahead.runs() {
            body.extend_from_slice(&run.start.to_le_bytes());
            body.extend_from_slice(&run.end.to_le_bytes());
        }
        body.extend_from_slice(&self.source);
        [&MAGIC[..], &[VERSION], &crc32c(&body).to_le_bytes(), &body].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&MAGIC)?;
        let version = *rest.split_off_first()?;
        let crc = u32::from_le_bytes(*rest.split_off(..4)?.as_array()?);
        if crc32c(rest) != crc || !(WITHOUT_RUNS..=VERSION).contains(&version) {
            return None;
        }
        let mut number = || Some(u64::from_le_bytes(*rest.split_off(..8)?.as_array()?));
        let position = number()?;
        let prefix = Md5(*rest.split_off(..16)?.as_array()?);
        let mut number = || Some(u64::from_le_bytes(*rest.split_off(..8)?.as_array()?));
        let (len, updated) = (number()?, number()?);
        let claimed = *rest.split_off_first()?;
        let md5 = Md5(*rest.split_off(..16)?.as_array()?);
        let sha256 = Sha256(*rest.split_off(..32)?.as_array()?);
        let ahead = if version == WITHOUT_RUNS { Extents::default() } else { decode_runs(&mut rest, position)? };
        Some(Self {
            source: Bytes::copy_from_slice(rest),
            len: (len != u64::MAX).then_some(len),
            claims: Claims { md5: (claimed & 1 != 0).then_some(md5), sha256: (claimed & 2 != 0).then_some(sha256) },
            position,
            prefix,
            ahead,
            updated: SystemTime::UNIX_EPOCH + Duration::from_secs(updated.min(u64::from(u32::MAX))),
        })
    }

    /// Whatever the bytes are, what is read of them is what is written of it.
    #[cfg(fuzzing)]
    pub(crate) fn check(bytes: &[u8]) {
        if let Some(state) = Self::decode(bytes) {
            assert_eq!(Self::decode(&state.encode()), Some(state));
        }
    }

    /// Reads the file; `None` if it is not there or not whole. Blocks.
    pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Option<Self> {
        let len = disk.stat(path).ok().filter(|stat| stat.len <= STATE_MAX)?.len;
        let mut bytes = vec![0; len as usize];
        disk.read_exact_at(&disk.open(path, false).ok()?, &mut bytes, 0).ok()?;
        Self::decode(&bytes)
    }

    /// Writes the file in one step: a crash leaves the one before or this one. Blocks.
    pub(crate) fn write(&self, disk: &dyn Disk, layout: &Layout, id: u64) -> io::Result<()> {
        let new = layout.part_state_new(id);
        let file = match disk.create(&new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Left by an attempt that failed.
                disk.unlink(&new)?;
                disk.create(&new)?
            }
            made => made?,
        };
        disk.write_all_at(&file, &self.encode(), 0)?;
        disk.sync_file(&file)?;
        disk.rename(&new, &layout.part_state(id))?;
        disk.sync_dir(&layout.parts())
    }
}

/// Runs behind `position`, in order, none of which touch. `None` if that is not what they are.
fn decode_runs(rest: &mut &[u8], position: u64) -> Option<Extents> {
    let count = u16::from_le_bytes(*rest.split_off(..2)?.as_array()?);
    let (mut runs, mut end) = (Extents::default(), position);
    for _ in 0..count {
        let mut number = || Some(u64::from_le_bytes(*rest.split_off(..8)?.as_array()?));
        let run = Span::new(number()?, number()?);
        let is_in_order = run.start > end && !run.is_empty() && runs.insert(run);
        end = is_in_order.then_some(run.end)?;
    }
    Some(runs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            source in prop::collection::vec(any::<u8>(), 0..100),
            len in any::<Option<u32>>(),
            md5 in any::<Option<[u8; 16]>>(),
            sha256 in any::<Option<[u8; 32]>>(),
            position in 0..1_000_000u64,
            gaps in prop::collection::vec((1..1000u64, 1..1000u64), 0..20),
            cut in 1..50usize,
        ) {
            let (mut ahead, mut end) = (Extents::default(), position);
            for (gap, len) in gaps {
                ahead.insert(Span::new(end + gap, end + gap + len));
                end += gap + len;
            }
            let state = PartState {
                source: source.into(),
                len: len.map(u64::from),
                claims: Claims { md5: md5.map(Md5), sha256: sha256.map(Sha256) },
                position,
                prefix: Md5([3; 16]),
                ahead,
                updated: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            };
            let bytes = state.encode();
            prop_assert_eq!(PartState::decode(&bytes), Some(state));
            prop_assert_eq!(PartState::decode(&bytes[..bytes.len() - cut]), None);
        }
    }

    fn state(runs: &[(u64, u64)]) -> PartState {
        let mut ahead = Extents::default();
        runs.iter().for_each(|(start, end)| assert!(ahead.insert(Span::new(*start, *end))));
        let source = Bytes::from_static(b"a");
        let updated = SystemTime::UNIX_EPOCH;
        let claims = Claims { md5: None, sha256: None };
        PartState { source, len: None, claims, position: 100, prefix: Md5([3; 16]), ahead, updated }
    }

    /// With a checksum that fits.
    fn with_runs(runs: &[(u64, u64)]) -> Option<PartState> {
        let plain = state(&[]).encode();
        let (begin, source) = plain[12..].split_at(plain.len() - 12 - 3);
        let mut body = begin.to_vec();
        body.extend_from_slice(&(runs.len() as u16).to_le_bytes());
        runs.iter().for_each(|(start, end)| body.extend_from_slice(&[start.to_le_bytes(), end.to_le_bytes()].concat()));
        body.extend_from_slice(&source[2..]);
        PartState::decode(&[&plain[..8], &crc32c(&body).to_le_bytes(), &body].concat())
    }

    #[test]
    fn only_runs_behind_the_position_in_order_are_taken() {
        let fine = [(101, 102), (110, 120)];
        assert_eq!(with_runs(&fine), Some(state(&fine)));
        assert_eq!((state(&fine).trusted(), state(&fine).end(), state(&[]).end()), (111, 120, 100));
        for wrong in
            [&[(100, 110)][..], &[(90, 95)], &[(110, 120), (120, 130)], &[(110, 120), (105, 107)], &[(110, 110)]]
        {
            assert_eq!(with_runs(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_an_earlier_release_wrote_is_read() {
        let mut old = state(&[]).encode();
        old[7] = WITHOUT_RUNS;
        let without = old.len() - 3;
        old.drain(without..without + 2);
        let crc = crc32c(&old[12..]).to_le_bytes();
        old[8..12].copy_from_slice(&crc);
        assert_eq!(PartState::decode(&old), Some(state(&[])));
        old[7] = VERSION + 1;
        assert_eq!(PartState::decode(&old), None);
    }
}
