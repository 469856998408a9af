//! Reads whatever bytes as a history, for `fuzz/`.

use super::{event::Entry, frames};

/// As an entry, and as the frames of a file.
pub(crate) fn read(bytes: &[u8]) {
    if let Some(entry) = Entry::decode(bytes) {
        let mut again = Vec::new();
        entry.encode(&mut again);
        assert_eq!(Entry::decode(&again), Some(entry));
    }
    let mut rest = bytes;
    while let Some((content, len)) = frames::first(rest) {
        let _ = Entry::decode(content);
        rest = &rest[len..];
    }
}
