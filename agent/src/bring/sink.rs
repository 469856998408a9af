//! Where the bytes of a content go, and how many are there.

use bytes::Bytes;
use protocol::digest::Digests;

use super::{
    lane::PartError,
    part::{FilePart, Opened},
};
use crate::decide::resume::Identity;

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

/// Takes the bytes of one content, from its first on.
pub(crate) struct Sink {
    kind: Kind,
    /// Bytes that are here.
    position: u64,
    /// Of what they are.
    identity: Identity,
}

enum Kind {
    File(FilePart),
}

impl From<PartError> for SinkError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Mismatch { .. } => Self::Wrong(error.to_string()),
            error => Self::Disk(error.to_string()),
        }
    }
}

impl From<Opened> for Sink {
    fn from(opened: Opened) -> Self {
        Self { kind: Kind::File(opened.part), position: opened.position, identity: opened.identity }
    }
}

impl Sink {
    /// Bytes that are here.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Of what they are.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What is here is of no use.
    pub(crate) async fn anew(&mut self) -> Result<(), SinkError> {
        (self.position, self.identity) = (0, Identity::default());
        match &self.kind {
            Kind::File(part) => Ok(part.anew().await?),
        }
    }

    /// Of what the bytes are that are here and will come.
    pub(crate) async fn know(&mut self, identity: &Identity) -> Result<(), SinkError> {
        if self.identity == *identity {
            return Ok(());
        }
        self.identity = identity.clone();
        match &self.kind {
            Kind::File(part) => Ok(part.know(identity.clone()).await?),
        }
    }

    /// The next bytes. Waits while the disk is behind.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.position += bytes.len() as u64;
        match &self.kind {
            Kind::File(part) => Ok(part.push(bytes).await?),
        }
    }

    /// All is here: compares it with what is known, and gives it its name.
    pub(crate) async fn finish(&mut self) -> Result<Digests, SinkError> {
        match &self.kind {
            Kind::File(part) => Ok(part.finish().await?),
        }
    }

    /// Ends when what is here can be continued after any end.
    pub(crate) async fn save(&self) {
        match &self.kind {
            Kind::File(part) => part.save().await,
        }
    }
}
