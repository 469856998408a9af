//! The entries of a published directory for who wants all of them, also those that are not published: to be counted, and said why.

use std::{io, os::fd::AsFd};

use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::{DIRECTORY, Found, Identity, Share};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, of so many names (hard links).
    File(Identity, u64),
    /// A directory of this device and inode.
    Directory {
        /// Device.
        device: u64,
        /// Inode number.
        inode: u64,
    },
    /// A link to a file that lies beneath the share.
    LinkToFile(Identity),
    /// A link to a directory that lies beneath the share.
    LinkToDirectory,
    /// A link that leads out of the share, or nowhere.
    LinkAway,
    /// A pipe, a socket or a device.
    Special,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Bytes of the name.
    pub name: Vec<u8>,
    /// What it is; an error where that cannot be found out.
    pub kind: Result<Kind, io::ErrorKind>,
}

impl Share {
    /// All entries of a directory, unsorted. Blocks. What has gone meanwhile is left out.
    pub fn entries(&self, path: &[u8]) -> io::Result<Vec<Entry>> {
        let directory = self.resolve(path, DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match statat(directory.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Ok(match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => Kind::File(Identity::from(&stat), stat.st_nlink),
                    FileType::Directory => Kind::Directory { device: stat.st_dev, inode: stat.st_ino },
                    FileType::Symlink => self.behind_link(path, name),
                    _ => Kind::Special,
                }),
                Err(error) => match io::Error::from(error).kind() {
                    io::ErrorKind::NotFound => continue,
                    kind => Err(kind),
                },
            };
            entries.push(Entry { name: name.to_vec(), kind });
        }
        Ok(entries)
    }

    fn behind_link(&self, path: &[u8], name: &[u8]) -> Kind {
        let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
        match self.find(&path) {
            Ok(Found::File(_, identity)) => Kind::LinkToFile(identity),
            Ok(Found::Directory) => Kind::LinkToDirectory,
            Err(_) => Kind::LinkAway,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use super::*;

    #[test]
    fn every_kind_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("dir")).unwrap();
        fs::write(at("file"), "x").unwrap();
        fs::hard_link(at("file"), at("again")).unwrap();
        symlink("file", at("to-file")).unwrap();
        symlink(".", at("to-dir")).unwrap();
        symlink("/etc/passwd", at("out")).unwrap();
        symlink("nothing", at("nowhere")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let share = Share::open(dir.path()).unwrap();
        let found: BTreeMap<_, _> = share
            .entries(b"")
            .unwrap()
            .into_iter()
            .map(|entry| (String::from_utf8(entry.name).unwrap(), entry.kind.unwrap()))
            .collect();
        assert!(matches!(found["dir"], Kind::Directory { .. }));
        assert!(matches!(found["file"], Kind::File(Identity { size: 1, .. }, 2)));
        assert!(matches!(found["again"], Kind::File(_, 2)));
        assert!(matches!(found["to-file"], Kind::LinkToFile(Identity { size: 1, .. })));
        assert_eq!(found["to-dir"], Kind::LinkToDirectory);
        assert_eq!(found["out"], Kind::LinkAway);
        assert_eq!(found["nowhere"], Kind::LinkAway);
        assert_eq!(found["socket"], Kind::Special);
        assert_eq!(found.len(), 8);
    }
}
