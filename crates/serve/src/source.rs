//! Where a file body's bytes are: an object of the store, or a file of a share that others may change under our hands.

use std::{fs::File, sync::Arc};

use os::share::Identity;

/// A file to send from.
#[derive(Clone)]
pub enum Source {
    /// An object, sealed or growing.
    Object(store::Reader),
    /// A file that is not ours.
    Shared(SharedFile),
}

/// A file of a share. Bytes that `sendfile` has accepted still change with the file, so what may still be on its way is copied, and the
/// tail is withheld until the identity is seen unchanged after everything before it was sent.
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
    #[expect(clippy::len_without_is_empty, reason = "an unknown length is neither empty nor not")]
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Object(reader) => reader.len(),
            Self::Shared(shared) => Some(shared.identity.size),
        }
    }
}
