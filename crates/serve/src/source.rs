//! Where a file body's bytes are: an object of the store, or a file of a share that others may change under our hands.

use std::{fs::File, io, sync::Arc};

use os::share::Identity;

/// A file to send from.
#[derive(Clone)]
pub enum Source {
    /// An object, sealed or growing.
    Object(store::Reader),
    /// A file that is not ours.
    Shared(SharedFile),
}

/// A file of a share. Bytes that `sendfile` has accepted still change with the file, so its tail is withheld until the identity is seen
/// unchanged after everything before it was sent.
#[derive(Clone)]
pub struct SharedFile {
    /// Open for reading.
    pub file: Arc<File>,
    /// As it was when it was opened.
    pub identity: Identity,
    /// To read ahead with.
    pub engine: os::engine::Engine,
}

impl Source {
    /// Complete length, if known.
    pub fn len(&self) -> Option<u64> {
        todo!()
    }

    /// Waits until bytes beyond `position` may be sent; the answer is where they end, equal to `position` only at the end.
    pub async fn readable(&self, _position: u64) -> io::Result<u64> {
        todo!()
    }
}
