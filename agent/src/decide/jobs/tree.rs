//! What a package is on a disk: its files under names that stay below one directory, whatever an origin says.
//!
//! What an origin tells is not believed: a path that is not below the package's folder, a name that no file can have, two files of one name, or a file where another has a
//! folder make the whole package unfit.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use protocol::{
    catalog::File,
    digest::{DigestsHasher, Md5, Sha256},
    target::Target,
    timestamp,
};
use serde::{Deserialize, Serialize};

/// Files of a package.
pub const FILES_MAX: usize = 50_000;
/// The file that says which of those beside it are a job's, at the top of its directory.
pub const MARKER: &str = ".outpost-job";

/// Bytes of a name, and of all names of a path together.
const NAME_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 2_048;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// As it is asked for.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The name of its content.
    pub md5: Md5,
    /// The proof.
    pub sha256: Sha256,
    /// RFC 3339, as the origin says.
    pub modified: String,
}

/// A package's files, by their paths below its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<PathBuf, Entry>,
    digest: Sha256,
    size: u64,
}

/// Why a package cannot be put on a disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// More files than are kept.
    #[error("the package has more than {FILES_MAX} files; publish it as several, or as an archive")]
    TooMany,
    /// Not below its folder, or no name of a file.
    #[error("the package has a file that cannot be put below its directory: {0}")]
    Name(String),
    /// Two of one name, or a file where another has a folder.
    #[error("the package has two files of which only one can be there: {0}")]
    Twice(String),
    /// Ours.
    #[error("the package has a file named {MARKER} at its top, which is what the agent itself writes there; rename it")]
    Reserved,
}

impl Tree {
    /// Of the files that are told of a package.
    pub fn of(package: &str, files: impl IntoIterator<Item = Entry>) -> Result<Self, Unfit> {
        let mut all: BTreeMap<PathBuf, Entry> = BTreeMap::new();
        let mut size = 0u64;
        for entry in files {
            let path = below(package, &entry.path)?;
            size = size.saturating_add(entry.size);
            if let Some(before) = all.insert(path, entry) {
                return Err(Unfit::Twice(before.path));
            }
            if all.len() > FILES_MAX {
                return Err(Unfit::TooMany);
            }
        }
        for path in all.keys() {
            if let Some(above) = path.ancestors().skip(1).find(|above| all.contains_key(*above)) {
                return Err(Unfit::Twice(above.display().to_string()));
            }
        }
        let digest = digest(&all);
        Ok(Self { files: all, digest, size })
    }

    /// Of all names and contents: the same wherever they are.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// By their paths below the directory.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.files.iter().map(|(path, entry)| (path.as_path(), entry))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file at a path below the directory.
    pub fn file(&self, path: &Path) -> Option<&Entry> {
        self.files.get(path)
    }

    /// Bytes that a change from another tree brings: of files that the other has not.
    pub fn beyond(&self, other: &Self) -> u64 {
        let is_new =
            |(path, entry): &(&Path, &Entry)| other.file(path).is_none_or(|known| known.sha256 != entry.sha256);
        self.files().filter(is_new).map(|(_, entry)| entry.size).sum()
    }
}

impl Entry {
    /// When it changed last, as far as that can be read.
    pub fn modified(&self) -> Option<SystemTime> {
        timestamp::parse_rfc3339(&self.modified)
    }
}

impl From<File> for Entry {
    fn from(file: File) -> Self {
        Self { path: file.path, size: file.size, md5: file.md5, sha256: file.sha256, modified: file.modified }
    }
}

/// The path of a file below its package's folder.
fn below(package: &str, path: &str) -> Result<PathBuf, Unfit> {
    let unfit = || Unfit::Name(path.chars().take(NAME_BYTES_MAX).collect());
    let rest = path.strip_prefix(package).filter(|rest| !rest.is_empty()).ok_or_else(unfit)?;
    let target = Target::parse(format!("/{rest}").as_bytes()).map_err(|_| unfit())?;
    if target.is_directory() || target.query().is_some() || rest.starts_with('/') {
        return Err(unfit());
    }
    let name = target.decode().map_err(|_| unfit())?;
    let is_file = |name: &[u8]| (1..=NAME_BYTES_MAX).contains(&name.len()) && !matches!(name, b"." | b"..");
    if name.len() > PATH_BYTES_MAX || name.contains(&0) || !name.split(|byte| *byte == b'/').all(is_file) {
        return Err(unfit());
    }
    if name.split(|byte| *byte == b'/').next() == Some(MARKER.as_bytes()) {
        return Err(Unfit::Reserved);
    }
    Ok(PathBuf::from(OsStr::from_bytes(&name)))
}

fn digest(files: &BTreeMap<PathBuf, Entry>) -> Sha256 {
    let mut hasher = DigestsHasher::default();
    for (path, entry) in files {
        let name = path.as_os_str().as_bytes();
        // The length before it: no two lists of names are written alike.
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(&entry.sha256.0);
    }
    hasher.finish().sha256
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::digest::Digests;

    use super::*;

    pub(crate) fn entry(path: &str, content: &str) -> Entry {
        let Digests { md5, sha256 } = Digests::of(content.as_bytes());
        Entry { path: path.into(), size: content.len() as u64, md5, sha256, modified: "2026-11-22T00:00:00Z".into() }
    }

    fn tree(entries: &[(&str, &str)]) -> Result<Tree, Unfit> {
        Tree::of("/prod/a%20b/", entries.iter().map(|(path, content)| entry(path, content)))
    }

    #[test]
    fn names_are_those_below_the_package() {
        let tree =
            tree(&[("/prod/a%20b/x%20y", "1"), ("/prod/a%20b/d/%FF%0A", "22"), ("/prod/a%20b/..x/...", "")]).unwrap();
        let names: Vec<_> = tree.files().map(|(path, _)| path.as_os_str().as_bytes().to_vec()).collect();
        assert_eq!(names, [b"..x/...".to_vec(), b"d/\xff\n".to_vec(), b"x y".to_vec()]);
        assert_eq!((tree.size(), tree.len()), (3, 3));
    }

    #[test]
    fn what_leads_elsewhere_makes_it_unfit() {
        for path in [
            "/prod/a%20b/",
            "/prod/a%20b",
            "/prod/other/x",
            "/prod/a%20bc/x",
            "x",
            "/prod/a%20b/../x",
            "/prod/a%20b/%2e%2e/x",
            "/prod/a%20b/d/..",
            "/prod/a%20b/x%2Fy",
            "/prod/a%20b/x%00",
            "/prod/a%20b//etc/passwd",
            "/prod/a%20b/x?y",
            "/prod/a%20b/d/",
        ] {
            assert!(matches!(tree(&[(path, "1")]), Err(Unfit::Name(_))), "{path}: {:?}", tree(&[(path, "1")]));
        }
        let long = format!("/prod/a%20b/{}", "x".repeat(256));
        assert!(matches!(tree(&[(&long, "1")]), Err(Unfit::Name(_))));
        assert_eq!(tree(&[("/prod/a%20b/.outpost-job", "1")]), Err(Unfit::Reserved));
        assert!(tree(&[("/prod/a%20b/d/.outpost-job", "1")]).is_ok());
    }

    #[test]
    fn two_that_cannot_both_be_there_make_it_unfit() {
        assert!(matches!(tree(&[("/prod/a%20b/x", "1"), ("/prod/a%20b/%78", "2")]), Err(Unfit::Twice(_))));
        assert!(matches!(tree(&[("/prod/a%20b/x", "1"), ("/prod/a%20b/x/y/z", "2")]), Err(Unfit::Twice(_))));
    }

    #[test]
    fn the_digest_is_that_of_names_and_contents() {
        let one = tree(&[("/prod/a%20b/x", "1"), ("/prod/a%20b/y", "2")]).unwrap();
        let other_order = tree(&[("/prod/a%20b/y", "2"), ("/prod/a%20b/x", "1")]).unwrap();
        assert_eq!(one.digest(), other_order.digest());
        for other in [
            &[("/prod/a%20b/x", "1")][..],
            &[("/prod/a%20b/x", "2"), ("/prod/a%20b/y", "1")],
            &[("/prod/a%20b/x", "1"), ("/prod/a%20b/z", "2")],
        ] {
            assert_ne!(one.digest(), tree(other).unwrap().digest());
        }
        assert_eq!(tree(&[("/prod/a%20b/x", "1"), ("/prod/a%20b/y", "333")]).unwrap().beyond(&one), 3);
    }

    #[test]
    fn too_many_files_are_refused() {
        let many = (0..=FILES_MAX).map(|number| entry(&format!("/p/{number}"), ""));
        assert_eq!(Tree::of("/p/", many), Err(Unfit::TooMany));
    }
}
