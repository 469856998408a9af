//! Following a path segment by segment without leaving a directory: what the kernel does for `RESOLVE_BENEATH`, done by us
//! where it cannot, and with absolute links that name the share itself.
//!
//! Every directory on the way is held open, so that `..` in a link goes back to where we came from and no rename can lead
//! us elsewhere. No link is ever followed by the kernel: each open has `O_NOFOLLOW`.

use std::{
    collections::VecDeque,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, openat, readlinkat},
    io::Errno,
};

/// As many links as the kernel follows (`MAXSYMLINKS`).
const LINKS_MAX: u32 = 40;

/// Segments waiting to be followed: bounds what links made of many segments can pile up.
const SEGMENTS_MAX: usize = 4096;

/// Where the walk stands: the directories entered, the innermost last (none: the root), and what is still to be followed.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    entered: Vec<OwnedFd>,
    ahead: VecDeque<Vec<u8>>,
    links: u32,
}

/// Opens `path` beneath `root` with `flags`. `EXDEV` if it leads out; `real_root` is the absolute path of `root` without links.
pub(super) fn open(root: BorrowedFd<'_>, real_root: &Path, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    // As for the kernel: a slash at the end asks for a directory.
    let flags = if path.ends_with(b"/") { flags | OFlags::DIRECTORY } else { flags };
    let mut walk = Walk { root, entered: Vec::new(), ahead: segments(path).collect(), links: 0 };
    while let Some(segment) = walk.ahead.pop_front() {
        if segment == b".." {
            walk.entered.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let here = openat(walk.here(), &segment, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&here)?.st_mode) {
            FileType::Symlink => walk.follow(readlinkat(&here, c"", Vec::new())?.as_bytes(), real_root)?,
            FileType::Directory => walk.entered.push(here),
            _ if walk.ahead.is_empty() => {
                return openat(walk.here(), &segment, flags | OFlags::NOFOLLOW, Mode::empty());
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    openat(walk.here(), c".", flags | OFlags::NOFOLLOW, Mode::empty())
}

impl Walk<'_> {
    /// The directory the walk stands in.
    fn here(&self) -> BorrowedFd<'_> {
        self.entered.last().map_or(self.root, |directory| directory.as_fd())
    }

    /// Puts a link's target in front of what is still to be followed.
    fn follow(&mut self, target: &[u8], real_root: &Path) -> Result<(), Errno> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::LOOP);
        }
        let target = match target.first() {
            Some(b'/') => {
                self.entered.clear();
                beneath(target, real_root).ok_or(Errno::XDEV)?
            }
            _ => target,
        };
        for segment in segments(target).collect::<Vec<_>>().into_iter().rev() {
            self.ahead.push_front(segment);
        }
        if self.ahead.len() > SEGMENTS_MAX { Err(Errno::NAMETOOLONG) } else { Ok(()) }
    }
}

/// The segments of a path that mean something.
fn segments(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

/// What is left of an absolute path behind `root`. `None` if it does not begin with it, segment by segment.
fn beneath<'a>(absolute: &'a [u8], root: &Path) -> Option<&'a [u8]> {
    let root = root.as_os_str().as_bytes();
    let rest = absolute.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_beneath() {
        let table: [(&str, &str, Option<&str>); 6] = [
            ("/srv/share/a", "/srv/share", Some("/a")),
            ("/srv/share", "/srv/share", Some("")),
            ("/srv/shared/a", "/srv/share", None),
            ("/srv", "/srv/share", None),
            ("/etc/passwd", "/", Some("/etc/passwd")),
            ("/srv/share/../x", "/srv/share", Some("/../x")),
        ];
        for (absolute, root, rest) in table {
            assert_eq!(beneath(absolute.as_bytes(), Path::new(root)), rest.map(str::as_bytes), "{absolute} in {root}");
        }
    }
}
