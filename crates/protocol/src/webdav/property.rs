//! Properties by their names: those that there may be, and all others.

use super::NAMESPACE;

/// The live properties (RFC 4918 section 15) that something here may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// When it was last changed: when it was made is told by no upstream.
    CreationDate,
    /// Its name, decoded.
    DisplayName,
    /// Bytes of a file.
    ContentLength,
    /// Media type of a file.
    ContentType,
    /// Entity tag of a file.
    ETag,
    /// When it was last changed.
    LastModified,
    /// Whether it is a directory.
    ResourceType,
    /// Which locks there are: none.
    SupportedLock,
}

impl Property {
    /// Those that `allprop` asks for.
    pub(crate) const ALL: [Self; 8] = [
        Self::CreationDate,
        Self::DisplayName,
        Self::ContentLength,
        Self::ContentType,
        Self::ETag,
        Self::LastModified,
        Self::ResourceType,
        Self::SupportedLock,
    ];

    /// The name of its element.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreationDate => "creationdate",
            Self::DisplayName => "displayname",
            Self::ContentLength => "getcontentlength",
            Self::ContentType => "getcontenttype",
            Self::ETag => "getetag",
            Self::LastModified => "getlastmodified",
            Self::ResourceType => "resourcetype",
            Self::SupportedLock => "supportedlock",
        }
    }

    pub(crate) fn named(name: &Name) -> Option<Self> {
        Self::ALL.into_iter().find(|property| *name.namespace == *NAMESPACE && *name.local == *property.name())
    }
}

/// The name of any property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its namespace, or nothing.
    pub namespace: Box<str>,
    /// Its name there.
    pub local: Box<str>,
}
