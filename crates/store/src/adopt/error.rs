//! Why a file is not taken in.

use std::io;

use crate::part::error::FillError;

/// Why a file is not taken in. Nothing of it remains in the cache, and it is still where it was.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The store: no room, the disk, or it is closing.
    #[error(transparent)]
    Store(#[from] FillError),
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    /// It is not what it was when it was begun.
    #[error("it changed while it was read")]
    Changed,
    /// Somebody could write to it after it was taken in.
    #[error("somebody has it open for writing")]
    IsWritten,
    /// It has names that are not known here, under which somebody could write to it.
    #[error("it has other names besides this one")]
    HasOtherNames,
    /// The file systems of the two places are different, or cannot do it.
    #[error("its file system cannot share blocks with the cache; import it with --copy or --move")]
    CannotShare,
    /// Nobody could ask for it.
    #[error("what its path stands for here is from the upstream, and newer; it stays where it is")]
    NotNamed,
    /// It is in the cache, and still where it was.
    #[error("it is in the cache, but its old name cannot be removed: {0}")]
    Removal(io::Error),
    /// The caller did not want to go on.
    #[error("the import was stopped")]
    Stopped,
}

impl AdoptError {
    /// Whether the cache has no room for it.
    pub fn is_room(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_room())
    }
}
