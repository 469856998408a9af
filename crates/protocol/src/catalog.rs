//! `GET /.outpost/v1/catalog?share=SHARE&since=GENERATION&epoch=EPOCH`: what a share has, or what changed in it since.
//!
//! Every change has a generation of its own, so that the last one of a page is where the next page begins: who follows asks again with it until
//! `more` is false, keeps it, and asks with it next time. Another `epoch` (another origin, or its database is a new one) means that generations of
//! before say nothing: then, as when the origin has forgotten what went so long ago, the answer has `reset` and begins anew.
//!
//! Of one path the greater generation holds, be it a file or gone; what is gone takes with it what is below it and has a lesser one. A path that the
//! [stream of changes](crate::changes) has called stale stays stale, whatever a page says of it.
//!
//! `GET /.outpost/v1/packages?share=SHARE&after=PATH` tells the [packages](Packages) of a share, `GET /.outpost/v1/packages/PATH/?after=PATH` one of
//! them [with its files](PackageFiles).

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
    /// Where a reading begins anew and takes several pages: to be said with the question for the next one (`begun=`), so that what went before it began
    /// is not asked for. Else 0.
    #[serde(default)]
    pub begun: u64,
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

/// The packages of a share, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Of which numbering the generations are.
    pub epoch: String,
    /// What this tells of.
    pub generation: u64,
    /// At most as many as were asked for.
    pub packages: Vec<Package>,
    /// There are more behind the last one: ask with its path (`after=`).
    #[serde(default)]
    pub more: bool,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFiles {
    /// What it is.
    pub package: Package,
    /// What is in it, folder by folder.
    pub files: Vec<File>,
    /// There are more behind the last one: ask with its path (`after=`).
    #[serde(default)]
    pub more: bool,
    /// Something of it has changed, or may have, and is not told of here yet: somebody copies files into it, say.
    #[serde(default)]
    pub changing: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_release_says_is_read() {
        let page: Page = serde_json::from_str(r#"{"epoch":"e","generation":7}"#).unwrap();
        assert_eq!(page, Page { epoch: "e".into(), generation: 7, ..Page::default() });
    }
}
