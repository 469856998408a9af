//! Why bytes that came cannot be taken.

use store::FillError;

use super::lane::PartError;

/// Why bytes cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// They are not what they should be.
    #[error("{0}")]
    Wrong(String),
    /// The disk.
    #[error("{0}")]
    Disk(String),
}

impl From<PartError> for SinkError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Mismatch { .. } => Self::Wrong(error.to_string()),
            error => Self::Disk(error.to_string()),
        }
    }
}

impl From<FillError> for SinkError {
    fn from(error: FillError) -> Self {
        if error.is_mismatch() { Self::Wrong(error.to_string()) } else { Self::Disk(error.to_string()) }
    }
}
