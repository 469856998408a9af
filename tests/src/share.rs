//! A directory as upstream: what the administrator's share is in a branch office.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::content::Content;

/// A temporary directory that is published; gone with its value.
pub struct Share(TempDir);

impl Share {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Likewise, on the file system of another directory.
    pub fn within(directory: impl AsRef<Path>) -> Self {
        Self(tempfile::tempdir_in(directory).expect("a temporary directory"))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// As an upstream is written in a configuration.
    pub fn url(&self) -> String {
        self.path().display().to_string()
    }

    /// Puts a file there; missing directories are made.
    pub fn write(&self, name: impl AsRef<Path>, content: &Content) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file in the share has a parent")).expect("a directory in the share");
        fs::write(&path, content.bytes()).expect("a file in the share");
        path
    }

    /// Writes over a file's bytes: same inode.
    pub fn overwrite(&self, name: impl AsRef<Path>, content: &Content) {
        let path = self.path().join(name);
        let mut file = fs::OpenOptions::new().write(true).open(path).expect("the file that is overwritten");
        file.write_all(content.bytes()).expect("writing over it");
        file.set_len(content.len()).expect("its new length");
    }

    /// Puts another file in the place of one, as careful publishers do: written aside and renamed.
    pub fn replace(&self, name: impl AsRef<Path>, content: &Content) {
        let aside = self.write(".aside", content);
        fs::rename(aside, self.path().join(name)).expect("a rename within the share");
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::new()
    }
}
