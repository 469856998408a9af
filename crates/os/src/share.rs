//! A directory that is published: opens what is beneath it and nothing else (`openat2` with `RESOLVE_BENEATH`).
//!
//! | path leads to | answer |
//! |---|---|
//! | a file or directory beneath, directly or by relative links | found |
//! | the same by an absolute link that names this very directory | found (`walk`: the kernel refuses every absolute link) |
//! | anything outside, a loop of links, a pipe, socket or device | `NotFound` |
//! | something we may not read | `PermissionDenied` |

pub mod entries;
pub mod removal;
mod walk;

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fcntl_setfl, fstat, fstatfs, openat, openat2,
        statat,
    },
    io::Errno,
};

/// How often a resolution is tried again that a rename somewhere in the tree disturbed (`EAGAIN`).
const RESOLVE_TRIES_MAX: u32 = 64;

/// A published directory, held open.
#[derive(Debug)]
pub struct Share {
    root: OwnedFd,
    path: PathBuf,
    /// `path` without links, by which absolute links into the share are known.
    real_path: PathBuf,
    resolver: Resolver,
}

/// Who follows the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolver {
    /// The kernel, in one call.
    Openat2,
    /// We, segment by segment: kernels before 5.6, and containers that forbid the call.
    Walk,
}

/// By what a file is known to be unchanged. Two equal identities of one path mean equal bytes, as far as a file system can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub modified: i128,
    /// Last change of content or inode, nanoseconds since 1970.
    pub changed: i128,
}

/// What stands at a path.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open for reading.
    File(File, Identity),
    /// A directory.
    Directory,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Bytes of the name.
    pub name: Vec<u8>,
    /// `true` for a directory (or a link to one beneath the share).
    pub directory: bool,
    /// What a `stat` says.
    pub identity: Identity,
}

impl Identity {
    /// Of an open file, now.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&fstat(file)?))
    }

    /// As a time.
    pub fn modified_time(&self) -> SystemTime {
        let distance = Duration::from_nanos_u128(self.modified.unsigned_abs());
        let time = if self.modified >= 0 {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: u64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Share {
    /// Opens the directory. Falls back to a checked walk, segment by segment, where the kernel has no `openat2`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = openat(CWD, path, DIRECTORY, Mode::empty())?;
        let resolver = match openat2(&root, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH)
        {
            Ok(_) => Resolver::Openat2,
            Err(_) => Resolver::Walk,
        };
        Ok(Self { root, path: path.to_owned(), real_path: path.canonicalize()?, resolver })
    }

    /// The directory's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it lies on another machine, so that the kernel announces only what this one changes in it. What cannot be asked counts as local.
    pub fn is_remote(&self) -> bool {
        fstatfs(&self.root).is_ok_and(|found| is_remote(found.f_type as u64))
    }

    /// Opens what stands at a relative path (bytes, no leading `/`; empty: the share itself). Links are followed as long as they stay beneath.
    /// Blocks. `NotFound` also for what lies outside, is neither file nor directory, or has an unreadable kind.
    pub fn find(&self, path: &[u8]) -> io::Result<Found> {
        let opened = self.resolve(path, READING)?;
        let stat = fstat(&opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                // O_NONBLOCK was only to get past pipes; on a file it would change what asynchronous reads do.
                fcntl_setfl(&opened, OFlags::empty())?;
                Ok(Found::File(opened.into(), Identity::from(&stat)))
            }
            FileType::Directory => Ok(Found::Directory),
            _ => Err(Errno::NOENT.into()),
        }
    }

    /// The identity at a path without opening it for reading. Blocks. `None` for a directory.
    pub fn identity(&self, path: &[u8]) -> io::Result<Option<Identity>> {
        match self.look(path)? {
            (false, identity) => Ok(Some(identity)),
            (true, _) => Ok(None),
        }
    }

    /// The entries of a directory, unsorted, files and directories only. Blocks.
    pub fn list(&self, path: &[u8]) -> io::Result<Vec<DirEntry>> {
        let directory = self.resolve(path, DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if let Some((is_directory, identity)) = self.look_at_entry(directory.as_fd(), path, name)? {
                entries.push(DirEntry { name: name.to_vec(), directory: is_directory, identity });
            }
        }
        Ok(entries)
    }

    /// What an entry of an open directory is. `None` if it is not to be shown or has just gone.
    fn look_at_entry(&self, dir: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> io::Result<Option<(bool, Identity)>> {
        let looked = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
                self.look(&path)
            }
            Ok(stat) => file_or_directory(&stat),
            Err(error) => Err(error.into()),
        };
        match looked {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a directory stands at a path, and its identity.
    fn look(&self, path: &[u8]) -> io::Result<(bool, Identity)> {
        file_or_directory(&fstat(self.resolve(path, OFlags::PATH | OFlags::CLOEXEC)?)?)
    }

    /// Opens what stands at `path` with `flags`, never anything outside.
    fn resolve(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        if path.first() == Some(&b'/')
            || path.contains(&0)
            || path.split(|byte| *byte == b'/').any(|part| part == b"..")
        {
            return Err(Errno::NOENT.into());
        }
        let path = if path.is_empty() { b"." } else { path };
        let opened = match self.resolver {
            Resolver::Openat2 => match self.resolve_by_kernel(path, flags) {
                // Leads out of the share or holds an absolute link; only our own walk can tell the two apart.
                Err(Errno::XDEV) => walk::open(self.root.as_fd(), &self.real_path, path, flags),
                opened => opened,
            },
            Resolver::Walk => walk::open(self.root.as_fd(), &self.real_path, path, flags),
        };
        opened.map_err(|error| match error {
            // NXIO: a socket, or a device that is not there.
            Errno::XDEV | Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV => {
                Errno::NOENT.into()
            }
            Errno::AGAIN => {
                io::Error::other("directories of the share were renamed again and again while this was looked for")
            }
            error => error.into(),
        })
    }

    fn resolve_by_kernel(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut answer = Err(Errno::AGAIN);
        for _ in 0..RESOLVE_TRIES_MAX {
            answer = openat2(&self.root, path, flags, Mode::empty(), within);
            if !matches!(answer, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        answer
    }
}

/// Whether a kind of file system is one of another machine (the numbers of `statfs(2)`). One in user space may be either, and counts as remote.
fn is_remote(kind: u64) -> bool {
    const REMOTE: [u32; 10] = [
        0x6969,      // NFS
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x517b,      // SMB
        0x0102_1997, // 9P
        0x6573_5546, // FUSE
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0x7375_7245, // Coda
        0x0bd0_0bd0, // Lustre
    ];
    // Kernels of 32 bits say it with a sign.
    u32::try_from(kind & 0xffff_ffff).is_ok_and(|kind| REMOTE.contains(&kind))
}

/// For files: a pipe must not block, a terminal must not become ours.
const READING: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// For directories only.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// Whether it is a directory; `NotFound` for what is neither that nor a file.
fn file_or_directory(stat: &Stat) -> io::Result<(bool, Identity)> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((false, Identity::from(stat))),
        FileType::Directory => Ok((true, Identity::from(stat))),
        _ => Err(Errno::NOENT.into()),
    }
}

#[cfg(test)]
mod tests;
