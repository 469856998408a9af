//! The file of the history: [`MAGIC`], then frames as the journal has them: length (4), CRC-32C (4) of the content, content. Reading stops at the first
//! frame that is not whole; what is behind it is cut off before anything is written.

use std::{fs::File, io};

use crate::{
    disk::Disk,
    history::event::{Entry, TEXT_MAX},
    journal::crc::crc32c,
};

/// How the file begins; the last byte is the format's version.
pub(crate) const MAGIC: [u8; 8] = *b"OUTPHST\x01";
/// Where the first frame is.
pub(crate) const HEAD: u64 = MAGIC.len() as u64;
/// Length and checksum before each entry.
const FRAME: usize = 8;
/// Longest entry: with two texts.
const ENTRY_MAX: usize = 2 * TEXT_MAX + 256;
/// Bytes read at a time.
const READ: usize = 256 << 10;

/// Appends one entry with its frame.
pub(crate) fn frame(entry: &Entry, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    entry.encode(out);
    let content = &out[start + FRAME..];
    let (len, crc) = (content.len() as u32, crc32c(content));
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + FRAME].copy_from_slice(&crc.to_le_bytes());
}

/// The content of the first frame, and how long the frame is; `None` if it is not whole.
pub(crate) fn first(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (head, after) = bytes.split_at_checked(FRAME)?;
    let len = u32::from_le_bytes(*head[..4].as_array()?) as usize;
    let crc = u32::from_le_bytes(*head[4..].as_array()?);
    if len > ENTRY_MAX {
        return None;
    }
    let content = after.get(..len)?;
    (crc32c(content) == crc).then_some((content, FRAME + len))
}

/// Shows every frame between two places of a file, whole, with its place. Answers where the last one that is whole ends. Blocks.
pub(crate) fn scan(
    disk: &dyn Disk,
    file: &File,
    from: u64,
    end: u64,
    mut see: impl FnMut(u64, &[u8]),
) -> io::Result<u64> {
    let (mut at, mut buffer) = (from, Vec::new());
    let mut read = from;
    loop {
        let mut used = 0;
        while let Some((_, len)) = first(&buffer[used..]) {
            see(at, &buffer[used..used + len]);
            used += len;
            at += len as u64;
        }
        buffer.drain(..used);
        let more = (end - read).min(READ as u64) as usize;
        if more == 0 || buffer.len() > FRAME + ENTRY_MAX {
            return Ok(at);
        }
        let start = buffer.len();
        buffer.resize(start + more, 0);
        disk.read_exact_at(file, &mut buffer[start..], read)?;
        read += more as u64;
    }
}

/// The content of a frame that [`scan`] has shown.
pub(crate) fn content(frame: &[u8]) -> &[u8] {
    &frame[FRAME..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::event::tests::entries;

    #[test]
    fn a_frame_is_whole_or_none() {
        let mut bytes = Vec::new();
        let ends: Vec<usize> = entries()
            .iter()
            .map(|entry| {
                frame(entry, &mut bytes);
                bytes.len()
            })
            .collect();
        let count = |bytes: &[u8]| {
            let (mut rest, mut count) = (bytes, 0);
            while let Some((content, len)) = first(rest) {
                assert_eq!(Entry::decode(content).as_ref(), entries().get(count));
                (rest, count) = (&rest[len..], count + 1);
            }
            count
        };
        for cut in 0..=bytes.len() {
            assert_eq!(count(&bytes[..cut]), ends.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
        }
        for bit in 0..8 {
            let mut rotten = bytes.clone();
            rotten[ends[2] + FRAME + 3] ^= 1 << bit;
            assert_eq!(count(&rotten), 3, "a flipped bit is not read over");
        }
    }
}
