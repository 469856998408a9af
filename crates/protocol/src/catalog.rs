//! `GET /.outpost/v1/catalog?share=SHARE&since=GENERATION&epoch=EPOCH`: what a share has, or what changed in it since.
//!
//! Every change has a generation of its own, so that the last one of a page is where the next page begins: who follows asks again with it until
//! `more` is false, keeps it, and asks with it next time. Another `epoch` (another origin, or its database is a new one) means that generations of
//! before say nothing: then, as when the origin has forgotten what went so long ago, the answer has `reset` and begins anew.

use serde::{Deserialize, Serialize};

use crate::digest::{Md5, Sha256};

/// Entries of a page where nothing else is asked for (`limit=`).
pub const PAGE_DEFAULT: usize = 1_000;
/// Entries of a page, at most.
pub const PAGE_MAX: usize = 10_000;

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Which numbering the generations are of.
    pub epoch: String,
    /// The last one in this page: the next question's `since`.
    pub generation: u64,
    /// What was known of this share before is to be forgotten: it begins anew.
    #[serde(default)]
    pub reset: bool,
    /// There is another page behind this one.
    #[serde(default)]
    pub more: bool,
    /// Files that are new or changed, each with the generation of its last change, in that order.
    #[serde(default)]
    pub files: Vec<File>,
    /// Paths that are gone; in the first answer of all there are none.
    #[serde(default)]
    pub gone: Vec<Gone>,
}

/// A file with known digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Encoded, with its leading `/`: as it is asked for.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The name of its content.
    pub md5: Md5,
    /// The proof.
    pub sha256: Sha256,
    /// RFC 3339, UTC.
    pub modified: String,
    /// When it changed last.
    pub generation: u64,
}

/// A path that no file is at any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// As of a [`File`].
    pub path: String,
    /// When it went.
    pub generation: u64,
}

/// A folder of a share that is brought and installed as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The management point.
    pub share: String,
    /// `office`
    pub name: String,
    /// `16.0.1`, where the folder's name tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of the folder, encoded, with `/` at both ends.
    pub path: String,
    /// How many files it has.
    pub files: u64,
    /// Bytes of all of them.
    pub size: u64,
    /// Of its last change.
    pub generation: u64,
}
