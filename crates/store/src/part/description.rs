//! The file beside a part: of what it is a part, and up to where it can be trusted.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `OUTPPRT`, version 1 |
//! | 4 | CRC-32C of everything behind |
//! | 8 | position: bytes that were synced before this was written |
//! | 16 | MD5 of these bytes |
//! | 8 | complete length, all ones if not known |
//! | 8 | when this was written, seconds since 1970 |
//! | 1 | claims that follow: bit 0 MD5, bit 1 SHA-256 |
//! | 16 + 32 | the claims, zeros where there is none |
//! | rest | the source, as the caller gave it |

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use protocol::digest::{Claims, Md5, Sha256};

use crate::{
    disk::{Disk, layout::Layout},
    journal::crc::crc32c,
};

const MAGIC: [u8; 8] = *b"OUTPPRT\x01";
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
    pub(crate) updated: SystemTime,
}

impl PartState {
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
        body.extend_from_slice(&self.source);
        [&MAGIC[..], &crc32c(&body).to_le_bytes(), &body].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&MAGIC)?;
        let crc = u32::from_le_bytes(*rest.split_off(..4)?.as_array()?);
        if crc32c(rest) != crc {
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
        Some(Self {
            source: Bytes::copy_from_slice(rest),
            len: (len != u64::MAX).then_some(len),
            claims: Claims { md5: (claimed & 1 != 0).then_some(md5), sha256: (claimed & 2 != 0).then_some(sha256) },
            position,
            prefix,
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
            position in any::<u64>(),
            cut in 1..50usize,
        ) {
            let state = PartState {
                source: source.into(),
                len: len.map(u64::from),
                claims: Claims { md5: md5.map(Md5), sha256: sha256.map(Sha256) },
                position,
                prefix: Md5([3; 16]),
                updated: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            };
            let bytes = state.encode();
            prop_assert_eq!(PartState::decode(&bytes), Some(state));
            prop_assert_eq!(PartState::decode(&bytes[..bytes.len() - cut]), None);
        }
    }
}
