//! A content that arrives in the service's cache: a fill of the store.

use bytes::Bytes;
use protocol::digest::{Claims, Digests, Md5};
use store::{Fill, FillSpec, Lookup, Reader, Store};

use super::trouble::SinkError;
use crate::decide::resume::Identity;

/// How often somebody else's fill of the same content may fail before we say so.
const OTHERS_MAX: u32 = 8;

/// A fill that is yet to begin, is on, or was not needed.
pub(crate) struct ObjectPart {
    store: Store,
    label: Box<str>,
    state: State,
    /// A part from before may be continued.
    resume: bool,
}

enum State {
    None,
    Filling(Fill),
    /// It is here, by another way.
    Here(Digests),
}

/// What there is of a content.
pub(crate) enum Prepared {
    /// All of it, and how many bytes that is.
    Here(Digests, u64),
    /// So many bytes.
    At(u64),
}

impl ObjectPart {
    pub(crate) fn new(store: Store, label: &str) -> Self {
        Self { store, label: label.into(), state: State::None, resume: true }
    }

    /// Takes the right to fill it, where it is known well enough.
    pub(crate) async fn prepare(&mut self, identity: &Identity) -> Result<Prepared, SinkError> {
        match (&self.state, identity.md5, identity.size) {
            (State::Filling(fill), ..) => Ok(Prepared::At(fill.position())),
            (_, Some(md5), Some(_)) => self.begin(md5, identity).await,
            (_, Some(md5), None) if self.store.peek(&md5).is_some() => self.begin(md5, identity).await,
            _ => Ok(Prepared::At(0)),
        }
    }

    /// Begins what has not begun: of what the bytes are is known now.
    pub(crate) async fn know(&mut self, identity: &Identity) -> Result<Prepared, SinkError> {
        if let State::Filling(fill) = &self.state {
            return Ok(Prepared::At(fill.position()));
        }
        // Bytes from the first on are on their way: a part from before is of no use.
        self.resume = false;
        match identity.md5 {
            Some(md5) => self.begin(md5, identity).await,
            None => {
                let fill = self.store.fill(self.spec(identity)).await?;
                self.state = State::Filling(fill);
                Ok(Prepared::At(0))
            }
        }
    }

    async fn begin(&mut self, md5: Md5, identity: &Identity) -> Result<Prepared, SinkError> {
        for _ in 0..OTHERS_MAX {
            let reader = match self.store.lookup(&md5) {
                Lookup::Hit(reader) | Lookup::Filling(reader) => reader,
                Lookup::Miss(vacancy) => {
                    let fill = vacancy.begin(self.spec(identity)).await?;
                    let position = fill.position();
                    self.state = State::Filling(fill);
                    return Ok(Prepared::At(position));
                }
            };
            // Whoever fills it already is waited for; if that fails it is our turn.
            if let Ok(digests) = reader.sealed().await {
                self.state = State::Here(digests);
                return Ok(Prepared::Here(digests, reader.len().unwrap_or_default()));
            }
        }
        Err(SinkError::Disk("another download of the same file fails again and again".into()))
    }

    fn spec(&self, identity: &Identity) -> FillSpec {
        let source = identity.md5.map_or_else(Bytes::new, |md5| Bytes::copy_from_slice(&md5.0));
        FillSpec {
            len: identity.size,
            claims: Claims { md5: identity.md5, sha256: identity.sha256 },
            source,
            label: self.label.clone(),
            resume: self.resume,
        }
    }

    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        match &mut self.state {
            State::Filling(fill) => Ok(fill.push(bytes).await?),
            State::None | State::Here(_) => Ok(()),
        }
    }

    /// Bytes that begin at `offset`, which may be ahead of others.
    pub(crate) async fn push_at(&self, offset: u64, bytes: Bytes) -> Result<(), SinkError> {
        match &self.state {
            State::Filling(fill) => Ok(fill.push_at(offset, bytes).await?),
            State::None | State::Here(_) => Ok(()),
        }
    }

    /// The first byte that is wanted, and how many there are in all.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        if let State::Filling(fill) = &self.state { Some((fill.position(), fill.taken())) } else { None }
    }

    /// Follows what is here.
    pub(crate) fn reader(&self) -> Option<Reader> {
        if let State::Filling(fill) = &self.state { Some(fill.reader()) } else { None }
    }

    /// Compares with what was announced, and makes it an object. `None`: nothing has begun.
    pub(crate) async fn finish(&mut self) -> Result<Option<Digests>, SinkError> {
        match std::mem::replace(&mut self.state, State::None) {
            State::Filling(fill) => {
                let verified = fill.verify(true).await?;
                let digests = verified.digests();
                verified.commit().await?;
                Ok(Some(digests))
            }
            State::Here(digests) => Ok(Some(digests)),
            State::None => Ok(None),
        }
    }

    /// Begins anew.
    pub(crate) fn anew(&mut self) {
        self.resume = false;
        if let State::Filling(fill) = std::mem::replace(&mut self.state, State::None) {
            fill.discard("it is begun anew");
        }
    }
}
