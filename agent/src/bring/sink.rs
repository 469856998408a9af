//! Where the bytes of a content go, and how many are there.

use bytes::Bytes;
use protocol::digest::Digests;
use store::Reader;

use super::{
    object::{ObjectPart, Prepared},
    part::{FilePart, Opened},
    trouble::SinkError,
};
use crate::decide::resume::Identity;

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
    Object(ObjectPart),
}

impl From<Opened> for Sink {
    fn from(opened: Opened) -> Self {
        Self { kind: Kind::File(opened.part), position: opened.position, identity: opened.identity }
    }
}

impl From<ObjectPart> for Sink {
    fn from(part: ObjectPart) -> Self {
        Self { kind: Kind::Object(part), position: 0, identity: Identity::default() }
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

    /// Looks what there is of a content before anybody is asked for it. `Some`: all of it.
    pub(crate) async fn prepare(&mut self, identity: &Identity) -> Result<Option<Digests>, SinkError> {
        let prepared = match &mut self.kind {
            Kind::File(_) => return Ok(None),
            Kind::Object(part) => part.prepare(identity).await?,
        };
        Ok(self.prepared(prepared, identity))
    }

    fn prepared(&mut self, prepared: Prepared, identity: &Identity) -> Option<Digests> {
        match prepared {
            Prepared::Here(digests, size) => {
                self.position = size;
                self.identity = Identity { size: Some(size), ..Identity::of(digests.md5) };
                Some(digests)
            }
            Prepared::At(position) => {
                if position > 0 && self.position == 0 {
                    self.identity = identity.clone();
                }
                self.position = position;
                None
            }
        }
    }

    /// What is here is of no use.
    pub(crate) async fn anew(&mut self) -> Result<(), SinkError> {
        (self.position, self.identity) = (0, Identity::default());
        match &mut self.kind {
            Kind::File(part) => part.anew().await?,
            Kind::Object(part) => part.anew(),
        }
        Ok(())
    }

    /// Of what the bytes are that are here and will come. `Some`: they are all here, by another way.
    pub(crate) async fn know(&mut self, identity: &Identity) -> Result<Option<Digests>, SinkError> {
        let is_new = self.identity != *identity;
        self.identity = identity.clone();
        match &mut self.kind {
            Kind::File(part) if is_new => part.know(identity.clone()).await?,
            Kind::File(_) => {}
            Kind::Object(part) => {
                let prepared = part.know(identity).await?;
                return Ok(self.prepared(prepared, identity));
            }
        }
        Ok(None)
    }

    /// The next bytes. Waits while the disk is behind.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.position += bytes.len() as u64;
        match &mut self.kind {
            Kind::File(part) => Ok(part.push(bytes).await?),
            Kind::Object(part) => {
                part.push(bytes).await?;
                self.jump();
                Ok(())
            }
        }
    }

    /// Bytes that begin at `offset`, ahead of others that are missing; of a file nothing is taken so. Waits while the disk is behind.
    pub(crate) async fn push_at(&mut self, offset: u64, bytes: Bytes) -> Result<(), SinkError> {
        if let Kind::Object(part) = &self.kind {
            part.push_at(offset, bytes).await?;
        }
        self.jump();
        Ok(())
    }

    /// What came ahead of its turn counts when its turn has come.
    fn jump(&mut self) {
        if let Kind::Object(part) = &self.kind {
            self.position = part.progress().map_or(self.position, |(position, _)| position);
        }
    }

    /// Bytes that are here, also those ahead of others.
    pub(crate) fn taken(&self) -> u64 {
        match &self.kind {
            Kind::File(_) => self.position,
            Kind::Object(part) => part.progress().map_or(self.position, |(_, taken)| taken),
        }
    }

    /// Follows what is here, where others may have it too.
    pub(crate) fn reader(&self) -> Option<Reader> {
        if let Kind::Object(part) = &self.kind { part.reader() } else { None }
    }

    /// All is here: compares it with what is known, and gives it its name.
    pub(crate) async fn finish(&mut self) -> Result<Digests, SinkError> {
        match &mut self.kind {
            Kind::File(part) => Ok(part.finish().await?),
            Kind::Object(part) => match part.finish().await? {
                Some(digests) => Ok(digests),
                None => Err(SinkError::Disk("nothing has begun".into())),
            },
        }
    }

    /// Ends when what is here can be continued after any end.
    pub(crate) async fn save(&self) {
        match &self.kind {
            Kind::File(part) => part.save().await,
            // A fill that is dropped is kept as a part.
            Kind::Object(_) => {}
        }
    }
}
