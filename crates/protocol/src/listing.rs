//! A directory's index, as JSON between programs; the page for people is made from the same.

use serde::{Deserialize, Serialize};

/// One directory, sorted: directories first, then by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Encoded, begins and ends with `/`.
    pub path: String,
    /// What is in it.
    pub entries: Vec<Entry>,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// For people: invalid UTF-8 is shown as U+FFFD.
    pub name: String,
    /// For links: percent-encoded, relative to the directory; directories end with `/`.
    pub href: String,
    /// `true` for a directory.
    pub directory: bool,
    /// Bytes; absent for directories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

impl Listing {
    /// Sorts entries by (directories first, name bytes) and encodes names. `path` is the directory's canonical target.
    pub fn new(_path: &str, _raw: Vec<RawEntry>) -> Self {
        todo!()
    }

    /// A plain HTML page, every name escaped, a link to the parent unless this is `/`; times and sizes as a person reads them.
    pub fn to_html(&self) -> String {
        todo!()
    }
}

/// An entry as a file system tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Bytes of the name.
    pub name: Vec<u8>,
    /// `true` for a directory.
    pub directory: bool,
    /// Bytes.
    pub size: u64,
    /// Last change.
    pub modified: Option<std::time::SystemTime>,
}
