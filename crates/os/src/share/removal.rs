//! Taking a name away from a published directory, if it is still the name of the file that is meant.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, CWD, RenameFlags, fsync, linkat, renameat, renameat_with, statat, unlinkat},
    io::Errno,
};

use super::{DIRECTORY, Identity, Share};

/// What the names begin with to which others are moved aside while they are removed.
pub const ASIDE: &[u8] = b".outpost-import-";

impl Share {
    /// Removes the name at `path`, durably, if it is still of this file, with the size and the time of the last change that are told here.
    /// `false` if it is not, or gone. Whoever puts another file under that name in the same moment does not lose it: the name is moved aside,
    /// looked at, and moved back. (That changes the time of the last change of the inode, which is therefore not looked at.)
    pub fn remove_if(&self, path: &[u8], identity: &Identity) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        let number = format!("{:x}-{:x}", std::process::id(), identity.inode);
        let aside = [ASIDE, number.as_bytes()].concat();
        match rename_new(&parent, name, &aside) {
            Err(Errno::NOENT) => return Ok(false),
            renamed => renamed?,
        }
        let found = Identity::from(&statat(&parent, &aside, AtFlags::SYMLINK_NOFOLLOW)?);
        if found == (Identity { changed: found.changed, ..*identity }) {
            unlinkat(&parent, &aside, AtFlags::empty())?;
            fsync(&parent)?;
            return Ok(true);
        }
        match rename_new(&parent, &aside, name) {
            // A third one has come, which would have taken its place anyway.
            Err(Errno::EXIST) => unlinkat(&parent, &aside, AtFlags::empty())?,
            back => back?,
        }
        Ok(false)
    }

    /// Gives an open file the name at `path` again, unless something stands there.
    pub fn put_back(&self, path: &[u8], file: &File) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, descriptor, &parent, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    fn parent<'p>(&self, path: &'p [u8]) -> io::Result<(OwnedFd, &'p [u8])> {
        let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], path),
        };
        Ok((self.resolve(directory, DIRECTORY)?, name))
    }
}

/// Renames without replacing; file systems that cannot do that see a name that nobody else uses.
fn rename_new(parent: &OwnedFd, from: &[u8], to: &[u8]) -> Result<(), Errno> {
    match renameat_with(parent, from, parent, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => renameat(parent, from, parent, to),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_the_name_of_the_file_that_is_meant_goes() {
        let dir = tempfile::tempdir().unwrap();
        let share = Share::open(dir.path()).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let path = dir.path().join("d/f");
        fs::write(&path, "first").unwrap();
        let file = File::open(&path).unwrap();
        let identity = Identity::of(&file).unwrap();
        fs::write(dir.path().join("new"), "second").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert!(!share.remove_if(b"d/f", &identity).unwrap(), "another file has the name");
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        let identity = Identity::of(&File::open(&path).unwrap()).unwrap();
        let second = File::open(&path).unwrap();
        fs::hard_link(&path, dir.path().join("kept")).unwrap();
        fs::write(&path, "longer").unwrap();
        assert!(!share.remove_if(b"d/f", &identity).unwrap(), "it was written to");
        fs::write(&path, "second").unwrap();
        let identity = Identity::of(&second).unwrap();
        assert!(share.remove_if(b"d/f", &identity).unwrap());
        assert!(!path.exists() && !share.remove_if(b"d/f", &identity).unwrap());
        share.put_back(b"d/f", &second).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert!(share.put_back(b"d/f", &second).is_err(), "something stands there");
        assert_eq!(fs::read_dir(dir.path().join("d")).unwrap().count(), 1, "nothing is left aside");
    }
}
