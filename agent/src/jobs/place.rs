//! Puts trees where they belong, and looks whether they are still right. All of it blocks.
//!
//! | what stands where a tree belongs | what it is |
//! | --- | --- |
//! | nothing, or an empty directory | free |
//! | a directory with our marker, which names its files | ours; what it does not name stays, whatever becomes of the tree |
//! | anything else | not ours, and left alone |
//!
//! A new tree is made aside, with its marker, and takes the place of the old one by one exchange of names. A link in the way is no directory.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use protocol::digest::{DigestsHasher, Sha256};
use serde::{Deserialize, Serialize};

use super::record::{Look, Seen};
use crate::decide::jobs::tree::{Entry, MARKER, Tree};

/// Bytes of a marker.
const MARKER_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// What stands where a tree belongs.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing.
    Free,
    /// A tree of ours, and of which package.
    Ours(Tree, String),
    /// Something else, and what.
    Foreign(String),
}

#[derive(Serialize, Deserialize)]
struct Marker {
    job: String,
    package: String,
    files: Vec<Entry>,
}

/// Looks what stands there. `top` is the directory of jobs.
pub(super) fn standing(top: &Path, dir: &Path) -> io::Result<Standing> {
    let Some(directory) = directory_within(top, dir)? else {
        return Ok(match fs::symlink_metadata(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Standing::Free,
            _ => Standing::Foreign(format!("{} is no directory, or lies behind a link", dir.display())),
        });
    };
    match read_marker(&directory) {
        Ok(Some((tree, package))) => Ok(Standing::Ours(tree, package)),
        Ok(None) if fs::read_dir(&directory)?.next().is_none() => Ok(Standing::Free),
        Ok(None) => Ok(Standing::Foreign(format!("{} holds files that no job has put there", dir.display()))),
        Err(error) => Ok(Standing::Foreign(format!("{}: {error}", directory.join(MARKER).display()))),
    }
}

fn read_marker(dir: &Path) -> io::Result<Option<(Tree, String)>> {
    let mut text = String::new();
    let opened = match File::open(dir.join(MARKER)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    opened.take(MARKER_BYTES_MAX).read_to_string(&mut text)?;
    let marker: Marker = serde_json::from_str(&text).map_err(io::Error::other)?;
    // It is not believed more than an origin.
    let tree = Tree::of(&marker.package, marker.files).map_err(io::Error::other)?;
    Ok(Some((tree, marker.package)))
}

/// The directory itself, where it and all above it up to `top` are directories and no links.
fn directory_within(top: &Path, dir: &Path) -> io::Result<Option<PathBuf>> {
    let below = dir.strip_prefix(top).map_err(io::Error::other)?;
    let mut at = top.to_owned();
    for name in below {
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// The files of a tree that are not there as they should be. What was seen to be right and is unchanged is not read again; `seen` is what is right now.
pub(super) fn wrong(dir: &Path, tree: &Tree, seen: &mut Seen) -> Vec<PathBuf> {
    let before = std::mem::take(seen);
    let mut links = Parents::default();
    let mut wrong = Vec::new();
    for (path, entry) in tree.files() {
        let look = links.are_directories(dir, path).then(|| fs::symlink_metadata(dir.join(path)).ok()).flatten();
        let look = look
            .filter(|metadata| metadata.is_file() && metadata.len() == entry.size)
            .map(|metadata| Look::of(&metadata));
        let is_right = look.is_some_and(|look| before.get(path) == Some(&look) || is_it(&dir.join(path), entry));
        match look.filter(|_| is_right) {
            Some(look) => drop(seen.insert(path.to_owned(), look)),
            None => wrong.push(path.to_owned()),
        }
    }
    wrong
}

/// Folders that were seen to be none but folders.
#[derive(Default)]
struct Parents(HashSet<PathBuf>);

impl Parents {
    fn are_directories(&mut self, dir: &Path, path: &Path) -> bool {
        let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return true };
        if self.0.contains(parent) {
            return true;
        }
        let is_good = self.are_directories(dir, parent)
            && fs::symlink_metadata(dir.join(parent)).is_ok_and(|found| found.is_dir());
        if is_good {
            self.0.insert(parent.to_owned());
        }
        is_good
    }
}

fn is_it(file: &Path, entry: &Entry) -> bool {
    File::open(file).and_then(|file| digest(&file)).is_ok_and(|found| found == entry.sha256)
}

fn digest(mut file: &File) -> io::Result<Sha256> {
    let (mut hasher, mut piece) = (DigestsHasher::default(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish().sha256),
            len => hasher.update(&piece[..len]),
        }
    }
}

/// Puts a file into a tree: written aside, compared with its digest, and renamed.
pub(super) fn put(dir: &Path, path: &Path, from: &File, entry: &Entry) -> io::Result<Look> {
    let to = dir.join(path);
    make_parents(dir, path)?;
    let aside = to.with_file_name(format!(".outpost-new-{}", entry.md5));
    let put = copy(from, &aside, entry).and_then(|()| {
        if fs::symlink_metadata(&to).is_ok_and(|found| found.is_dir()) {
            return Err(io::Error::other(format!("{} is a directory, where the package has a file", to.display())));
        }
        fs::rename(&aside, &to)
    });
    if put.is_err() {
        // It is ours, and nobody has seen it under its name.
        drop(fs::remove_file(&aside));
    }
    put?;
    Ok(Look::of(&fs::symlink_metadata(&to)?))
}

fn copy(from: &File, aside: &Path, entry: &Entry) -> io::Result<()> {
    match fs::remove_file(aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let to = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(aside)?;
    if !os::copy::share_blocks(from, &to)? {
        write_all(from, &to, entry)?;
    }
    // Read back where blocks are shared too: what is kept here is what was meant.
    if to.metadata()?.len() != entry.size || digest(&File::open(aside)?)? != entry.sha256 {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("{} is not what it should be", entry.path)));
    }
    if let Some(modified) = entry.modified() {
        to.set_modified(modified)?;
    }
    to.sync_all()
}

fn write_all(from: &File, mut to: &File, entry: &Entry) -> io::Result<()> {
    let (mut at, mut piece) = (0, vec![0; PIECE]);
    while at < entry.size {
        match from.read_at(&mut piece, at)? {
            0 => break,
            len => {
                to.write_all(&piece[..len])?;
                at += len as u64;
            }
        }
    }
    Ok(())
}

/// Folders of a tree. What stands in the way of one is a link or a file at a place of ours, and goes.
fn make_parents(dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    let mut at = dir.to_owned();
    for name in path.parent().into_iter().flatten() {
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => continue,
            Ok(_) => fs::remove_file(&at)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::create_dir(&at)?;
    }
    Ok(())
}

/// A file of a tree may be executed from now on.
pub(super) fn make_program(file: &Path) -> io::Result<()> {
    let mode = fs::metadata(file)?.permissions().mode();
    if mode & 0o111 == 0o111 { Ok(()) } else { fs::set_permissions(file, Permissions::from_mode(mode | 0o111)) }
}

/// Takes out of a tree that is being made what a run before has left there and is not of it, so that what is there is of it.
pub(super) fn clear(dir: &Path, tree: &Tree) -> io::Result<()> {
    let mut folders: BTreeSet<&Path> = BTreeSet::new();
    for (path, _) in tree.files() {
        folders.extend(path.ancestors().skip(1));
    }
    clear_folder(dir, Path::new(""), tree, &folders)
}

fn clear_folder(dir: &Path, below: &Path, tree: &Tree, folders: &BTreeSet<&Path>) -> io::Result<()> {
    let entries = match fs::read_dir(dir.join(below)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && folders.contains(path.as_path()) {
            clear_folder(dir, &path, tree, folders)?;
        } else if is_folder {
            fs::remove_dir_all(dir.join(&path))?;
        } else if tree.file(&path).is_none() {
            fs::remove_file(dir.join(&path))?;
        }
    }
    Ok(())
}

/// A tree that was made aside is complete: it takes its place, and what of the one before was not ours comes along. Answers what found no place.
pub(super) fn put_in_place(
    new: &Path,
    to: &Path,
    job: &str,
    package: &str,
    tree: &Tree,
    left: &Path,
) -> io::Result<Vec<PathBuf>> {
    write_marker(new, job, package, tree)?;
    sync_folders(new, tree)?;
    let parent = to.parent().unwrap_or(to);
    DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    let before = read_marker(to).unwrap_or_default().map(|(tree, _)| tree);
    if fs::symlink_metadata(to).is_err() {
        fs::rename(new, to)?;
        return File::open(parent)?.sync_all().map(|()| Vec::new());
    }
    if !os::swap::swap(new, to)? {
        // Not at one moment then: a look between sees neither, and a kill between is mended by the next run.
        let aside = new.with_extension("old");
        fs::rename(to, &aside)?;
        fs::rename(new, to)?;
        fs::rename(&aside, new)?;
    }
    File::open(parent)?.sync_all()?;
    // From here on the old tree stands where the new one was made.
    if let Some(before) = &before {
        remove_ours(new, before)?;
    }
    carry_over(new, to, left)
}

fn write_marker(dir: &Path, job: &str, package: &str, tree: &Tree) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    let files = tree.files().map(|(_, entry)| entry.clone()).collect();
    let text = serde_json::to_vec(&Marker { job: job.into(), package: package.into(), files })?;
    let mut file = File::create(dir.join(MARKER))?;
    file.write_all(&text)?;
    file.sync_all()
}

fn sync_folders(dir: &Path, tree: &Tree) -> io::Result<()> {
    let mut folders: BTreeSet<&Path> = BTreeSet::from([Path::new("")]);
    for (path, _) in tree.files() {
        folders.extend(path.ancestors().skip(1));
    }
    folders.into_iter().try_for_each(|folder| File::open(dir.join(folder))?.sync_all())
}

/// Removes the files of a tree and its marker, and folders that are empty then. What is not named stays.
pub(super) fn remove_ours(dir: &Path, tree: &Tree) -> io::Result<()> {
    let (mut links, mut folders) = (Parents::default(), BTreeSet::new());
    for (path, _) in tree.files() {
        if links.are_directories(dir, path) {
            remove(&dir.join(path))?;
            folders.extend(path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()));
        }
    }
    remove(&dir.join(MARKER))?;
    for folder in folders.iter().rev() {
        remove_folder(&dir.join(folder))?;
    }
    remove_folder(dir)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        // A folder that somebody made in place of a file is not ours.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => Ok(()),
        removed => removed,
    }
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        removed => removed,
    }
}

/// Moves what is left of an old tree into the new one; what finds its place taken goes aside. Answers what did.
fn carry_over(old: &Path, new: &Path, left: &Path) -> io::Result<Vec<PathBuf>> {
    let mut stays = Vec::new();
    carry_folder(old, new, Path::new(""), left, &mut stays)?;
    Ok(stays)
}

fn carry_folder(old: &Path, new: &Path, below: &Path, left: &Path, stays: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(old.join(below)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let there = fs::symlink_metadata(new.join(&path)).ok();
        match there {
            None => fs::rename(old.join(&path), new.join(&path))?,
            Some(there) if there.is_dir() && entry.file_type()?.is_dir() => carry_folder(old, new, &path, left, stays)?,
            Some(_) => {
                let to = left.join(&path);
                fs::create_dir_all(to.parent().unwrap_or(left))?;
                // What was left there before is older.
                if fs::symlink_metadata(&to).is_ok_and(|found| found.is_dir()) {
                    fs::remove_dir_all(&to)?;
                }
                fs::rename(old.join(&path), to)?;
                stays.push(path);
            }
        }
    }
    remove_folder(&old.join(below))
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
