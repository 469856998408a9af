//! Hashing what is on disk already: a part to be continued, a file that the index does not know, an object being scrubbed.

use std::{os::fd::AsFd, sync::Arc, time::Instant};

use bytes::Bytes;
use protocol::digest::DigestsHasher;
use rustix::fs::Advice;
use tokio::sync::Notify;

use crate::{part::lane::Actor, read::body::Body, shared::Shared, wait::until};

/// Bytes read at a time, and in flight to the hashes.
const READ: usize = 1 << 20;
const IN_FLIGHT: u64 = 8 << 20;

impl Shared {
    /// Reads and hashes the first `len` bytes of a file; `None` if they cannot be read. `gently` means: no faster than half of the time, and
    /// without leaving pages in memory that were not there.
    pub(crate) async fn hash(self: &Arc<Self>, body: &Body, len: u64, gently: bool) -> Option<DigestsHasher> {
        let moved = Arc::new(Notify::new());
        let hashing = Actor::new(DigestsHasher::default(), moved.clone());
        let (mut read, file) = (0, body.file());
        while read < len {
            let begun = Instant::now();
            let want = (len - read).min(READ as u64) as usize;
            let resident = !gently || os::residency::is_resident(file.as_fd(), read, want as u64).unwrap_or(true);
            let bytes = Bytes::from(self.disk.read(file.clone(), read, want).await.ok()?);
            if bytes.len() != want {
                return None;
            }
            if !resident {
                // Advice, and no more: if it is not taken, a page stays that need not.
                let _ = rustix::fs::fadvise(file, read, std::num::NonZeroU64::new(want as u64), Advice::DontNeed);
            }
            read += want as u64;
            hashing.feed(bytes, &self.lanes);
            let allowed = if gently { 0 } else { IN_FLIGHT };
            until(&moved, || (read - hashing.done() <= allowed).then_some(())).await;
            if gently && len > READ as u64 {
                tokio::time::sleep(begun.elapsed()).await;
            }
        }
        until(&moved, || (hashing.done() == read).then_some(())).await;
        Some(hashing.hasher())
    }
}
