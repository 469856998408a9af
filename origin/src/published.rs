//! Where the published files are: all that the rest of the origin asks of them, so that they could lie elsewhere than in a directory of this machine.
//! Everything blocks.

use std::{io, path::Path};

use os::share::{DirEntry, Found, Identity, Share};

/// What is published, by paths from its top: bytes, no `/` at the ends, empty for the top itself.
pub(crate) trait Published: Send + Sync {
    /// Opens what stands at a path.
    fn find(&self, path: &[u8]) -> io::Result<Found>;

    /// What is there, without opening it; `None` for a directory.
    fn identity(&self, path: &[u8]) -> io::Result<Option<Identity>>;

    /// The entries of a directory.
    fn list(&self, path: &[u8]) -> io::Result<Vec<DirEntry>>;

    /// The directory of this machine in which it is seen, and where the kernel may announce changes.
    fn path(&self) -> &Path;

    /// Whether others write there of whose changes no kernel of this machine knows.
    fn is_remote(&self) -> bool;
}

impl Published for Share {
    fn find(&self, path: &[u8]) -> io::Result<Found> {
        self.find(path)
    }

    fn identity(&self, path: &[u8]) -> io::Result<Option<Identity>> {
        self.identity(path)
    }

    fn list(&self, path: &[u8]) -> io::Result<Vec<DirEntry>> {
        self.list(path)
    }

    fn path(&self) -> &Path {
        self.path()
    }

    fn is_remote(&self) -> bool {
        self.is_remote()
    }
}
