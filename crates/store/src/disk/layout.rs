//! Where things lie in the cache directory, and which names are recognisably ours. What is not, nobody here ever deletes.
//!
//! ```text
//! outpost-cache             the marker: whose directory this is, and its format
//! lock                      held while an instance runs
//! objects/ab/cd/<md5>       sealed objects; the name is the MD5 of the content
//! parts/<id>                what is being filled, or can be continued;   parts/<id>.state says of what
//! quarantine/<id>-<md5>     what was not what it was said to be
//! history                   what happened to objects, for people
//! index/journal-<seq>       what changed, in order;   index/snapshot-<seq>   everything before journal <seq>
//! ```

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use protocol::digest::Md5;

/// The marker's name.
pub(crate) const MARKER: &str = "outpost-cache";
/// The lock's name.
pub(crate) const LOCK: &str = "lock";

/// Paths of one cache directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.root.join("history")
    }

    /// Where a shorter one is written before it takes the place of the one before.
    pub(crate) fn history_new(&self) -> PathBuf {
        self.root.join("history.new")
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    pub(crate) fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// `objects/ab`.
    pub(crate) fn branch(&self, branch: u8) -> PathBuf {
        self.root.join(format!("objects/{branch:02x}"))
    }

    /// `objects/ab/cd`.
    pub(crate) fn leaf(&self, leaf: u16) -> PathBuf {
        self.root.join(format!("objects/{:02x}/{:02x}", leaf >> 8, leaf & 0xff))
    }

    /// `objects/ab/cd/<md5>`.
    pub(crate) fn object(&self, md5: &Md5) -> PathBuf {
        self.root.join(format!("objects/{:02x}/{:02x}/{md5}", md5.0[0], md5.0[1]))
    }

    pub(crate) fn part(&self, id: u64) -> PathBuf {
        self.root.join(format!("parts/{id:016x}"))
    }

    pub(crate) fn part_state(&self, id: u64) -> PathBuf {
        self.root.join(format!("parts/{id:016x}.state"))
    }

    /// Where a part's state is written before it takes the place of the one before.
    pub(crate) fn part_state_new(&self, id: u64) -> PathBuf {
        self.root.join(format!("parts/{id:016x}.state.new"))
    }

    pub(crate) fn quarantined(&self, id: u64, md5: &Md5) -> PathBuf {
        self.root.join(format!("quarantine/{id:016x}-{md5}"))
    }

    pub(crate) fn journal(&self, seq: u64) -> PathBuf {
        self.root.join(format!("index/journal-{seq:016x}"))
    }

    pub(crate) fn snapshot(&self, seq: u64) -> PathBuf {
        self.root.join(format!("index/snapshot-{seq:016x}"))
    }

    pub(crate) fn snapshot_new(&self, seq: u64) -> PathBuf {
        self.root.join(format!("index/snapshot-{seq:016x}.new"))
    }
}

/// Which of 65,536 directories holds the object.
pub(crate) fn leaf_of(md5: &Md5) -> u16 {
    u16::from_be_bytes([md5.0[0], md5.0[1]])
}

/// The digest that a file in `objects` is named by.
pub(crate) fn object_name(name: &OsStr) -> Option<Md5> {
    hex::<32>(name.to_str()?).then(|| name.to_str()?.parse().ok())?
}

/// A file in `parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartName {
    Data(u64),
    State(u64),
    StateNew(u64),
}

/// What a file in `parts` is.
pub(crate) fn part_name(name: &OsStr) -> Option<PartName> {
    let name = name.to_str()?;
    let (id, kind): (_, fn(u64) -> PartName) = match name.split_once('.') {
        None => (name, PartName::Data),
        Some((id, "state")) => (id, PartName::State),
        Some((id, "state.new")) => (id, PartName::StateNew),
        Some(_) => return None,
    };
    number(id).map(kind)
}

/// The number and digest of a file in `quarantine`.
pub(crate) fn quarantine_name(name: &OsStr) -> Option<(u64, Md5)> {
    let (id, md5) = name.to_str()?.split_once('-')?;
    Some((number(id)?, object_name(OsStr::new(md5))?))
}

/// A file in `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexName {
    Journal(u64),
    Snapshot(u64),
    SnapshotNew(u64),
}

/// What a file in `index` is.
pub(crate) fn index_name(name: &OsStr) -> Option<IndexName> {
    let name = name.to_str()?;
    if let Some(seq) = name.strip_prefix("journal-") {
        return number(seq).map(IndexName::Journal);
    }
    let seq = name.strip_prefix("snapshot-")?;
    match seq.strip_suffix(".new") {
        Some(seq) => number(seq).map(IndexName::SnapshotNew),
        None => number(seq).map(IndexName::Snapshot),
    }
}

fn number(text: &str) -> Option<u64> {
    hex::<16>(text).then(|| u64::from_str_radix(text, 16).ok())?
}

/// Whether the text is exactly `N` lower-case hexadecimal digits.
fn hex<const N: usize>(text: &str) -> bool {
    text.len() == N && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        let layout = Layout::new("/c".into());
        assert_eq!(layout.object(&Md5([0xab; 16])), Path::new(&format!("/c/objects/ab/ab/{}", "ab".repeat(16))));
        assert_eq!(object_name(OsStr::new(&"ab".repeat(16))), Some(Md5([0xab; 16])));
        for foreign in ["", "AB", "readme.txt", &"AB".repeat(16), &"ab".repeat(17), &format!("{}.tmp", "ab".repeat(16))]
        {
            assert_eq!(object_name(OsStr::new(foreign)), None, "{foreign}");
            assert_eq!(part_name(OsStr::new(foreign)), None, "{foreign}");
            assert_eq!(index_name(OsStr::new(foreign)), None, "{foreign}");
            assert_eq!(quarantine_name(OsStr::new(foreign)), None, "{foreign}");
        }
        let name = |path: PathBuf| path.file_name().expect("it has a name").to_owned();
        assert_eq!(part_name(&name(layout.part(7))), Some(PartName::Data(7)));
        assert_eq!(part_name(&name(layout.part_state(7))), Some(PartName::State(7)));
        assert_eq!(part_name(&name(layout.part_state_new(7))), Some(PartName::StateNew(7)));
        assert_eq!(index_name(&name(layout.journal(9))), Some(IndexName::Journal(9)));
        assert_eq!(index_name(&name(layout.snapshot(9))), Some(IndexName::Snapshot(9)));
        assert_eq!(index_name(&name(layout.snapshot_new(9))), Some(IndexName::SnapshotNew(9)));
        assert_eq!(quarantine_name(&name(layout.quarantined(3, &Md5([1; 16])))), Some((3, Md5([1; 16]))));
    }
}
