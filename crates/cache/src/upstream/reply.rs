//! What an upstream says, before its bytes.

use std::{fs::File, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use os::share::Identity;
use protocol::{
    digest::{Claims, Md5},
    listing::Listing,
    span::Span,
};

use super::body::Body;
use crate::{
    failure::Failure,
    names::{lines::Lines, record::Record, storing},
};

/// What an upstream says of a name.
pub(crate) enum Reply {
    /// The record still holds; perhaps with new freshness.
    Unchanged {
        record: Record,
        /// The digest was told, not only a validator.
        is_told: bool,
    },
    /// A file, perhaps with its bytes already on the way from the first on.
    File(Box<Head>, Option<Body>),
    /// A directory.
    Listing(Listing),
    /// A directory whose name lacks its slash.
    NeedsSlash,
    /// An answer that is not for the cache.
    Answer(Box<OpenAnswer>),
    /// One that is not kept, and says the same to all who wait for it. Of a HEAD it has no bytes.
    ForAll(Box<Head>, Option<Body>),
    /// Nothing to serve, and why.
    No(Failure),
}

impl Reply {
    /// The record still holds, by its validators.
    pub(crate) fn unchanged(record: Record) -> Self {
        Self::Unchanged { record, is_told: false }
    }
}

/// A file before its bytes.
pub(crate) struct Head {
    /// As it will be kept, once the digest is known.
    pub(crate) record: Record,
    pub(crate) claims: Claims,
    /// What a part must come from to be continued with these bytes; empty if nothing can be continued.
    pub(crate) source: Bytes,
    pub(crate) access: Access,
    /// The answer's own fields, in case it has to be passed through.
    pub(crate) fields: Option<HeaderMap>,
}

/// Which bytes of a head are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All from a position on; an answer that begins at the first byte will do.
    From(u64),
    /// These and no others.
    Span(Span),
}

impl Head {
    /// An answer that says that the server failed.
    pub(crate) fn is_server_error(&self) -> bool {
        self.record.http().is_some_and(|meta| meta.status >= 500)
    }

    /// Lines of the answer that are for the one who asked.
    pub(crate) fn withheld(&self) -> Lines {
        self.fields.as_ref().map(storing::withheld).unwrap_or_default()
    }
}

/// How to get at the bytes of exactly this content.
pub(crate) enum Access {
    /// The file is open.
    File { file: Arc<File>, identity: Identity, path: Arc<[u8]> },
    /// By the name, under its validators.
    Name,
    /// By the digest.
    Object(Md5),
}

/// An upstream's answer, open, with its body still to come.
pub(crate) struct OpenAnswer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) len: Option<u64>,
    pub(crate) body: Body,
}
